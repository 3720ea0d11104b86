//! Objects of every kind go in through the API, and every kind of name comes out; with the shipped role and no other
//! rights, whatever is chosen to be watched.

use crate::{control_plane::ControlPlane, gapless::Gapless, support::upstream::FakeUpstream};
use gapless::config::{EndpointSlices, Scope};
use kube::api::DynamicObject;
use serde_json::json;

/// Two slices as the EndpointSlice controller labels those of a headless service, and two that somebody wrote by hand.
const CLUSTER: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  ipFamilyPolicy: RequireDualStack
  clusterIP: 10.96.0.20
  clusterIPs: [10.96.0.20, "fd00:96::20"]
  ports: [{name: http, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: node, namespace: shop}
spec: {type: NodePort, clusterIP: 10.96.0.21, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: edge, namespace: shop}
spec: {type: LoadBalancer, clusterIP: 10.96.0.22, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: outside, namespace: shop}
spec: {type: ExternalName, externalName: www.example.org}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None, ports: [{name: sql, port: 5432}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: db-ipv4
  namespace: shop
  labels:
    kubernetes.io/service-name: db
    service.kubernetes.io/headless: ""
    endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io
addressType: IPv4
ports: [{name: sql, port: 5432}]
endpoints:
  - {addresses: [10.244.0.10], hostname: db-0, conditions: {ready: true}}
  - {addresses: [10.244.0.11], hostname: db-1, conditions: {ready: false}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: db-ipv6
  namespace: shop
  labels:
    kubernetes.io/service-name: db
    service.kubernetes.io/headless: ""
    endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io
addressType: IPv6
ports: [{name: sql, port: 5432}]
endpoints: [{addresses: ["fd00:244::10"], hostname: db-0, conditions: {ready: true}}]
---
apiVersion: v1
kind: Service
metadata: {name: legacy, namespace: shop}
spec: {clusterIP: None, ports: [{name: old, port: 70}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: legacy-by-hand, namespace: shop, labels: {kubernetes.io/service-name: legacy}}
addressType: IPv4
ports: [{name: old, port: 70}]
endpoints: [{addresses: [192.0.2.70]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: legacy-names, namespace: shop, labels: {kubernetes.io/service-name: legacy}}
addressType: FQDN
endpoints: [{addresses: [legacy.example.org]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: web-ipv4
  namespace: shop
  labels:
    kubernetes.io/service-name: web
    endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.244.0.30], hostname: web-0, conditions: {ready: true}}]
"#;

const WWW: &str = "www.example.org. 60 IN A 192.0.2.80";

/// What is answered whatever is watched.
const HEADLESS: [(&str, &str); 9] = [
    (
        "db.shop.svc.cluster.local. A",
        "NOERROR aa
        db.shop.svc.cluster.local. 1 IN A 10.244.0.10",
    ),
    (
        "db.shop.svc.cluster.local. AAAA",
        "NOERROR aa
        db.shop.svc.cluster.local. 1 IN AAAA fd00:244::10",
    ),
    (
        "db-0.db.shop.svc.cluster.local. A",
        "NOERROR aa
        db-0.db.shop.svc.cluster.local. 1 IN A 10.244.0.10",
    ),
    (
        "db-1.db.shop.svc.cluster.local. A",
        "NXDOMAIN aa
        ede: 0 pod db-1 is known and not ready",
    ),
    (
        "_sql._tcp.db.shop.svc.cluster.local. SRV",
        "NOERROR aa
        _sql._tcp.db.shop.svc.cluster.local. 1 IN SRV 0 100 5432 db-0.db.shop.svc.cluster.local.
        add: db-0.db.shop.svc.cluster.local. 1 IN A 10.244.0.10
        add: db-0.db.shop.svc.cluster.local. 1 IN AAAA fd00:244::10",
    ),
    (
        "10.0.244.10.in-addr.arpa. PTR",
        "NOERROR aa
        10.0.244.10.in-addr.arpa. 1 IN PTR db-0.db.shop.svc.cluster.local.",
    ),
    // The slice of type FQDN beside it is none that DNS knows.
    (
        "legacy.shop.svc.cluster.local. A",
        "NOERROR aa
        legacy.shop.svc.cluster.local. 1 IN A 192.0.2.70",
    ),
    ("legacy.shop.svc.cluster.local. AAAA", "NOERROR aa"),
    (
        "192-0-2-70.legacy.shop.svc.cluster.local. A",
        "NOERROR aa
        192-0-2-70.legacy.shop.svc.cluster.local. 1 IN A 192.0.2.70",
    ),
];

async fn expect_headless(gapless: &Gapless) {
    for (question, expected) in HEADLESS {
        gapless.expect(question, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn every_kind_of_service_slice_and_namespace_is_answered() {
    let control_plane = ControlPlane::start().await;
    control_plane.apply(CLUSTER).await;
    let upstream = FakeUpstream::start(WWW).await;
    let gapless = Gapless::synced(&control_plane.gapless_kubeconfig(), |config| {
        config.forward.upstreams = vec![upstream.address.into()];
    })
    .await;
    expect_headless(&gapless).await;
    for (question, expected) in [
        (
            "web.shop.svc.cluster.local. A",
            "NOERROR aa
            web.shop.svc.cluster.local. 5 IN A 10.96.0.20",
        ),
        (
            "web.shop.svc.cluster.local. AAAA",
            "NOERROR aa
            web.shop.svc.cluster.local. 5 IN AAAA fd00:96::20",
        ),
        (
            "_http._tcp.web.shop.svc.cluster.local. SRV",
            "NOERROR aa
            _http._tcp.web.shop.svc.cluster.local. 5 IN SRV 0 100 80 web.shop.svc.cluster.local.
            add: web.shop.svc.cluster.local. 5 IN A 10.96.0.20
            add: web.shop.svc.cluster.local. 5 IN AAAA fd00:96::20",
        ),
        (
            "20.0.96.10.in-addr.arpa. PTR",
            "NOERROR aa
            20.0.96.10.in-addr.arpa. 5 IN PTR web.shop.svc.cluster.local.",
        ),
        // Endpoints of a service with a cluster IP have names only if every slice is watched.
        ("web-0.web.shop.svc.cluster.local. A", "NXDOMAIN aa"),
        (
            "node.shop.svc.cluster.local. A",
            "NOERROR aa
            node.shop.svc.cluster.local. 5 IN A 10.96.0.21",
        ),
        (
            "edge.shop.svc.cluster.local. A",
            "NOERROR aa
            edge.shop.svc.cluster.local. 5 IN A 10.96.0.22",
        ),
        (
            "outside.shop.svc.cluster.local. A",
            "NOERROR aa
            outside.shop.svc.cluster.local. 5 IN CNAME www.example.org.
            www.example.org. 60 IN A 192.0.2.80",
        ),
        (
            "10-0-0-1.shop.pod.cluster.local. A",
            "NOERROR aa
            10-0-0-1.shop.pod.cluster.local. 1 IN A 10.0.0.1",
        ),
        ("shop.svc.cluster.local. A", "NOERROR aa"),
        ("10-0-0-1.stop.pod.cluster.local. A", "NXDOMAIN aa"),
        ("wep.shop.svc.cluster.local. A", "NXDOMAIN aa"),
        // What the API server makes itself.
        ("kube-public.svc.cluster.local. A", "NOERROR aa"),
        (
            "kubernetes.default.svc.cluster.local. A",
            "NOERROR aa
            kubernetes.default.svc.cluster.local. 5 IN A 10.96.0.1",
        ),
    ] {
        gapless.expect(question, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn the_shipped_role_is_enough_for_all_slices_and_for_scope_headless() {
    let control_plane = ControlPlane::start().await;
    control_plane.apply(CLUSTER).await;
    let kubeconfig = control_plane.gapless_kubeconfig();

    let all = Gapless::synced(&kubeconfig, |config| {
        config.cluster.endpoint_slices = EndpointSlices::All;
    })
    .await;
    expect_headless(&all).await;
    let endpoint = "web-0.web.shop.svc.cluster.local.";
    let a = format!("NOERROR aa\n{endpoint} 1 IN A 10.244.0.30");
    all.expect(&format!("{endpoint} A"), &a).await;
    let reverse = "30.0.244.10.in-addr.arpa.";
    let ptr = format!("NOERROR aa\n{reverse} 1 IN PTR {endpoint}");
    all.expect(&format!("{reverse} PTR"), &ptr).await;

    let web = "web.shop.svc.cluster.local. 7 IN A 10.96.0.20";
    let cluster_dns = FakeUpstream::start(web).await;
    let headless = Gapless::synced(&kubeconfig, |config| {
        config.cluster.scope = Scope::Headless;
        config.cluster.dns = vec![cluster_dns.address.into()];
    })
    .await;
    let services = "gapless_index_objects{source=\"services\"}";
    assert_eq!(headless.metric(services).await, 2, "db and legacy");
    for (question, expected) in HEADLESS {
        headless.expect(question, expected).await;
    }
    assert_eq!(cluster_dns.seen().len(), 0);
    let forwarded = format!("NOERROR\n{web}");
    let question = "web.shop.svc.cluster.local. A";
    headless.expect(question, &forwarded).await;
    assert_eq!(cluster_dns.seen().len(), 1);
}

/// No controller runs here that would empty a namespace and finalize it, so the test finalizes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn a_namespace_exists_from_its_creation_until_it_is_finalized() {
    let control_plane = ControlPlane::start().await;
    let gapless = Gapless::synced(&control_plane.gapless_kubeconfig(), |_| {}).await;
    let pod = "10-0-0-1.brief.pod.cluster.local. A";
    let there = "NOERROR aa\n10-0-0-1.brief.pod.cluster.local. 1 IN A 10.0.0.1";
    gapless.expect(pod, "NXDOMAIN aa").await;
    control_plane
        .apply("{apiVersion: v1, kind: Namespace, metadata: {name: brief}}")
        .await;
    gapless.until(pod, there).await;

    let changes = "gapless_feed_changes_total{source=\"namespaces\"}";
    let before = gapless.metric(changes).await;
    control_plane.delete("Namespace", None, "brief").await;
    gapless.until_metric(changes, |now| now > before).await;
    gapless.expect(pod, there).await;
    let namespaces = control_plane.api("Namespace", None);
    let finalized: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "brief"},
        "spec": {"finalizers": []},
    }))
    .unwrap();
    namespaces
        .replace_subresource("finalize", "brief", &<_>::default(), &finalized)
        .await
        .unwrap();
    gapless.until(pod, "NXDOMAIN aa").await;
}
