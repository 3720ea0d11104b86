//! Many nodes and one API server: every node has the real feed, and what it asks for is counted.

use crate::{
    api_server::{ApiServer, Asked},
    world::{KINDS, seconds, service, shop},
};
use gapless::{
    feed::kube::{self, Selection},
    lifecycle::{Drain, Tasks},
    metrics::Metrics,
};
use prometheus_client::registry::Registry;
use std::{collections::BTreeMap, time::Duration};
use tokio::{sync::mpsc, time::Instant};

/// Services, slices twice, namespaces.
const SOURCES: usize = 4;

/// Requests to the server since some time.
#[derive(Debug)]
struct Requests {
    all: usize,
    /// The most that came within one second.
    most: usize,
}

fn requests(server: &ApiServer, since: Instant, is: impl Fn(Asked) -> bool) -> Requests {
    let mut tenths = BTreeMap::<u128, usize>::new();
    for (at, asked) in server.times() {
        if at >= since && is(asked) {
            *tenths.entry((at - since).as_millis() / 100).or_default() += 1;
        }
    }
    let second = |from: u128| tenths.range(from..from + 10).map(|(_, it)| *it).sum();
    Requests {
        all: tenths.values().sum(),
        most: tenths.keys().map(|from| second(*from)).max().unwrap_or(0),
    }
}

/// Nodes that have been connected for a minute and a half. After `outage`, the server has forgotten every position.
async fn come_back(nodes: usize, outage: Option<Duration>) {
    let server = shop().await;
    let (tasks, _) = Tasks::new();
    let drain = Drain::new();
    let (events, mut received) = mpsc::channel(1024);
    drop(tasks.brief(async move { while received.recv().await.is_some() {} }));
    let feed = Metrics::new(&mut Registry::default()).feed;
    for node in 0..nodes {
        let options = kube::Options {
            client: server.client_in_process(),
            selection: Selection::default(),
            seed: node as u64 * 1_000,
        };
        kube::start(&options, &events, &drain, &tasks, &feed);
    }
    let begin = Instant::now();
    seconds(90).await;
    let quiet = requests(&server, begin + Duration::from_secs(60), |_| true);
    // The version that all have is too old.
    server.apply(&service("new", "10.96.0.31"));
    if let Some(outage) = outage {
        for kind in KINDS {
            server.fault(kind, |faults| faults.refuse = Some((503, None)));
        }
        server.cut_watches();
        tokio::time::sleep(outage).await;
    }
    server.apply(&service("newer", "10.96.0.32"));
    server.compact();
    let up = Instant::now();
    if outage.is_some() {
        for kind in KINDS {
            server.fault(kind, |faults| faults.refuse = None);
        }
    } else {
        server.cut_watches();
    }
    seconds(60).await;
    let watches = requests(&server, up, |asked| asked == Asked::Watch);
    let lists = requests(&server, up, |asked| asked != Asked::Watch);
    println!(
        "{nodes} nodes, away for {outage:?}: quiet {quiet:?}, back: {watches:?}, lists {lists:?}"
    );
    assert_eq!(lists.all, nodes * SOURCES, "each watch lists once");
    assert!(lists.most <= nodes * SOURCES * 3 / 10, "spread: {lists:?}");
    assert!(quiet.most <= nodes * SOURCES / 15, "{quiet:?}");
    drain.cancel();
}

#[tokio::test(start_paused = true)]
async fn k21_nodes_that_an_api_server_sends_away_spread_their_lists() {
    come_back(200, None).await;
    come_back(200, Some(Duration::from_secs(1))).await;
    come_back(200, Some(Duration::from_secs(20))).await;
}

/// Some minutes, without optimization.
#[tokio::test(start_paused = true)]
#[ignore = "cargo test --release --test api_faults -- --ignored --nocapture k21"]
async fn k21_five_thousand_nodes_spread_their_lists() {
    come_back(5_000, None).await;
    come_back(5_000, Some(Duration::from_secs(20))).await;
}
