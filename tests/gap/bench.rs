//! `gapless bench gap` on the same stage: it sees by itself what the other tests measure.

use crate::{resolvers::coredns_with_cache, stage::Stage};
use kube::{ResourceExt as _, api::ListParams};
use serde_json::Value;
use std::fs;
use tempfile::TempDir;
use tokio::process::Command;

const PODS: u64 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS and COREDNS, and some five minutes"]
async fn bench_gap_rolls_a_set_out_sees_what_a_cache_remembers_and_takes_all_of_it_away() {
    let mut stage = Stage::start().await;
    stage.others = vec![coredns_with_cache(&stage.control_plane).await];
    let directory = TempDir::new().unwrap();
    let [json, series, picture, png] =
        ["gap.json", "gap.prom", "gap.svg", "gap.png"].map(|it| directory.path().join(it));
    let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
    command
        .env_clear()
        .kill_on_drop(true)
        .args(["bench", "gap", "--create", &PODS.to_string()])
        .arg("--kubeconfig")
        .arg(stage.control_plane.admin_kubeconfig())
        .arg("--json")
        .arg(&json)
        .arg("--svg")
        .arg(&picture)
        .arg("--png")
        .arg(&png)
        .arg("--prometheus")
        .arg(&series)
        .args(["--fail", "p99>10s", "--fail", "loss>50%"]);
    for resolver in stage.resolvers() {
        command.args(["--server", &resolver.address.to_string()]);
    }
    let output = command.output().await.unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(output.stderr));
    let said = text(output.stdout);
    println!("{said}");
    let failed: Vec<_> = said.lines().filter(|it| it.starts_with("FAILED")).collect();
    let cached = stage.resolvers().nth(1).unwrap().address;
    let expected = format!("FAILED {cached}: p99>10s: it was ");
    let [one] = &failed[..] else {
        panic!("{failed:?}");
    };
    assert!(one.starts_with(&expected), "{one}");

    let report: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
    let [gapless, cached] = &report["servers"].as_array().unwrap()[..] else {
        panic!("{report}");
    };
    for server in [gapless, cached] {
        assert_eq!(server["ready_to_resolvable_s"]["count"], PODS, "{server}");
        assert_eq!(
            server["new_address_to_resolvable_s"]["count"], PODS,
            "{server}"
        );
    }
    assert_eq!(gapless["never"], 0, "{gapless}");
    let missing = |server: &Value| server["missing"].as_u64().unwrap();
    assert!(missing(cached) > 10 * missing(gapless).max(1), "{report}");
    let timeline = fs::read_to_string(picture).unwrap();
    // Both servers' lines, of pods that became ready and of those that moved.
    let lines = timeline
        .matches(&format!(": {PODS} changes</text>"))
        .count();
    assert!(lines >= 4, "{timeline}");
    let octets = fs::read(png).unwrap();
    let drawn = tiny_skia::Pixmap::decode_png(&octets).unwrap();
    assert_eq!(drawn.width(), 2 * 760);
    let series = fs::read_to_string(series).unwrap();
    let counted = series
        .lines()
        .filter(|line| line.ends_with(" 3") && line.contains("_count{"));
    assert_eq!(counted.count(), 2, "{series}");

    for kind in ["StatefulSet", "Service"] {
        let left = stage.control_plane.api(kind, None);
        let left = left.list(&ListParams::default()).await.unwrap();
        let left: Vec<_> = left.items.iter().map(|it| it.name_any()).collect();
        let ours = left.iter().find(|name| name.starts_with("gapless-bench"));
        assert_eq!(ours, None);
    }
}
