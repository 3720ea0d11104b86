//! Everything that one service contributes to DNS, ready to be copied into answers. It knows neither objects nor names
//! outside the service.

mod build;
mod places;

pub(super) use build::{Slices, build, unreadable};

use crate::{
    model::{Label, Port},
    wire::Addresses,
};
use places::Places;
use std::{cmp::Ordering, net::IpAddr, ops::Range, sync::Arc};

/// The records of one service. Addresses are encoded already.
#[derive(Debug, PartialEq, Eq)]
pub struct ServiceRecords {
    key: Arc<[u8]>,
    kind: Kind,
    /// The service's own addresses; empty if they are just all of `host_a` and `host_aaaa`.
    own_a: Box<[u8]>,
    own_aaaa: Box<[u8]>,
    host_a: Box<[u8]>,
    host_aaaa: Box<[u8]>,
    /// The labels of the hosts, one behind the other, in alphabetical order.
    labels: Box<[u8]>,
    hosts: Box<[Host]>,
    places: Places,
    /// The addresses of the hosts, sorted, for PTR.
    by_address: Box<[AddressAt]>,
    unready: Box<[Box<[u8]>]>,
    ports: Box<[ServicePort]>,
    /// May there be endpoints that are not told of here?
    incomplete: bool,
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
    /// Nobody knows: the object is malformed.
    Unreadable,
}

/// A name below the service: where its label and its addresses begin. They end where those of the next one begin.
#[derive(Debug, PartialEq, Eq)]
struct Host {
    label: u32,
    a: u32,
    aaaa: u32,
}

/// Where an address stands in the runs: the octets before it, and in the highest bit whether it is IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct AddressAt(u32);

impl AddressAt {
    const IPV6: u32 = 1 << 31;

    const fn new(address: IpAddr, offset: usize) -> Self {
        Self(if address.is_ipv6() {
            offset as u32 | Self::IPV6
        } else {
            offset as u32
        })
    }

    const fn is_ipv6(self) -> bool {
        self.0 & Self::IPV6 != 0
    }

    const fn offset(self) -> u32 {
        self.0 & !Self::IPV6
    }
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

    /// Reads this itself, for nothing but that it was read.
    pub(super) fn touch(&self) -> usize {
        self.key.len() ^ self.own_a.len() ^ self.hosts.len() ^ self.ports.len()
    }

    /// The same of what it points to.
    pub(super) fn touch_content(&self) -> usize {
        let port = self.ports.first().and_then(|port| port.port.name.as_ref());
        let port = port.and_then(|name| name.as_bytes().first());
        let octets = [
            self.key.first(),
            self.own_a.first(),
            self.host_a.first(),
            port,
        ];
        octets
            .into_iter()
            .flatten()
            .map(|it| usize::from(*it))
            .sum()
    }

    /// Reads the place of the host whose label has this hash; says which host seems to stand there.
    pub(super) fn touch_place(&self, hash: u64) -> Option<usize> {
        self.places.with(hash).next()
    }

    /// Reads where the label and the address of a host begin.
    pub(super) fn touch_host(&self, number: usize) -> Option<(usize, usize)> {
        let host = self.hosts.get(number)?;
        Some((host.label as usize, host.a as usize))
    }

    /// Reads the first octets of such a label and of such an address.
    pub(super) fn touch_run(&self, (label, a): (usize, usize)) -> usize {
        let octets = [self.labels.get(label), self.host_a.get(a)];
        octets
            .into_iter()
            .flatten()
            .map(|it| usize::from(*it))
            .sum()
    }

    /// What the name leads to.
    pub const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// May there be endpoints that are not told of here, so that a name's absence is not certain?
    pub const fn is_incomplete(&self) -> bool {
        self.incomplete
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

    /// A and AAAA records of the host with this label, if there is a ready one. `hash` is the one that its place was
    /// chosen by.
    pub(super) fn host(
        &self,
        label: &[u8],
        hash: impl FnOnce() -> u64,
    ) -> Option<(Addresses<'_>, Addresses<'_>)> {
        let number = if self.places.is_empty() {
            self.search(label)
        } else {
            self.places
                .with(hash())
                .find(|number| self.label(*number) == label)
        };
        Some(self.host_addresses(number?))
    }

    /// The number of the host with this label, found without places: the plain twin.
    pub(super) fn search(&self, label: &[u8]) -> Option<usize> {
        let (mut from, mut to) = (0, self.hosts.len());
        while from < to {
            let middle = from.midpoint(to);
            match self.label(middle).cmp(label) {
                Ordering::Less => from = middle + 1,
                Ordering::Greater => to = middle,
                Ordering::Equal => return Some(middle),
            }
        }
        None
    }

    /// The label of a host.
    fn label(&self, host: usize) -> &[u8] {
        &self.labels[self.part(host, |host| host.label, &self.labels)]
    }

    fn host_addresses(&self, host: usize) -> (Addresses<'_>, Addresses<'_>) {
        (
            Addresses::v4(&self.host_a[self.part(host, |host| host.a, &self.host_a)]),
            Addresses::v6(&self.host_aaaa[self.part(host, |host| host.aaaa, &self.host_aaaa)]),
        )
    }

    /// The part of a run that belongs to a host.
    fn part(&self, host: usize, begin: impl Fn(&Host) -> u32, run: &[u8]) -> Range<usize> {
        let end = self.hosts.get(host + 1).map(&begin);
        begin(&self.hosts[host]) as usize..end.map_or(run.len(), |end| end as usize)
    }

    /// The label as it stands here, if an endpoint that is not ready has it, and none that is.
    pub fn unready(&self, label: &[u8]) -> Option<&[u8]> {
        let at = self
            .unready
            .binary_search_by(|unready| (**unready).cmp(label))
            .ok()?;
        Some(&self.unready[at])
    }

    /// Is there any endpoint with a name of its own that is not ready?
    pub fn has_unready(&self) -> bool {
        !self.unready.is_empty()
    }

    /// Is this one of the service's cluster IPs?
    pub fn has_cluster_ip(&self, address: IpAddr) -> bool {
        let mut own = self.a().addresses().chain(self.aaaa().addresses());
        self.kind == Kind::ClusterIp && own.any(|it| it == address)
    }

    /// The labels of the hosts that have this address.
    pub fn hosts_at(&self, address: IpAddr) -> impl Iterator<Item = &[u8]> + Clone {
        let from = (self.by_address).partition_point(|at| self.address(*at) < Some(address));
        let same = self.by_address[from..]
            .iter()
            .take_while(move |at| self.address(**at) == Some(address));
        same.map(|at| self.label(self.host_of(*at)))
    }

    fn address(&self, at: AddressAt) -> Option<IpAddr> {
        let from = at.offset() as usize;
        if at.is_ipv6() {
            Addresses::v6(&self.host_aaaa[from..]).first()
        } else {
            Addresses::v4(&self.host_a[from..]).first()
        }
    }

    fn host_of(&self, at: AddressAt) -> usize {
        let begin = |host: &Host| if at.is_ipv6() { host.aaaa } else { host.a };
        let behind = (self.hosts).partition_point(|host| begin(host) <= at.offset());
        behind - 1
    }

    /// Every address for which this service has a PTR record, sorted.
    pub fn reverse_addresses(&self) -> Box<[IpAddr]> {
        let mut addresses: Vec<_> = (self.by_address.iter())
            .filter_map(|at| self.address(*at))
            .collect();
        if !self.is_headless() {
            addresses.extend(self.a().addresses().chain(self.aaaa().addresses()));
            addresses.sort_unstable();
        }
        addresses.dedup();
        addresses.into()
    }

    /// Has this service a PTR record for the address?
    pub fn has_reverse(&self, address: IpAddr) -> bool {
        self.has_cluster_ip(address) || self.hosts_at(address).next().is_some()
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
                Targets::EveryHost => Target::Host(self.label(nth)),
                Targets::Hosts(hosts) => Target::Host(self.label(hosts[nth] as usize)),
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
