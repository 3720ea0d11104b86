//! How long a name is missing, and an old address given, after the API has the truth: gapless and the resolvers that are in
//! use today, asked the same questions at the same time while a real control plane rolls out a real StatefulSet.
//! CONTRIBUTING.md says how to run it; docs/benchmarks.md holds what it printed.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test fails by panicking, says what it measured, and measures by the clock"
)]

#[path = "../support/api_server.rs"]
mod api_server;
#[path = "../support/control_plane/mod.rs"]
mod control_plane;
#[path = "../support/mod.rs"]
mod support;

mod bench;
mod clients;
mod events;
mod figures;
mod resolvers;
mod rollout;
mod scale;
mod stage;
mod truth;
