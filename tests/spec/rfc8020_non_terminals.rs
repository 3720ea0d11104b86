//! RFC 8020: a name with names below it is never NXDOMAIN.

use crate::stage::{NEGATIVE, SHOP, Stage};
use gapless::wire::NameKey;

#[test]
fn names_above_others_are_nodata() {
    Stage::new(&format!(
        "{{apiVersion: v1, kind: Namespace, metadata: {{name: empty}}}}
---{SHOP}"
    ))
    .case("the zone, its branches, namespaces, and protocols above a port")
    .ask("cluster.local. A", &format!("NOERROR aa\n{NEGATIVE}"))
    .ask("svc.cluster.local. A", &format!("NOERROR aa\n{NEGATIVE}"))
    .ask("pod.cluster.local. A", &format!("NOERROR aa\n{NEGATIVE}"))
    .ask("dns.cluster.local. A", &format!("NOERROR aa\n{NEGATIVE}"))
    .ask(
        "empty.svc.cluster.local. A",
        &format!("NOERROR aa\n{NEGATIVE}"),
    )
    .ask(
        "empty.pod.cluster.local. A",
        &format!("NOERROR aa\n{NEGATIVE}"),
    )
    .ask(
        "shop.svc.cluster.local. A",
        &format!("NOERROR aa\n{NEGATIVE}"),
    )
    .ask(
        "no.svc.cluster.local. A",
        &format!("NXDOMAIN aa\n{NEGATIVE}"),
    )
    .ask(
        "no.pod.cluster.local. A",
        &format!("NXDOMAIN aa\n{NEGATIVE}"),
    )
    .ask(
        "_tcp.api.shop.svc.cluster.local. A",
        &format!("NOERROR aa\n{NEGATIVE}"),
    )
    .ask(
        "_tcp.db.shop.svc.cluster.local. SRV",
        &format!("NOERROR aa\n{NEGATIVE}"),
    )
    .ask(
        "_udp.api.shop.svc.cluster.local. A",
        &format!("NXDOMAIN aa\n{NEGATIVE}"),
    )
    .ask(
        "_sctp.db.shop.svc.cluster.local. A",
        &format!("NXDOMAIN aa\n{NEGATIVE}"),
    );
}

#[test]
fn names_above_a_zone_with_a_route_are_nodata() {
    let mut stage = Stage::with(SHOP, |options| {
        let through = NameKey::from_text("through.cluster.local").unwrap();
        options.answers.fallthrough = vec![through];
    });
    stage.upstream(&["b.through.cluster.local. 60 IN A 192.0.2.1"]);
    stage.route(
        &[
            "a.b.cluster.local",
            "x.y.invalid",
            "a.b.through.cluster.local",
        ],
        &["a.b.cluster.local. 60 IN A 192.0.2.2"],
    );
    stage
        .case("the routed zone exists, so do the names between it and ours")
        .ask(
            "a.b.cluster.local. A",
            "NOERROR
            a.b.cluster.local. 60 IN A 192.0.2.2",
        )
        .ask("b.cluster.local. A", &format!("NOERROR aa\n{NEGATIVE}"))
        .ask("c.b.cluster.local. A", &format!("NXDOMAIN aa\n{NEGATIVE}"))
        .ask(
            "b.cluster.local. ANY",
            "NOERROR aa
            b.cluster.local. 5 IN HINFO RFC8482",
        )
        .ask(
            "y.invalid. A",
            "NOERROR aa
            auth: invalid. 10800 IN SOA invalid. nobody.invalid. 1 7200 1800 86400 10800",
        );
    stage.case("what falls through is still asked").ask(
        "b.through.cluster.local. A",
        "NOERROR
            b.through.cluster.local. 60 IN A 192.0.2.1",
    );
}
