//! The zone's own records: SOA, NS, and the name that NS gives.

use crate::stage::{NEGATIVE, Stage};

#[test]
fn soa_and_ns_of_the_zone() {
    let mut stage = Stage::empty();
    let local = stage.local;
    stage
        .case("the zone is this server's")
        .ask("cluster.local. SOA", "NOERROR aa
            cluster.local. 5 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 42 7200 1800 86400 0")
        .ask("Cluster.Local. NS", &format!("NOERROR aa
            Cluster.Local. 5 IN NS ns.dns.Cluster.Local.
            add: ns.dns.Cluster.Local. 5 IN A {local}"))
        .ask("ns.dns.cluster.local. A", &format!("NOERROR aa
            ns.dns.cluster.local. 5 IN A {local}"))
        .ask("ns.dns.cluster.local. AAAA", &format!("NOERROR aa\n{NEGATIVE}"))
        .ask("cluster.local. A", &format!("NOERROR aa\n{NEGATIVE}"))
        .ask("other.cluster.local. A", &format!("NXDOMAIN aa\n{NEGATIVE}"));
}

#[test]
fn transfers_are_refused() {
    Stage::empty()
        .case("no zone transfer")
        .ask("cluster.local. AXFR", "REFUSED")
        .ask("cluster.local. TYPE251", "REFUSED");
}

#[test]
fn the_listeners_own_addresses_are_glue() {
    let own = [
        "192.0.2.53".parse().unwrap(),
        "2001:db8::53".parse().unwrap(),
    ];
    Stage::with("", |options| options.answers.nameservers = own.to_vec())
        .case("both families")
        .ask(
            "cluster.local. NS",
            "NOERROR aa
            cluster.local. 5 IN NS ns.dns.cluster.local.
            add: ns.dns.cluster.local. 5 IN A 192.0.2.53
            add: ns.dns.cluster.local. 5 IN AAAA 2001:db8::53",
        );
}
