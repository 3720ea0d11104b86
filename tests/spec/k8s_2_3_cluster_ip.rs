//! Kubernetes DNS specification 2.3: services with a cluster IP.

use crate::stage::{NEGATIVE, Stage};

const KUBE_DNS: &str = "
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec:
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10, 'fd00:96::a']
  ports:
  - {name: dns, protocol: UDP, port: 53}
  - {name: dns-tcp, protocol: TCP, port: 53}
  - {name: metrics, protocol: TCP, port: 9153}
---
apiVersion: v1
kind: Service
metadata: {name: plain, namespace: kube-system}
spec:
  clusterIP: 10.96.0.20
  ports:
  - {port: 80}
---
apiVersion: v1
kind: Service
metadata: {name: young, namespace: kube-system}
spec:
  ports: [{port: 80}]
";

#[test]
fn a_and_aaaa_2_3_1() {
    Stage::new(KUBE_DNS)
        .case("every cluster IP of the family asked for")
        .ask(
            "kube-dns.kube-system.svc.cluster.local. A",
            "NOERROR aa
            kube-dns.kube-system.svc.cluster.local. 5 IN A 10.96.0.10",
        )
        .ask(
            "kube-dns.kube-system.svc.cluster.local. AAAA",
            "NOERROR aa
            kube-dns.kube-system.svc.cluster.local. 5 IN AAAA fd00:96::a",
        )
        .ask(
            "KUBE-dns.kube-system.SVC.Cluster.Local. A",
            "NOERROR aa
            KUBE-dns.kube-system.SVC.Cluster.Local. 5 IN A 10.96.0.10",
        );
    Stage::new(KUBE_DNS)
        .case("a family that the service does not have is NODATA")
        .ask(
            "plain.kube-system.svc.cluster.local. AAAA",
            &format!("NOERROR aa\n{NEGATIVE}"),
        )
        .ask(
            "young.kube-system.svc.cluster.local. A",
            &format!("NOERROR aa\n{NEGATIVE}"),
        );
}

#[test]
fn srv_2_3_2() {
    Stage::new(KUBE_DNS)
        .case("one record for a named port; the target is the service, and its addresses come along")
        .ask("_metrics._tcp.kube-dns.kube-system.svc.cluster.local. SRV", "NOERROR aa
            _metrics._tcp.kube-dns.kube-system.svc.cluster.local. 5 IN SRV 0 100 9153 kube-dns.kube-system.svc.cluster.local.
            add: kube-dns.kube-system.svc.cluster.local. 5 IN A 10.96.0.10
            add: kube-dns.kube-system.svc.cluster.local. 5 IN AAAA fd00:96::a")
        .ask("_dns._udp.kube-dns.kube-system.svc.cluster.local. A", &format!("NOERROR aa\n{NEGATIVE}"));
    Stage::new(KUBE_DNS)
        .case("every port under the service's own name")
        .ask("kube-dns.kube-system.svc.cluster.local. SRV", "NOERROR aa
            kube-dns.kube-system.svc.cluster.local. 5 IN SRV 0 33 53 kube-dns.kube-system.svc.cluster.local.
            kube-dns.kube-system.svc.cluster.local. 5 IN SRV 0 33 53 kube-dns.kube-system.svc.cluster.local.
            kube-dns.kube-system.svc.cluster.local. 5 IN SRV 0 33 9153 kube-dns.kube-system.svc.cluster.local.
            add: kube-dns.kube-system.svc.cluster.local. 5 IN A 10.96.0.10
            add: kube-dns.kube-system.svc.cluster.local. 5 IN AAAA fd00:96::a")
        .ask("plain.kube-system.svc.cluster.local. SRV", "NOERROR aa
            plain.kube-system.svc.cluster.local. 5 IN SRV 0 100 80 plain.kube-system.svc.cluster.local.
            add: plain.kube-system.svc.cluster.local. 5 IN A 10.96.0.20");
    Stage::new(KUBE_DNS)
        .case("a port without a name, of another protocol, or unknown has no name")
        .ask(
            "_http._tcp.plain.kube-system.svc.cluster.local. SRV",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        )
        .ask(
            "_dns._tcp.kube-dns.kube-system.svc.cluster.local. SRV",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        )
        .ask(
            "_no._udp.kube-dns.kube-system.svc.cluster.local. SRV",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        )
        .ask(
            "dns.udp.kube-dns.kube-system.svc.cluster.local. SRV",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        );
}

#[test]
fn ptr_2_3_3() {
    Stage::new(KUBE_DNS)
        .case("the reverse name of a cluster IP leads to the service")
        .ask("10.0.96.10.in-addr.arpa. PTR", "NOERROR aa
            10.0.96.10.in-addr.arpa. 5 IN PTR kube-dns.kube-system.svc.cluster.local.")
        .ask("a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.0.d.f.ip6.arpa. PTR", "NOERROR aa
            a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.0.d.f.ip6.arpa. 5 IN PTR kube-dns.kube-system.svc.cluster.local.")
        .ask("10.0.96.10.in-addr.arpa. TXT", "NOERROR aa
            auth: 10.0.96.10.in-addr.arpa. 0 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 42 7200 1800 86400 0");
}

const WITH_ENDPOINTS: &str = "
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {clusterIP: 10.96.0.30, ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: api-1, namespace: shop, labels: {kubernetes.io/service-name: api}}
addressType: IPv4
endpoints:
- {addresses: [10.1.0.5], conditions: {ready: true}, targetRef: {kind: Pod, name: api-x7}}
- {addresses: [10.1.0.6], hostname: canary, conditions: {ready: true}}
ports: [{name: http, port: 8080, protocol: TCP}]
";

#[test]
fn endpoints_below_a_cluster_ip_have_names_only_when_all_slices_are_watched() {
    Stage::new(WITH_ENDPOINTS)
        .case("by default they have none, as their slices are not watched")
        .ask(
            "10-1-0-5.api.shop.svc.cluster.local. A",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        );
    Stage::with(WITH_ENDPOINTS, |options| {
        options.index.cluster_ip_endpoints = true
    })
    .case("as CoreDNS has them")
    .ask(
        "10-1-0-5.api.shop.svc.cluster.local. A",
        "NOERROR aa
            10-1-0-5.api.shop.svc.cluster.local. 1 IN A 10.1.0.5",
    )
    .ask(
        "canary.api.shop.svc.cluster.local. A",
        "NOERROR aa
            canary.api.shop.svc.cluster.local. 1 IN A 10.1.0.6",
    )
    .ask(
        "6.0.1.10.in-addr.arpa. PTR",
        "NOERROR aa
            6.0.1.10.in-addr.arpa. 1 IN PTR canary.api.shop.svc.cluster.local.",
    )
    .ask(
        "api.shop.svc.cluster.local. A",
        "NOERROR aa
            api.shop.svc.cluster.local. 5 IN A 10.96.0.30",
    )
    .ask(
        "_http._tcp.api.shop.svc.cluster.local. SRV",
        "NOERROR aa
            _http._tcp.api.shop.svc.cluster.local. 5 IN SRV 0 100 80 api.shop.svc.cluster.local.
            add: api.shop.svc.cluster.local. 5 IN A 10.96.0.30",
    );
}
