//! `gapless bench`: measures resolvers as those who ask them do, and says what it saw. It serves nobody, and nothing that
//! serves may know of it.
//!
//! ```text
//! load     queries at a rate ─▶ several servers ─▶ latencies, losses, wrong answers ─▶ report
//! resolve  names, as a C library looks them up ─▶ one figure for each name
//! gap      pods that come, move and go ─▶ when each server says so
//! compare  two reports ─▶ what changed
//! ```
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "figures are made of counts"
)]

pub mod answer;
pub mod conditions;
mod flights;
pub mod gap;
pub mod load;
pub mod output;
pub mod questions;
pub mod report;
pub mod resolve;
pub mod schedule;
pub mod statistics;
pub mod tally;
mod wait;
