//! Everything that one service contributes to DNS, ready to be copied into answers. It knows neither objects nor names
//! outside the service.

mod build;

pub(super) use build::{Slices, build, labels, unreadable};

use crate::{
    model::{Label, Port},
    wire::Addresses,
};
use std::{net::IpAddr, ops::Range, sync::Arc};

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
    hosts: Box<[Host]>,
    /// Address → host, sorted, for PTR.
    host_at: Box<[(IpAddr, u32)]>,
    unready: Box<[Label]>,
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
