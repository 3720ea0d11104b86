//! A cluster of the size that Kubernetes is tested for, on the scripted API server: a real one on the same two cores would
//! be what is measured.

use crate::api_server::ApiServer;
use serde_json::{Value, json};

pub const SERVICES: usize = 10_000;
/// So many of them are headless, with one slice each.
pub const HEADLESS: usize = 1500;
/// As many endpoints as the controller puts into one slice.
pub const ENDPOINTS: usize = 100;

/// A server with all of it, which remembers nothing of how it came.
pub async fn start(endpoints: usize) -> ApiServer {
    let api_server = ApiServer::start().await;
    api_server
        .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}));
    api_server.apply(&service("kubernetes", "10.96.0.1"));
    for n in 0..SERVICES - HEADLESS {
        let address = format!("10.97.{}.{}", n / 250, 1 + n % 250);
        api_server.apply(&service(&format!("c-{n}"), &address));
    }
    for n in 0..HEADLESS {
        api_server.apply(&service(&format!("h-{n}"), "None"));
        api_server.apply(&slice(n, endpoints, 0));
    }
    api_server.compact();
    api_server
}

pub fn service(name: &str, address: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}})
}

/// The slice of the service `h-N`; each version has another address for one of its endpoints.
pub fn slice(n: usize, endpoints: usize, version: usize) -> Value {
    let endpoint = |of: usize| {
        let last = if of == version % endpoints {
            100 + version % 100
        } else {
            of
        };
        json!({"addresses": [format!("10.{}.{}.{last}", n / 250, n % 250)],
            "conditions": {"ready": true, "serving": true, "terminating": false},
            "hostname": format!("h-{n}-{of}"), "nodeName": "node-1",
            "targetRef": {"kind": "Pod", "namespace": "default", "name": format!("h-{n}-{of}")}})
    };
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": format!("h-{n}-abcde"), "namespace": "default", "labels": {
            "kubernetes.io/service-name": format!("h-{n}"),
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            "service.kubernetes.io/headless": ""}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        "endpoints": (0..endpoints).map(endpoint).collect::<Vec<_>>()})
}
