//! Histories of a cluster, each told to both feeds.

use crate::{api_server::ApiServer, view::View};
use gapless::{
    feed::{kube, manifests},
    lifecycle::{Drain, Tasks},
    metrics::Metrics,
    model::Source,
};
use serde_json::Value;
use std::{fs, path::PathBuf};
use tokio::sync::mpsc;

/// A cluster that a feed follows.
enum Cluster {
    Manifests(tempfile::TempDir),
    Api(ApiServer),
}

impl Cluster {
    fn start_feed(&self, tasks: &Tasks) -> View {
        // A small channel, so that the feed waits for its receiver now and then.
        let (events, receiver) = mpsc::channel(2);
        let metrics = Metrics::new(&mut prometheus_client::registry::Registry::default()).feed;
        match self {
            Self::Manifests(directory) => {
                let directory = directory.path().to_owned();
                let options = manifests::Options { directory };
                let feed = manifests::Manifests::open(&options, &metrics).unwrap();
                tasks.essential("manifests", feed.run(events, Drain::new()));
            }
            Self::Api(server) => {
                let options = kube::Options {
                    client: server.client(),
                    selection: kube::Selection {
                        all_endpoint_slices: true,
                        pods: true,
                        ..kube::Selection::default()
                    },
                    seed: 7,
                };
                kube::start(&options, &events, &Drain::new(), tasks, &metrics);
            }
        }
        View::new(receiver)
    }

    fn apply(&self, yaml: &str) {
        for object in serde_saphyr::from_multiple::<Value>(yaml).unwrap() {
            match self {
                Self::Manifests(directory) => {
                    let metadata = &object["metadata"];
                    let file = file_of(
                        &object["kind"].as_str().unwrap().to_lowercase(),
                        metadata["namespace"].as_str().unwrap_or_default(),
                        metadata["name"].as_str().unwrap(),
                    );
                    // Written aside and renamed, as careful writers do.
                    let aside = directory.path().join(".aside");
                    fs::write(&aside, object.to_string()).unwrap();
                    fs::rename(aside, directory.path().join(file)).unwrap();
                }
                Self::Api(server) => server.apply(&object),
            }
        }
    }

    fn delete(&self, kind: &str, namespace: &str, name: &str) {
        match self {
            Self::Manifests(directory) => {
                fs::remove_file(directory.path().join(file_of(kind, namespace, name))).unwrap();
            }
            Self::Api(server) => server.delete(&format!("{kind}s"), namespace, name),
        }
    }
}

fn file_of(kind: &str, namespace: &str, name: &str) -> PathBuf {
    format!("{kind}.{namespace}.{name}.yaml").into()
}

/// What happens, and what is there afterwards.
type Step = (fn(&Cluster), &'static [&'static str]);

/// Runs a history over both feeds: what is there at the start, then steps that each end in what is expected.
async fn history(before: &str, steps: &[Step]) {
    let directory = Cluster::Manifests(tempfile::tempdir().unwrap());
    let api = Cluster::Api(ApiServer::start().await);
    for cluster in [directory, api] {
        let (tasks, _) = Tasks::new();
        cluster.apply(before);
        let mut view = cluster.start_feed(&tasks);
        let listed: &[Source] = manifests::SOURCES;
        view.until_it("a list of each source", |view| {
            listed.iter().all(|source| view.lists.contains_key(source))
        })
        .await;
        for (step, expected) in steps {
            step(&cluster);
            view.until(listed, 1, expected).await;
        }
    }
}

const SHOP: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: None, ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints:
- addresses: [10.1.0.1]
  hostname: web-0
  conditions: {ready: false}
ports: [{name: http, port: 8080}]
";

#[tokio::test]
async fn what_is_there_at_the_start_is_listed() {
    history(
        SHOP,
        &[(
            |_| {},
            &[
                "namespace shop",
                "service shop/web headless http/Tcp/80",
                "slice shop/web-1 of web [10.1.0.1] web-0 unready http/Tcp/8080",
            ],
        )],
    )
    .await;
}

#[tokio::test]
async fn an_empty_cluster_is_listed_and_then_grows() {
    history(
        "",
        &[
            (|_| {}, &[]),
            (
                |cluster| cluster.apply("{apiVersion: v1, kind: Namespace, metadata: {name: a}}"),
                &["namespace a"],
            ),
            (|cluster| cluster.delete("namespace", "", "a"), &[]),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_endpoint_becomes_ready_moves_and_goes() {
    history(
        SHOP,
        &[
            (
                |cluster| cluster.apply(&SHOP.replace("ready: false", "ready: true")),
                &[
                    "namespace shop",
                    "service shop/web headless http/Tcp/80",
                    "slice shop/web-1 of web [10.1.0.1] web-0 http/Tcp/8080",
                ],
            ),
            (
                |cluster| cluster.apply(&SHOP.replace("web-1", "web-2")),
                &[
                    "namespace shop",
                    "service shop/web headless http/Tcp/80",
                    "slice shop/web-1 of web [10.1.0.1] web-0 http/Tcp/8080",
                    "slice shop/web-2 of web [10.1.0.1] web-0 unready http/Tcp/8080",
                ],
            ),
            (
                |cluster| {
                    cluster.delete("endpointslice", "shop", "web-1");
                    cluster.delete("endpointslice", "shop", "web-2");
                },
                &["namespace shop", "service shop/web headless http/Tcp/80"],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_service_changes_its_kind_and_comes_back_after_it_was_deleted() {
    const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1, 'fd00::1'], ports: null}
";
    history(
        SERVICE,
        &[
            (|_| {}, &["service shop/web [10.0.0.1, fd00::1]"]),
            (
                |cluster| {
                    let external =
                        "{type: ExternalName, externalName: Example.com.}\nunknown: {field: 1}";
                    let spec = SERVICE.find("{clusterIP").unwrap();
                    cluster.apply(&format!("{}{external}", &SERVICE[..spec]));
                },
                &["service shop/web \\u{7}example\\u{3}com\\0"],
            ),
            (|cluster| cluster.delete("service", "shop", "web"), &[]),
            (
                |cluster| cluster.apply(SERVICE),
                &["service shop/web [10.0.0.1, fd00::1]"],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_malformed_object_is_unreadable_whatever_it_was_before() {
    const BAD: &str = "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: bad-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.1.0.300]}]
---
apiVersion: v1
kind: Service
metadata: {name: bad, namespace: shop}
spec: {clusterIP: None, ports: [{port: http}]}
";
    history(
        &format!("{SHOP}---{BAD}"),
        &[
            (
                |cluster| cluster.apply(&SHOP.replace("ready: false", "ready: true")),
                &[
                    "namespace shop",
                    "service shop/web headless http/Tcp/80",
                    "slice shop/web-1 of web [10.1.0.1] web-0 http/Tcp/8080",
                    "unreadable shop/bad",
                    "unreadable shop/bad-1 of web",
                ],
            ),
            (
                |cluster| cluster.apply(&SHOP.replace("10.1.0.1", "10.1.0")),
                &[
                    "namespace shop",
                    "service shop/web headless http/Tcp/80",
                    "unreadable shop/bad",
                    "unreadable shop/bad-1 of web",
                    "unreadable shop/web-1 of web",
                ],
            ),
            (
                |cluster| {
                    cluster.apply(&BAD.replace("10.1.0.300", "10.1.0.3").replace("http", "80"))
                },
                &[
                    "namespace shop",
                    "service shop/bad headless -/Tcp/80",
                    "service shop/web headless http/Tcp/80",
                    "slice shop/bad-1 of web [10.1.0.3]",
                    "unreadable shop/web-1 of web",
                ],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_slice_that_loses_its_service_is_gone() {
    history(
        SHOP,
        &[(
            |cluster| cluster.apply(&SHOP.replace("kubernetes.io/service-name", "other")),
            &["namespace shop", "service shop/web headless http/Tcp/80"],
        )],
    )
    .await;
}

#[tokio::test]
async fn a_pod_is_there_from_its_first_address_until_it_ends() {
    const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop}
status: {phase: Running, podIP: 10.1.0.1, podIPs: [{ip: 10.1.0.1}, {ip: 'fd00::1'}]}
";
    history(
        "{apiVersion: v1, kind: Pod, metadata: {name: web-0, namespace: shop}, status: {phase: Pending}}",
        &[
            (|_| {}, &[]),
            (|cluster| cluster.apply(POD), &["pod shop/web-0 [10.1.0.1, fd00::1]"]),
            (|cluster| cluster.apply(&POD.replace("Running", "Failed")), &[]),
            (|cluster| cluster.apply(POD), &["pod shop/web-0 [10.1.0.1, fd00::1]"]),
            (
                |cluster| {
                    let leaving = "name: web-0, deletionTimestamp: '2026-01-01T00:00:00Z'";
                    cluster.apply(&POD.replace("name: web-0", leaving));
                },
                &[],
            ),
        ],
    )
    .await;
}
