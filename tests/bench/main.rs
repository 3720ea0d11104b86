//! `gapless bench` against servers that say themselves how long they took, what they kept and where they lied.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, prints what it measured, and its server keeps time"
)]

mod accuracy;
mod command;
mod deployed;
mod libraries;
mod seen;
mod server;
mod transports;

#[path = "../support/mod.rs"]
mod support;
