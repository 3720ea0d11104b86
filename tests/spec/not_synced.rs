//! Before the index is synced, while a kind is denied, and of malformed objects: never NXDOMAIN from ignorance, never a partial answer.

use crate::stage::{NEGATIVE, Options, SHOP, Stage};
use gapless::{
    answer::PodNames,
    model::{Change, ObjectKey, Source},
};

const UNSURE: &str = "SERVFAIL\nede: 14 the index of the cluster's names is not complete";

#[test]
fn without_a_cluster_dns_it_is_servfail_with_ede_14() {
    Stage::unsynced()
        .case("any name of the cluster, and any reverse name")
        .ask("db-0.db.shop.svc.cluster.local. A", UNSURE)
        .ask("api.shop.svc.cluster.local. A", UNSURE)
        .ask("no.svc.cluster.local. A", UNSURE)
        .ask("10-1-0-4.shop.pod.cluster.local. A", UNSURE)
        .ask("4.0.1.10.in-addr.arpa. PTR", UNSURE)
        .ask("db-0.db.shop.svc.cluster.local. A noedns", "SERVFAIL")
        .ask(
            "localhost. A",
            "NOERROR aa
            localhost. 10800 IN A 127.0.0.1",
        );
}

#[test]
fn with_a_cluster_dns_it_is_asked_and_its_negatives_are_not_kept() {
    let mut stage = Stage::unsynced();
    let dns = stage.cluster_dns(&["db-0.db.shop.svc.cluster.local. 5 IN A 10.1.0.4"]);
    stage.case("the cluster's own DNS answers").ask(
        "db-0.db.shop.svc.cluster.local. A",
        "NOERROR
            db-0.db.shop.svc.cluster.local. 5 IN A 10.1.0.4",
    );
    let before = dns.asked().udp;
    for _ in 0..3 {
        stage.case("a name that it does not know").ask(
            "db-1.db.shop.svc.cluster.local. A",
            "NXDOMAIN
            auth: . 0 IN SOA ns. host. 1 2 3 4 60",
        );
    }
    assert_eq!(
        dns.asked().udp - before,
        3 * 4,
        "each of the four ways, each time"
    );
}

#[test]
fn a_denied_kind_makes_only_its_own_names_unsure() {
    let mut stage = Stage::new(SHOP);
    stage.apply([Change::Lost(Source::EndpointSlices)]);
    stage
        .case("no endpoint slices: services with a cluster IP are as sure as before")
        .ask(
            "api.shop.svc.cluster.local. A",
            "NOERROR aa
            api.shop.svc.cluster.local. 5 IN A 10.96.0.30",
        )
        .ask(
            "no.shop.svc.cluster.local. A",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        )
        .ask("db.shop.svc.cluster.local. A", UNSURE)
        .ask("db-0.db.shop.svc.cluster.local. A", UNSURE)
        .ask("4.0.1.10.in-addr.arpa. PTR", UNSURE);
    stage.apply([Change::Lost(Source::Namespaces)]);
    stage
        .case("no namespaces: those with a service in them are known all the same")
        .ask(
            "shop.svc.cluster.local. A",
            &format!("NOERROR aa\n{NEGATIVE}"),
        )
        .ask("no.svc.cluster.local. A", UNSURE)
        .ask("10-1-0-4.no.pod.cluster.local. A", UNSURE);
}

#[test]
fn k7_a_malformed_object_makes_its_own_names_unsure_and_no_others() {
    let malformed = "
---
apiVersion: v1
kind: Service
metadata: {name: bad, namespace: shop}
spec: {clusterIP: None, ports: [{port: http}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-2, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints: [{addresses: [10.1.0.300], hostname: db-1}]
---
apiVersion: v1
kind: Service
metadata: {name: lone, namespace: of-bad}
spec: {clusterIP: nonsense}
";
    let mut stage = Stage::new(&format!("{SHOP}{malformed}"));
    stage
        .case("a malformed service: whatever is below its name")
        .ask("bad.shop.svc.cluster.local. A", UNSURE)
        .ask("db-0.bad.shop.svc.cluster.local. A", UNSURE)
        .ask("_http._tcp.bad.shop.svc.cluster.local. SRV", UNSURE);
    stage.case("that its namespace exists is certain").ask(
        "of-bad.svc.cluster.local. A",
        &format!("NOERROR aa\n{NEGATIVE}"),
    );
    stage
        .case("a malformed slice: what is not in the service's other slices")
        .ask(
            "db-0.db.shop.svc.cluster.local. A",
            "NOERROR aa
            db-0.db.shop.svc.cluster.local. 1 IN A 10.1.0.4",
        )
        .ask("db-0.db.shop.svc.cluster.local. AAAA", UNSURE)
        .ask("db-1.db.shop.svc.cluster.local. A", UNSURE)
        .ask("_web._tcp.db.shop.svc.cluster.local. SRV", UNSURE);
    stage
        .case("all others are as they were")
        .ask(
            "api.shop.svc.cluster.local. A",
            "NOERROR aa
            api.shop.svc.cluster.local. 5 IN A 10.96.0.30",
        )
        .ask(
            "no.shop.svc.cluster.local. A",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        );
}

#[test]
fn k7_a_slice_whose_service_cannot_be_read_makes_its_namespaces_headless_names_unsure() {
    let malformed = "
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: any, namespace: shop, labels: {kubernetes.io/service-name: 17}}
addressType: IPv4
";
    let mut stage = Stage::new(&format!("{SHOP}{malformed}"));
    stage
        .case("as long as it is there")
        .ask("db-1.db.shop.svc.cluster.local. A", UNSURE)
        .ask(
            "_tcp.api.shop.svc.cluster.local. A",
            &format!("NOERROR aa\n{NEGATIVE}"),
        );
    let key = ObjectKey::new("shop", "any");
    stage.apply([Change::Delete(Source::EndpointSlices, key)]);
    stage.case("and no longer").ask(
        "db-1.db.shop.svc.cluster.local. A",
        &format!("NXDOMAIN aa\n{NEGATIVE}"),
    );
}

#[test]
fn k7_a_malformed_pod_makes_the_pod_names_of_its_namespace_unsure() {
    let malformed = "
---
apiVersion: v1
kind: Pod
metadata: {name: any, namespace: shop}
status: {podIPs: [{ip: 10.1.0.300}]}
---
apiVersion: v1
kind: Pod
metadata: {name: good, namespace: shop}
status: {podIPs: [{ip: 10.1.0.4}]}
";
    let verified = |options: &mut Options| options.answers.pods = PodNames::Verified;
    Stage::with(&format!("{SHOP}{malformed}"), verified)
        .case("that of a pod that is known is certain")
        .ask(
            "10-1-0-4.shop.pod.cluster.local. A",
            "NOERROR aa
            10-1-0-4.shop.pod.cluster.local. 1 IN A 10.1.0.4",
        )
        .ask("10-1-0-5.shop.pod.cluster.local. A", UNSURE)
        .ask(
            "10-1-0-5.other.pod.cluster.local. A",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        );
}
