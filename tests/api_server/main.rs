//! What only a real API server can show: what it answers to the feed's requests, and gapless before it, from objects that
//! go in through the API to answers that come out by DNS. `tests/control-plane/build` prepares the binaries.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test fails by panicking, and says what it measured"
)]

#[path = "../support/control_plane/mod.rs"]
mod control_plane;
#[path = "../support/mod.rs"]
mod support;

mod changes;
mod gapless;
mod lists;
mod names;
mod outages;
mod relay;
mod requests;
