//! `gapless bench gap` on a directory of manifests that two servers follow.

use crate::{
    asking::within,
    process::gapless,
    running::{Running, config, directory, text},
};
use gapless::config::Source;
use serde_json::Value;
use std::{fs, net::SocketAddr, path::Path, time::Duration};

async fn bench(manifests: &Path, servers: [SocketAddr; 2], arguments: &[&str]) -> Value {
    let written = tempfile::tempdir().unwrap();
    let json = written.path().join("gap.json");
    let gap = [
        "bench",
        "gap",
        "--manifests",
        text(manifests),
        "--json",
        text(&json),
    ];
    let mut command = gapless(&[&gap[..], arguments].concat());
    for server in servers {
        command.args(["--server", &server.to_string()]);
    }
    let output = within("the measurement", command.output()).await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    println!("{}", String::from_utf8(output.stdout).unwrap());
    serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap()
}

async fn two(manifests: &Path) -> [Running; 2] {
    let config = || config(Source::Manifests(manifests.into()));
    [
        Running::start(config()).await,
        Running::start(config()).await,
    ]
}

fn assert_counted(report: &Value, [appeared, moved, gone]: [u64; 3]) {
    let servers = report["servers"].as_array().unwrap();
    assert_eq!(servers.len(), 2);
    for server in servers {
        for (what, count) in [
            ("ready_to_resolvable_s", appeared),
            ("new_address_to_resolvable_s", moved),
            ("deleted_to_gone_s", gone),
        ] {
            let delays = &server[what];
            assert_eq!(delays["count"], count, "{what}: {server}");
            // The directory has to be quiet for 50 ms before it is read.
            let least = delays["p50"].as_f64().unwrap();
            assert!(
                count == 0 || (0.04..10.0).contains(&least),
                "{what}: {server}"
            );
        }
        assert_eq!(server["never"], 0, "{server}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_is_rolled_out_in_a_file_that_is_taken_away() {
    let manifests = directory(&[]);
    let servers = two(manifests.path()).await;
    let addresses = [servers[0].dns, servers[1].dns];
    let report = bench(manifests.path(), addresses, &["--create", "2"]).await;
    assert_counted(&report, [2, 2, 4]);
    assert_eq!(fs::read_dir(manifests.path()).unwrap().count(), 0);
    for server in servers {
        server.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_else_changes_is_followed_and_nothing_is_written() {
    let endpoints = |addresses: &[&str]| {
        let endpoints = addresses
            .iter()
            .enumerate()
            .map(|(nth, address)| format!("  - {{addresses: [{address}], hostname: web-{nth}}}\n"));
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: shop}}\nspec: {{clusterIP: None}}\n---\n\
             apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\nmetadata:\n  name: web-1\n  namespace: shop\n  \
             labels: {{kubernetes.io/service-name: web}}\nendpoints:\n{}",
            endpoints.collect::<String>()
        )
    };
    let manifests = directory(&[("web.yaml", &endpoints(&["10.0.0.1", "10.0.0.2"]))]);
    let servers = two(manifests.path()).await;
    let addresses = [servers[0].dns, servers[1].dns];
    let file = manifests.path().join("web.yaml");
    let changing = async {
        for addresses in [
            &["10.0.0.1", "10.0.9.2"][..],
            &["10.0.0.1"],
            &["10.0.0.1", "10.0.9.2"],
        ] {
            tokio::time::sleep(Duration::from_secs(2)).await;
            fs::write(&file, endpoints(addresses)).unwrap();
        }
    };
    let measuring = bench(
        manifests.path(),
        addresses,
        &["--duration", "8s", "--namespace", "shop"],
    );
    let (report, ()) = tokio::join!(measuring, changing);
    assert_counted(&report, [1, 1, 1]);
    assert_eq!(fs::read_dir(manifests.path()).unwrap().count(), 1);
    for server in servers {
        server.end().await;
    }
}
