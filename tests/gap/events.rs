//! How long a change waits for its turn in gapless when a thousand come each second, by its own histogram. The API server is
//! the scripted one: a real one on the same two cores would be what is measured.

use crate::{
    api_server::ApiServer,
    control_plane::poll,
    resolvers::{Gapless, Page},
};
use serde_json::{Value, json};
use std::{fs, time::Duration};
use tempfile::TempDir;
use tokio::time::{MissedTickBehavior, interval};

const SERVICES: usize = 10_000;
/// So many of them are headless, with one slice each.
const HEADLESS: usize = 1500;
/// Endpoints of a slice, which is as many as the controller puts into one.
const ENDPOINTS: usize = 100;
const EVERY: Duration = Duration::from_millis(1);
const ROUNDS: usize = 30;
/// After so many, the server forgets them: each is 200 kB of its memory.
const EVENTS_OF_A_ROUND: usize = 1000;
const SLICES: &str = "gapless_feed_changes_total{source=\"endpointslices\"}";
const ANSWERABLE: &str = "gapless_index_answerable_seconds";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of a minute"]
async fn from_a_changes_receipt_to_its_answer_at_a_thousand_a_second() {
    let api_server = ApiServer::start().await;
    api_server
        .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}));
    api_server.apply(&service("kubernetes", "10.96.0.1"));
    for n in 0..SERVICES - HEADLESS {
        let address = format!("10.97.{}.{}", n / 250, 1 + n % 250);
        api_server.apply(&service(&format!("c-{n}"), &address));
    }
    for n in 0..HEADLESS {
        api_server.apply(&service(&format!("h-{n}"), "None"));
        api_server.apply(&slice(n, 0));
    }
    api_server.compact();
    let directory = TempDir::new().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    fs::write(&kubeconfig, api_server.kubeconfig()).unwrap();
    let gapless = Gapless::start(&kubeconfig).await;

    let before = gapless.metrics().await;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for round in 1..=ROUNDS {
        ticks.reset();
        for event in 0..EVENTS_OF_A_ROUND {
            ticks.tick().await;
            api_server.apply(&slice(event % HEADLESS, round));
        }
        poll("every change is received", async || {
            let received = gapless.metrics().await.sum(SLICES) - before.sum(SLICES);
            let sent = (round * EVENTS_OF_A_ROUND) as u64;
            (received == sent)
                .then_some(())
                .ok_or_else(|| format!("{received} of {sent}"))
        })
        .await;
        api_server.compact();
    }
    let after = poll("every change is answered", async || {
        let page = gapless.metrics().await;
        let count = format!("{ANSWERABLE}_count");
        let answerable = page.sum(&count) - before.sum(&count);
        if answerable < (ROUNDS * EVENTS_OF_A_ROUND) as u64 {
            return Err(answerable.to_string());
        }
        Ok(page)
    })
    .await;
    println!(
        "\n| {SERVICES} services, {HEADLESS} of them headless with {ENDPOINTS} endpoints; 1,000 events/s | at most |"
    );
    println!("|---|---|");
    for percent in [50.0, 90.0, 99.0, 99.9, 100.0] {
        println!(
            "| {percent} % of {} events | {} s |",
            ROUNDS * EVENTS_OF_A_ROUND,
            bound(&before, &after, percent)
        );
    }
}

/// The bound of the histogram's bucket in which this share of what came between two pages is complete.
fn bound(before: &Page, after: &Page, percent: f64) -> String {
    let prefix = format!("{ANSWERABLE}_bucket{{le=\"");
    let count = format!("{ANSWERABLE}_count");
    let all = (after.sum(&count) - before.sum(&count)) as f64;
    let mut bounds = after
        .0
        .lines()
        .filter_map(|line| line.strip_prefix(&prefix)?.split_once('"'));
    let complete = bounds.find(|(bound, _)| {
        let series = format!("{prefix}{bound}\"");
        (after.sum(&series) - before.sum(&series)) as f64 >= all * percent / 100.0
    });
    complete.expect("the last one holds all").0.to_owned()
}

fn service(name: &str, address: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}})
}

/// The slice of the service `h-N`; each version has another address for one of its endpoints.
fn slice(n: usize, version: usize) -> Value {
    let endpoint = |of: usize| {
        let last = if of == version % ENDPOINTS {
            100 + version % 100
        } else {
            of
        };
        json!({"addresses": [format!("10.{}.{}.{last}", n / 250, n % 250)],
            "conditions": {"ready": true, "serving": true, "terminating": false},
            "hostname": format!("h-{n}-{of}"), "nodeName": "node-1",
            "targetRef": {"kind": "Pod", "namespace": "default", "name": format!("h-{n}-{of}")}})
    };
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": format!("h-{n}-abcde"), "namespace": "default", "labels": {
            "kubernetes.io/service-name": format!("h-{n}"),
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            "service.kubernetes.io/headless": ""}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        "endpoints": (0..ENDPOINTS).map(endpoint).collect::<Vec<_>>()})
}
