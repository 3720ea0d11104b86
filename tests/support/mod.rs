//! What the tests stand on: parts of the world, in this process, that count.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "a test may panic, and uses a part of it"
)]

pub mod ask;
pub mod authority;
pub mod engine;
pub mod objects;
pub mod upstream;
