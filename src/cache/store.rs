//! A map that never takes more memory than it was given, whoever fills it: quick_cache decides what stays. It knows
//! neither what it holds nor any time; what is past its time leaves when room is needed.
//!
//! What comes when the map is full is on probation, and stays once it is asked for again, or comes again soon after it
//! left. So names that are asked for once push out one another, and nobody else.

use foldhash::fast::RandomState;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter, sync};
use std::{
    borrow::Borrow,
    fmt,
    hash::Hash,
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering},
};

/// What glibc's allocator takes for this many octets: a header of 8, then a multiple of 16, 32 at least.
pub(super) const fn allocated(octets: usize) -> usize {
    match octets {
        0 => 0,
        1..24 => 32,
        _ => (octets + 8).next_multiple_of(16),
    }
}

/// What the map itself takes for an entry, in octets: 56 for its place in a vector, as many for one that has left and is
/// remembered, 5 to 10 for each in the table; and what vectors have in store. Measured with quick_cache 0.7.0 by
/// `tests/cache.rs`.
const PLACE: usize = 140;
/// The share of the room in which an entry must be asked for again, to stay.
const PROBATION: f64 = 0.1;
/// Octets for one key that has left and is remembered, so that it stays when it comes again: some entry's.
const REMEMBERED_PER: u64 = 512;
/// Each part of the map has a lock of its own, which writers hold for a microsecond: many parts, that a reader seldom
/// meets one; yet each with room for the longest messages.
const PARTS_MAX: u64 = 64;
const PART_BYTES: u64 = 1024 * 1024;

/// What can stand in a store, or be a key there.
pub trait Weigh: Clone {
    /// Octets that it takes on the heap, with what the allocator needs.
    fn weight(&self) -> usize;
}

impl Weigh for Box<[u8]> {
    fn weight(&self) -> usize {
        allocated(self.len())
    }
}

/// How full a store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Entries, also those past their time that nobody has needed the room of.
    pub entries: u64,
    /// Octets, as they count for the bound.
    pub bytes: u64,
    /// Entries that had to make room.
    pub evicted: u64,
}

/// The map. Keys are compared in full.
pub struct Store<K, V> {
    entries: sync::Cache<K, V, Weights, RandomState, Leaving<K, V>>,
    evicted: AtomicU64,
}

impl<K: Weigh + Borrow<[u8]> + Hash + Eq, V: Weigh> Store<K, V> {
    /// An empty one, bounded by this many octets.
    pub fn new(bytes: u64) -> Self {
        let parts = (bytes / PART_BYTES).clamp(1, PARTS_MAX).ilog2();
        let remembered = usize::try_from(bytes / REMEMBERED_PER).unwrap_or(usize::MAX);
        let options = OptionsBuilder::new()
            .shards(1 << parts)
            .estimated_items_capacity(remembered)
            .ghost_allocation(1.0)
            .hot_allocation(1.0 - PROBATION)
            .weight_capacity(bytes)
            .build()
            .expect("both capacities are given");
        let hasher = RandomState::default();
        Self {
            entries: sync::Cache::with_options(options, Weights, hasher, Leaving(PhantomData)),
            evicted: AtomicU64::new(0),
        }
    }

    /// What stands under this key.
    pub fn get(&self, key: &[u8]) -> Option<V> {
        self.entries.get(key)
    }

    /// Puts it there, in place of what stood there.
    pub fn insert(&self, key: K, value: V) {
        let mut leaving = Default::default();
        let of = key.clone();
        self.entries.insert_with_lifecycle(key, value, &mut leaving);
        let (left, [first, _]) = leaving;
        let evicted = left - u64::from(first.is_some_and(|(key, _)| key == of));
        if evicted > 0 {
            self.evicted.fetch_add(evicted, Ordering::Relaxed);
        }
    }

    /// Takes away what stands under this key.
    pub fn remove(&self, key: &[u8]) {
        drop(self.entries.remove(key));
    }

    /// How full it is.
    pub fn size(&self) -> Size {
        Size {
            entries: self.entries.len() as u64,
            bytes: self.entries.weight(),
            evicted: self.evicted.load(Ordering::Relaxed),
        }
    }
}

impl<K: Weigh + Borrow<[u8]> + Hash + Eq, V: Weigh> fmt::Debug for Store<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.size()).finish()
    }
}

#[derive(Clone)]
struct Weights;

impl<K: Weigh, V: Weigh> Weighter<K, V> for Weights {
    fn weight(&self, key: &K, value: &V) -> u64 {
        (key.weight() + value.weight() + PLACE) as u64
    }
}

/// Counts what leaves, and keeps the first two until the lock is given back, to be freed then. The first is the
/// one that was replaced, if there was one.
#[derive(Clone)]
struct Leaving<K, V>(PhantomData<fn() -> (K, V)>);

impl<K, V> Lifecycle<K, V> for Leaving<K, V> {
    type RequestState = (u64, [Option<(K, V)>; 2]);

    fn on_evict(&self, (count, kept): &mut Self::RequestState, key: K, value: V) {
        *count += 1;
        if let Some(free) = kept.iter_mut().find(|place| place.is_none()) {
            *free = Some((key, value));
        }
    }
}
