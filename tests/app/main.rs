//! The process as a whole: how it starts, becomes ready, answers and ends. In this process where it is about parts put
//! together, and as the built binary where it is about the process.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and one that measures says what it saw"
)]

#[path = "../support/api_server.rs"]
mod api_server;
mod asking;
mod certificate;
mod crowd;
mod demo;
mod ending;
mod following;
mod gap;
#[path = "../support/load.rs"]
#[allow(unreachable_pub, reason = "it is shared")]
mod load;
mod loops;
mod process;
mod readiness;
mod running;
mod serving;
mod starting;
#[path = "../support/tls.rs"]
#[allow(unreachable_pub, reason = "it is shared")]
mod tls;
mod upgrades;
#[path = "../support/upstream.rs"]
#[allow(dead_code, unreachable_pub, reason = "other tests use the rest of it")]
mod upstream;
