//! What gapless does when its upstreams fail: each fault U1–U24 as a situation of many questions, by a seed and with tokio's
//! clock held, so that its figures are exact. docs/reliability.md has a row for each, and the test that makes a row holds it
//! equal; `FIGURES=write cargo test --test faults` writes the rows anew.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "askers are the test's own tasks, a test may panic, and its modules have no other reader"
)]

#[path = "../support/mod.rs"]
mod support;

mod codes;
mod connections;
mod figures;
mod forgeries;
mod keys;
mod large;
mod losses;
mod outages;
mod records;
mod slowness;
mod stage;
mod tally;
