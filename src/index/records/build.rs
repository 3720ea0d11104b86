//! From a Service and its EndpointSlices to its records (Kubernetes DNS specification 2.3–2.5): pure, and the same for
//! slices in any order and with any overlap.

use super::{Host, Kind, ServicePort, ServiceRecords, Targets};
use crate::{
    index::{EndpointNames, Options},
    model::{Endpoint, EndpointSlice, Label, Port, Service, ServiceKind},
    wire::encode_address,
};
use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

/// What a service's records are made of beside the Service itself.
pub(in crate::index) struct Slices<'m, S> {
    /// Those that name the service, in any order.
    pub(in crate::index) slices: S,
    /// Former slices, the oldest first, whose ready endpoints count where nothing newer is said about their names.
    pub(in crate::index) fading: Vec<&'m EndpointSlice>,
    /// May there be others?
    pub(in crate::index) incomplete: bool,
}

/// The records of a service whose object is malformed.
pub(in crate::index) fn unreadable(key: Arc<[u8]>) -> ServiceRecords {
    ServiceRecords {
        key,
        kind: Kind::Unreadable,
        ..Hosts::default().into_records(0)
    }
}

/// Derives a service's records.
pub(in crate::index) fn build<'m>(
    key: Arc<[u8]>,
    service: &Service,
    slices: Slices<'m, impl Iterator<Item = &'m EndpointSlice>>,
    options: &Options,
) -> ServiceRecords {
    let with_hosts = match service.kind {
        ServiceKind::Headless => true,
        ServiceKind::ClusterIp(_) => options.cluster_ip_endpoints,
        ServiceKind::ExternalName(_) => false,
    };
    let incomplete = with_hosts && slices.incomplete;
    let hosts = if with_hosts {
        Hosts::collect(slices, options)
    } else {
        Hosts::default()
    };
    let (kind, own): (_, &[IpAddr]) = match &service.kind {
        ServiceKind::ClusterIp(addresses) => (Kind::ClusterIp, addresses),
        ServiceKind::Headless => (Kind::Headless, &hosts.distinct),
        ServiceKind::ExternalName(target) => (Kind::ExternalName(target.clone()), &[]),
    };
    let ttl = if kind == Kind::Headless {
        options.ttl.pod
    } else {
        options.ttl.service
    };
    let (own_a, own_aaaa) = encode(own, ttl);
    let mut records = ServiceRecords {
        key,
        own_a,
        own_aaaa,
        incomplete,
        ..hosts.into_records(options.ttl.pod)
    };
    if kind != Kind::Headless {
        records.kind = kind;
        records.ports = to_service(&service.ports);
    }
    records
}

fn to_service(ports: &[Port]) -> Box<[ServicePort]> {
    let mut ports = ports.to_vec();
    ports.sort_unstable();
    ports.dedup();
    ports
        .into_iter()
        .map(|port| ServicePort {
            port,
            targets: Targets::Service,
        })
        .collect()
}

fn encode(addresses: &[IpAddr], ttl: u32) -> (Box<[u8]>, Box<[u8]>) {
    let (mut a, mut aaaa) = (Vec::new(), Vec::new());
    for address in addresses {
        encode_address(
            *address,
            ttl,
            if address.is_ipv4() { &mut a } else { &mut aaaa },
        );
    }
    (a.into(), aaaa.into())
}

/// The ready endpoints of a service under their labels.
#[derive(Default)]
struct Hosts {
    /// A name, one of its addresses, and the number of the slice that says so; sorted.
    named: Vec<(Box<[u8]>, IpAddr, u32)>,
    /// Every address once, if some address has several names; else empty.
    distinct: Vec<IpAddr>,
    /// The ports of each slice.
    offers: Vec<(Port, u32)>,
    unready: Vec<Label>,
}

impl Hosts {
    fn collect<'m>(
        slices: Slices<'m, impl Iterator<Item = &'m EndpointSlice>>,
        options: &Options,
    ) -> Self {
        let mut hosts = Self::default();
        let mut count = 0;
        for slice in slices.slices {
            for endpoint in &slice.endpoints {
                hosts.add(endpoint, count, options.endpoint_names);
            }
            hosts.offer(slice, count);
            count += 1;
        }
        if !slices.fading.is_empty() {
            let names = options.endpoint_names;
            for slice in slices.fading.into_iter().rev() {
                let told: HashSet<Box<[u8]>> = hosts.labels().map(Box::from).collect();
                for endpoint in slice.endpoints.iter().filter(|it| it.ready) {
                    if labels(endpoint, names).all(|label| !told.contains(&label)) {
                        hosts.add(endpoint, count, names);
                    }
                }
                hosts.offer(slice, count);
                count += 1;
            }
        }
        let Self {
            named,
            distinct,
            unready,
            ..
        } = &mut hosts;
        named.sort_unstable();
        unready.sort_unstable();
        unready.dedup();
        unready.retain(|label| {
            named
                .binary_search_by(|(ready, ..)| (**ready).cmp(label.as_bytes()))
                .is_err()
        });
        distinct.extend(named.iter().map(|(_, address, _)| *address));
        distinct.sort_unstable();
        distinct.dedup();
        let names = named
            .chunk_by(|(a, at_a, _), (b, at_b, _)| (a, at_a) == (b, at_b))
            .count();
        if distinct.len() == names {
            distinct.clear();
        }
        hosts
    }

    /// What is said of a name so far, be it ready or not.
    fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let named = self.named.iter().map(|(label, ..)| &**label);
        named.chain(self.unready.iter().map(Label::as_bytes))
    }

    fn offer(&mut self, slice: &EndpointSlice, number: u32) {
        let ports = slice.ports.iter().map(|port| (port.clone(), number));
        self.offers.extend(ports);
    }

    fn add(&mut self, endpoint: &Endpoint, slice: u32, names: EndpointNames) {
        if !endpoint.ready {
            self.unready.extend(own_label(endpoint, names).cloned());
            return;
        }
        let named = labels(endpoint, names).zip(&endpoint.addresses);
        self.named
            .extend(named.map(|(label, address)| (label, *address, slice)));
    }

    /// The records of the hosts, and the ports that the slices offer; those of the service's own name are for the caller.
    fn into_records(self, ttl: u32) -> ServiceRecords {
        let (mut a, mut aaaa) = (Vec::new(), Vec::new());
        let (mut hosts, mut host_at) = (Vec::<Host>::new(), Vec::with_capacity(self.named.len()));
        let mut members = BTreeMap::<u32, Vec<u32>>::new();
        for (label, address, slice) in self.named {
            if hosts.last().is_none_or(|host| host.label != label) {
                let (from_a, from_aaaa) = (a.len() as u32, aaaa.len() as u32);
                hosts.push(Host {
                    label,
                    a: from_a..from_a,
                    aaaa: from_aaaa..from_aaaa,
                });
            }
            let number = hosts.len() as u32 - 1;
            members.entry(slice).or_default().push(number);
            if host_at.last() == Some(&(address, number)) {
                continue; // the same endpoint stands in two slices
            }
            encode_address(
                address,
                ttl,
                if address.is_ipv4() { &mut a } else { &mut aaaa },
            );
            host_at.push((address, number));
            if let Some(host) = hosts.last_mut() {
                (host.a.end, host.aaaa.end) = (a.len() as u32, aaaa.len() as u32);
            }
        }
        host_at.sort_unstable();
        ServiceRecords {
            key: Arc::default(),
            kind: Kind::Headless,
            own_a: Box::default(),
            own_aaaa: Box::default(),
            host_a: a.into(),
            host_aaaa: aaaa.into(),
            ports: ports(self.offers, &members, hosts.len()),
            hosts: hosts.into(),
            host_at: host_at.into(),
            unready: self.unready.into(),
            incomplete: false,
        }
    }
}

/// The label of an endpoint that has one of its own, not its address.
fn own_label(endpoint: &Endpoint, names: EndpointNames) -> Option<&Label> {
    let pod = endpoint.pod.as_ref();
    let pod = pod.filter(|_| names == EndpointNames::Pod);
    endpoint.hostname.as_ref().or(pod)
}

/// The label for each of an endpoint's addresses.
pub(in crate::index) fn labels(
    endpoint: &Endpoint,
    names: EndpointNames,
) -> impl Iterator<Item = Box<[u8]>> {
    let own = own_label(endpoint, names);
    let label = move |address: &IpAddr| match own {
        Some(label) => label.as_bytes().into(),
        None => dashed(*address),
    };
    endpoint.addresses.iter().map(label)
}

/// Each port with the hosts that offer it; two slices may offer the same port.
fn ports(
    offers: Vec<(Port, u32)>,
    members: &BTreeMap<u32, Vec<u32>>,
    host_count: usize,
) -> Box<[ServicePort]> {
    let mut merged = BTreeMap::<Port, Vec<u32>>::new();
    for (port, slice) in offers {
        merged
            .entry(port)
            .or_default()
            .extend(members.get(&slice).into_iter().flatten());
    }
    let port = |(port, mut hosts): (Port, Vec<u32>)| {
        hosts.sort_unstable();
        hosts.dedup();
        let every = hosts.len() == host_count;
        let targets = if every {
            Targets::EveryHost
        } else {
            Targets::Hosts(hosts.into())
        };
        ServicePort { port, targets }
    };
    // A port that only slices without a ready endpoint offer has no records, and so no name.
    let merged = merged.into_iter().filter(|(_, hosts)| !hosts.is_empty());
    merged.map(port).collect()
}

/// The label of an endpoint that has no hostname: its address with `-` for `.` and `:`, and a `0` after a last `-`.
fn dashed(address: IpAddr) -> Box<[u8]> {
    let mut text = address.to_string().replace(['.', ':'], "-");
    if text.ends_with('-') {
        text.push('0');
    }
    text.into_bytes().into()
}
