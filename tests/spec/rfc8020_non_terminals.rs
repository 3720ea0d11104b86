//! RFC 8020: a name with names below it is never NXDOMAIN.

use crate::stage::{NEGATIVE, SHOP, Stage};

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
