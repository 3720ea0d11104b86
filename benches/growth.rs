//! How the costs of answers, changes and memory grow with the endpoints that are held, and what a second thread adds: `cargo bench --bench growth`.
//! It prints the table of docs/benchmarks.md; nothing is asserted. Answers are given as a UDP worker gives them, in batches, each thread with
//! its own view and memory of answers, metrics included; there are no sockets.
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
use gapless::{
    engine::{Engine, Now, Recent},
    index::Index,
    model::{Change, Source},
};
use prometheus_client::registry::Registry;
use std::{
    sync::{Barrier, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};
use support::{asked, fixtures, listed, namespace, query, slice};

const SIZES: [usize; 4] = [100, 1000, 10_000, 100_000];
/// Endpoints of a service, where there are many.
const OF_A_SERVICE: usize = 100;
/// Different names, in an order that has nothing to do with theirs: more than a processor's caches hold.
const NAMES: usize = 10_000;
/// Queries that a busy worker takes at once.
const BATCH: usize = 32;
const ROUNDS: usize = 9;
const LASTS: Duration = Duration::from_millis(100);
const CHANGES: usize = 101;

fn main() {
    println!(
        "| endpoints | of a pod, ns | a whole set, ns | NXDOMAIN, ns | octets an endpoint | first list, µs an endpoint | one change, µs | 2 threads, of one |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let empty = held(|| listed(0, 0, 0)).1;
    for (services, what) in [(None, "100 a service"), (Some(1), "one service")] {
        for endpoints in SIZES {
            let services = services.unwrap_or(endpoints / OF_A_SERVICE);
            measure(services, endpoints / services, what, empty);
        }
    }
}

fn measure(services: usize, each: usize, what: &str, empty: usize) {
    let began = Instant::now();
    let ((mut index, reader), held) = held(|| listed(services, services, each));
    let first_list = began.elapsed();
    let engine = fixtures::engine::over(reader, &<_>::default(), &mut Registry::default());

    let names = |of: &dyn Fn(usize, usize) -> String| -> Vec<_> {
        let service = |n: usize| format!("service-{n}.{}.svc.cluster.local", namespace(n));
        let nth = |n: usize| (n * 7919 % services, n * 7927 % each);
        let all = (0..NAMES.min(services * each)).map(nth);
        all.map(|(n, e)| query(&(of(n, e) + &service(n)), 1))
            .collect()
    };
    let pods = names(&|n, e| format!("service-{n}-{e}."));
    let sets = names(&|_, _| String::new());
    let absent = names(&|n, e| format!("service-{n}-{}.", each + e));
    let ns = |packets: &[Vec<u8>]| 1e9 / middle(|| answers(&engine, packets, 1));
    let (pod, set, nxdomain) = (ns(&pods), ns(&sets), ns(&absent));
    // In turns, for what else the machine does.
    let threads = middle(|| answers(&engine, &pods, 2) / answers(&engine, &pods, 1));
    let endpoints = services * each;
    println!(
        "| {endpoints}, {what} | {pod:.0} | {set:.0} | {nxdomain:.0} | {} | {:.2} | {:.1} | {threads:.2} |",
        held.saturating_sub(empty) / endpoints,
        first_list.as_secs_f64() * 1e6 / endpoints as f64,
        change(&mut index, services, each),
    );
}

/// Answers a second that so many threads give together.
fn answers(engine: &Engine, packets: &[Vec<u8>], threads: usize) -> f64 {
    let together = Barrier::new(threads);
    let worker = |nth: usize| {
        let (mut recent, mut out) = (Recent::default(), vec![0; 1232]);
        let mut batches = packets.chunks(BATCH).cycle().skip(nth * 100);
        let mut given = 0;
        together.wait();
        let began = Instant::now();
        loop {
            let now = Instant::now();
            if now - began > LASTS {
                return given as f64 / (now - began).as_secs_f64();
            }
            let batch = batches.next().unwrap();
            let snapshot = engine.snapshot();
            let mut view = engine.view(&snapshot, Some(&mut recent));
            let ahead = view.read_ahead(batch.iter().map(|packet| &**packet));
            for (nth, packet) in batch.iter().enumerate() {
                given += 1;
                let answer = view.answer_now(&asked(packet, given), ahead.nth(nth), now, &mut out);
                assert!(matches!(answer, Now::Reply(_)), "{answer:?}");
            }
        }
    };
    #[allow(
        clippy::needless_collect,
        reason = "all run before the first is waited for"
    )]
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|nth| scope.spawn(move || worker(nth)))
            .collect();
        workers.into_iter().map(|it| it.join().unwrap()).sum()
    })
}

/// The µs until readers see one endpoint's other address.
fn change(index: &mut Index, services: usize, each: usize) -> f64 {
    let mut round = 0;
    let mut times = vec![];
    times.resize_with(CHANGES, || {
        round += 1;
        let change = slice(round * 7 % services, each, round);
        let began = Instant::now();
        index.apply(Change::Apply(Source::EndpointSlices, change));
        index.publish(2);
        began.elapsed().as_secs_f64() * 1e6
    });
    times.sort_by(f64::total_cmp);
    times[CHANGES / 2]
}

/// What it makes, and how many octets that holds.
fn held<T>(make: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.load(Relaxed);
    let made = make();
    (made, HELD.load(Relaxed) - before)
}

fn middle(measure: impl FnMut() -> f64) -> f64 {
    let mut all = vec![];
    all.resize_with(ROUNDS, measure);
    all.sort_by(f64::total_cmp);
    all[ROUNDS / 2]
}
