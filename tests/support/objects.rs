//! Objects of the namespace `default`, for tests that need names and no manifests.

use gapless::model::{
    Endpoint, EndpointSlice, Label, Object, ObjectKey, Port, Protocol, Service, ServiceKind,
};

fn service(name: &str, kind: ServiceKind) -> Object {
    let port = Port {
        name: Some(label("p")),
        protocol: Protocol::Tcp,
        number: 80,
    };
    Object::Service(Service {
        key: ObjectKey::new("default", name),
        kind,
        ports: [port].into(),
    })
}

fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

pub fn cluster_ip(name: &str, addresses: &[&str]) -> Object {
    service(
        name,
        ServiceKind::ClusterIp(addresses.iter().map(|it| it.parse().unwrap()).collect()),
    )
}

pub fn headless(name: &str) -> Object {
    service(name, ServiceKind::Headless)
}

pub fn external_name(name: &str, target: &str) -> Object {
    let target = gapless::wire::NameKey::from_text(target).unwrap();
    service(name, ServiceKind::ExternalName(target.as_bytes().into()))
}

/// A slice of a service with endpoints `h-0`, `h-1` …, of which every tenth is not ready.
pub fn slice(service: &str, endpoints: u8) -> Object {
    let endpoint = |n: u8| Endpoint {
        addresses: [[10, 1, 0, n].into()].into(),
        hostname: Some(label(&format!("h-{n}"))),
        pod: None,
        ready: n % 10 != 9,
    };
    Object::EndpointSlice(EndpointSlice {
        key: ObjectKey::new("default", &format!("{service}-1")),
        service: label(service),
        endpoints: (0..endpoints).map(endpoint).collect(),
        ports: [Port {
            name: Some(label("p")),
            protocol: Protocol::Tcp,
            number: 80,
        }]
        .into(),
    })
}
