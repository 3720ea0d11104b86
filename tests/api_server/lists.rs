//! Servers that stream no lists: gapless lists them in pages, and watches from there.

use crate::{
    control_plane::{ControlPlane, ETCD_WITHOUT_STREAMING_LISTS, asset, get},
    gapless::Gapless,
};
use futures::{StreamExt, stream};
use std::path::Path;

/// With the API server's own service more than two pages of 100.
const SERVICES: usize = 240;
/// Requests that are under way at once while a cluster is filled.
const AT_ONCE: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn with_an_old_etcd_three_pages_are_listed_and_then_watched() {
    let etcd = Path::new(ETCD_WITHOUT_STREAMING_LISTS);
    three_pages(ControlPlane::start_with(etcd, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn without_the_feature_watch_list_three_pages_are_listed_and_then_watched() {
    let flags = &["--feature-gates=WatchList=false"];
    three_pages(ControlPlane::start_with(&asset("etcd"), flags).await).await;
}

async fn three_pages(control_plane: ControlPlane) {
    let manifests = (1..=SERVICES).map(service);
    stream::iter(manifests)
        .for_each_concurrent(AT_ONCE, async |manifest| {
            control_plane.apply(&manifest).await
        })
        .await;
    let pages = lists_of_services(&control_plane).await;
    let gapless = Gapless::synced(&control_plane.gapless_kubeconfig(), |_| {}).await;
    assert_eq!(lists_of_services(&control_plane).await - pages, 3);
    let objects = "gapless_index_objects{source=\"services\"}";
    assert_eq!(gapless.metric(objects).await, SERVICES as u64 + 1);
    for n in 1..=SERVICES {
        let (question, answer) = question(n);
        gapless.expect(&question, &answer).await;
    }

    control_plane.apply(&service(SERVICES + 1)).await;
    control_plane.delete("Service", None, "s7").await;
    let (new, answer) = question(SERVICES + 1);
    gapless.until(&new, &answer).await;
    gapless.until(&question(7).0, "NXDOMAIN aa").await;
    let lists = "gapless_feed_lists_total{source=\"services\"}";
    assert_eq!(gapless.metric(lists).await, 1);
}

/// The service `sN` with the Nth address above 10.96.1.0.
fn service(n: usize) -> String {
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: s{n}}},
           spec: {{clusterIP: {}, ports: [{{port: 80}}]}}}}",
        cluster_ip(n)
    )
}

fn question(n: usize) -> (String, String) {
    let name = format!("s{n}.default.svc.cluster.local.");
    let answer = format!("NOERROR aa\n{name} 5 IN A {}", cluster_ip(n));
    (format!("{name} A"), answer)
}

fn cluster_ip(n: usize) -> String {
    format!("10.96.{}.{}", 1 + n / 256, n % 256)
}

/// How many lists of services, or pages of one, the server has answered; its own are over when it is ready.
async fn lists_of_services(control_plane: &ControlPlane) -> u64 {
    let metrics = control_plane.admin().request_text(get("/metrics")).await;
    let metrics = metrics.unwrap();
    let lists = metrics.lines().filter(|line| {
        line.starts_with("apiserver_request_total{")
            && line.contains("resource=\"services\"")
            && line.contains("verb=\"LIST\"")
    });
    let counts = lists.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap());
    counts.sum()
}
