//! What the API server answers to the requests that the feed is built on: that our role is admitted and is enough, and
//! how each kind of server streams lists, or refuses to.

use crate::control_plane::{
    ControlPlane, ETCD_WITHOUT_STREAMING_LISTS, GAPLESS_TOKENS, asset, get,
};
use http_body_util::BodyExt;
use kube::Client;
use serde_json::{Value, json};
use std::{fs, path::Path};

const ENDPOINT_SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";
const READABLE: [&str; 3] = ["/api/v1/services", "/api/v1/namespaces", ENDPOINT_SLICES];
const STREAMING_LIST: &str =
    "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";

/// The status of an answer, without its body.
async fn status(client: &Client, path: &str) -> u16 {
    let response = client.send(get(path).map(Into::into)).await;
    response.expect("an answer").status().as_u16()
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn the_shipped_role_lists_and_watches_what_is_answered_from_and_nothing_else() {
    let control_plane = ControlPlane::start().await;
    let gapless = control_plane.gapless().await;
    const CLOSED: [&str; 5] = [
        "/api/v1/pods",
        "/api/v1/secrets",
        "/api/v1/configmaps",
        "/api/v1/nodes",
        "/apis/apps/v1/statefulsets",
    ];
    let closed = CLOSED.map(|path| (path, 403));
    for (path, expected) in READABLE.map(|path| (path, 200)).into_iter().chain(closed) {
        for query in ["limit=1", "watch=1&timeoutSeconds=1"] {
            let asked = format!("{path}?{query}");
            assert_eq!(status(&gapless, &asked).await, expected, "{asked}");
        }
    }
    let one = "/api/v1/namespaces/default/services/kubernetes";
    assert_eq!(status(&gapless, one).await, 403);
    let write = http::Request::delete(one).body(kube::client::Body::empty());
    let refused = gapless.send(write.unwrap()).await.expect("an answer");
    assert_eq!(refused.status().as_u16(), 403);
}

/// Everything that one watch says until the server ends it after a second: its status, and its events.
async fn watch(client: &Client, path: &str) -> (u16, Vec<Value>) {
    let request = get(&format!("{path}?{STREAMING_LIST}&timeoutSeconds=1"));
    let response = client.send(request.map(Into::into)).await;
    let response = response.expect("an answer");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a whole body");
    let events = serde_json::Deserializer::from_slice(&body.to_bytes())
        .into_iter()
        .collect::<Result<_, _>>();
    (status, events.expect("JSON"))
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn a_streaming_list_ends_with_a_bookmark() {
    let control_plane = ControlPlane::start().await;
    let gapless = control_plane.gapless().await;
    control_plane.apply(TWO_SLICES).await;
    let (status, events) = watch(&gapless, ENDPOINT_SLICES).await;
    assert_eq!(status, 200);
    let types: Vec<_> = events.iter().map(|event| &event["type"]).collect();
    // The server may end the watch with one more bookmark.
    assert_eq!(types[..3], ["ADDED", "ADDED", "BOOKMARK"]);
    let names = [0, 1].map(|at| events[at]["object"]["metadata"]["name"].clone());
    assert_eq!(names, ["db-ipv4", "db-ipv6"]);
    // What is empty is null in a bookmark, also where the schema requires a list.
    let mut end = events[2]["object"].clone();
    end["metadata"]["resourceVersion"].take();
    assert_eq!(
        end,
        json!({
            "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1",
            "metadata": {
                "resourceVersion": null, "annotations": {"k8s.io/initial-events-end": "true"},
            },
            "addressType": "", "endpoints": null, "ports": null,
        })
    );
}

const TWO_SLICES: &str = r#"
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-ipv4, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.10]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-ipv6, labels: {kubernetes.io/service-name: db}}
addressType: IPv6
endpoints: [{addresses: ["2001:db8::10"]}]
"#;

/// The refusal comes inside an answer with status 200: a feed that looks at the status alone takes it for a success.
#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn with_an_old_etcd_a_streaming_list_is_refused_by_an_error_event() {
    let etcd = Path::new(ETCD_WITHOUT_STREAMING_LISTS);
    let control_plane = ControlPlane::start_with(etcd, &[]).await;
    let gapless = control_plane.gapless().await;
    let refusal = json!({"type": "ERROR", "object": {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "a watch stream was requested by the client but the required storage feature \
                    RequestWatchProgress is disabled",
        "reason": "InternalError", "code": 500,
    }});
    for path in READABLE {
        assert_eq!(watch(&gapless, path).await, (200, vec![refusal.clone()]));
    }
    assert_eq!(status(&gapless, "/api/v1/services?limit=1").await, 200);
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn a_server_without_watch_list_refuses_a_streaming_list_as_invalid() {
    let control_plane =
        ControlPlane::start_with(&asset("etcd"), &["--feature-gates=WatchList=false"]).await;
    let gapless = control_plane.gapless().await;
    let (status, refusal) = watch(&gapless, "/api/v1/services").await;
    assert_eq!(status, 422);
    assert_eq!(refusal[0]["reason"], "Invalid");
    let cause = &refusal[0]["details"]["causes"][0];
    assert_eq!(cause["field"], "sendInitialEvents");
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn the_demo_is_what_an_api_server_accepts() {
    let control_plane = ControlPlane::start().await;
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/demo");
    let mut files: Vec<_> = fs::read_dir(demo)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in files {
        let manifests = fs::read_to_string(&file).unwrap();
        control_plane.apply(&manifests).await;
    }
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn objects_and_their_status_survive_a_restart_and_a_rotated_token_is_taken() {
    let mut control_plane = ControlPlane::start().await;
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: web-0},
                spec: {containers: [{name: web, image: nginx}]}, status: {phase: Running}}";
    control_plane.apply(pod).await;
    control_plane.accept_gapless_tokens(&GAPLESS_TOKENS[1..]);
    control_plane.kill_api_server();
    let asked = "/api/v1/services?limit=1";
    let gapless = control_plane.gapless().await;
    let unanswered = gapless.send(get(asked).map(Into::into)).await;
    assert!(unanswered.is_err());

    control_plane.restart_api_server().await;
    let pods = control_plane.api("Pod", None);
    let pod = pods.get("web-0").await.unwrap();
    assert_eq!(pod.data["status"]["phase"], "Running");
    assert_eq!(status(&control_plane.gapless().await, asked).await, 401);
    control_plane.set_gapless_token(GAPLESS_TOKENS[1]);
    assert_eq!(status(&control_plane.gapless().await, asked).await, 200);

    control_plane.delete("Pod", None, "web-0").await;
    assert_eq!(pods.get_opt("web-0").await.unwrap(), None);
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn a_role_that_is_taken_away_closes_requests_and_given_back_opens_them() {
    let control_plane = ControlPlane::start().await;
    let gapless = control_plane.gapless().await;
    control_plane.take_rights().await;
    for path in READABLE {
        assert_eq!(status(&gapless, &format!("{path}?limit=1")).await, 403);
    }
    control_plane.give_rights().await;
    for path in READABLE {
        assert_eq!(status(&gapless, &format!("{path}?limit=1")).await, 200);
    }
}
