//! What is true, as a feed puts it.

use crate::{
    cluster::{Cluster, Event},
    truth::{Kind, Mode, OUTSIDE, Service, Slice, watch_of},
    world::CONTROLLER,
};
use gapless::{
    model::{
        self, Change, EndpointSlice, Label, Object, ObjectKey, Pod, Port, Protocol, ServiceKind,
        Source, Unreadable,
    },
    wire::NameKey,
};
use serde_json::{Value, json};
use std::net::IpAddr;

const WATCHES: [Source; 2] = [Source::EndpointSlices, Source::ForeignEndpointSlices];

fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

fn ports(number: Option<u16>) -> Box<[Port]> {
    let port = |number| Port {
        name: Some(label("http")),
        protocol: Protocol::Tcp,
        number,
    };
    number.into_iter().map(port).collect()
}

const fn unreadable(key: ObjectKey, service: Option<Label>) -> Object {
    Object::Unreadable(Unreadable { key, service })
}

fn service(key: ObjectKey, service: &Service) -> Object {
    let kind = match &service.kind {
        Kind::ClusterIp(own) => ServiceKind::ClusterIp(own.clone().into()),
        Kind::Headless => ServiceKind::Headless,
        Kind::External => {
            let target = NameKey::from_text(OUTSIDE).unwrap();
            ServiceKind::ExternalName(target.as_bytes().into())
        }
        Kind::Malformed => return unreadable(key, None),
    };
    let ports = ports(service.port);
    Object::Service(model::Service { key, kind, ports })
}

fn slice(key: ObjectKey, slice: &Slice) -> Object {
    let of = slice.service.map(label);
    let Some(service) = of.clone().filter(|_| !slice.malformed) else {
        return unreadable(key, of);
    };
    let endpoint = |it: &crate::truth::Endpoint| model::Endpoint {
        addresses: [it.address].into(),
        hostname: it.hostname.map(label),
        pod: it.pod.map(label),
        ready: it.ready,
    };
    Object::EndpointSlice(EndpointSlice {
        key,
        service,
        endpoints: slice.endpoints.iter().map(endpoint).collect(),
        ports: ports(slice.port),
    })
}

fn namespace(key: ObjectKey, readable: bool) -> Object {
    match readable {
        true => Object::Namespace(key),
        false => unreadable(key, None),
    }
}

fn pod(key: ObjectKey, address: Option<IpAddr>) -> Object {
    match address {
        Some(address) => Object::Pod(Pod {
            key,
            addresses: [address].into(),
        }),
        None => unreadable(key, None),
    }
}

fn told(source: Source, key: ObjectKey, object: Option<Object>) -> (Source, Change) {
    let change = match object {
        Some(object) => Change::Apply(source, object),
        None => Change::Delete(source, key),
    };
    (source, change)
}

/// What the watches tell of an event.
pub(crate) fn changes(event: &Event, mode: Mode) -> Vec<(Source, Change)> {
    match event {
        Event::Service((of, name), after) => {
            let key = ObjectKey::new(of, name);
            let object = after.as_ref().map(|it| service(key.clone(), it));
            vec![told(Source::Services, key, object)]
        }
        Event::Slice { key, before, after } => {
            let key = ObjectKey::new(key.0, key.1);
            let of_watch = |(first, source): (bool, Source)| {
                let is_in = |it: &&Slice| watch_of(it, mode) == Some(first);
                let had = before.as_ref().filter(is_in).is_some();
                let has = after.as_ref().filter(is_in);
                let object = has.map(|it| slice(key.clone(), it));
                (had || object.is_some()).then(|| told(source, key.clone(), object))
            };
            let watches = [true, false].into_iter().zip(WATCHES);
            watches.filter_map(of_watch).collect()
        }
        Event::Namespace(name, after) => {
            let key = ObjectKey::new("", name);
            let object = after.map(|readable| namespace(key.clone(), readable));
            vec![told(Source::Namespaces, key, object)]
        }
        Event::Pod((of, name), after) => {
            let key = ObjectKey::new(of, name);
            let object = after.map(|address| pod(key.clone(), address));
            vec![told(Source::Pods, key, object)]
        }
    }
}

/// What a list of a source holds now.
pub(crate) fn list(cluster: &Cluster, source: Source) -> Vec<Object> {
    let key = |key: &(&str, &str)| ObjectKey::new(key.0, key.1);
    match source {
        Source::Services => (cluster.services.last().of.iter())
            .map(|(of, it)| service(key(of), it))
            .collect(),
        Source::EndpointSlices | Source::ForeignEndpointSlices => {
            let first = source == Source::EndpointSlices;
            let slices = cluster.slices.last().iter();
            let watched = slices.filter(|(_, it)| watch_of(it, cluster.mode) == Some(first));
            watched.map(|(of, it)| slice(key(of), it)).collect()
        }
        Source::Namespaces => (cluster.namespaces.last().iter())
            .map(|(of, it)| namespace(ObjectKey::new("", of), *it))
            .collect(),
        Source::Pods => (cluster.pods.last().iter())
            .map(|(of, it)| pod(key(of), *it))
            .collect(),
    }
}

/// An event as it stands in the API: kind's plural, namespace, name, and the object unless it is deleted.
pub(crate) fn manifest(event: &Event) -> (&'static str, &'static str, &'static str, Option<Value>) {
    let ports = |port: &Option<u16>| match port {
        Some(port) => json!([{"name": "http", "port": port}]),
        None => json!([]),
    };
    match event {
        Event::Service((namespace, name), after) => {
            let object = after.as_ref().map(|service| {
                let mut spec = match &service.kind {
                    Kind::ClusterIp(own) => json!({"clusterIPs": own, "clusterIP": own[0]}),
                    Kind::Headless => json!({"clusterIP": "None"}),
                    Kind::External => json!({"type": "ExternalName", "externalName": OUTSIDE}),
                    Kind::Malformed => json!({"clusterIP": 17}),
                };
                spec["ports"] = ports(&service.port);
                json!({"kind": "Service", "metadata": {"namespace": namespace, "name": name}, "spec": spec})
            });
            ("services", namespace, name, object)
        }
        Event::Slice {
            key: (namespace, name),
            after,
            ..
        } => {
            let object = after.as_ref().map(|slice| {
                let endpoints = slice.endpoints.iter().map(|it| {
                    let pod = it.pod.map(|name| json!({"kind": "Pod", "name": name}));
                    json!({
                        "addresses": [it.address], "hostname": it.hostname, "targetRef": pod,
                        "conditions": {"ready": it.ready},
                    })
                });
                let is_v6 = slice.endpoints.iter().any(|it| it.address.is_ipv6());
                let manager = if slice.controlled {
                    CONTROLLER
                } else {
                    "somebody"
                };
                let mut object = json!({
                    "kind": "EndpointSlice",
                    "metadata": {"namespace": namespace, "name": name, "labels": {
                        "kubernetes.io/service-name": slice.service,
                        "endpointslice.kubernetes.io/managed-by": manager,
                    }},
                    "addressType": if is_v6 { "IPv6" } else { "IPv4" },
                    "endpoints": endpoints.collect::<Vec<_>>(), "ports": ports(&slice.port),
                });
                if slice.labelled {
                    object["metadata"]["labels"]["service.kubernetes.io/headless"] = json!("");
                }
                if slice.malformed {
                    object["endpoints"] = json!(17);
                }
                if slice.service.is_none() {
                    object["metadata"]["labels"] = json!(17);
                }
                object
            });
            ("endpointslices", namespace, name, object)
        }
        Event::Namespace(name, after) => {
            let object = after.map(|readable| {
                let labels = if readable { json!({}) } else { json!(17) };
                json!({"kind": "Namespace", "metadata": {"name": name, "labels": labels}})
            });
            ("namespaces", "", name, object)
        }
        Event::Pod((namespace, name), after) => {
            let object = after.map(|address| {
                let address = address.map_or_else(|| json!(17), |it| json!(it));
                json!({
                    "kind": "Pod", "metadata": {"namespace": namespace, "name": name},
                    "status": {"phase": "Running", "podIPs": [{"ip": address}]},
                })
            });
            ("pods", namespace, name, object)
        }
    }
}
