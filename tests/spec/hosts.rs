//! Static names: addresses that the operator gives, before everything else.

use crate::stage::{NEGATIVE, Options, SHOP, Stage};
use gapless::{
    answer::{Hosts, Scope},
    wire::NameKey,
};

/// Names, and the addresses that they have.
fn hosts(entries: &[(&[&str], &[&str])]) -> impl FnOnce(&mut Options) {
    let mut hosts = Hosts::new(30);
    for (names, addresses) in entries {
        let names = names.iter().map(|name| NameKey::from_text(name).unwrap());
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        let (names, addresses): (Vec<_>, Vec<_>) = (names.collect(), addresses.collect());
        hosts.add(&names, &addresses).unwrap();
    }
    |options| options.answers.hosts = hosts
}

/// The authority section of a negative answer about a static name.
fn negative(name: &str) -> String {
    format!(
        "NOERROR aa
        auth: {name} 30 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 30"
    )
}

#[test]
fn a_static_name_has_its_addresses_and_no_other_type() {
    let mut stage = Stage::with(
        "",
        hosts(&[
            (
                &["db.corp.example", "Primary.db.corp.example"],
                &["192.0.2.10", "192.0.2.11", "2001:db8::10"],
            ),
            (&["printer.corp.example"], &["192.0.2.12"]),
        ]),
    );
    let upstream = stage.route(&["."], &["other.printer.corp.example. 60 IN A 192.0.2.99"]);
    let reverse = "0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.";
    stage
        .case("each of the names, in any spelling, wins over a route")
        .ask(
            "DB.corp.example. A",
            "NOERROR aa
            DB.corp.example. 30 IN A 192.0.2.10
            DB.corp.example. 30 IN A 192.0.2.11",
        )
        .ask(
            "primary.db.corp.example. AAAA norec",
            "NOERROR aa
            primary.db.corp.example. 30 IN AAAA 2001:db8::10",
        )
        .ask(
            "db.corp.example. ANY",
            "NOERROR aa
            db.corp.example. 5 IN HINFO RFC8482",
        );
    for rtype in ["AAAA", "TXT", "CNAME", "SOA", "TYPE65", "PTR"] {
        stage.case("NODATA, never NXDOMAIN, never asked").ask(
            &format!("printer.corp.example. {rtype}"),
            &negative("printer.corp.example."),
        );
    }
    stage
        .case("and the addresses their first name")
        .ask(
            "10.2.0.192.in-addr.arpa. PTR",
            "NOERROR aa
            10.2.0.192.in-addr.arpa. 30 IN PTR db.corp.example.",
        )
        .ask(
            &format!("{reverse} PTR"),
            &format!(
                "NOERROR aa
                {reverse} 30 IN PTR db.corp.example."
            ),
        )
        .ask(
            "10.2.0.192.in-addr.arpa. A",
            &negative("10.2.0.192.in-addr.arpa."),
        );
    assert_eq!(upstream.asked().udp, 0);
    stage
        .case("they are names, not zones: what is below, above and beside them is asked as ever")
        .ask(
            "other.printer.corp.example. A",
            "NOERROR
            other.printer.corp.example. 60 IN A 192.0.2.99",
        )
        .ask("corp.example. A", "NXDOMAIN")
        .ask("13.2.0.192.in-addr.arpa. PTR", "NXDOMAIN");
}

#[test]
fn a_static_name_wins_over_special_use_names_and_needs_no_index() {
    let mut stage = Stage::unsynced_with(hosts(&[
        (&["localhost"], &["127.0.0.1"]),
        (&["x.onion"], &["192.0.2.10"]),
        (&["registry.cluster.local"], &["192.0.2.11"]),
    ]));
    stage
        .case("the user's word is the first")
        .ask("localhost. AAAA", &negative("localhost."))
        .ask(
            "x.onion. A",
            "NOERROR aa
            x.onion. 30 IN A 192.0.2.10",
        )
        .ask(
            "registry.cluster.local. A",
            "NOERROR aa
            registry.cluster.local. 30 IN A 192.0.2.11",
        )
        .ask(
            "11.2.0.192.in-addr.arpa. PTR",
            "NOERROR aa
            11.2.0.192.in-addr.arpa. 30 IN PTR registry.cluster.local.",
        );
}

#[test]
fn beside_static_names_the_cluster_domain_is_as_it_was() {
    let registry: [(&[&str], &[&str]); 2] = [
        (&["eu.registry.cluster.local"], &["192.0.2.11"]),
        // An ingress's cluster IP under a name of the company's.
        (&["shop.corp.example"], &["10.96.0.30"]),
    ];
    Stage::with(SHOP, hosts(&registry))
        .case("with one name more, and none above it missing (RFC 8020)")
        .ask(
            "eu.registry.cluster.local. A",
            "NOERROR aa
            eu.registry.cluster.local. 30 IN A 192.0.2.11",
        )
        .ask(
            "registry.cluster.local. A",
            &format!("NOERROR aa\n{NEGATIVE}"),
        )
        .ask(
            "us.registry.cluster.local. A",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        )
        .ask(
            "a.eu.registry.cluster.local. A",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        )
        .ask(
            "api.shop.svc.cluster.local. A",
            "NOERROR aa
            api.shop.svc.cluster.local. 5 IN A 10.96.0.30",
        )
        .ask(
            "30.0.96.10.in-addr.arpa. PTR",
            "NOERROR aa
            30.0.96.10.in-addr.arpa. 30 IN PTR shop.corp.example.",
        );
    let mut stage = Stage::with(SHOP, |options| {
        hosts(&registry)(options);
        options.answers.scope = Scope::Headless;
    });
    let dns = stage.cluster_dns(&[]);
    stage.case("in scope headless too").ask(
        "eu.registry.cluster.local. A",
        "NOERROR aa
            eu.registry.cluster.local. 30 IN A 192.0.2.11",
    );
    assert_eq!(dns.asked().udp, 0);
}

#[test]
fn an_alias_of_the_cluster_may_lead_to_a_static_name() {
    let alias = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {type: ExternalName, externalName: db.corp.example}
";
    Stage::with(alias, hosts(&[(&["db.corp.example"], &["192.0.2.10"])]))
        .case("which is answered along with it")
        .ask(
            "db.shop.svc.cluster.local. A",
            "NOERROR aa
            db.shop.svc.cluster.local. 5 IN CNAME db.corp.example.
            db.corp.example. 30 IN A 192.0.2.10",
        )
        .ask(
            "db.shop.svc.cluster.local. AAAA",
            &negative("db.corp.example.").replace(
                "NOERROR aa",
                "NOERROR aa
            db.shop.svc.cluster.local. 5 IN CNAME db.corp.example.",
            ),
        );
}
