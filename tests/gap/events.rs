//! How long a change waits for its turn in gapless when a thousand come each second, by its own histogram.

use crate::{
    cluster::{self, ENDPOINTS, HEADLESS, SERVICES},
    control_plane::poll,
    resolvers::Gapless,
};
use std::{fs, time::Duration};
use tempfile::TempDir;
use tokio::time::{Instant, MissedTickBehavior, interval};

const EVERY: Duration = Duration::from_millis(1);
const ROUNDS: usize = 20;
/// After so many, the server forgets them: each is up to 200 kB of its memory.
const EVENTS_OF_A_ROUND: usize = 1000;
const SLICES: &str = "gapless_feed_changes_total{source=\"endpointslices\"}";
const ANSWERABLE: &str = "gapless_index_answerable_seconds_count";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of two minutes"]
async fn from_a_changes_receipt_to_its_answer_at_a_thousand_a_second() {
    println!(
        "\n| {SERVICES} services, {HEADLESS} of them headless | changes | a second | answered within |"
    );
    println!("|---|---|---|---|");
    for endpoints in [10, ENDPOINTS] {
        let (gapless, per_second) = changed_all_the_time(endpoints).await;
        let changes = ROUNDS * EVENTS_OF_A_ROUND;
        println!(
            "| with {endpoints} endpoints each | {changes} | {per_second:.0} | {} |",
            gapless.metrics().await.answerable()
        );
    }
}

/// gapless after so many changes, and how many there were a second. What the API server has at the start is not counted:
/// it comes before all of it is there.
async fn changed_all_the_time(endpoints: usize) -> (Gapless, f64) {
    let api_server = cluster::start(endpoints).await;
    let directory = TempDir::new().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    fs::write(&kubeconfig, api_server.kubeconfig()).unwrap();
    let gapless = Gapless::start(&kubeconfig).await;

    let before = gapless.metrics().await.sum(SLICES);
    let mut changing = Duration::ZERO;
    for round in 1..=ROUNDS {
        let began = Instant::now();
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for event in 0..EVENTS_OF_A_ROUND {
            ticks.tick().await;
            api_server.apply(&cluster::slice(event % HEADLESS, endpoints, round));
        }
        changing += began.elapsed();
        let sent = (round * EVENTS_OF_A_ROUND) as u64;
        poll("every change is answered", async || {
            let page = gapless.metrics().await;
            let (received, answerable) = (page.sum(SLICES) - before, page.sum(ANSWERABLE));
            let all = received == sent && answerable >= sent;
            all.then_some(())
                .ok_or_else(|| format!("{received}, {answerable} of {sent}"))
        })
        .await;
        api_server.compact();
    }
    (
        gapless,
        (ROUNDS * EVENTS_OF_A_ROUND) as f64 / changing.as_secs_f64(),
    )
}
