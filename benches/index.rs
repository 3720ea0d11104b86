//! What a change costs at different sizes of cluster: `cargo bench --bench index`. It prints the median and the largest of
//! many publications, and the memory that the index holds; nothing is asserted.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    unsafe_code,
    reason = "a measurement has a clock, a terminal, and an allocator that counts"
)]

#[path = "support/counting.rs"]
mod counting;
mod support;

use counting::HELD;
use gapless::model::{Change, Source};
use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};
use support::slice;

fn main() {
    println!(
        "services headless x endpoints |  list | KiB held, B/endpoint | one endpoint changes: median, max"
    );
    for (services, headless, endpoints) in [
        (1_000, 150, 100),
        (10_000, 1_500, 100),
        (50_000, 7_500, 100),
        (100, 1, 10_000),
    ] {
        measure(services, headless, endpoints);
    }
}

fn measure(services: usize, headless: usize, endpoints: usize) {
    let before = HELD.load(Relaxed);
    let started = Instant::now();
    let (mut index, reader) = support::listed(services, headless, endpoints);
    let listed = started.elapsed();
    let held = HELD.load(Relaxed) - before;
    let mut times: Vec<Duration> = (1..=500)
        .map(|round| {
            let change = Change::Apply(
                Source::EndpointSlices,
                slice(round * 7 % headless, endpoints, round),
            );
            let started = Instant::now();
            index.apply(change);
            index.publish(2);
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!(
        "{services:8} {headless:8} x {endpoints:6} | {listed:7.1?} | {:8}, {:4} | {:9.1?}, {:9.1?}",
        held / 1024,
        held / (headless * endpoints),
        times[times.len() / 2],
        times[times.len() - 1],
    );
    assert!(reader.load().is_synced());
}
