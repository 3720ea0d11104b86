//! The API server gone, out of reach, unwilling: what is known is answered, and what changed meanwhile follows.

use crate::{
    control_plane::{ControlPlane, GAPLESS_TOKENS},
    gapless::{Asking, Gapless},
    relay::Relay,
    support::{ask::normal, upstream::FakeUpstream},
};

const SOURCES: [&str; 4] = [
    "services",
    "endpointslices",
    "foreign-endpointslices",
    "namespaces",
];

fn service(n: u8) -> String {
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: s{n}}},
           spec: {{clusterIP: 10.96.0.{n}, ports: [{{port: 80}}]}}}}"
    )
}

async fn until(gapless: &Gapless, n: u8) {
    let (question, answer) = question(n);
    gapless.until(&question, &answer).await;
}

async fn expect(gapless: &Gapless, n: u8) {
    let (question, answer) = question(n);
    gapless.expect(&question, &answer).await;
}

fn question(n: u8) -> (String, String) {
    let name = format!("s{n}.default.svc.cluster.local.");
    (
        format!("{name} A"),
        format!("NOERROR aa\n{name} 5 IN A 10.96.0.{n}"),
    )
}

fn lists(source: &str) -> String {
    format!("gapless_feed_lists_total{{source=\"{source}\"}}")
}

fn restarts(source: &str, reason: &str) -> String {
    format!("gapless_feed_watch_restarts_total{{source=\"{source}\",reason=\"{reason}\"}}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn answers_go_on_while_the_api_server_is_gone_and_changes_follow_when_it_is_back() {
    let mut control_plane = ControlPlane::start().await;
    control_plane.apply(&service(20)).await;
    control_plane.apply(&service(21)).await;
    let gapless = Gapless::synced(&control_plane.gapless_kubeconfig(), |_| {}).await;
    let (kept, its_answer) = question(20);
    let asking = Asking::start(&gapless, &kept);
    control_plane.kill_api_server();
    for source in SOURCES {
        let broken = restarts(source, "broken");
        gapless.until_metric(&broken, |times| times > 0).await;
    }
    control_plane.restart_api_server().await;
    control_plane.apply(&service(22)).await;
    control_plane.delete("Service", None, "s21").await;
    until(&gapless, 22).await;
    gapless.until(&question(21).0, "NXDOMAIN aa").await;
    assert_eq!(asking.finish().await, [normal(&its_answer)].into());
    for source in SOURCES {
        let resumed = gapless.metric(&restarts(source, "expired")).await == 0;
        let lists = gapless.metric(&lists(source)).await;
        assert_eq!(lists == 1, resumed, "{source}: {lists} lists");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn after_a_broken_connection_the_watch_resumes_without_a_list() {
    let control_plane = ControlPlane::start().await;
    control_plane.apply(&service(20)).await;
    control_plane.apply(&service(21)).await;
    let relay = Relay::start(&control_plane.gapless_kubeconfig()).await;
    let gapless = Gapless::synced(&relay.kubeconfig, |_| {}).await;
    relay.close();
    for source in SOURCES {
        let broken = restarts(source, "broken");
        gapless.until_metric(&broken, |times| times > 0).await;
    }
    control_plane.apply(&service(22)).await;
    control_plane.delete("Service", None, "s21").await;
    expect(&gapless, 21).await;
    relay.cut();
    until(&gapless, 22).await;
    gapless.until(&question(21).0, "NXDOMAIN aa").await;
    expect(&gapless, 20).await;
    for source in SOURCES {
        assert_eq!(gapless.metric(&lists(source)).await, 1, "{source}");
    }
}

/// The API server asks for rights when a watch begins, and lets it go on until its end when they are taken away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn names_are_unsure_from_the_first_request_without_rights_until_they_are_given_again() {
    let control_plane = ControlPlane::start().await;
    control_plane.apply(&service(20)).await;
    let relay = Relay::start(&control_plane.gapless_kubeconfig()).await;
    let (name, _) = question(20);
    let elsewhere = "s20.default.svc.cluster.local. 30 IN A 10.96.0.20";
    let cluster_dns = FakeUpstream::start(elsewhere).await;
    let alone = Gapless::synced(&relay.kubeconfig, |_| {}).await;
    let helped = Gapless::synced(&relay.kubeconfig, |config| {
        config.cluster.dns = vec![cluster_dns.address.into()];
    })
    .await;

    control_plane.take_rights().await;
    control_plane.apply(&service(21)).await;
    for gapless in [&alone, &helped] {
        until(gapless, 21).await;
        expect(gapless, 20).await;
    }
    relay.cut();
    let unsure = "SERVFAIL\nede: 14 the index of the cluster's names is not complete";
    alone.until(&name, unsure).await;
    helped.until(&name, &format!("NOERROR\n{elsewhere}")).await;

    control_plane.apply(&service(22)).await;
    control_plane.give_rights().await;
    for gapless in [&alone, &helped] {
        gapless.ready().await;
        expect(gapless, 20).await;
        expect(gapless, 22).await;
    }
}

/// The client reads a token file again 50 s after it last did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn a_token_that_was_replaced_in_its_file_is_taken_and_names_are_answered_meanwhile() {
    let mut control_plane = ControlPlane::start().await;
    control_plane.apply(&service(20)).await;
    let gapless = Gapless::synced(&control_plane.gapless_kubeconfig(), |_| {}).await;
    control_plane.accept_gapless_tokens(&GAPLESS_TOKENS[1..]);
    control_plane.set_gapless_token(GAPLESS_TOKENS[1]);
    control_plane.restart_api_server().await;
    control_plane.apply(&service(21)).await;
    for source in SOURCES {
        let refused = restarts(source, "refused");
        gapless.until_metric(&refused, |times| times > 0).await;
    }
    expect(&gapless, 20).await;
    until(&gapless, 21).await;
    expect(&gapless, 20).await;
}
