//! RFC 8020: a name with names below it is never NXDOMAIN.

use crate::stage::{NEGATIVE, Stage};

#[test]
fn names_above_others_are_nodata() {
    Stage::new(
        "
apiVersion: v1
kind: Namespace
metadata: {name: empty}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {clusterIP: 10.96.0.30, ports: [{name: http, port: 80}, {port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints: [{addresses: [10.1.0.4], hostname: db-0}]
ports: [{name: sql, port: 5432, protocol: TCP}]
",
    )
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
