//! Before the index is synced, and while a kind is denied: never NXDOMAIN from ignorance, never a partial answer.

use crate::stage::{NEGATIVE, SHOP, Stage};
use gapless::model::{Change, Source};

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
