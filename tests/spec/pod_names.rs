//! `a-b-c-d.<namespace>.pod.<zone>`: not in the specification; as CoreDNS answers them.

use crate::stage::{NEGATIVE, Stage};
use gapless::answer::PodNames;

const POD: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: shop}
status: {phase: Running, podIPs: [{ip: 10.1.0.4}, {ip: 'fd00::4'}]}
";

#[test]
fn insecure_means_that_the_namespace_exists() {
    Stage::new(POD)
        .case("any address, in a namespace that exists")
        .ask(
            "10-9-9-9.shop.pod.cluster.local. A",
            "NOERROR aa
            10-9-9-9.shop.pod.cluster.local. 1 IN A 10.9.9.9",
        )
        .ask(
            "fd00--9.shop.pod.cluster.local. AAAA",
            "NOERROR aa
            fd00--9.shop.pod.cluster.local. 1 IN AAAA fd00::9",
        )
        .ask(
            "10-9-9-9.shop.pod.cluster.local. AAAA",
            &format!("NOERROR aa\n{NEGATIVE}"),
        )
        .ask(
            "10-9-9-9.no.pod.cluster.local. A",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        )
        .ask(
            "web-0.shop.pod.cluster.local. A",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        )
        .ask(
            "x.10-9-9-9.shop.pod.cluster.local. A",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        );
}

#[test]
fn verified_means_that_such_a_pod_exists_there() {
    Stage::with(POD, |options| options.answers.pods = PodNames::Verified)
        .case("only addresses that pods have")
        .ask(
            "10-1-0-4.shop.pod.cluster.local. A",
            "NOERROR aa
            10-1-0-4.shop.pod.cluster.local. 1 IN A 10.1.0.4",
        )
        .ask(
            "fd00--4.shop.pod.cluster.local. AAAA",
            "NOERROR aa
            fd00--4.shop.pod.cluster.local. 1 IN AAAA fd00::4",
        )
        .ask(
            "10-9-9-9.shop.pod.cluster.local. A",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        );
}

#[test]
fn disabled_means_nxdomain() {
    Stage::with(POD, |options| options.answers.pods = PodNames::Disabled)
        .case("no pod names")
        .ask(
            "10-1-0-4.shop.pod.cluster.local. A",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        );
}
