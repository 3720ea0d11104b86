//! Whatever the Kubernetes API does, the answers stay right: the faults K1 to K28 of `docs/reliability.md`, against a
//! scripted API server in this process, on a clock that stands still while anything has something to do.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and says what it counted"
)]

#[path = "../support/api_server.rs"]
mod api_server;
mod clocks;
mod crowds;
mod lists;
mod outages;
#[path = "../support/mod.rs"]
mod support;
mod watches;
mod world;
