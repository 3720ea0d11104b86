//! The records of a headless service of which a few names have changed, made from the former ones instead of from all of its slices.
//! It gives what `build` gives, or nothing where that would take more than copying.

use super::{
    Kind, ServiceRecords, Targets,
    build::{Ready, Slices},
    labels::Labels,
};
use crate::{
    index::{
        Options,
        held::{Endpoint, Slice},
    },
    model::{self, Port},
    wire::Addresses,
};
use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
};

/// Where more than one name in so many is touched, nothing is gained.
const UNTOUCHED_FOR_EACH: usize = 4;

/// What `slices` make of the service whose records were `before` as long as they said something else about the `touched` labels,
/// and of nothing else. With it, sorted, the only addresses whose names may be others.
pub(in crate::index) fn mend<'m>(
    before: &ServiceRecords,
    touched: &BTreeSet<Box<[u8]>>,
    slices: &Slices<'m, impl Iterator<Item = &'m Slice> + Clone>,
    options: &Options,
    hash: impl Fn(&[u8]) -> u64,
) -> Option<(ServiceRecords, Vec<IpAddr>)> {
    let is_sure = slices.fading.is_empty() && !slices.incomplete;
    // Its own addresses are just all of its hosts', each once.
    let is_plain = before.kind == Kind::Headless && before.own.len() == before.key().len();
    let is_worth_it = touched.len() * UNTOUCHED_FOR_EACH <= before.hosts.len();
    let same_ports = |slice: &Slice| before.offers_everywhere(&slice.ports);
    if !(is_sure && is_plain && is_worth_it && slices.slices.clone().all(same_ports)) {
        return None;
    }
    let ready = Ready::about(touched, slices.slices.clone());
    let mut named: Vec<_> = ready.hosts().collect();
    named.dedup();
    let labels = touched.iter().map(|label| &**label);
    let hosts = before
        .hosts
        .mend(labels.clone(), &named, options.ttl.pod, &hash);
    let is_shared = |(_, address): &(&[u8], IpAddr)| hosts.at(*address).nth(1).is_some();
    if hosts.is_empty() || named.iter().any(is_shared) {
        return None;
    }
    let former = labels.filter_map(|label| before.hosts.find(label, || hash(label)));
    let former = former
        .flat_map(|(a, aaaa)| [a, aaaa])
        .flat_map(|run: Addresses<'_>| run.addresses());
    let mut addresses: Vec<_> = named
        .iter()
        .map(|(_, address)| *address)
        .chain(former)
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    let records = ServiceRecords {
        own: before.own.clone(),
        kind: before.kind,
        exists: true,
        incomplete: false,
        ports: before.ports.clone(),
        hosts,
        unready: unready(&before.unready, touched, &ready),
    };
    Some((records, addresses))
}

impl ServiceRecords {
    /// Are these its ports, and does every host offer each?
    fn offers_everywhere(&self, ports: &[Port]) -> bool {
        let own = || self.ports.iter().map(|own| &own.port);
        self.ports
            .iter()
            .all(|own| matches!(own.targets, Targets::EveryHost))
            && own().all(|port| ports.contains(port))
            && ports.iter().all(|port| own().any(|own| own == port))
    }
}

impl<'m> Ready<'m> {
    /// What slices say about these labels.
    fn about(touched: &BTreeSet<Box<[u8]>>, slices: impl Iterator<Item = &'m Slice>) -> Self {
        let spelled: HashSet<_, foldhash::fast::RandomState> = touched
            .iter()
            .filter_map(|label| model::address_of(label))
            .collect();
        let spells = |address: IpAddr| {
            // The label of an IPv4-mapped address does not say which one it is.
            spelled.contains(&address)
                || matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
        };
        let is_touched = |endpoint: &Endpoint<'m>| match endpoint.label {
            Some(label) => touched.contains(label),
            None => endpoint.addresses().any(spells),
        };
        let mut ready = Self::default();
        for slice in slices {
            ready.add(slice, slice.endpoints().filter(is_touched));
        }
        ready.named.retain(|(label, ..)| touched.contains(&**label));
        ready.sort();
        ready
    }
}

/// The former labels, but for those that are touched, and what is said of those.
fn unready(before: &Labels, touched: &BTreeSet<Box<[u8]>>, ready: &Ready<'_>) -> Labels {
    let none_before =
        before.is_empty() || !touched.iter().any(|label| before.find(label).is_some());
    if none_before && ready.unready.is_empty() {
        return before.clone();
    }
    let untouched = before.iter().filter(|label| !touched.contains(*label));
    let mut labels: Vec<_> = untouched.chain(ready.unready.iter().copied()).collect();
    labels.sort();
    Labels::of(&labels)
}

#[cfg(test)]
mod tests;
