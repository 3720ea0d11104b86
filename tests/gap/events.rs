//! How long a change waits for its turn in gapless when a thousand come each second, by its own histogram: second by
//! second, with the share of the machine that its host took in each.

use crate::{
    cluster::{self, ENDPOINTS, HEADLESS, SERVICES},
    control_plane::poll,
    resolvers::{Buckets, Gapless},
    support::machine_time,
};
use std::{fs, time::Duration};
use tempfile::TempDir;
use tokio::time::{Instant, MissedTickBehavior, interval};

const EVERY: Duration = Duration::from_millis(1);
const ROUNDS: usize = 30;
/// After so many, the server forgets them: each is up to 200 kB of its memory.
const EVENTS_OF_A_ROUND: usize = 1000;
/// A round in which the host took more than this share of the machine's time is told apart.
const QUIET: f64 = 0.005;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of three minutes"]
async fn from_a_changes_receipt_to_its_answer_at_a_thousand_a_second() {
    println!(
        "\n{SERVICES} services, {HEADLESS} of them headless; {ROUNDS} rounds of {EVENTS_OF_A_ROUND} changes\n"
    );
    println!("| endpoints of a slice | rounds | changes a second | 50 % | 99 % | 99.9 % | all |");
    println!("|---|---|---|---|---|---|---|");
    for endpoints in [10, ENDPOINTS] {
        let mut rounds = changed_all_the_time(endpoints).await;
        rounds.sort_by(|a, b| a.stolen.total_cmp(&b.stolen));
        let quiet = rounds.partition_point(|round| round.stolen <= QUIET);
        let (quiet, others) = rounds.split_at(quiet);
        let within = format!("the host took at most {} %", QUIET * 100.0);
        print_rounds(endpoints, &within, quiet);
        let more = rounds.last().unwrap().stolen * 100.0;
        print_rounds(endpoints, &format!("it took up to {more:.0} %"), others);
    }
}

/// A second of changes.
struct Round {
    /// From a change's receipt to its answer.
    answerable: Buckets,
    per_second: f64,
    /// The share of the machine's time that its host gave to others.
    stolen: f64,
}

/// The medians of all rounds.
fn print_rounds(endpoints: usize, which: &str, rounds: &[Round]) {
    let median = |of: &dyn Fn(&Round) -> f64| {
        let mut all: Vec<_> = rounds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let within = [500, 990, 999, 1000].map(|share| {
        let median = median(&|round| round.answerable.within(share));
        format!("{median} ms")
    });
    println!(
        "| {endpoints} | {}, {which} | {:.0} | {} |",
        rounds.len(),
        median(&|round| round.per_second),
        within.join(" | ")
    );
}

/// What the API server has at the start is not counted: it comes before all of it is there.
async fn changed_all_the_time(endpoints: usize) -> Vec<Round> {
    let api_server = cluster::start(endpoints).await;
    let directory = TempDir::new().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    fs::write(&kubeconfig, api_server.kubeconfig()).unwrap();
    let gapless = Gapless::start(&kubeconfig).await;

    let mut rounds = Vec::with_capacity(ROUNDS);
    let mut before = gapless.metrics().await.answerable();
    for round in 1..=ROUNDS {
        let slices: Vec<_> = (0..EVENTS_OF_A_ROUND)
            .map(|event| cluster::slice(event % HEADLESS, endpoints, round))
            .collect();
        let (began, machine) = (Instant::now(), machine_time());
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for slice in &slices {
            ticks.tick().await;
            api_server.apply(slice);
        }
        let per_second = EVENTS_OF_A_ROUND as f64 / began.elapsed().as_secs_f64();
        let [all, stolen] = machine_time();
        let after = poll("every change is answered", async || {
            let now = gapless.metrics().await.answerable();
            (now.since(&before).count() >= EVENTS_OF_A_ROUND as u64)
                .then_some(now)
                .ok_or_else(|| "some are not".to_owned())
        })
        .await;
        rounds.push(Round {
            answerable: after.since(&before),
            per_second,
            stolen: (stolen - machine[1]) as f64 / (all - machine[0]) as f64,
        });
        before = after;
        api_server.compact();
    }
    rounds
}
