//! What readers see: one immutable state of all names, in shards that a change replaces one by one. It knows how to find,
//! and not what a name means.

use super::{Options, records::ServiceRecords};
use crate::{model::Source, wire};
use arc_swap::ArcSwap;
use hashbrown::HashTable;
use std::{hash::BuildHasher, net::IpAddr, sync::Arc};

/// Into how many shards names are cut, and addresses. A change clones the shards that it touches (40 services each at
/// 10,000) and the lists of them; `docs/decisions/0003-snapshot-grain.md` says why.
pub(super) const SHARDS: usize = 256;

/// One state of the cluster's names.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) options: Arc<Options>,
    pub(super) names: Vec<Arc<Names>>,
    pub(super) addresses: Vec<Arc<Addresses>>,
    pub(super) hasher: foldhash::fast::RandomState,
    pub(super) known: [bool; Source::ALL.len()],
    pub(super) stale: [bool; Source::ALL.len()],
    pub(super) serial: u32,
    /// Counts the publications.
    pub(super) edition: u64,
    /// The first edition in which what is known of the sources, and since when, was as it is.
    pub(super) sources_edition: u64,
}

/// What is found by a name, for all names whose hashes are congruent. Keys live in the values, so that cloning a shard
/// copies pointers only.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) services: HashTable<Arc<ServiceRecords>>,
    /// Labels of namespaces.
    pub(super) namespaces: HashTable<Arc<[u8]>>,
    /// Namespaces with an object of a source that is unreadable and may be about any name in them; once for each.
    pub(super) unreadable: HashTable<(Source, Arc<[u8]>)>,
    /// The first edition that has it.
    pub(super) edition: u64,
}

/// What is found by an address, for all addresses whose hashes are congruent; apart from names, whose pointers need not be
/// copied when an address comes or goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses {
    /// Address → service that has a name for it; an address may stand here several times.
    pub(super) owners: HashTable<Owner>,
    /// Address → namespace of a pod that has it.
    pub(super) pods: HashTable<(IpAddr, Arc<[u8]>)>,
}

/// The service by its key's hash, and in octets: 25 of them without padding, 150,000 endpoints have as many of these, and a
/// shard of them is copied by one `memcpy`. Whoever finds another service of the same hash finds out by its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) address: IpAddr,
    service: [u8; 8],
}

impl Owner {
    pub(super) const fn new(address: IpAddr, service_hash: u64) -> Self {
        Self {
            address,
            service: service_hash.to_ne_bytes(),
        }
    }
}

impl Snapshot {
    /// What this index was built with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Time of the last change, in seconds since 1970, as the zone's serial number.
    pub const fn serial(&self) -> u32 {
        self.serial
    }

    /// Has the source been listed whole, and has access to it not been lost since?
    pub const fn has_listed(&self, source: Source) -> bool {
        self.known[source as usize]
    }

    /// Can the source be relied on for "there is no such name"? A source that is not fed is not relied on either.
    pub fn knows(&self, source: Source) -> bool {
        let unsure = |staleness: super::Staleness| staleness.unsure;
        self.has_listed(source)
            && !(self.stale[source as usize] && self.options.staleness.is_some_and(unsure))
    }

    /// Has nothing been heard of some source for so long that answers are to say so?
    pub fn is_stale(&self) -> bool {
        self.stale.contains(&true)
    }

    /// Is every source known that headless names are made of?
    pub fn knows_endpoints(&self) -> bool {
        let fed = |source| self.options.sources.contains(&source);
        Source::SLICES
            .into_iter()
            .all(|source| !fed(source) || self.knows(source))
    }

    /// Is every source known that is fed?
    pub fn is_synced(&self) -> bool {
        self.options
            .sources
            .iter()
            .all(|source| self.knows(*source))
    }

    /// The service whose two labels `<service>.<namespace>` these are, each with its length in front, lower-cased.
    pub fn service(&self, key: &[u8]) -> Option<&ServiceRecords> {
        self.find(key).map(AsRef::as_ref)
    }

    pub(super) fn find(&self, key: &[u8]) -> Option<&Arc<ServiceRecords>> {
        let (hash, names) = self.names(key);
        names.services.find(hash, |service| service.key() == key)
    }

    /// A and AAAA records of the service's host with this label, if there is a ready one.
    pub fn host<'s>(
        &self,
        service: &'s ServiceRecords,
        label: &[u8],
    ) -> Option<(wire::Addresses<'s>, wire::Addresses<'s>)> {
        service.hosts().find(label, || self.host_hash(label))
    }

    /// The hash of a service's two labels.
    pub fn service_hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    /// The hash of a host's label.
    pub fn host_hash(&self, label: &[u8]) -> u64 {
        self.hasher.hash_one(label)
    }

    /// Is there such a namespace?
    pub fn has_namespace(&self, label: &[u8]) -> bool {
        let (hash, names) = self.names(label);
        names
            .namespaces
            .find(hash, |namespace| **namespace == *label)
            .is_some()
    }

    /// The services that have a name for this address.
    pub fn services_at(&self, address: IpAddr) -> impl Iterator<Item = &ServiceRecords> + Clone {
        let (hash, addresses) = self.addresses(address);
        let owners = addresses
            .owners
            .iter_hash(hash)
            .filter(move |owner| owner.address == address);
        owners.flat_map(move |owner| {
            let hash = u64::from_ne_bytes(owner.service);
            let services = &self.names[shard_of(hash)].services;
            services
                .iter_hash(hash)
                .map(AsRef::as_ref)
                .filter(move |service| {
                    self.hasher.hash_one(service.key()) == hash && service.has_reverse(address)
                })
        })
    }

    /// Does a pod of this namespace have this address?
    pub fn has_pod(&self, namespace: &[u8], address: IpAddr) -> bool {
        let (hash, addresses) = self.addresses(address);
        let same = |(at, of): &(IpAddr, Arc<[u8]>)| *at == address && **of == *namespace;
        addresses.pods.find(hash, same).is_some()
    }

    /// Has the namespace an object of this source of which nothing is known but that it exists?
    pub fn has_unreadable(&self, source: Source, namespace: &[u8]) -> bool {
        let (hash, names) = self.names(namespace);
        let same = |(of, at): &(Source, Arc<[u8]>)| *of == source && **at == *namespace;
        names.unreadable.find(hash, same).is_some()
    }

    fn names(&self, key: &[u8]) -> (u64, &Names) {
        let hash = self.hasher.hash_one(key);
        (hash, &self.names[shard_of(hash)])
    }

    fn addresses(&self, address: IpAddr) -> (u64, &Addresses) {
        let hash = self.hasher.hash_one(address);
        (hash, &self.addresses[shard_of(hash)])
    }
}

/// Which shard a hash belongs to: its middle bits, as the table inside takes the outer ones.
pub(super) const fn shard_of(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

/// A handle for readers; loading the current snapshot takes no lock.
#[derive(Clone, Debug)]
pub struct Reader(pub(super) Arc<ArcSwap<Snapshot>>);

impl Reader {
    /// The current snapshot. Hold it for a batch of queries, not for ever: it keeps its whole state alive.
    pub fn load(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.0.load()
    }
}
