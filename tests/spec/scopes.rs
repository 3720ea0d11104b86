//! Which names are answered here, and which are left to others: reverse zones, `fallthrough`, scope `headless`.

use crate::stage::{NEGATIVE, SHOP, Stage};
use gapless::{answer::Scope, wire::NameKey};

#[test]
fn reverse_names_that_are_not_the_clusters_are_forwarded() {
    let mut stage = Stage::new(SHOP);
    stage.upstream(&[
        "9.0.0.10.in-addr.arpa. 60 IN PTR printer.example.org.",
        "0.10.in-addr.arpa. 60 IN NS ns.example.org.",
    ]);
    stage
        .case("the company's, and what stands above whole addresses")
        .ask(
            "9.0.0.10.in-addr.arpa. PTR",
            "NOERROR
        9.0.0.10.in-addr.arpa. 60 IN PTR printer.example.org.",
        )
        .ask(
            "0.10.in-addr.arpa. NS",
            "NOERROR
        0.10.in-addr.arpa. 60 IN NS ns.example.org.",
        );
}

#[test]
fn names_unknown_to_the_cluster_fall_through_where_that_is_configured() {
    let zone = NameKey::from_text("corp.cluster.local").unwrap();
    let mut stage = Stage::with(SHOP, |options| options.answers.fallthrough = vec![zone]);
    stage.upstream(&["wiki.corp.cluster.local. 60 IN A 192.0.2.8"]);
    stage
        .case("below corp.cluster.local, and nowhere else")
        .ask(
            "wiki.corp.cluster.local. A",
            "NOERROR
            wiki.corp.cluster.local. 60 IN A 192.0.2.8",
        )
        .ask(
            "wiki.corp.cluster.local. ANY",
            "NOERROR
            wiki.corp.cluster.local. 5 IN HINFO RFC8482",
        )
        .ask("wiki.cluster.local. A", &format!("NXDOMAIN aa\n{NEGATIVE}"))
        .ask(
            "api.shop.svc.cluster.local. A",
            "NOERROR aa
            api.shop.svc.cluster.local. 5 IN A 10.96.0.30",
        );
}

#[test]
fn scope_headless_answers_headless_names_and_leaves_the_others_to_the_cluster_dns() {
    let mut stage = Stage::with(SHOP, |options| options.answers.scope = Scope::Headless);
    stage.cluster_dns(&[
        "api.shop.svc.cluster.local. 5 IN A 10.96.0.30",
        "dns-version.cluster.local. 5 IN TXT \"1.1.0\"",
        "30.0.96.10.in-addr.arpa. 5 IN PTR api.shop.svc.cluster.local.",
    ]);
    stage
        .case("headless names")
        .ask(
            "db.shop.svc.cluster.local. A",
            "NOERROR aa
            db.shop.svc.cluster.local. 1 IN A 10.1.0.4",
        )
        .ask(
            "db-0.db.shop.svc.cluster.local. A",
            "NOERROR aa
            db-0.db.shop.svc.cluster.local. 1 IN A 10.1.0.4",
        )
        .ask(
            "db-1.db.shop.svc.cluster.local. A",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        )
        .ask(
            "4.0.1.10.in-addr.arpa. PTR",
            "NOERROR aa
            4.0.1.10.in-addr.arpa. 1 IN PTR db-0.db.shop.svc.cluster.local.",
        );
    stage
        .case("all others")
        .ask(
            "api.shop.svc.cluster.local. A",
            "NOERROR
            api.shop.svc.cluster.local. 5 IN A 10.96.0.30",
        )
        .ask(
            "dns-version.cluster.local. TXT",
            "NOERROR
            dns-version.cluster.local. 5 IN TXT \"1.1.0\"",
        )
        .ask(
            "30.0.96.10.in-addr.arpa. PTR",
            "NOERROR
            30.0.96.10.in-addr.arpa. 5 IN PTR api.shop.svc.cluster.local.",
        );
}
