//! The answers that one thread gave last, in front of the cache that all threads share. Never a second truth: it holds
//! the cache's own entries, gives them within their own time only, drops the ones that the cache has dropped
//! for a newer answer, and goes back to the cache every so often.
//!
//! Why: a hit in the cache takes a lock that all readers share and a writer may hold, so it does not get cheaper with
//! more threads.

use super::{Cache, Entry, Key};
use std::{hash::BuildHasher, sync::Arc, time::Instant};

/// Answers remembered by a thread: what a node asks most. They are kept from being freed for as long as they stand here, at
/// 8 KiB each at most.
const SLOTS: usize = 256;

/// The cache is asked again after so many hits on a slot, so that it knows what is popular.
const HITS_PER_LOOK: u32 = 64;

/// A slot is given to another name once in so many questions that find it taken: a popular one gets it soon, and names that
/// are asked for once do not cost a copy each.
const MISSES_PER_TURN: u32 = 8;

/// One thread's memory.
#[derive(Debug)]
pub struct Recent {
    slots: Box<[Option<Slot>]>,
    misses: u32,
    hasher: foldhash::fast::RandomState,
}

#[derive(Clone, Debug)]
struct Slot {
    key: Key,
    entry: Arc<Entry>,
    hits: u32,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            slots: vec![None; SLOTS].into(),
            misses: 0,
            hasher: foldhash::fast::RandomState::default(),
        }
    }
}

impl Recent {
    /// The answer under this key, be it in its own time or stale at `now`: this thread's own, else the cache's. One past its
    /// time is always the cache's, where a newer one may stand. A key is compared in full.
    pub fn get(&mut self, cache: &Cache, key: &Key, now: Instant) -> Option<Arc<Entry>> {
        let number = self.hasher.hash_one(key.as_bytes()) as usize % SLOTS;
        let slot = &mut self.slots[number];
        let mut is_taken = false;
        if let Some(held) = slot {
            let is_current = held.entry.is_current(now) && !held.entry.is_displaced();
            let is_its = held.key.as_bytes() == key.as_bytes();
            if is_its && is_current && held.hits < HITS_PER_LOOK {
                held.hits += 1;
                return Some(Arc::clone(&held.entry));
            }
            is_taken = is_current && !is_its;
        }
        let entry = cache.get(key, now)?;
        if is_taken {
            self.misses = self.misses.wrapping_add(1);
            is_taken = !self.misses.is_multiple_of(MISSES_PER_TURN);
        }
        if !is_taken && entry.is_current(now) {
            *slot = Some(Slot {
                key: key.clone(),
                entry: Arc::clone(&entry),
                hits: 0,
            });
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{
        MESSAGE_MAX,
        tests::{NOW, entry, key},
    };
    use std::time::Duration;

    #[test]
    fn a_hit_is_the_caches_entry_until_a_newer_one_stands_there() {
        let (cache, mut recent) = (Cache::new(1 << 20, MESSAGE_MAX), Recent::default());
        let mut held = |after| recent.get(&cache, &key("a"), *NOW + Duration::from_secs(after));
        assert!(held(0).is_none());
        for entry in [entry(60, 200, *NOW), entry(60, 400, *NOW)] {
            cache.put(&key("a"), Arc::clone(&entry));
            for after in [0, 1, 59, 60, 3659] {
                assert!(Arc::ptr_eq(&held(after).unwrap(), &entry), "{after}");
            }
            assert!(held(3660).is_none());
        }
        cache.put(&key("a"), entry(0, 200, *NOW));
        assert!(held(0).is_none());
    }

    #[test]
    fn the_cache_is_asked_once_in_so_many_hits() {
        let (cache, mut recent) = (Cache::new(1 << 20, MESSAGE_MAX), Recent::default());
        cache.put(&key("a"), entry(60, 200, *NOW));
        recent.get(&cache, &key("a"), *NOW).unwrap();
        cache.stores.positive.remove(key("a").as_bytes()).unwrap();
        let hits = (0..1000).take_while(|_| recent.get(&cache, &key("a"), *NOW).is_some());
        assert_eq!(hits.count(), HITS_PER_LOOK as usize);
    }

    #[test]
    fn keys_that_share_a_slot_never_share_an_answer() {
        let (cache, mut recent) = (Cache::new(1 << 22, MESSAGE_MAX), Recent::default());
        let names: Vec<_> = (0..4 * SLOTS).map(|n| n.to_string()).collect();
        for name in &names {
            cache.put(&key(name), entry(60, 200, *NOW));
        }
        for name in names.iter().chain(names.iter().rev()) {
            let given = recent.get(&cache, &key(name), *NOW).unwrap();
            assert!(
                Arc::ptr_eq(&given, &cache.get(&key(name), *NOW).unwrap()),
                "{name}"
            );
        }
    }
}
