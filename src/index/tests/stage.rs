//! What the index's tests are played with: objects by a word or two, lists of them, and what readers see.

use super::{Label, Object, ObjectKey, Reader, Source};
use crate::{
    index::{EndpointNames, Index, Options, Ttl, derive::wire_key, dirty::Touched},
    model::{Change, Endpoint, EndpointSlice, Port, Protocol, Service, ServiceKind},
    wire::NameKey,
};
use std::net::IpAddr;

pub(in crate::index) fn options() -> Options {
    Options {
        zone: NameKey::from_text("cluster.local").unwrap(),
        ttl: Ttl::default(),
        endpoint_names: EndpointNames::Hostname,
        cluster_ip_endpoints: false,
        sources: vec![Source::Services, Source::EndpointSlices, Source::Namespaces],
        staleness: None,
    }
}

impl Index {
    /// The records of each service are what all of its slices make of it.
    pub(super) fn assert_built_whole(&self) {
        for service in self.objects[Source::Services as usize].keys() {
            let key = wire_key(service).unwrap();
            let (records, _) = self.derive(service, &key, &Touched::Whole);
            let held = self.working.find(&key).map(|records| &**records);
            assert_eq!(held, records.as_ref(), "{service:?}");
        }
    }
}

pub(super) fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

pub(super) fn headless(name: &str) -> Object {
    let key = ObjectKey::new("default", name);
    Object::Service(Service {
        key,
        kind: ServiceKind::Headless,
        ports: Box::default(),
    })
}

pub(super) fn cluster_ip(name: &str, address: &str) -> Object {
    let key = ObjectKey::new("default", name);
    let kind = ServiceKind::ClusterIp([address.parse().unwrap()].into());
    Object::Service(Service {
        key,
        kind,
        ports: Box::default(),
    })
}

/// A slice of endpoints `(hostname, address)`.
pub(super) fn slice(name: &str, service: &str, endpoints: &[(&str, &str)]) -> Object {
    let endpoint = |(hostname, address): &(&str, &str)| Endpoint {
        addresses: [address.parse().unwrap()].into(),
        hostname: Some(label(hostname)),
        pod: None,
        ready: true,
    };
    Object::EndpointSlice(EndpointSlice {
        key: ObjectKey::new("default", name),
        service: label(service),
        endpoints: endpoints.iter().map(endpoint).collect(),
        ports: [Port {
            name: Some(label("http")),
            protocol: Protocol::Tcp,
            number: 80,
        }]
        .into(),
    })
}

/// Lists these objects whole, each in its source.
pub(super) fn list(index: &mut Index, objects: &[Object]) {
    for source in [Source::Services, Source::EndpointSlices, Source::Namespaces] {
        index.apply(Change::ListStarted(source));
        for object in objects.iter().filter(|object| source_of(object) == source) {
            index.apply(Change::Apply(source, object.clone()));
        }
        index.apply(Change::ListDone(source));
    }
}

pub(super) fn source_of(object: &Object) -> Source {
    match object {
        Object::Service(_) => Source::Services,
        Object::EndpointSlice(_) => Source::EndpointSlices,
        Object::Namespace(_) => Source::Namespaces,
        Object::Pod(_) => Source::Pods,
        Object::Unreadable(_) => panic!("it may be of any source"),
    }
}

/// The addresses of a service of the default namespace, or of a host of it; `None` if there is no such name.
pub(super) fn addresses(reader: &Reader, host: Option<&str>, service: &str) -> Option<Vec<String>> {
    let snapshot = reader.load();
    let key = wire_key(&ObjectKey::new("default", service)).unwrap();
    let records = snapshot.service(&key).filter(|records| records.exists())?;
    let (a, aaaa) = match host {
        None => (records.a(), records.aaaa()),
        Some(host) => snapshot.host(records, host.as_bytes())?,
    };
    let text = |rdata: &[u8]| match rdata.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(rdata).unwrap()).to_string(),
        _ => IpAddr::from(<[u8; 16]>::try_from(rdata).unwrap()).to_string(),
    };
    Some(a.rdata().chain(aaaa.rdata()).map(text).collect())
}

pub(super) fn owners(reader: &Reader, address: &str) -> Vec<String> {
    let address = address.parse().unwrap();
    let snapshot = reader.load();
    let services = snapshot.services_at(address);
    let hosts = services.flat_map(|service| service.hosts_at(address));
    let mut names: Vec<_> = hosts
        .map(|host| String::from_utf8(host.to_vec()).unwrap())
        .collect();
    names.sort();
    names
}

pub(super) fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}
