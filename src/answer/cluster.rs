//! Names below the cluster domain (Kubernetes DNS specification 1.1.0, and what CoreDNS does where that is silent).
//!
//! ```text
//! labels left of `svc`        0     1      2           3                4
//!                                 <ns>  <svc>.<ns>  <host>.<svc>.…  _<port>._<proto>.<svc>.…
//! ```

use super::{Elsewhere, Found, Options, PodNames, Ports, Records, Scope, Zone, addresses};
use crate::{
    index::{Kind, Lookup, ServiceRecords, Snapshot},
    model::{self, Source},
    wire::{Ede, NameKey, rtype},
};
use std::net::IpAddr;

const NODATA: Records<'_> = Records::Negative(Zone::Cluster);

/// Is it the cluster domain itself, or a name that Kubernetes gives there?
pub fn is_kubernetes(name: &NameKey, domain: &NameKey) -> bool {
    let Some(above) = name.labels_above(domain) else {
        return false;
    };
    let parent = above.checked_sub(1).and_then(|left| name.label(left));
    parent.is_none_or(|it| matches!(it, b"svc" | b"pod" | b"dns" | b"dns-version"))
}

/// Finds a name with `above` labels left of the cluster domain.
pub(super) fn find<'s>(
    name: &NameKey,
    above: usize,
    qtype: u16,
    snapshot: &Lookup<'s>,
    options: &Options,
) -> Found<'s> {
    let Some(left) = above.checked_sub(1) else {
        return match options.scope {
            Scope::Cluster => Found::Exists(apex(qtype)),
            Scope::Headless => Found::Elsewhere(Elsewhere::ClusterDns),
        };
    };
    let parent = name.label(left).unwrap_or_default();
    if options.scope == Scope::Headless {
        let key = left
            .checked_sub(2)
            .filter(|_| parent == b"svc")
            .and_then(|from| name.labels(from, left));
        let service = key.and_then(|key| snapshot.service(key));
        return match service.filter(|service| service.kind() == Kind::Headless) {
            Some(service) => below_service(name, left, qtype, service, snapshot),
            None => Found::Elsewhere(Elsewhere::ClusterDns),
        };
    }
    match parent {
        b"svc" => service_name(name, left, qtype, snapshot),
        b"pod" => pod_name(name, left, qtype, snapshot, options),
        b"dns-version" if left == 0 => Found::Exists(match qtype {
            rtype::TXT => Records::Text("1.1.0"),
            rtype::ANY => Records::Hinfo,
            _ => NODATA,
        }),
        b"dns" if left == 0 => Found::Exists(empty_non_terminal(qtype)),
        b"dns" if left == 1 && name.label(0) == Some(b"ns") => Found::Exists(match qtype {
            rtype::A | rtype::AAAA => Records::Nameserver,
            rtype::ANY => Records::Hinfo,
            _ => NODATA,
        }),
        _ => Found::Absent(None),
    }
}

const fn apex(qtype: u16) -> Records<'static> {
    match qtype {
        rtype::SOA => Records::Soa,
        rtype::NS => Records::Ns,
        rtype::ANY => Records::Hinfo,
        _ => NODATA,
    }
}

/// A name without records that has names below it is there (RFC 8020).
const fn empty_non_terminal(qtype: u16) -> Records<'static> {
    match qtype {
        rtype::ANY => Records::Hinfo,
        _ => NODATA,
    }
}

fn service_name<'s>(name: &NameKey, left: usize, qtype: u16, snapshot: &Lookup<'s>) -> Found<'s> {
    let Some(key) = left.checked_sub(2).and_then(|from| name.labels(from, left)) else {
        return namespace(name, left, qtype, snapshot);
    };
    match snapshot.service(key) {
        _ if !snapshot.knows(Source::Services) => Found::Unsure,
        Some(service) => below_service(name, left, qtype, service, snapshot),
        None => Found::Absent(None),
    }
}

/// `svc`, `pod` and `<namespace>` below them.
fn namespace<'s>(name: &NameKey, left: usize, qtype: u16, snapshot: &Snapshot) -> Found<'s> {
    match left.checked_sub(1).and_then(|last| name.label(last)) {
        None => Found::Exists(empty_non_terminal(qtype)),
        Some(namespace) if snapshot.has_namespace(namespace) => {
            Found::Exists(empty_non_terminal(qtype))
        }
        Some(_) if snapshot.knows(Source::Namespaces) && snapshot.knows(Source::Services) => {
            Found::Absent(None)
        }
        Some(_) => Found::Unsure,
    }
}

/// A service's own name, or one below it; `left` labels stand left of `svc`.
fn below_service<'s>(
    name: &NameKey,
    left: usize,
    qtype: u16,
    service: &'s ServiceRecords,
    snapshot: &Lookup<'s>,
) -> Found<'s> {
    match service.kind() {
        Kind::ExternalName => return external_name(left, qtype, service.alias()),
        Kind::Unreadable => return Found::Unsure,
        Kind::Headless if !snapshot.knows_endpoints() => return Found::Unsure,
        Kind::ClusterIp
            if left == 3
                && snapshot.options().cluster_ip_endpoints
                && !snapshot.knows_endpoints() =>
        {
            return Found::Unsure;
        }
        Kind::Headless | Kind::ClusterIp => {}
    }
    let label = name.label(0).unwrap_or_default();
    let found = match left {
        _ if !service.exists() => Found::Absent(not_ready(service, label, left)),
        2 if qtype == rtype::SRV && !service.ports().is_empty() => {
            Found::Exists(Records::Services(service, Ports::Every))
        }
        2 => addresses(service.a(), service.aaaa(), qtype),
        3 => match snapshot.host(service, label) {
            Some((a, aaaa)) => addresses(a, aaaa, qtype),
            None if service.has_protocol(label) => Found::Exists(empty_non_terminal(qtype)),
            None => Found::Absent(not_ready(service, label, left)),
        },
        4 => match service.first_port(label, name.label(1).unwrap_or_default()) {
            Some(first) => Found::Exists(match qtype {
                rtype::SRV => Records::Services(service, Ports::Named { first }),
                _ => empty_non_terminal(qtype),
            }),
            None => Found::Absent(None),
        },
        _ => Found::Absent(None),
    };
    // What a malformed slice would say may be just this. A name such as `_tcp` that exists has no addresses anyway.
    let is_made_of_slices = match service.kind() {
        Kind::Headless => true,
        _ => left == 3 && snapshot.options().cluster_ip_endpoints,
    };
    let namespace = || name.label(left - 1).unwrap_or_default();
    let says_nothing = match &found {
        Found::Exists(Records::Negative(_)) => !label.starts_with(b"_"),
        found => matches!(found, Found::Absent(_)),
    };
    if says_nothing
        && is_made_of_slices
        && (service.is_incomplete() || has_unreadable_slice(snapshot, namespace()))
    {
        return Found::Unsure;
    }
    found
}

fn has_unreadable_slice(snapshot: &Snapshot, namespace: &[u8]) -> bool {
    Source::SLICES
        .into_iter()
        .any(|source| snapshot.has_unreadable(source, namespace))
}

/// "Exists, but is not ready" is worth saying: the client may be a moment too early.
fn not_ready<'s>(service: &'s ServiceRecords, label: &[u8], left: usize) -> Option<Ede<'s>> {
    const OTHER_ERROR: u16 = 0;
    match left {
        2 if service.has_unready() => Some(Ede::new(
            OTHER_ERROR,
            "no endpoint of this service is ready",
        )),
        3 => service.unready(label).map(|pod| Ede {
            code: OTHER_ERROR,
            text: [b"pod ", pod, b" is known and not ready"],
        }),
        _ => None,
    }
}

const fn external_name(left: usize, qtype: u16, target: &[u8]) -> Found<'_> {
    match (left, qtype) {
        (2, rtype::ANY) => Found::Exists(Records::Hinfo),
        (2, _) => Found::Alias(target),
        _ => Found::Absent(None),
    }
}

fn pod_name<'s>(
    name: &NameKey,
    left: usize,
    qtype: u16,
    snapshot: &Snapshot,
    options: &Options,
) -> Found<'s> {
    let (Some(label), Some(of), 2) = (name.label(0), name.label(1), left) else {
        return if left < 2 {
            namespace(name, left, qtype, snapshot)
        } else {
            Found::Absent(None)
        };
    };
    let Some(address) = model::address_of(label) else {
        return Found::Absent(None);
    };
    let exists = match options.pods {
        PodNames::Disabled => false,
        PodNames::Insecure if snapshot.has_namespace(of) => true,
        PodNames::Insecure if snapshot.knows(Source::Namespaces) => false,
        PodNames::Verified if !snapshot.knows(Source::Pods) => return Found::Unsure,
        PodNames::Verified if snapshot.has_pod(of, address) => true,
        PodNames::Verified if snapshot.has_unreadable(Source::Pods, of) => return Found::Unsure,
        PodNames::Verified => false,
        PodNames::Insecure => return Found::Unsure,
    };
    match (qtype, address) {
        _ if !exists => Found::Absent(None),
        (rtype::A, IpAddr::V4(_)) | (rtype::AAAA, IpAddr::V6(_)) => {
            Found::Exists(Records::Address(address, snapshot.options().ttl.pod))
        }
        _ => Found::Exists(empty_non_terminal(qtype)),
    }
}
