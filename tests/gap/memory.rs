//! How much memory gapless holds for a cluster of full size, and how much at the most while all of it is listed anew.

use crate::{
    api_server::{Asked, Streaming},
    cluster::{self, ENDPOINTS, HEADLESS, SERVICES},
    control_plane::poll,
    resolvers::Gapless,
};
use serde_json::json;
use std::fs;
use tempfile::TempDir;

/// Each is put off longer than the one before, as back-off has it.
const RE_LISTS: u64 = 3;
/// Steady, at this size.
const MOST_KIB: u64 = 64 * 1024;
const SOURCES: [&str; 3] = ["services", "endpointslices", "namespaces"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of a minute, in a release build"]
async fn k20_a_list_anew_takes_little_more_memory_than_what_is_held() {
    println!(
        "\n| {SERVICES} services, {HEADLESS} of them headless with {ENDPOINTS} endpoints each | steady | largest while {RE_LISTS} times listed anew | ratio |\n|---|---|---|---|"
    );
    for (how, streaming) in [
        ("streamed", Streaming::On),
        ("in pages", Streaming::Refused),
    ] {
        let api_server = cluster::start(ENDPOINTS).await;
        for kind in SOURCES {
            api_server.fault(kind, |faults| faults.streaming = streaming);
        }
        let directory = TempDir::new().unwrap();
        let kubeconfig = directory.path().join("kubeconfig");
        fs::write(&kubeconfig, api_server.kubeconfig()).unwrap();
        let gapless = Gapless::start(&kubeconfig).await;
        let pid = gapless.resolver.pid();
        let at_start = largest(pid);
        fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
        let steady = resident(pid);
        for round in 1..=RE_LISTS {
            // The last thing that happened is none that is watched, and all that happened is forgotten: no watch can go on.
            api_server.apply(&cluster::slice(0, ENDPOINTS, round as usize));
            api_server.apply(
                &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "unseen"}}),
            );
            api_server.compact();
            api_server.cut_watches();
            poll("all is listed anew", async || {
                let page = gapless.metrics().await;
                let lists = |of| page.sum(&format!("gapless_feed_lists_total{{source=\"{of}\"}}"));
                let all = SOURCES.iter().all(|source| lists(source) > round);
                all.then_some(()).ok_or_else(|| round.to_string())
            })
            .await;
        }
        let largest = largest(pid);
        println!(
            "| lists {how} | {steady} KiB (while first listed {at_start}) | {largest} KiB | {:.2} |",
            largest as f64 / steady as f64
        );
        let streams = api_server.asked("services", Asked::Stream);
        let pages = api_server.asked("services", Asked::List);
        assert_eq!(pages == 0, streaming == Streaming::On, "{streams}, {pages}");
        assert!(steady <= MOST_KIB, "{steady} KiB");
        assert!(
            largest * 10 <= steady * 13,
            "{largest} against {steady} KiB"
        );
    }
}

fn resident(pid: u32) -> u64 {
    status(pid, "VmRSS:")
}

/// Since the start, or the last reset.
fn largest(pid: u32) -> u64 {
    status(pid, "VmHWM:")
}

fn status(pid: u32, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
    kib.unwrap().trim().parse().unwrap()
}
