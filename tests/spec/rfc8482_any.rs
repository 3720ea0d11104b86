//! RFC 8482: ANY gets one small answer.

use crate::stage::{NEGATIVE, Stage};

#[test]
fn any_is_answered_by_one_hinfo() {
    Stage::new(
        "
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {clusterIP: 10.96.0.30}
---
apiVersion: v1
kind: Service
metadata: {name: alias, namespace: shop}
spec: {type: ExternalName, externalName: www.example.org}
",
    )
    .case("for every name that exists, and for those of others without asking")
    .ask(
        "api.shop.svc.cluster.local. ANY",
        "NOERROR aa
        api.shop.svc.cluster.local. 5 IN HINFO RFC8482",
    )
    .ask(
        "alias.shop.svc.cluster.local. ANY",
        "NOERROR aa
        alias.shop.svc.cluster.local. 5 IN HINFO RFC8482",
    )
    .ask(
        "cluster.local. ANY",
        "NOERROR aa
        cluster.local. 5 IN HINFO RFC8482",
    )
    .ask(
        "30.0.96.10.in-addr.arpa. ANY",
        "NOERROR aa
        30.0.96.10.in-addr.arpa. 5 IN HINFO RFC8482",
    )
    .ask(
        "www.example.org. ANY",
        "NOERROR
        www.example.org. 5 IN HINFO RFC8482",
    )
    .ask(
        "localhost. ANY",
        "NOERROR aa
        localhost. 5 IN HINFO RFC8482",
    )
    .ask(
        "10-1-0-4.shop.pod.cluster.local. ANY",
        "NOERROR aa
        10-1-0-4.shop.pod.cluster.local. 5 IN HINFO RFC8482",
    )
    .ask(
        "no.shop.svc.cluster.local. ANY",
        &format!("NXDOMAIN aa\n{NEGATIVE}"),
    );
}
