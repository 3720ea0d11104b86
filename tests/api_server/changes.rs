//! How soon a change through the API is answered, and that no answer on the way is wrong.

use crate::{
    control_plane::ControlPlane,
    gapless::{Asking, Gapless},
    support::ask::normal,
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;

const HEADLESS: &str = "{apiVersion: v1, kind: Service, metadata: {name: web},
    spec: {type: ClusterIP, clusterIP: None, ports: [{name: http, port: 80}]}}";
const NXDOMAIN: &str = "NXDOMAIN aa";
const SLICES: &str = "gapless_index_objects{source=\"endpointslices\"}";
const FOREIGN_SLICES: &str = "gapless_index_objects{source=\"foreign-endpointslices\"}";

const CONTROLLED: &str = "kubernetes.io/service-name: web, service.kubernetes.io/headless: '', \
    endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io";
const BY_HAND: &str = "kubernetes.io/service-name: web";
/// What the controller makes of a slice whose service is no longer headless.
const NOT_HEADLESS: &str = "kubernetes.io/service-name: web, \
    endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io";

/// A slice `web-N` of one endpoint with that hostname.
fn slice(n: usize, labels: &str) -> String {
    format!(
        "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: web-{n}, labels: {{{labels}}}}},
           addressType: IPv4, ports: [{{name: http, port: 80}}],
           endpoints: [{{addresses: [10.244.1.{n}], hostname: web-{n}, conditions: {{ready: true}}}}]}}"
    )
}

/// The question for its endpoint, and the answer.
fn endpoint(n: usize) -> (String, String) {
    let name = format!("web-{n}.web.default.svc.cluster.local.");
    let answer = format!("NOERROR aa\n{name} 1 IN A 10.244.1.{n}");
    (format!("{name} A"), answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn a_name_asked_a_thousand_times_before_it_exists_is_right_at_the_first_question_after() {
    let control_plane = ControlPlane::start().await;
    control_plane.apply(HEADLESS).await;
    let gapless = Gapless::synced(&control_plane.gapless_kubeconfig(), |_| {}).await;
    let (question, answer) = endpoint(1);
    let expect_often = async |expected: &str| {
        for _ in 0..1000 {
            gapless.expect(&question, expected).await;
        }
    };
    expect_often(NXDOMAIN).await;
    control_plane.apply(&slice(1, CONTROLLED)).await;
    gapless.until_metric(SLICES, |held| held == 1).await;
    expect_often(&answer).await;
    control_plane.delete("EndpointSlice", None, "web-1").await;
    gapless.until_metric(SLICES, |held| held == 0).await;
    // What vanishes while it is ready is answered for a moment longer: it may move to another slice.
    gapless.until(&question, NXDOMAIN).await;
    expect_often(NXDOMAIN).await;
}

/// Asks until the answer is no longer `before`: then it is `after`, and stays so. The time is that since the call, which
/// is made when the API has answered.
async fn time_until(gapless: &Gapless, question: &str, before: &str, after: &str) -> Duration {
    let returned = Instant::now();
    let mut answer = gapless.ask(question).await;
    while answer == before {
        answer = gapless.ask(question).await;
    }
    let took = returned.elapsed();
    assert_eq!(answer, after, "{question}");
    for _ in 0..20 {
        gapless.expect(question, after).await;
    }
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn a_created_slice_is_answered_and_a_deleted_one_gone_without_a_wrong_answer_after() {
    const TIMES: usize = 100;
    let control_plane = ControlPlane::start().await;
    control_plane.apply(HEADLESS).await;
    let gapless = Gapless::synced(&control_plane.gapless_kubeconfig(), |_| {}).await;
    let (mut created, mut deleted) = (vec![], vec![]);
    for n in 1..=TIMES {
        let (question, answer) = endpoint(n);
        gapless.expect(&question, NXDOMAIN).await;
        control_plane.apply(&slice(n, CONTROLLED)).await;
        created.push(time_until(&gapless, &question, NXDOMAIN, &answer).await);
    }
    for n in 1..=TIMES {
        let (question, answer) = endpoint(n);
        gapless.expect(&question, &answer).await;
        let name = format!("web-{n}");
        control_plane.delete("EndpointSlice", None, &name).await;
        deleted.push(time_until(&gapless, &question, &answer, NXDOMAIN).await);
    }
    println!("| from the API's answer to the first right answer by DNS | median | p99 | max |");
    println!("|---|---|---|---|");
    for (what, mut times) in [("created", created), ("deleted", deleted)] {
        times.sort();
        let [median, p99, max] = [TIMES / 2, TIMES * 99 / 100, TIMES].map(|rank| times[rank - 1]);
        println!("| {TIMES} slices {what} | {median:.1?} | {p99:.1?} | {max:.1?} |");
    }
    let metrics = gapless.metrics().await;
    for line in metrics.lines() {
        if line.starts_with("gapless_index_answerable_seconds") {
            println!("{line}");
        }
    }
    let count = "gapless_index_answerable_seconds_count";
    assert!(gapless.metric(count).await >= 2 * TIMES as u64);
}

/// A headless service can get a cluster IP only by way of another type: the address cannot be changed otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn a_service_that_changes_its_type_has_the_answer_of_one_type_at_any_time() {
    let control_plane = ControlPlane::start().await;
    control_plane.apply(HEADLESS).await;
    control_plane.apply(&slice(1, CONTROLLED)).await;
    control_plane.apply(&slice(2, BY_HAND)).await;
    let gapless = Gapless::synced(&control_plane.gapless_kubeconfig(), |_| {}).await;
    let alias = "{apiVersion: v1, kind: Service, metadata: {name: web},
        spec: {type: ExternalName, externalName: kubernetes.default.svc.cluster.local}}";
    let name = "web.default.svc.cluster.local.";
    let aliased = "kubernetes.default.svc.cluster.local.";
    let is_headless = format!("NOERROR aa\n{name} 1 IN A 10.244.1.1\n{name} 1 IN A 10.244.1.2");
    let is_alias = format!("NOERROR aa\n{aliased} 5 IN A 10.96.0.1\n{name} 5 IN CNAME {aliased}");
    let question = format!("{name} A");

    let asking = Asking::start(&gapless, &question);
    let mut right = BTreeSet::from([&is_headless, &is_alias].map(|answer| normal(answer)));
    for round in 1..=25 {
        // Each time another address: the server gives one back to its pool some time after the service.
        let address = format!("10.96.1.{round}");
        let cluster_ip = format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: web}},
            spec: {{type: ClusterIP, clusterIP: {address}, ports: [{{name: http, port: 80}}]}}}}"
        );
        let has_cluster_ip = format!("NOERROR aa\n{name} 5 IN A {address}");
        for (manifest, answer) in [
            (alias, &is_alias),
            (&cluster_ip, &has_cluster_ip),
            (alias, &is_alias),
            (HEADLESS, &is_headless),
        ] {
            control_plane.apply(manifest).await;
            gapless.until(&question, answer).await;
        }
        right.insert(normal(&has_cluster_ip));
    }
    assert_eq!(asking.finish().await, right);
}

/// The two watches say in no order that a slice has left one of them and come into the other. No name is missing meanwhile;
/// the last labels put the slice into neither watch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn a_slice_that_changes_its_labels_leaves_its_services_name_alone() {
    let control_plane = ControlPlane::start().await;
    control_plane.apply(HEADLESS).await;
    control_plane.apply(&slice(1, CONTROLLED)).await;
    control_plane.apply(&slice(2, CONTROLLED)).await;
    let gapless = Gapless::synced(&control_plane.gapless_kubeconfig(), |_| {}).await;
    let name = "web.default.svc.cluster.local.";
    let (moving, there) = endpoint(2);
    let of_service = Asking::start(&gapless, &format!("{name} A"));
    let of_endpoint = Asking::start(&gapless, &moving);
    for _ in 0..17 {
        for (labels, controlled, foreign, answer) in [
            (BY_HAND, 1, 1, &*there),
            (CONTROLLED, 2, 0, &there),
            (NOT_HEADLESS, 1, 0, NXDOMAIN),
        ] {
            control_plane.apply(&slice(2, labels)).await;
            gapless
                .until_metric(SLICES, |held| held == controlled)
                .await;
            gapless
                .until_metric(FOREIGN_SLICES, |held| held == foreign)
                .await;
            gapless.until(&moving, answer).await;
        }
    }
    let both = format!("NOERROR aa\n{name} 1 IN A 10.244.1.1\n{name} 1 IN A 10.244.1.2");
    let one = format!("NOERROR aa\n{name} 1 IN A 10.244.1.1");
    assert_eq!(of_service.finish().await, [both, one].into());
    assert_eq!(of_endpoint.finish().await, [there, NXDOMAIN.into()].into());
}
