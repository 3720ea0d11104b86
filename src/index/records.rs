//! Everything that one service contributes to DNS, ready to be copied into answers. It knows neither objects nor names
//! outside the service.

mod build;
mod hosts;
mod labels;
mod mend;
mod parts;
mod places;

pub(super) use build::{Slices, build, unreadable};
pub(super) use mend::mend;

use super::Below;
use crate::{
    model::{Label, Port},
    wire::Addresses,
};
use hosts::Hosts;
use labels::Labels;
use parts::Parts;
use smallvec::SmallVec;
use std::net::IpAddr;

/// The records of one service. Addresses are encoded already. In this order, and begun with a line of a processor's cache, so that an
/// answer reads the first two lines for addresses of the service, three for its port, and four for its hosts.
#[derive(Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct ServiceRecords {
    /// By [`KEY`], [`OWN_A`], [`OWN_AAAA`] and [`ALIAS`].
    own: Parts<4, OWN_ROOM>,
    kind: Kind,
    /// Has the name anything to lead to? As kind and hosts say, but beside what is read anyway.
    exists: bool,
    /// May there be endpoints that are not told of here?
    incomplete: bool,
    /// Most services have one.
    ports: SmallVec<[ServicePort; 1]>,
    hosts: Hosts,
    unready: Labels,
}

/// Room for two labels of 22 octets together and an address.
const OWN_ROOM: usize = 64;

/// The labels `<service>.<namespace>`, each with its length in front.
const KEY: usize = 0;
/// The service's own addresses; none if they are just all of the hosts'.
const OWN_A: usize = 1;
const OWN_AAAA: usize = 2;
/// The name that it is an alias for.
const ALIAS: usize = 3;

/// What the service's name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Cluster IPs.
    ClusterIp,
    /// Ready endpoints.
    Headless,
    /// An alias for another name.
    ExternalName,
    /// Nobody knows: the object is malformed.
    Unreadable,
}

/// A port, and which hosts offer it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Name, protocol and number.
    pub port: Port,
    targets: Targets,
}

#[derive(Clone, Debug, PartialEq, Eq)]
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
        self.own.get(KEY)
    }

    /// Reads this itself, for nothing but that it was read, as far as answers about what is below it read it.
    pub(super) fn touch(&self, below: &Below<u64>) -> (Option<u8>, Kind, usize) {
        let rest = match below {
            Below::Nothing => 0,
            Below::Host(_) => self.hosts.touch(),
            Below::Port => self.ports.len(),
        };
        (self.own.get(KEY).first().copied(), self.kind, rest)
    }

    /// The same of what it points to: the first of its hosts' addresses, the place of a host, the name of its port.
    pub(super) fn touch_content(&self, below: &Below<u64>) -> Option<u32> {
        match below {
            Below::Host(hash) => self.hosts.touch_place(*hash),
            Below::Nothing if self.is_headless() => self.hosts.a().first().copied().map(u32::from),
            Below::Nothing => None,
            Below::Port => {
                let name = self.ports.first()?.port.name.as_ref()?;
                name.as_bytes().first().copied().map(u32::from)
            }
        }
    }

    /// The hosts below it.
    pub(super) const fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// What the name leads to.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The name that it is an alias for, in lower-cased wire form; empty if it is none.
    pub fn alias(&self) -> &[u8] {
        self.own.get(ALIAS)
    }

    /// May there be endpoints that are not told of here, so that a name's absence is not certain?
    pub const fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// A headless service none of whose endpoints is ready has no name at all (specification 2.4.1).
    pub const fn exists(&self) -> bool {
        self.exists
    }

    /// A records of the service's name.
    pub fn a(&self) -> Addresses<'_> {
        let own = match self.own.get(OWN_A) {
            [] if self.is_headless() => self.hosts.a(),
            own => own,
        };
        Addresses::v4(own)
    }

    /// AAAA records of the service's name.
    pub fn aaaa(&self) -> Addresses<'_> {
        let own = match self.own.get(OWN_AAAA) {
            [] if self.is_headless() => self.hosts.aaaa(),
            own => own,
        };
        Addresses::v6(own)
    }

    const fn is_headless(&self) -> bool {
        matches!(self.kind, Kind::Headless)
    }

    /// The label as it stands here, if an endpoint that is not ready has it, and none that is.
    pub fn unready(&self, label: &[u8]) -> Option<&[u8]> {
        self.unready.find(label)
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
        self.hosts.at(address)
    }

    /// Every address for which this service has a PTR record, sorted.
    pub fn reverse_addresses(&self) -> Box<[IpAddr]> {
        let mut addresses = Vec::with_capacity(self.hosts.address_count());
        addresses.extend(self.hosts.addresses());
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

    /// Which is the first port that `_name` and `_proto` name?
    pub fn first_port(&self, name: &[u8], protocol: &[u8]) -> Option<usize> {
        (self.ports.iter()).position(|port| port.is_named(name, protocol))
    }

    /// Its port, if it has one only whose SRV record points to the service itself, as most have.
    pub fn own_port(&self) -> Option<&ServicePort> {
        match self.ports.as_slice() {
            [port] => matches!(port.targets, Targets::Service).then_some(port),
            _ => None,
        }
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
                Targets::EveryHost => Target::Host(self.hosts.label(nth)),
                Targets::Hosts(hosts) => Target::Host(self.hosts.label(hosts[nth] as usize)),
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
