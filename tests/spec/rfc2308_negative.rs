//! RFC 2308: negative answers, and that nobody downstream keeps those about the cluster.

use crate::stage::{SHOP, Stage};
use gapless::index::Ttl;

const SOA: &str = "auth: cluster.local. 0 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 42 7200 1800 86400 0";

#[test]
fn negative_answers_carry_an_soa_that_forbids_to_keep_them() {
    Stage::new("{apiVersion: v1, kind: Namespace, metadata: {name: default}}")
        .case("TTL and minimum are 0")
        .ask(
            "web-0.nginx.default.svc.cluster.local. A",
            &format!("NXDOMAIN aa\n{SOA}"),
        )
        .ask(
            "example.com.default.svc.cluster.local. A",
            &format!("NXDOMAIN aa\n{SOA}"),
        )
        .ask(
            "example.com.svc.cluster.local. AAAA",
            &format!("NXDOMAIN aa\n{SOA}"),
        )
        .ask(
            "example.com.cluster.local. A",
            &format!("NXDOMAIN aa\n{SOA}"),
        )
        .ask(
            "default.svc.cluster.local. MX",
            &format!("NOERROR aa\n{SOA}"),
        )
        .ask(
            "default.svc.cluster.local. TYPE65",
            &format!("NOERROR aa\n{SOA}"),
        )
        .ask(
            "default.svc.cluster.local. TYPE65280",
            &format!("NOERROR aa\n{SOA}"),
        );
}

#[test]
fn another_type_of_a_name_that_exists_is_nodata() {
    let mut stage = Stage::new(SHOP);
    let names = [
        "api.shop.svc.cluster.local.",
        "db.shop.svc.cluster.local.",
        "db-0.db.shop.svc.cluster.local.",
        "10-1-0-4.shop.pod.cluster.local.",
    ];
    for rtype in ["MX", "TXT", "CNAME", "NS", "SOA", "TYPE64", "TYPE65"] {
        for name in names {
            stage
                .case("no record of this type")
                .ask(&format!("{name} {rtype}"), &format!("NOERROR aa\n{SOA}"));
        }
    }
}

#[test]
fn ttls_are_chosen_by_kind() {
    let ttl = Ttl {
        service: 30,
        pod: 7,
        negative: 3,
    };
    Stage::with(SHOP, move |options| options.index.ttl = ttl)
        .case("service, pod, negative")
        .ask("api.shop.svc.cluster.local. A", "NOERROR aa
            api.shop.svc.cluster.local. 30 IN A 10.96.0.30")
        .ask("db-0.db.shop.svc.cluster.local. A", "NOERROR aa
            db-0.db.shop.svc.cluster.local. 7 IN A 10.1.0.4")
        .ask("no.shop.svc.cluster.local. A", "NXDOMAIN aa
            auth: cluster.local. 3 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 42 7200 1800 86400 3");
}
