//! Kubernetes DNS specification 2.5: services that are other names.

use crate::stage::{NEGATIVE, Stage};

const ALIASES: &str = "
apiVersion: v1
kind: Service
metadata: {name: inside, namespace: shop}
spec: {type: ExternalName, externalName: API.shop.svc.cluster.local.}
---
apiVersion: v1
kind: Service
metadata: {name: twice, namespace: shop}
spec: {type: ExternalName, externalName: inside.shop.svc.cluster.local}
---
apiVersion: v1
kind: Service
metadata: {name: nowhere, namespace: shop}
spec: {type: ExternalName, externalName: no.shop.svc.cluster.local}
---
apiVersion: v1
kind: Service
metadata: {name: outside, namespace: shop}
spec: {type: ExternalName, externalName: www.example.org}
---
apiVersion: v1
kind: Service
metadata: {name: ping, namespace: shop}
spec: {type: ExternalName, externalName: pong.shop.svc.cluster.local}
---
apiVersion: v1
kind: Service
metadata: {name: pong, namespace: shop}
spec: {type: ExternalName, externalName: ping.shop.svc.cluster.local}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {clusterIP: 10.96.0.30, ports: [{name: http, port: 80}]}
";

#[test]
fn a_target_inside_the_cluster_is_answered_from_the_index() {
    let mut stage = Stage::new(ALIASES);
    stage
        .case("CNAME and what it leads to")
        .ask(
            "inside.shop.svc.cluster.local. A",
            "NOERROR aa
            inside.shop.svc.cluster.local. 5 IN CNAME api.shop.svc.cluster.local.
            api.shop.svc.cluster.local. 5 IN A 10.96.0.30",
        )
        .ask(
            "inside.shop.svc.cluster.local. CNAME",
            "NOERROR aa
            inside.shop.svc.cluster.local. 5 IN CNAME api.shop.svc.cluster.local.",
        )
        .ask(
            "inside.shop.svc.cluster.local. AAAA",
            &format!(
                "NOERROR aa
            inside.shop.svc.cluster.local. 5 IN CNAME api.shop.svc.cluster.local.
            {NEGATIVE}"
            ),
        )
        .ask(
            "twice.shop.svc.cluster.local. SRV",
            "NOERROR aa
            twice.shop.svc.cluster.local. 5 IN CNAME inside.shop.svc.cluster.local.
            inside.shop.svc.cluster.local. 5 IN CNAME api.shop.svc.cluster.local.
            api.shop.svc.cluster.local. 5 IN SRV 0 100 80 api.shop.svc.cluster.local.
            add: api.shop.svc.cluster.local. 5 IN A 10.96.0.30",
        );
    stage
        .case("an alias for nothing is NXDOMAIN, with the alias (RFC 6604)")
        .ask(
            "nowhere.shop.svc.cluster.local. A",
            &format!(
                "NXDOMAIN aa
            nowhere.shop.svc.cluster.local. 5 IN CNAME no.shop.svc.cluster.local.
            {NEGATIVE}"
            ),
        );
    stage
        .case("names below an alias do not exist")
        .ask(
            "x.inside.shop.svc.cluster.local. A",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        )
        .ask(
            "_http._tcp.inside.shop.svc.cluster.local. SRV",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        );
}

#[test]
fn a_loop_of_aliases_is_cut() {
    Stage::new(ALIASES).case("each alias once").ask(
        "ping.shop.svc.cluster.local. A",
        "NOERROR aa
            ping.shop.svc.cluster.local. 5 IN CNAME pong.shop.svc.cluster.local.
            pong.shop.svc.cluster.local. 5 IN CNAME ping.shop.svc.cluster.local.",
    );
}

#[test]
fn a_target_outside_is_fetched() {
    let mut stage = Stage::new(ALIASES);
    stage.upstream(&[
        "www.example.org. 60 IN CNAME host.example.org.",
        "host.example.org. 60 IN A 192.0.2.7",
    ]);
    stage
        .case("the alias, and behind it the upstream's answer")
        .ask(
            "outside.shop.svc.cluster.local. A",
            "NOERROR aa
            outside.shop.svc.cluster.local. 5 IN CNAME www.example.org.
            www.example.org. 60 IN CNAME host.example.org.
            host.example.org. 60 IN A 192.0.2.7",
        )
        .ask(
            "outside.shop.svc.cluster.local. CNAME",
            "NOERROR aa
            outside.shop.svc.cluster.local. 5 IN CNAME www.example.org.",
        );
}

#[test]
fn a_client_that_desires_no_recursion_gets_the_alias_alone() {
    let stage = &mut Stage::new(ALIASES);
    stage
        .case("and for names outside, what is held or REFUSED")
        .ask(
            "outside.shop.svc.cluster.local. A norec",
            "NOERROR aa
            outside.shop.svc.cluster.local. 5 IN CNAME www.example.org.",
        )
        .ask("www.example.org. A norec", "REFUSED");
}

#[test]
fn at_most_ten_aliases_are_followed() {
    let service = |n: u8| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: a{n}, namespace: shop}}\n\
                 spec: {{type: ExternalName, externalName: a{}.shop.svc.cluster.local}}\n",
            n + 1
        )
    };
    let alias = |n: u8| {
        format!(
            "\na{n}.shop.svc.cluster.local. 5 IN CNAME a{}.shop.svc.cluster.local.",
            n + 1
        )
    };
    let chain: String = (0..12).map(service).collect();
    let expected: String = (0..10).map(alias).collect();
    Stage::new(&chain)
        .case("the chain ends where it is cut")
        .ask(
            "a0.shop.svc.cluster.local. A",
            &format!("NOERROR aa{expected}"),
        );
}
