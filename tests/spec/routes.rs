//! Zones with upstreams of their own: the longest wins, and what it wins over.

use crate::stage::{NEGATIVE, SHOP, Stage};
use gapless::answer::Scope;

#[test]
fn the_longest_zone_of_a_name_has_its_question() {
    let mut stage = Stage::empty();
    stage.upstream(&["www.example.org. 60 IN A 192.0.2.1"]);
    let corp = stage.route(
        &["corp.example", "corp.test"],
        &[
            "wiki.corp.example. 60 IN A 192.0.2.2",
            "wiki.corp.test. 60 IN A 192.0.2.3",
        ],
    );
    let eu = stage.route(
        &["eu.corp.example"],
        &["wiki.eu.corp.example. 60 IN A 192.0.2.4"],
    );
    stage
        .case("each from its own upstream, and then from the cache")
        .ask(
            "www.example.org. A",
            "NOERROR
            www.example.org. 60 IN A 192.0.2.1",
        )
        .ask(
            "wiki.CORP.example. A",
            "NOERROR
            wiki.CORP.example. 60 IN A 192.0.2.2",
        )
        .ask(
            "wiki.corp.test. A",
            "NOERROR
            wiki.corp.test. 60 IN A 192.0.2.3",
        )
        .ask(
            "wiki.eu.corp.example. A",
            "NOERROR
            wiki.eu.corp.example. 60 IN A 192.0.2.4",
        );
    assert_eq!((corp.asked().udp, eu.asked().udp), (2, 1));
}

#[test]
fn a_route_for_a_special_use_name_wins_over_the_built_in_answer() {
    let mut stage = Stage::empty();
    stage.route(&["."], &["www.example.org. 60 IN A 192.0.2.1"]);
    stage.route(
        &["onion", "tests.localhost"],
        &["x.onion. 60 IN A 192.0.2.5"],
    );
    let soa = |zone: &str| {
        format!("auth: {zone} 10800 IN SOA {zone} nobody.{zone} 1 7200 1800 86400 10800")
    };
    stage
        .case("the names of that zone, and no others; a route for the root names none of them")
        .ask("x.onion. A", "NOERROR\nx.onion. 60 IN A 192.0.2.5")
        .ask("a.tests.localhost. A", "NXDOMAIN")
        .ask(
            "a.localhost. A",
            "NOERROR aa
            a.localhost. 10800 IN A 127.0.0.1",
        )
        .ask("x.invalid. A", &format!("NXDOMAIN aa\n{}", soa("invalid.")))
        .ask(
            "www.example.org. A",
            "NOERROR
            www.example.org. 60 IN A 192.0.2.1",
        );
}

#[test]
fn a_zone_below_the_cluster_domain_has_all_of_its_names_and_one_above_none_of_the_clusters() {
    let mut stage = Stage::new(SHOP);
    stage.route(
        &["corp.cluster.local", "local"],
        &[
            "wiki.corp.cluster.local. 60 IN A 192.0.2.8",
            "printer.local. 60 IN A 192.0.2.9",
        ],
    );
    stage
        .case("a stub zone inside, and the cluster's names beside it")
        .ask(
            "wiki.corp.cluster.local. A",
            "NOERROR
            wiki.corp.cluster.local. 60 IN A 192.0.2.8",
        )
        .ask("other.corp.cluster.local. A", "NXDOMAIN")
        .ask(
            "printer.local. A",
            "NOERROR
            printer.local. 60 IN A 192.0.2.9",
        )
        .ask("wiki.cluster.local. A", &format!("NXDOMAIN aa\n{NEGATIVE}"))
        .ask(
            "api.shop.svc.cluster.local. A",
            "NOERROR aa
            api.shop.svc.cluster.local. 5 IN A 10.96.0.30",
        );
}

#[test]
fn a_zone_below_the_cluster_domain_needs_no_index() {
    let mut stage = Stage::unsynced();
    stage.route(
        &["corp.cluster.local"],
        &["wiki.corp.cluster.local. 60 IN A 192.0.2.8"],
    );
    stage.case("before anything is synced").ask(
        "wiki.corp.cluster.local. A",
        "NOERROR
            wiki.corp.cluster.local. 60 IN A 192.0.2.8",
    );
}

#[test]
fn a_reverse_zone_has_the_addresses_that_are_not_the_clusters() {
    const PRINTER: &str = "9.0.0.10.in-addr.arpa. 60 IN PTR printer.example.org.";
    let cluster = "NOERROR aa
        4.0.1.10.in-addr.arpa. 1 IN PTR db-0.db.shop.svc.cluster.local.";
    let mut stage = Stage::new(SHOP);
    stage.route(&["10.in-addr.arpa"], &[PRINTER]);
    stage
        .case("and the cluster the others")
        .ask("9.0.0.10.in-addr.arpa. PTR", &format!("NOERROR\n{PRINTER}"))
        .ask("4.0.1.10.in-addr.arpa. PTR", cluster);

    let mut stage = Stage::with(SHOP, |options| options.answers.scope = Scope::Headless);
    stage.route(&["10.in-addr.arpa"], &[PRINTER]);
    stage.cluster_dns(&["30.0.96.10.in-addr.arpa. 5 IN PTR api.shop.svc.cluster.local."]);
    stage
        .case("in scope headless the cluster's own DNS knows which are the cluster's")
        .ask(
            "30.0.96.10.in-addr.arpa. PTR",
            "NOERROR
            30.0.96.10.in-addr.arpa. 5 IN PTR api.shop.svc.cluster.local.",
        )
        .ask("4.0.1.10.in-addr.arpa. PTR", cluster);
}

#[test]
fn the_target_of_an_alias_goes_its_own_route() {
    let mut stage = Stage::new(
        "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Service
metadata: {name: wiki, namespace: shop}
spec: {type: ExternalName, externalName: wiki.corp.example}
",
    );
    stage.route(&["corp.example"], &["wiki.corp.example. 60 IN A 192.0.2.2"]);
    stage.case("ExternalName into a zone with a route").ask(
        "wiki.shop.svc.cluster.local. A",
        "NOERROR aa
        wiki.shop.svc.cluster.local. 5 IN CNAME wiki.corp.example.
        wiki.corp.example. 60 IN A 192.0.2.2",
    );
}
