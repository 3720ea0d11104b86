//! Kubernetes DNS specification 2.4: headless services.

use crate::stage::{NEGATIVE, Stage};
use gapless::index::EndpointNames;

const WEB: &str = "
apiVersion: v1
kind: Service
metadata: {name: nginx, namespace: default}
spec: {clusterIP: None, ports: [{name: web, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: nginx-1, namespace: default, labels: {kubernetes.io/service-name: nginx}}
addressType: IPv4
endpoints:
- {addresses: [10.1.0.4], hostname: web-0, conditions: {ready: true}}
- {addresses: [10.1.0.5], hostname: web-1, conditions: {}}
- {addresses: [10.1.0.6], hostname: web-2, conditions: {ready: false}}
- {addresses: [10.1.0.7], targetRef: {kind: Pod, name: web-x1}}
ports: [{name: web, port: 80, protocol: TCP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: nginx-2, namespace: default, labels: {kubernetes.io/service-name: nginx}}
addressType: IPv6
endpoints:
- {addresses: ['fd00:1::4'], hostname: web-0}
ports: [{name: web, port: 80, protocol: TCP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: nginx-3, namespace: default, labels: {kubernetes.io/service-name: nginx}}
addressType: IPv4
endpoints:
- {addresses: [10.1.0.4], hostname: web-0, conditions: {ready: true}}
ports: [{name: web, port: 80, protocol: TCP}]
---
apiVersion: v1
kind: Service
metadata: {name: starting, namespace: default}
spec: {clusterIP: None}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: starting-1, namespace: default, labels: {kubernetes.io/service-name: starting}}
addressType: IPv4
endpoints:
- {addresses: [10.1.0.9], hostname: s-0, conditions: {ready: false}}
ports: [{name: web, port: 80, protocol: TCP}]
";

#[test]
fn a_and_aaaa_2_4_1() {
    let mut stage = Stage::new(WEB);
    stage
        .case("one record for each ready endpoint, duplicates over slices once")
        .ask(
            "nginx.default.svc.cluster.local. A",
            "NOERROR aa
            nginx.default.svc.cluster.local. 1 IN A 10.1.0.4
            nginx.default.svc.cluster.local. 1 IN A 10.1.0.5
            nginx.default.svc.cluster.local. 1 IN A 10.1.0.7",
        )
        .ask(
            "nginx.default.svc.cluster.local. AAAA",
            "NOERROR aa
            nginx.default.svc.cluster.local. 1 IN AAAA fd00:1::4",
        );
    stage
        .case("an endpoint by its hostname, else by its address")
        .ask(
            "web-0.nginx.default.svc.cluster.local. A",
            "NOERROR aa
            web-0.nginx.default.svc.cluster.local. 1 IN A 10.1.0.4",
        )
        .ask(
            "web-0.nginx.default.svc.cluster.local. AAAA",
            "NOERROR aa
            web-0.nginx.default.svc.cluster.local. 1 IN AAAA fd00:1::4",
        )
        .ask(
            "10-1-0-7.nginx.default.svc.cluster.local. A",
            "NOERROR aa
            10-1-0-7.nginx.default.svc.cluster.local. 1 IN A 10.1.0.7",
        )
        .ask(
            "web-1.nginx.default.svc.cluster.local. AAAA",
            &format!("NOERROR aa\n{NEGATIVE}"),
        )
        .ask(
            "web-1.nginx.default.svc.cluster.local. SRV",
            &format!("NOERROR aa\n{NEGATIVE}"),
        );
    stage
        .case("an endpoint that is not ready has no name, and EDNS clients learn why")
        .ask(
            "web-2.nginx.default.svc.cluster.local. A",
            &format!(
                "NXDOMAIN aa\n{NEGATIVE}
            ede: 0 pod web-2 is known and not ready"
            ),
        )
        .ask(
            "web-2.nginx.default.svc.cluster.local. A noedns",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        )
        .ask(
            "web-3.nginx.default.svc.cluster.local. A",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        )
        .ask(
            "web-x1.nginx.default.svc.cluster.local. A",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        );
}

#[test]
fn headless_service_without_ready_endpoints_is_nxdomain_2_4_1() {
    Stage::new(WEB)
        .case("no ready endpoint of any family")
        .ask(
            "starting.default.svc.cluster.local. A",
            &format!(
                "NXDOMAIN aa\n{NEGATIVE}
            ede: 0 no endpoint of this service is ready"
            ),
        )
        .ask(
            "s-0.starting.default.svc.cluster.local. A",
            &format!(
                "NXDOMAIN aa\n{NEGATIVE}
            ede: 0 pod s-0 is known and not ready"
            ),
        )
        .ask(
            "_web._tcp.starting.default.svc.cluster.local. SRV",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        )
        .ask(
            "_tcp.starting.default.svc.cluster.local. A",
            &format!("NXDOMAIN aa\n{NEGATIVE}"),
        );
}

#[test]
fn endpoints_may_be_called_as_their_pods() {
    Stage::with(WEB, |options| {
        options.index.endpoint_names = EndpointNames::Pod
    })
    .case("the pod's name where there is no hostname")
    .ask(
        "web-x1.nginx.default.svc.cluster.local. A",
        "NOERROR aa
            web-x1.nginx.default.svc.cluster.local. 1 IN A 10.1.0.7",
    )
    .ask(
        "10-1-0-7.nginx.default.svc.cluster.local. A",
        &format!("NXDOMAIN aa\n{NEGATIVE}"),
    );
}

#[test]
fn several_addresses_of_one_hostname_are_all_returned_2_4_1() {
    Stage::new(
        "
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints:
- {addresses: [10.1.0.4], hostname: main}
- {addresses: [10.1.0.5], hostname: main}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-2, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv6
endpoints:
- {addresses: ['fd00::']}
",
    )
    .case("main has two; an IPv6 address that would end in a dash gets a 0")
    .ask(
        "main.db.shop.svc.cluster.local. A",
        "NOERROR aa
        main.db.shop.svc.cluster.local. 1 IN A 10.1.0.4
        main.db.shop.svc.cluster.local. 1 IN A 10.1.0.5",
    )
    .ask(
        "fd00--0.db.shop.svc.cluster.local. AAAA",
        "NOERROR aa
        fd00--0.db.shop.svc.cluster.local. 1 IN AAAA fd00::",
    );
}

const PORTS: &str = "
apiVersion: v1
kind: Service
metadata: {name: kafka, namespace: shop}
spec: {clusterIP: None}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kafka-1, namespace: shop, labels: {kubernetes.io/service-name: kafka}}
addressType: IPv4
endpoints:
- {addresses: [10.1.0.4], hostname: kafka-0}
- {addresses: [10.1.0.5], hostname: kafka-1}
ports: [{name: client, port: 9092, protocol: TCP}, {port: 7070}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kafka-2, namespace: shop, labels: {kubernetes.io/service-name: kafka}}
addressType: IPv4
endpoints:
- {addresses: [10.1.0.6], hostname: kafka-2}
ports: [{name: client, port: 19092, protocol: TCP}]
";

#[test]
fn srv_2_4_2() {
    Stage::new(PORTS)
        .case("ready endpoints × named port; a slice's port number counts for its endpoints")
        .ask("_client._tcp.kafka.shop.svc.cluster.local. SRV", "NOERROR aa
            _client._tcp.kafka.shop.svc.cluster.local. 1 IN SRV 0 33 9092 kafka-0.kafka.shop.svc.cluster.local.
            _client._tcp.kafka.shop.svc.cluster.local. 1 IN SRV 0 33 9092 kafka-1.kafka.shop.svc.cluster.local.
            _client._tcp.kafka.shop.svc.cluster.local. 1 IN SRV 0 33 19092 kafka-2.kafka.shop.svc.cluster.local.
            add: kafka-0.kafka.shop.svc.cluster.local. 1 IN A 10.1.0.4
            add: kafka-1.kafka.shop.svc.cluster.local. 1 IN A 10.1.0.5
            add: kafka-2.kafka.shop.svc.cluster.local. 1 IN A 10.1.0.6")
        .ask("kafka.shop.svc.cluster.local. SRV", "NOERROR aa
            kafka.shop.svc.cluster.local. 1 IN SRV 0 20 7070 kafka-0.kafka.shop.svc.cluster.local.
            kafka.shop.svc.cluster.local. 1 IN SRV 0 20 7070 kafka-1.kafka.shop.svc.cluster.local.
            kafka.shop.svc.cluster.local. 1 IN SRV 0 20 9092 kafka-0.kafka.shop.svc.cluster.local.
            kafka.shop.svc.cluster.local. 1 IN SRV 0 20 9092 kafka-1.kafka.shop.svc.cluster.local.
            kafka.shop.svc.cluster.local. 1 IN SRV 0 20 19092 kafka-2.kafka.shop.svc.cluster.local.
            add: kafka-0.kafka.shop.svc.cluster.local. 1 IN A 10.1.0.4
            add: kafka-1.kafka.shop.svc.cluster.local. 1 IN A 10.1.0.5
            add: kafka-2.kafka.shop.svc.cluster.local. 1 IN A 10.1.0.6");
}

#[test]
fn srv_targets_come_with_their_addresses_of_both_families_2_4_2() {
    Stage::new(WEB)
        .case("ready endpoints only; each address once")
        .ask("_web._tcp.nginx.default.svc.cluster.local. SRV", "NOERROR aa
            _web._tcp.nginx.default.svc.cluster.local. 1 IN SRV 0 33 80 web-0.nginx.default.svc.cluster.local.
            _web._tcp.nginx.default.svc.cluster.local. 1 IN SRV 0 33 80 web-1.nginx.default.svc.cluster.local.
            _web._tcp.nginx.default.svc.cluster.local. 1 IN SRV 0 33 80 10-1-0-7.nginx.default.svc.cluster.local.
            add: web-0.nginx.default.svc.cluster.local. 1 IN A 10.1.0.4
            add: web-0.nginx.default.svc.cluster.local. 1 IN AAAA fd00:1::4
            add: web-1.nginx.default.svc.cluster.local. 1 IN A 10.1.0.5
            add: 10-1-0-7.nginx.default.svc.cluster.local. 1 IN A 10.1.0.7");
}

#[test]
fn ptr_2_4_3() {
    Stage::new(&format!(
        "{WEB}
---
apiVersion: v1
kind: Service
metadata: {{name: other, namespace: shop}}
spec: {{clusterIP: None}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: other-1, namespace: shop, labels: {{kubernetes.io/service-name: other}}}}
addressType: IPv4
endpoints:
- {{addresses: [10.1.0.4], hostname: o}}
"
    ))
    .case("one record for each name that the address has")
    .ask(
        "4.0.1.10.in-addr.arpa. PTR",
        "NOERROR aa
        4.0.1.10.in-addr.arpa. 1 IN PTR web-0.nginx.default.svc.cluster.local.
        4.0.1.10.in-addr.arpa. 1 IN PTR o.other.shop.svc.cluster.local.",
    )
    .ask(
        "7.0.1.10.in-addr.arpa. PTR",
        "NOERROR aa
        7.0.1.10.in-addr.arpa. 1 IN PTR 10-1-0-7.nginx.default.svc.cluster.local.",
    )
    .ask(
        "4.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa. PTR",
        "NOERROR aa
        4.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa. 1 IN PTR web-0.nginx.default.svc.cluster.local.",
    );
}

#[test]
fn endpoints_are_derived_from_pods_as_the_controller_does() {
    let mut stage = Stage::new("
apiVersion: v1
kind: Service
metadata: {name: nginx}
spec: {clusterIP: None, selector: {app: nginx}, ports: [{name: web, port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: early}
spec: {clusterIP: None, publishNotReadyAddresses: true, selector: {app: nginx}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, labels: {app: nginx}}
spec: {hostname: web-0, subdomain: nginx, containers: [{name: c, image: i, ports: [{name: http, containerPort: 8080}]}]}
status: {phase: Running, podIP: 10.1.0.4, podIPs: [{ip: 10.1.0.4}], conditions: [{type: Ready, status: 'True'}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, labels: {app: nginx}}
spec: {hostname: web-1, subdomain: nginx, containers: [{name: c, image: i, ports: [{name: http, containerPort: 8080}]}]}
status: {phase: Running, podIP: 10.1.0.5, podIPs: [{ip: 10.1.0.5}], conditions: [{type: Ready, status: 'False'}]}
");
    stage
        .case("ready pods behind the selector")
        .ask("nginx.default.svc.cluster.local. A", "NOERROR aa
            nginx.default.svc.cluster.local. 1 IN A 10.1.0.4")
        .ask("_web._tcp.nginx.default.svc.cluster.local. SRV", "NOERROR aa
            _web._tcp.nginx.default.svc.cluster.local. 1 IN SRV 0 100 8080 web-0.nginx.default.svc.cluster.local.
            add: web-0.nginx.default.svc.cluster.local. 1 IN A 10.1.0.4")
        .ask("web-1.nginx.default.svc.cluster.local. A", &format!("NXDOMAIN aa\n{NEGATIVE}
            ede: 0 pod web-1 is known and not ready"));
    stage.case("publishNotReadyAddresses").ask(
        "early.default.svc.cluster.local. A",
        "NOERROR aa
            early.default.svc.cluster.local. 1 IN A 10.1.0.4
            early.default.svc.cluster.local. 1 IN A 10.1.0.5",
    );
}
