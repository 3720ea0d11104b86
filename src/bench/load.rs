//! `gapless bench load`: queries at a rate, or so many at a time, to several servers in one run, and what came of them. It
//! knows no flag and writes no file.
//!
//! ```text
//! schedule ─▶ UDP: threads that send and receive batches       ─┐
//!        └──▶ pacer ─▶ a task for each connection (TCP, TLS, HTTPS) ─┴▶ tallies ─▶ report
//! ```

mod drops;
mod probe;
mod ramp;
mod reference;
mod stream;
mod udp;

use super::{
    questions::{Order, Question},
    report::{self, Generator, Report},
    schedule::Spacing,
    tally::Tally,
};
use crate::{
    forward::{Roots, Server, Transport},
    lifecycle::Drain,
};
use anyhow::Context as _;
use hdrhistogram::Histogram;
pub use ramp::ramp;
pub use reference::learn;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// Highest rate that can be asked for, queries a second: a query of 40 octets each 100 ns fills 4 Gbit/s.
pub const RATE_MAX: f64 = 1e7;

/// Queries are still sent for so long after the end, if they were due before it.
const GRACE_NS: u64 = 50_000_000;

/// A generator that sends less of what was due than this, or later than that, is what was measured.
const SENT_MIN: f64 = 0.99;
const LATE_P99_MAX_US: f64 = 2000.0;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who is asked: each at the whole rate, in turns.
    pub servers: Vec<Server>,
    /// What is asked; not empty.
    pub questions: Arc<[Question]>,
    /// In which order.
    pub order: Order,
    /// How fast.
    pub pace: Pace,
    /// For how long queries are sent.
    pub duration: Duration,
    /// How long a query may take.
    pub timeout: Duration,
    /// Sockets or connections to each server, for each thread.
    pub clients: usize,
    /// Threads that send datagrams.
    pub threads: usize,
    /// Who certifies servers that are asked over TLS or HTTPS.
    pub roots: Roots,
    /// Whether each server has to answer one query before the run.
    pub probe: bool,
}

/// How fast queries are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Whatever the answers do: so many a second to each server.
    Open(Spacing, f64),
    /// So many under way to each server: the next one leaves when one is answered or lost.
    Closed(usize),
}

/// What can be seen of a run while it lasts, for each server.
#[derive(Debug)]
pub struct Live(Vec<LiveServer>);

/// Counts so far, and latencies of the current slice in nanoseconds.
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "as in `Tally`")]
pub struct LiveServer {
    pub sent: AtomicU64,
    pub answered: AtomicU64,
    pub lost: AtomicU64,
    pub wrong: AtomicU64,
    pub p50: AtomicU64,
    pub p99: AtomicU64,
}

impl Live {
    /// For so many servers.
    pub fn new(servers: usize) -> Arc<Self> {
        Arc::new(Self((0..servers).map(|_| LiveServer::default()).collect()))
    }

    /// In the order of the command line.
    pub fn servers(&self) -> &[LiveServer] {
        &self.0
    }
}

/// What one worker has told of its tally so far.
#[derive(Debug, Default)]
struct Told([u64; 4]);

impl Told {
    fn tell(&mut self, live: &LiveServer, tally: &Tally, now: u64) {
        let counts = [tally.sent, tally.answered, tally.lost, tally.wrong];
        let shown = [&live.sent, &live.answered, &live.lost, &live.wrong];
        for ((count, told), shown) in counts.iter().zip(&mut self.0).zip(shown) {
            shown.fetch_add(count - *told, Ordering::Relaxed);
            *told = *count;
        }
        let nth = usize::try_from(now / tally.slice_ns()).unwrap_or(usize::MAX);
        let slice = tally.slices.get(nth).or_else(|| tally.slices.last());
        if let Some(slice) = slice.filter(|slice| slice.answered > 0) {
            for (shown, percentile) in [(&live.p50, 50.0), (&live.p99, 99.0)] {
                let value = slice.latency.value_at_percentile(percentile);
                shown.store(value, Ordering::Relaxed);
            }
        }
    }
}

/// What every worker knows.
struct Plan {
    options: Options,
    began: Instant,
    end_ns: u64,
    slices: usize,
    stop: Drain,
    live: Arc<Live>,
}

impl Plan {
    /// Nanoseconds since the start.
    fn now(&self) -> u64 {
        let since = clock().saturating_duration_since(self.began);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    fn tally(&self) -> Tally {
        Tally::new(self.slices, self.end_ns / self.slices as u64)
    }

    fn timeout_ns(&self) -> u64 {
        u64::try_from(self.options.timeout.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Queries that are no longer due, of a stream that stands at `at`.
    fn never_sent(&self, at: u64, per_second: f64) -> u64 {
        if self.stop.is_cancelled() {
            return 0; // nobody knows how many would have been
        }
        (self.end_ns.saturating_sub(at) as f64 * per_second / 1e9).ceil() as u64
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a measurement by the clock, which is read where packets leave and come"
)]
fn clock() -> Instant {
    Instant::now()
}

/// Histograms of a run, for files that other tools read.
pub type Histograms = Vec<(String, Tally)>;

/// Runs to the end, or until `stop`. An error is about a server that cannot be asked at all.
pub async fn run(
    options: Options,
    stop: Drain,
    live: Arc<Live>,
) -> anyhow::Result<(Report, Histograms)> {
    let began_at = format!("{:.0}", jiff::Timestamp::now());
    let mut opened = vec![];
    for server in &options.servers {
        let refused = || format!("{server} cannot be asked");
        opened.push(match server.transport {
            Transport::Plain => {
                if options.probe {
                    let asked = probe::ask(server.address, &options.questions[0]).await;
                    asked.with_context(refused)?;
                }
                None
            }
            _ => {
                let opened = stream::open_all(server, &options).await;
                Some(opened.with_context(refused)?)
            }
        });
    }
    let whole_seconds = options.duration.as_secs();
    let plan = Arc::new(Plan {
        end_ns: u64::try_from(options.duration.as_nanos()).unwrap_or(u64::MAX),
        // At least ten, for an interval of confidence, and as many as a picture shows.
        slices: usize::try_from(whole_seconds).unwrap_or(100).clamp(10, 100),
        began: clock() + Duration::from_millis(5),
        options,
        stop,
        live,
    });
    let mut work = JoinSet::new();
    let plain: Vec<_> = (0..opened.len())
        .filter(|it| opened[*it].is_none())
        .collect();
    if !plain.is_empty() {
        let threads = plan.options.threads.max(1);
        for part in 0..threads {
            let (plan, plain) = (Arc::clone(&plan), plain.clone());
            work.spawn_blocking(move || udp::work(&plan, &plain, part, threads));
        }
    }
    stream::start(&plan, opened, &mut work);
    let mut tallies: Vec<_> = plan.options.servers.iter().map(|_| plan.tally()).collect();
    while let Some(done) = work.join_next().await {
        for (server, tally) in done.context("a worker failed")?? {
            tallies[server].add(&tally);
        }
    }
    let seconds = (plan.now().min(plan.end_ns)) as f64 / 1e9;
    let interrupted = plan.stop.is_cancelled();
    let names = plan.options.servers.iter().map(ToString::to_string);
    let tallies: Histograms = names.zip(tallies).collect();
    let servers = tallies.iter();
    let servers: Vec<_> = servers
        .map(|(name, tally)| report::Server::of(name.clone(), tally, seconds))
        .collect();
    let report = Report {
        format: report::FORMAT,
        gapless: env!("CARGO_PKG_VERSION").to_owned(),
        began: began_at,
        settings: BTreeMap::new(),
        seconds,
        interrupted,
        differences: report::paired_differences(&servers),
        generator: generator(&plan.options, &tallies),
        servers,
    };
    Ok((report, tallies))
}

/// What the generator itself did to the figures.
fn generator(options: &Options, tallies: &Histograms) -> Generator {
    let mut lateness = Histogram::<u64>::new(3).expect("three digits are possible");
    let (mut sent, mut unsent, mut dropped) = (0, 0, 0);
    for (_, tally) in tallies {
        lateness.add(&tally.lateness).expect("it grows");
        sent += tally.sent;
        unsent += tally.unsent;
        dropped += tally.dropped;
    }
    let late = |percentile| lateness.value_at_percentile(percentile) as f64 / 1e3;
    let (p99, open) = (late(99.0), matches!(options.pace, Pace::Open(..)));
    let share = sent as f64 / (sent + unsent).max(1) as f64;
    let limited = if dropped > 0 {
        Some(format!(
            "{dropped} replies came faster than they were taken, and count as lost"
        ))
    } else if open && share < SENT_MIN {
        Some(format!(
            "only {:.1} % of the queries could be sent in their time",
            share * 100.0
        ))
    } else if open && p99 > LATE_P99_MAX_US {
        Some(format!(
            "queries left up to {:.1} ms late (p99), which is in every latency",
            p99 / 1e3
        ))
    } else {
        None
    };
    Generator {
        late_p50_us: late(50.0),
        late_p99_us: p99,
        late_max_us: lateness.max() as f64 / 1e3,
        limited,
    }
}
