//! Pods with a status, and the endpoints that the EndpointSlice controller would make of them.

use super::*;
use crate::{feed::Rejections, feed::manifests::document, metrics::Metrics, model::Protocol};
use std::path::Path;

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  clusterIP: None
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: web}]
";

fn pod(name: &str, more: &str, status: &str) -> String {
    format!(
        "
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: web, tier: front}}}}
spec:
  hostname: {name}
  subdomain: web
  containers: [{{ports: [{{name: web, containerPort: 8080}}]}}]
  {more}
status: {{{status}}}
"
    )
}

const READY: &str = "phase: Running, conditions: [{type: Ready, status: 'True'}]";

/// Each endpoint as `address hostname ready ports`.
fn derived(text: &str) -> Vec<String> {
    let mut registry = prometheus_client::registry::Registry::default();
    let rejections = Rejections::new(Metrics::new(&mut registry).feed);
    let items = document::parse(Path::new("a.yaml"), text, &rejections).unwrap();
    let merged = (items.iter()).map(|item| ((item.source, &item.key), item));
    let mut lines = Vec::new();
    for slice in endpoint_slices(&merged.collect()) {
        for endpoint in &slice.endpoints {
            let addresses: Vec<_> = endpoint.addresses.iter().map(IpAddr::to_string).collect();
            let hostname = endpoint.hostname.as_ref().map_or("-", Label::as_str);
            let ready = if endpoint.ready { "ready" } else { "unready" };
            let ports: Vec<_> = slice.ports.iter().map(|port| port.number).collect();
            lines.push(format!(
                "{} {hostname} {ready} {ports:?}",
                addresses.join(",")
            ));
        }
    }
    lines
}

#[test]
fn selected_pods_become_endpoints_with_their_hostname_and_the_containers_port() {
    let pods = pod("web-0", "", &format!("{READY}, podIP: 10.1.0.1"));
    assert_eq!(
        derived(&format!("{SERVICE}{pods}")),
        ["10.1.0.1 web-0 ready [8080]"]
    );
    let elsewhere = pods.replace("name: web-0,", "name: web-0, namespace: other,");
    assert_eq!(derived(&format!("{SERVICE}{elsewhere}")), [""; 0]);
    let other = SERVICE.replace("app: web", "app: other");
    assert_eq!(derived(&format!("{other}{pods}")), [""; 0]);
}

#[test]
fn a_hostname_counts_only_with_the_subdomain_of_the_service() {
    let pods = pod("web-0", "", &format!("{READY}, podIP: 10.1.0.1"));
    let pods = pods.replace("subdomain: web", "subdomain: other");
    assert_eq!(
        derived(&format!("{SERVICE}{pods}")),
        ["10.1.0.1 - ready [8080]"]
    );
}

#[test]
fn pods_are_ready_by_their_condition_unless_they_terminate() {
    let unready = pod("web-0", "", "phase: Running, podIP: 10.1.0.1");
    let leaving = pod("web-1", "", &format!("{READY}, podIP: 10.1.0.2")).replace(
        "labels:",
        "deletionTimestamp: '2026-01-01T00:00:00Z', labels:",
    );
    let over = pod("web-2", "", "phase: Succeeded, podIP: 10.1.0.3");
    let text = format!("{SERVICE}{unready}{leaving}{over}");
    assert_eq!(
        derived(&text),
        [
            "10.1.0.1 web-0 unready [8080]",
            "10.1.0.2 web-1 unready [8080]"
        ]
    );
    let published = text.replace("selector:", "publishNotReadyAddresses: true\n  selector:");
    assert_eq!(
        derived(&published),
        ["10.1.0.1 web-0 ready [8080]", "10.1.0.2 web-1 ready [8080]"]
    );
}

#[test]
fn each_family_of_the_service_has_its_slice() {
    let pods = pod(
        "web-0",
        "",
        &format!("{READY}, podIPs: [{{ip: 10.1.0.1}}, {{ip: 'fd00::1'}}]"),
    );
    let both = ["10.1.0.1 web-0 ready [8080]", "fd00::1 web-0 ready [8080]"];
    assert_eq!(derived(&format!("{SERVICE}{pods}")), both);
    let six = SERVICE.replace("selector:", "ipFamilies: [IPv6]\n  selector:");
    assert_eq!(derived(&format!("{six}{pods}")), both[1..]);
    let four = SERVICE.replace("None", "10.0.0.1");
    assert_eq!(derived(&format!("{four}{pods}")), both[..1]);
}

#[test]
fn pods_that_give_a_port_different_numbers_stand_in_different_slices() {
    let first = pod("web-0", "", &format!("{READY}, podIP: 10.1.0.1"));
    let second = pod("web-1", "", &format!("{READY}, podIP: 10.1.0.2")).replace("8080", "9090");
    assert_eq!(
        derived(&format!("{SERVICE}{first}{second}")),
        ["10.1.0.1 web-0 ready [8080]", "10.1.0.2 web-1 ready [9090]"]
    );
}

#[test]
fn a_service_for_which_a_slice_is_given_derives_none() {
    let slice = "
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
";
    let pods = pod("web-0", "", &format!("{READY}, podIP: 10.1.0.1"));
    assert_eq!(derived(&format!("{SERVICE}{slice}{pods}")), [""; 0]);
}

#[test]
fn a_headless_service_needs_no_ports_and_one_without_selector_has_no_endpoints() {
    let pods = pod("web-0", "", &format!("{READY}, podIP: 10.1.0.1"));
    let without_ports = "
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {clusterIP: None, selector: {app: web}}}
";
    assert_eq!(
        derived(&format!("{without_ports}{pods}")),
        ["10.1.0.1 web-0 ready []"]
    );
    let without_selector = without_ports.replace("{app: web}", "{}");
    assert_eq!(derived(&format!("{without_selector}{pods}")), [""; 0]);
}

#[test]
fn target_ports_are_numbers_names_or_the_port_itself() {
    let facts = |target: &str| {
        let port = format!("{{\"port\": 80, \"protocol\": \"UDP\"{target}}}");
        let port: ServicePort = serde_json::from_str(&port).unwrap();
        let pod = r#"{"metadata": {}, "spec": {"containers": [{"ports": null}, {"ports": [
            {"name": "dns", "containerPort": 5353, "protocol": "TCP"},
            {"name": "dns", "containerPort": 5354, "protocol": "UDP"}]}]}}"#;
        let pod: PodFacts = serde_json::from_str(pod).unwrap();
        pod.ports([port].iter())
    };
    let number = |number| Port {
        name: None,
        protocol: Protocol::Udp,
        number,
    };
    assert_eq!(facts(""), [number(80)]);
    assert_eq!(facts(", \"targetPort\": 53"), [number(53)]);
    assert_eq!(facts(", \"targetPort\": \"dns\""), [number(5354)]);
    assert_eq!(facts(", \"targetPort\": \"none\""), []);
}
