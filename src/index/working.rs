//! The snapshot in the making: its shards are copied when they are first changed after a publication, and nothing else is.
//! It knows tables, and neither objects nor why something changes.

use super::{
    Options,
    records::ServiceRecords,
    snapshot::{Addresses, Names, Owner, SHARDS, Snapshot, shard_of},
};
use crate::model::Source;
use hashbrown::HashTable;
use std::{hash::BuildHasher, net::IpAddr, ops::Deref, sync::Arc};

#[derive(Debug)]
pub(super) struct Working {
    snapshot: Snapshot,
    /// Has anything changed that readers are to see?
    touched: bool,
}

impl Deref for Working {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl Working {
    pub(super) fn new(options: Options) -> Self {
        let snapshot = Snapshot {
            options: Arc::new(options),
            names: (0..SHARDS).map(|_| Arc::default()).collect(),
            addresses: (0..SHARDS).map(|_| Arc::default()).collect(),
            hasher: foldhash::fast::RandomState::default(),
            known: <_>::default(),
            stale: <_>::default(),
            serial: 0,
            edition: 0,
            sources_edition: 0,
        };
        Self {
            snapshot,
            touched: false,
        }
    }

    /// What is to be published, if anything has changed since the last call.
    pub(super) fn publish(&mut self, serial: u32) -> Option<Arc<Snapshot>> {
        std::mem::take(&mut self.touched).then(|| {
            self.snapshot.serial = serial;
            self.edition()
        })
    }

    /// What is to be published first.
    pub(super) fn edition(&mut self) -> Arc<Snapshot> {
        let edition = Arc::new(self.snapshot.clone());
        self.snapshot.edition += 1;
        edition
    }

    pub(super) fn set_known(&mut self, source: Source, known: bool) {
        if std::mem::replace(&mut self.snapshot.known[source as usize], known) != known {
            self.touch_sources();
        }
    }

    pub(super) fn set_stale(&mut self, source: Source, stale: bool) {
        if std::mem::replace(&mut self.snapshot.stale[source as usize], stale) != stale {
            self.touch_sources();
        }
    }

    const fn touch_sources(&mut self) {
        self.touched = true;
        self.snapshot.sources_edition = self.snapshot.edition;
    }

    pub(super) fn set_namespace(&mut self, namespace: &str, exists: bool) {
        let label: Arc<[u8]> = namespace.as_bytes().into();
        let hasher = self.hasher.clone();
        let (hash, names) = self.names_mut(&label);
        replace(
            &mut names.namespaces,
            hash,
            |it| **it == *label,
            exists.then(|| label.clone()),
            |it| hasher.hash_one(&**it),
        );
    }

    /// Several pods of a namespace may have one address: those on the host's network. Each stands in the table.
    pub(super) fn set_pod(&mut self, namespace: &str, address: IpAddr, comes: bool) {
        let pod: (IpAddr, Arc<[u8]>) = (address, namespace.as_bytes().into());
        let hasher = self.hasher.clone();
        let (hash, addresses) = self.addresses_mut(address);
        if comes {
            addresses
                .pods
                .insert_unique(hash, pod, |it| hasher.hash_one(it.0));
        } else if let Ok(found) = addresses.pods.find_entry(hash, |it| *it == pod) {
            found.remove();
        }
    }

    pub(super) fn set_unreadable(&mut self, source: Source, namespace: &str, comes: bool) {
        let namespace: Arc<[u8]> = namespace.as_bytes().into();
        let entry = (source, namespace.clone());
        let hasher = self.hasher.clone();
        let (hash, names) = self.names_mut(&namespace);
        if comes {
            let rehash = |it: &(Source, Arc<[u8]>)| hasher.hash_one(&*it.1);
            names.unreadable.insert_unique(hash, entry, rehash);
        } else if let Ok(found) = names.unreadable.find_entry(hash, |it| *it == entry) {
            found.remove();
        }
    }

    /// Puts a service's records, or nothing, in the place of those that it had, and its addresses likewise; it is told if only
    /// some of them may differ.
    pub(super) fn set_service(
        &mut self,
        key: &[u8],
        after: Option<ServiceRecords>,
        touched: Option<Vec<IpAddr>>,
    ) {
        let (before, after) = (self.find(key).cloned(), after.map(Arc::new));
        if before == after {
            return;
        }
        let addresses = |records: &Option<Arc<ServiceRecords>>| match (records, &touched) {
            (None, _) => Box::default(),
            (Some(records), None) => records.reverse_addresses(),
            (Some(records), Some(touched)) => {
                let touched = touched.iter().copied();
                touched.filter(|it| records.has_reverse(*it)).collect()
            }
        };
        let (had, has) = (addresses(&before), addresses(&after));
        for gone in without(&had, &has) {
            self.set_owner(*gone, key, false);
        }
        for new in without(&has, &had) {
            self.set_owner(*new, key, true);
        }
        let hasher = self.hasher.clone();
        let (hash, names) = self.names_mut(key);
        replace(
            &mut names.services,
            hash,
            |it| it.key() == key,
            after,
            |it| hasher.hash_one(it.key()),
        );
    }

    fn set_owner(&mut self, address: IpAddr, key: &[u8], comes: bool) {
        let hasher = self.hasher.clone();
        let owner = Owner::new(address, self.service_hash(key));
        let (hash, addresses) = self.addresses_mut(address);
        replace(
            &mut addresses.owners,
            hash,
            |it| *it == owner,
            comes.then_some(owner),
            |it| hasher.hash_one(it.address),
        );
    }

    /// The shard of a name, to be changed: a copy if readers may hold it.
    fn names_mut(&mut self, key: &[u8]) -> (u64, &mut Names) {
        self.touched = true;
        let hash = self.hasher.hash_one(key);
        let names = Arc::make_mut(&mut self.snapshot.names[shard_of(hash)]);
        names.edition = self.snapshot.edition;
        (hash, names)
    }

    /// The same of an address.
    fn addresses_mut(&mut self, address: IpAddr) -> (u64, &mut Addresses) {
        self.touched = true;
        let hash = self.hasher.hash_one(address);
        let shard = &mut self.snapshot.addresses[shard_of(hash)];
        (hash, Arc::make_mut(shard))
    }
}

/// Those that are not among the others; both are sorted.
fn without<'a>(all: &'a [IpAddr], others: &'a [IpAddr]) -> impl Iterator<Item = &'a IpAddr> {
    let mut others = others.iter().peekable();
    all.iter().filter(move |address| {
        while others.next_if(|other| other < address).is_some() {}
        others.peek() != Some(address)
    })
}

/// Puts `value`, or nothing, in the place of the entry that `is` finds.
fn replace<T>(
    table: &mut HashTable<T>,
    hash: u64,
    is: impl FnMut(&T) -> bool,
    value: Option<T>,
    rehash: impl Fn(&T) -> u64,
) {
    if let Ok(found) = table.find_entry(hash, is) {
        found.remove();
    }
    if let Some(value) = value {
        table.insert_unique(hash, value, rehash);
    }
}
