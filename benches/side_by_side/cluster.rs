//! A real control plane with many services, for as long as its standard input is open: what gapless and CoreDNS are filled
//! from when they are compared. `cluster SERVICES HEADLESS ENDPOINTS [CHANGES]` prints the path of a kubeconfig with gapless's rights
//! once everything stands there, and then one with all rights.
//!
//! `HEADLESS` of the services are headless, with 100 endpoints each in one slice; a further one, `big`, has so many `ENDPOINTS`
//! in slices of 100. Service N is `service-N` of the namespace `team-(N mod 200)`, its endpoints are `service-N-E`. With
//! `CHANGES`, every ordinary service has a slice of 10 endpoints, too, and so many of them change in a second, as rollouts do it.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a measurement has a clock and a terminal, and ends with a panic if it cannot be made"
)]

#[path = "../../tests/support/control_plane/mod.rs"]
mod control_plane;

use control_plane::ControlPlane;
use futures::{StreamExt as _, stream};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::{
    env, future, io,
    ops::Range,
    process::ExitCode,
    time::{Duration, Instant},
};

const NAMESPACES: usize = 200;
const OF_A_SLICE: usize = 100;
/// Requests that are under way at once.
const AT_ONCE: usize = 32;
const SAID_EVERY: usize = 1000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let numbers: Vec<usize> = env::args().filter_map(|it| it.parse().ok()).collect();
    let (services, headless, endpoints, changes) = match *numbers {
        [services, headless, endpoints] => (services, headless, endpoints, 0),
        [services, headless, endpoints, changes] => (services, headless, endpoints, changes),
        _ => {
            println!("usage: cluster SERVICES HEADLESS ENDPOINTS [CHANGES]");
            return ExitCode::FAILURE;
        }
    };
    let control_plane = ControlPlane::start().await;
    let namespaces = (0..NAMESPACES).map(
        |n| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(n)}}),
    );
    create(&control_plane, namespaces).await;
    create(
        &control_plane,
        (0..services).map(|n| service(n, n < headless)),
    )
    .await;
    create(
        &control_plane,
        (0..headless).map(|n| slice(n, &format!("service-{n}"), 0)),
    )
    .await;
    let big = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "big", "namespace": namespace(0)},
        "spec": {"clusterIP": "None", "ports": [{"name": "http", "port": 80}]}});
    create(&control_plane, [big].into_iter()).await;
    create(
        &control_plane,
        (0..endpoints / OF_A_SLICE).map(|n| slice(0, "big", n)),
    )
    .await;
    let ordinary = if changes > 0 {
        headless..services
    } else {
        0..0
    };
    create(
        &control_plane,
        ordinary.clone().map(|n| ordinary_slice(n, 0)),
    )
    .await;
    println!("{}", control_plane.gapless_kubeconfig().display());
    println!("{}", control_plane.admin_kubeconfig().display());
    let closed = tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink()));
    tokio::select! {
        _ = closed => {}
        () = change(&control_plane, ordinary, changes) => {}
    }
    ExitCode::SUCCESS
}

/// Changes one slice after the other, so many a second, and says now and then how many it has changed.
async fn change(control_plane: &ControlPlane, ordinary: Range<usize>, changes: usize) {
    let Some(pause) = Duration::from_secs(1).checked_div(changes as u32) else {
        return future::pending().await;
    };
    let mut ticks = tokio::time::interval(pause);
    let changes = (1..).flat_map(|round| ordinary.clone().map(move |n| (n, round)));
    let began = Instant::now();
    for (done, (n, round)) in changes.enumerate() {
        ticks.tick().await;
        let slice = ordinary_slice(n, round);
        let api = control_plane.api("EndpointSlice", Some(&namespace(n)));
        let name = format!("service-{n}-0");
        api.patch(&name, &PatchParams::default(), &Patch::Merge(&slice))
            .await
            .unwrap();
        if done % SAID_EVERY == 0 {
            println!(
                "changes {done} seconds {:.1}",
                began.elapsed().as_secs_f64()
            );
        }
    }
}

/// The slice of a service with a ClusterIP. In every round another endpoint has another address.
fn ordinary_slice(n: usize, round: usize) -> Value {
    let mut slice = slice(n, &format!("service-{n}"), 0);
    slice["metadata"]["labels"]
        .as_object_mut()
        .unwrap()
        .remove("service.kubernetes.io/headless");
    let endpoints = slice["endpoints"].as_array_mut().unwrap();
    endpoints.truncate(10);
    for endpoint in &mut *endpoints {
        endpoint.as_object_mut().unwrap().remove("hostname");
    }
    endpoints[round % 10]["addresses"] =
        json!([format!("10.200.{}.{}", round / 200 % 200, round % 200)]);
    slice
}

async fn create(control_plane: &ControlPlane, objects: impl Iterator<Item = Value>) {
    stream::iter(objects)
        .for_each_concurrent(AT_ONCE, async |object| {
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
            let api = control_plane.api(text("/kind").unwrap(), text("/metadata/namespace"));
            let object = serde_json::from_value(object.clone()).unwrap();
            api.create(&PostParams::default(), &object).await.unwrap();
        })
        .await;
}

fn namespace(n: usize) -> String {
    format!("team-{}", n % NAMESPACES)
}

fn service(n: usize, headless: bool) -> Value {
    let mut service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": format!("service-{n}"), "namespace": namespace(n)},
        "spec": {"ports": [{"name": "http", "port": 80}]}});
    if headless {
        service["spec"]["clusterIP"] = "None".into();
    }
    service
}

/// The Nth slice of a service, as the EndpointSlice controller writes it.
fn slice(of: usize, service: &str, n: usize) -> Value {
    let [.., a, b] = (of + n).to_be_bytes();
    let network = if service == "big" { 11 } else { 10 };
    let endpoint = |e: usize| {
        json!({"addresses": [format!("{network}.{a}.{b}.{e}")], "hostname": format!("{service}-{}", n * OF_A_SLICE + e),
            "nodeName": format!("node-{}", e % 50), "conditions": {"ready": true, "serving": true, "terminating": false},
            "targetRef": {"kind": "Pod", "namespace": namespace(of), "name": format!("{service}-{}", n * OF_A_SLICE + e),
                "uid": format!("00000000-0000-0000-{of:04}-{:012}", n * OF_A_SLICE + e)}})
    };
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("{service}-{n}"), "namespace": namespace(of), "labels": {
            "kubernetes.io/service-name": service, "service.kubernetes.io/headless": "",
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}},
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        "endpoints": (0..OF_A_SLICE).map(endpoint).collect::<Vec<_>>()})
}
