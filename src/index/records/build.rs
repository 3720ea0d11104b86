//! From a Service and its EndpointSlices to its records (Kubernetes DNS specification 2.3–2.5): pure, and the same for
//! slices in any order and with any overlap.

use super::{
    Kind, ServicePort, ServiceRecords, Targets, hosts::Hosts, labels::Labels, parts::Parts,
};
use crate::{
    index::{
        Options,
        held::{Endpoint, Service, Slice},
    },
    model::{Port, ServiceKind},
    wire::encode_address,
};
use smallvec::SmallVec;
use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    net::IpAddr,
};

/// What a service's records are made of beside the Service itself.
pub(in crate::index) struct Slices<'m, S> {
    /// Those that name the service, in any order.
    pub(in crate::index) slices: S,
    /// Former slices, the oldest first, whose ready endpoints count where nothing newer is said about their names in their family.
    pub(in crate::index) fading: Vec<&'m Slice>,
    /// May there be others?
    pub(in crate::index) incomplete: bool,
}

/// The records of a service whose object is malformed.
pub(in crate::index) fn unreadable(key: &[u8]) -> ServiceRecords {
    ServiceRecords {
        kind: Kind::Unreadable,
        exists: true,
        ..Ready::default().into_records(key, 0, |_| 0)
    }
}

/// Derives a service's records; `hash` is what hosts are found by.
pub(in crate::index) fn build<'m>(
    key: &[u8],
    service: &Service,
    slices: Slices<'m, impl Iterator<Item = &'m Slice>>,
    options: &Options,
    hash: impl Fn(&[u8]) -> u64,
) -> ServiceRecords {
    let with_hosts = match service.kind {
        ServiceKind::Headless => true,
        ServiceKind::ClusterIp(_) => options.cluster_ip_endpoints,
        ServiceKind::ExternalName(_) => false,
    };
    let incomplete = with_hosts && slices.incomplete;
    let hosts = if with_hosts {
        Ready::collect(slices)
    } else {
        Ready::default()
    };
    let mut records = ServiceRecords {
        incomplete,
        ..hosts.into_records(key, options.ttl.pod, hash)
    };
    match &service.kind {
        ServiceKind::Headless => return records,
        ServiceKind::ClusterIp(addresses) => {
            let (a, aaaa) = encode(addresses, options.ttl.service);
            records.kind = Kind::ClusterIp;
            records.own = Parts::new([key, &a, &aaaa, &[]]);
        }
        ServiceKind::ExternalName(target) => {
            records.kind = Kind::ExternalName;
            records.own = Parts::new([key, &[], &[], target]);
        }
    }
    records.exists = true;
    records.ports = to_service(&service.ports);
    records
}

fn to_service(ports: &[Port]) -> SmallVec<[ServicePort; 1]> {
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

fn encode(addresses: &[IpAddr], ttl: u32) -> (Vec<u8>, Vec<u8>) {
    let (mut a, mut aaaa) = (Vec::new(), Vec::new());
    for address in addresses {
        encode_address(
            *address,
            ttl,
            if address.is_ipv4() { &mut a } else { &mut aaaa },
        );
    }
    (a, aaaa)
}

/// The ready endpoints of a service under their labels.
#[derive(Default)]
pub(super) struct Ready<'m> {
    /// A name, one of its addresses, and the number of the slice that says so; sorted.
    pub(super) named: Vec<(Cow<'m, [u8]>, IpAddr, u32)>,
    /// The ports of each slice.
    offers: Vec<(&'m Port, u32)>,
    /// The labels of endpoints that are not ready, and of none that is; sorted.
    pub(super) unready: Vec<&'m [u8]>,
    /// How many slices there are.
    slices: u32,
}

impl<'m> Ready<'m> {
    fn collect(slices: Slices<'m, impl Iterator<Item = &'m Slice>>) -> Self {
        let mut hosts = Self::default();
        // What is said of a name and a family so far, be it ready or not: a slice has one family, and another slice has
        // the other.
        let mut told = HashSet::<_, foldhash::fast::RandomState>::default();
        let names = |endpoint: Endpoint<'m>| {
            let named = endpoint.named();
            named.map(|(label, address)| (label, address.is_ipv4()))
        };
        for slice in slices.slices {
            if !slices.fading.is_empty() {
                told.extend(slice.endpoints().flat_map(names));
            }
            hosts.add(slice, slice.endpoints());
        }
        for slice in slices.fading.into_iter().rev() {
            let is_untold = |it: &Endpoint<'m>| names(*it).all(|it| !told.contains(&it));
            hosts.add(slice, slice.ready().filter(is_untold));
            told.extend(slice.ready().flat_map(names));
        }
        hosts.sort();
        hosts
    }

    pub(super) fn sort(&mut self) {
        let Self { named, unready, .. } = self;
        // Slices are kept in this order, each for itself, which a stable sort makes use of.
        named.sort();
        unready.sort_unstable();
        unready.dedup();
        unready.retain(|label| {
            named
                .binary_search_by(|(ready, ..)| (**ready).cmp(label))
                .is_err()
        });
    }

    /// Each name with one of its addresses.
    pub(super) fn hosts(&self) -> impl ExactSizeIterator<Item = (&[u8], IpAddr)> {
        let named = self.named.iter();
        named.map(|(label, address, _)| (&**label, *address))
    }

    /// Adds the ports of a slice, and these of its endpoints.
    pub(super) fn add(&mut self, slice: &'m Slice, endpoints: impl Iterator<Item = Endpoint<'m>>) {
        let number = self.slices;
        self.slices += 1;
        self.offers
            .extend(slice.ports.iter().map(|port| (port, number)));
        for endpoint in endpoints {
            if endpoint.ready {
                let named = endpoint.named();
                self.named
                    .extend(named.map(|(label, address)| (label, address, number)));
            } else {
                self.unready.extend(endpoint.label);
            }
        }
    }

    /// The records of a headless service with these hosts.
    fn into_records(self, key: &[u8], ttl: u32, hash: impl Fn(&[u8]) -> u64) -> ServiceRecords {
        let hosts = Hosts::new(self.hosts(), ttl, hash);
        // Without an address that two have, the service's own addresses are all of the hosts'.
        let mut distinct = vec![];
        if !hosts.addresses().is_sorted_by(|a, b| a < b) {
            distinct.extend(hosts.addresses());
            distinct.dedup();
        }
        let (a, aaaa) = encode(&distinct, ttl);
        ServiceRecords {
            own: Parts::new([key, &a, &aaaa, &[]]),
            kind: Kind::Headless,
            exists: !hosts.is_empty(),
            ports: ports(self.offers, &self.named, self.slices, hosts.len()),
            hosts,
            unready: Labels::of(&self.unready),
            incomplete: false,
        }
    }
}

/// Each port with the hosts that offer it; two slices may offer the same port.
fn ports(
    offers: Vec<(&Port, u32)>,
    named: &[(Cow<'_, [u8]>, IpAddr, u32)],
    slices: u32,
    host_count: usize,
) -> SmallVec<[ServicePort; 1]> {
    let none = vec![false; slices as usize];
    let mut with_hosts = none.clone();
    for (.., slice) in named {
        with_hosts[*slice as usize] = true;
    }
    let mut offering = BTreeMap::<&Port, Vec<bool>>::new();
    for (port, slice) in offers {
        offering.entry(port).or_insert_with(|| none.clone())[slice as usize] = true;
    }
    let hosts = |offering: &[bool]| -> Box<[u32]> {
        let hosts = (0..).zip(named.chunk_by(|a, b| a.0 == b.0));
        let offers = |host: &[(_, _, u32)]| host.iter().any(|it| offering[it.2 as usize]);
        let offered = hosts.filter(|(_, host)| offers(host));
        offered.map(|(number, _)| number).collect()
    };
    let port = |(port, offering): (&Port, Vec<bool>)| {
        let mut slices = offering.iter().zip(&with_hosts);
        // Most services: all slices offer the same.
        let targets = if slices.all(|(offers, has_hosts)| offers >= has_hosts) {
            Targets::EveryHost
        } else {
            match hosts(&offering) {
                // A port that only slices without a ready endpoint offer has no records, and so no name.
                hosts if hosts.is_empty() => return None,
                hosts if hosts.len() == host_count => Targets::EveryHost,
                hosts => Targets::Hosts(hosts),
            }
        };
        let port = port.clone();
        Some(ServicePort { port, targets })
    };
    let offering = offering.into_iter().filter(|_| host_count > 0);
    offering.filter_map(port).collect()
}
