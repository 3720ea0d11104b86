//! From a Service and its EndpointSlices to its records (Kubernetes DNS specification 2.3–2.5): pure, and the same for
//! slices in any order and with any overlap.

use super::{EndpointNames, Options};
use crate::{
    model::{Endpoint, EndpointSlice, Label, Port, Service, ServiceKind},
    wire::{Addresses, encode_address},
};
use std::{collections::BTreeMap, net::IpAddr, ops::Range, sync::Arc};

/// Everything that one service contributes to DNS. Address records are encoded already.
#[derive(Debug, PartialEq, Eq)]
pub struct ServiceRecords {
    key: Arc<[u8]>,
    kind: Kind,
    /// The service's own addresses; empty if they are just all of `host_a` and `host_aaaa`.
    own_a: Box<[u8]>,
    own_aaaa: Box<[u8]>,
    host_a: Box<[u8]>,
    host_aaaa: Box<[u8]>,
    hosts: Box<[Host]>,
    /// Address → host, sorted, for PTR.
    host_at: Box<[(IpAddr, u32)]>,
    unready: Box<[Label]>,
    ports: Box<[ServicePort]>,
}

/// What the service's name leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// Cluster IPs.
    ClusterIp,
    /// Ready endpoints.
    Headless,
    /// An alias for this name, in lower-cased wire form.
    ExternalName(Box<[u8]>),
}

/// A name below the service: its label, and its slots in the runs of addresses.
#[derive(Debug, PartialEq, Eq)]
struct Host {
    label: Box<[u8]>,
    a: Range<u32>,
    aaaa: Range<u32>,
}

/// A port, and which hosts offer it.
#[derive(Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Name, protocol and number.
    pub port: Port,
    targets: Targets,
}

#[derive(Debug, PartialEq, Eq)]
enum Targets {
    Service,
    EveryHost,
    Hosts(Box<[u32]>),
}

/// Where an SRV record of this service points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'r> {
    /// The service's own name.
    Service,
    /// The host with this label.
    Host(&'r [u8]),
}

impl ServiceRecords {
    /// The labels `<service>.<namespace>`, each with its length in front.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// What the name leads to.
    pub const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// A headless service none of whose endpoints is ready has no name at all (specification 2.4.1).
    pub fn exists(&self) -> bool {
        !matches!(self.kind, Kind::Headless) || !self.hosts.is_empty()
    }

    /// A records of the service's name.
    pub fn a(&self) -> Addresses<'_> {
        let own = if self.own_a.is_empty() && self.is_headless() {
            &self.host_a
        } else {
            &self.own_a
        };
        Addresses::v4(own)
    }

    /// AAAA records of the service's name.
    pub fn aaaa(&self) -> Addresses<'_> {
        let own = if self.own_aaaa.is_empty() && self.is_headless() {
            &self.host_aaaa
        } else {
            &self.own_aaaa
        };
        Addresses::v6(own)
    }

    const fn is_headless(&self) -> bool {
        matches!(self.kind, Kind::Headless)
    }

    /// A and AAAA records of the host with this label, if there is a ready one.
    pub fn host(&self, label: &[u8]) -> Option<(Addresses<'_>, Addresses<'_>)> {
        let at = self
            .hosts
            .binary_search_by(|host| (*host.label).cmp(label))
            .ok()?;
        Some(self.host_addresses(&self.hosts[at]))
    }

    fn host_addresses(&self, host: &Host) -> (Addresses<'_>, Addresses<'_>) {
        let slots = |range: &Range<u32>| range.start as usize..range.end as usize;
        (
            Addresses::v4(&self.host_a[slots(&host.a)]),
            Addresses::v6(&self.host_aaaa[slots(&host.aaaa)]),
        )
    }

    /// The label as it stands here, if an endpoint that is not ready has it, and none that is.
    pub fn unready(&self, label: &[u8]) -> Option<&[u8]> {
        let at = self
            .unready
            .binary_search_by(|unready| unready.as_bytes().cmp(label))
            .ok()?;
        Some(self.unready[at].as_bytes())
    }

    /// Is there any endpoint with a name of its own that is not ready?
    pub fn has_unready(&self) -> bool {
        !self.unready.is_empty()
    }

    /// Is this one of the service's cluster IPs?
    pub fn has_cluster_ip(&self, address: IpAddr) -> bool {
        let run = if address.is_ipv4() {
            self.a()
        } else {
            self.aaaa()
        };
        let is = |rdata: &[u8]| match address {
            IpAddr::V4(v4) => rdata == v4.octets(),
            IpAddr::V6(v6) => rdata == v6.octets(),
        };
        self.kind == Kind::ClusterIp && run.rdata().any(is)
    }

    /// The labels of the hosts that have this address.
    pub fn hosts_at(&self, address: IpAddr) -> impl Iterator<Item = &[u8]> + Clone {
        let from = self.host_at.partition_point(|(at, _)| *at < address);
        let same = self.host_at[from..]
            .iter()
            .take_while(move |(at, _)| *at == address);
        same.map(|(_, host)| &*self.hosts[*host as usize].label)
    }

    /// Every address for which this service has a PTR record.
    pub fn reverse_addresses(&self) -> Box<[IpAddr]> {
        let own = self
            .a()
            .rdata()
            .chain(self.aaaa().rdata())
            .filter_map(|rdata| {
                let v4 = <[u8; 4]>::try_from(rdata).map(IpAddr::from);
                v4.or_else(|_| <[u8; 16]>::try_from(rdata).map(IpAddr::from))
                    .ok()
            });
        let mut addresses: Vec<_> = own
            .chain(self.host_at.iter().map(|(address, _)| *address))
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses.into()
    }

    /// Is there a named port of the protocol that this label (`_tcp`) stands for?
    pub fn has_protocol(&self, protocol: &[u8]) -> bool {
        self.ports
            .iter()
            .any(|port| port.port.name.is_some() && port.port.protocol.label() == protocol)
    }

    /// Is there a port that `_name` and `_proto` name?
    pub fn has_port(&self, name: &[u8], protocol: &[u8]) -> bool {
        self.ports.iter().any(|port| port.is_named(name, protocol))
    }

    /// Its ports, named or not.
    pub fn ports(&self) -> &[ServicePort] {
        &self.ports
    }

    /// Where the SRV records of a port point, beginning with the `rotation`th.
    pub fn targets<'r>(
        &'r self,
        port: &'r ServicePort,
        rotation: usize,
    ) -> impl Iterator<Item = Target<'r>> {
        let count = port.target_count(self);
        let first = rotation.checked_rem(count).unwrap_or_default();
        (first..count)
            .chain(0..first)
            .map(move |nth| match &port.targets {
                Targets::Service => Target::Service,
                Targets::EveryHost => Target::Host(&self.hosts[nth].label),
                Targets::Hosts(hosts) => Target::Host(&self.hosts[hosts[nth] as usize].label),
            })
    }
}

impl ServicePort {
    /// Is it the port that the labels `_name` and `_proto` name (RFC 2782)?
    pub fn is_named(&self, name: &[u8], protocol: &[u8]) -> bool {
        let own = self.port.name.as_ref().map(Label::as_bytes);
        own.is_some() && own == name.strip_prefix(b"_") && self.port.protocol.label() == protocol
    }

    /// How many SRV records it has.
    pub fn target_count(&self, service: &ServiceRecords) -> usize {
        match &self.targets {
            Targets::Service => 1,
            Targets::EveryHost => service.hosts.len(),
            Targets::Hosts(hosts) => hosts.len(),
        }
    }
}

/// Derives a service's records. `slices` are those that name the service, in any order.
pub(super) fn build<'m>(
    key: Arc<[u8]>,
    service: &Service,
    slices: impl Iterator<Item = &'m EndpointSlice> + Clone,
    options: &Options,
) -> ServiceRecords {
    let with_hosts = match service.kind {
        ServiceKind::Headless => true,
        ServiceKind::ClusterIp(_) => options.cluster_ip_endpoints,
        ServiceKind::ExternalName(_) => false,
    };
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
    fn collect<'m>(slices: impl Iterator<Item = &'m EndpointSlice>, options: &Options) -> Self {
        let mut hosts = Self::default();
        for (slice, number) in slices.zip(0..) {
            for endpoint in &slice.endpoints {
                hosts.add(endpoint, number, options.endpoint_names);
            }
            hosts
                .offers
                .extend(slice.ports.iter().map(|port| (port.clone(), number)));
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

    fn add(&mut self, endpoint: &Endpoint, slice: u32, names: EndpointNames) {
        let pod = endpoint
            .pod
            .as_ref()
            .filter(|_| names == EndpointNames::Pod);
        let label = endpoint.hostname.as_ref().or(pod);
        if !endpoint.ready {
            self.unready.extend(label.cloned());
            return;
        }
        for address in &endpoint.addresses {
            let label = label.map_or_else(|| dashed(*address), |label| label.as_bytes().into());
            self.named.push((label, *address, slice));
        }
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
        }
    }
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
