//! A scripted API server with a cluster of full size that changes when it is told to, for as long as its standard input is open. All JSON of
//! the changes is made before the first is due: a server that worked while it is measured what they cost would be part of the figures.
//!
//! It prints the path of a kubeconfig, and then does what each line says; `ready` is printed when it begins, `done` and the seconds when it has.
//!
//! ```text
//! change 10|100|big RATE SECONDS   so many changes of an address a second, each in the next slice of 10 endpoints, of 100, or of `big`
//! fill                             creates the namespace `going` with 10,000 services, which may take its time
//! delete                           deletes it, all at once
//! ```
//!
//! Services and endpoints are those of `tests/gap/cluster.rs`; beside them are 500 headless services with 10 endpoints each, and `big` with 10,000.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a measurement has a clock and a terminal, and ends with a panic if it cannot be made"
)]

#[path = "../../tests/support/api_server.rs"]
mod api_server;
#[path = "../../tests/gap/cluster.rs"]
mod cluster;

use api_server::{ApiServer, Prepared};
use cluster::{ENDPOINTS, HEADLESS, service, slice};
use serde_json::{Value, json};
use std::{
    fs, io,
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval};

const SMALL: usize = 500;
const SLICES_OF_BIG: usize = 100;
const GOING: usize = 10_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let api_server = cluster::start(ENDPOINTS).await;
    for n in 0..SMALL {
        api_server.apply(&service(&format!("h-{}", HEADLESS + n), "None"));
        api_server.apply(&slice_of("10", n, 0));
    }
    api_server.apply(&service("big", "None"));
    for n in 0..SLICES_OF_BIG {
        api_server.apply(&slice_of("big", n, 0));
    }
    api_server.compact();
    let directory = tempfile::TempDir::new().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    fs::write(&kubeconfig, api_server.kubeconfig()).unwrap();
    println!("{}", kubeconfig.display());

    let mut deletes = vec![];
    let mut made = 0;
    loop {
        let line = tokio::task::spawn_blocking(|| io::stdin().lines().next());
        let Some(line) = line.await.unwrap().transpose().unwrap() else {
            return;
        };
        api_server.compact(); // by now everybody has heard of what was before
        let began = match *line.split(' ').collect::<Vec<_>>() {
            ["change", what, rate, seconds] => {
                let (rate, seconds): (f64, f64) = (rate.parse().unwrap(), seconds.parse().unwrap());
                let count = (rate * seconds) as usize;
                let objects = (made..made + count).map(|n| changed(what, n));
                made += count;
                let changes = api_server.prepare(objects.collect(), false);
                let began = ready();
                happen(&api_server, changes, Duration::from_secs_f64(1.0 / rate)).await;
                began
            }
            ["fill"] => {
                let began = ready();
                let all: Vec<_> = going().collect();
                all.iter().for_each(|object| api_server.apply(object));
                deletes = api_server.prepare(all.into_iter().rev().collect(), true);
                began
            }
            ["delete"] => {
                let began = ready();
                deletes.drain(..).for_each(|it| api_server.happen(it));
                began
            }
            _ => panic!("what is {line}?"),
        };
        println!("done {:.3}", began.elapsed().as_secs_f64());
    }
}

fn ready() -> Instant {
    println!("ready");
    Instant::now()
}

async fn happen(api_server: &ApiServer, changes: Vec<Prepared>, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for change in changes {
        ticks.tick().await;
        api_server.happen(change);
    }
}

/// The Nth change. Slices of one kind have their turns; each turn is of another endpoint.
fn changed(what: &str, n: usize) -> Value {
    let slices = match what {
        "10" => SMALL,
        "100" => HEADLESS,
        _ => SLICES_OF_BIG,
    };
    slice_of(what, n % slices, 1 + n / slices)
}

fn slice_of(what: &str, n: usize, version: usize) -> Value {
    match what {
        "10" => slice(HEADLESS + n, 10, version),
        "100" => slice(n, ENDPOINTS, version),
        _ => {
            let mut slice = slice(HEADLESS + SMALL + n, ENDPOINTS, version);
            slice["metadata"]["labels"]["kubernetes.io/service-name"] = "big".into();
            slice
        }
    }
}

/// A namespace and its services; the namespace goes last.
fn going() -> impl Iterator<Item = Value> {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "going"}});
    let services = (0..GOING).map(|n| {
        let address = format!("10.98.{}.{}", n / 250, 1 + n % 250);
        let mut service = service(&format!("g-{n}"), &address);
        service["metadata"]["namespace"] = "going".into();
        service
    });
    std::iter::once(namespace).chain(services)
}
