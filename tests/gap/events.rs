//! How long a change waits for its turn in gapless when a thousand come each second, by its own histogram. The API server is
//! the scripted one: a real one on the same two cores would be what is measured.

use crate::{api_server::ApiServer, control_plane::poll, resolvers::Gapless};
use serde_json::{Value, json};
use std::{fs, time::Duration};
use tempfile::TempDir;
use tokio::time::{Instant, MissedTickBehavior, interval};

const SERVICES: usize = 10_000;
/// So many of them are headless, with one slice each.
const HEADLESS: usize = 1500;
/// Endpoints of a slice: a few, and as many as the controller puts into one.
const ENDPOINTS: [usize; 2] = [10, 100];
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
    for endpoints in ENDPOINTS {
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
        api_server.apply(&slice(n, endpoints, 0));
    }
    api_server.compact();
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
            api_server.apply(&slice(event % HEADLESS, endpoints, round));
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

fn service(name: &str, address: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}})
}

/// The slice of the service `h-N`; each version has another address for one of its endpoints.
fn slice(n: usize, endpoints: usize, version: usize) -> Value {
    let endpoint = |of: usize| {
        let last = if of == version % endpoints {
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
        "endpoints": (0..endpoints).map(endpoint).collect::<Vec<_>>()})
}
