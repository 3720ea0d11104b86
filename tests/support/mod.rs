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
pub mod tls;
pub mod upstream;

/// Ticks of all processors since the start, and those of them that the host gave to others: `/proc/stat`.
pub fn machine_time() -> [u64; 2] {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let ticks = stat.lines().next().unwrap().split_whitespace().skip(1);
    let ticks: Vec<u64> = ticks.map(|it| it.parse().unwrap()).collect();
    [ticks[..8].iter().sum(), ticks[7]]
}
