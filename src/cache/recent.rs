//! The answers that one thread gave last, in front of the cache that all threads share. Never a second truth: it holds
//! the cache's own entries, gives them within their own time only, drops the ones that have left the cache, and goes back
//! to the cache every so often.
//!
//! Why: a hit in the cache takes a lock that all readers share and a writer may hold, and waits for memory five times. Here a
//! batch's answers are read ahead, all at once, and what is given is lent, not counted.

use super::{Cache, Entry, Key};
use crate::wire::Question;
use std::{borrow::Cow, hash::BuildHasher, hint::black_box, iter, sync::Arc, time::Instant};

/// Groups of answers, each found by one line of a processor's cache: 14,336 answers in 128 KiB, which are taken when the
/// first answer comes.
const SETS: usize = 2048;
const WAYS: usize = 7;

/// Longest message that stands here, in octets: a longer one costs more to copy than to find. What left the cache may
/// stand here for a while, so this also bounds the memory.
const SHORT: usize = 512;

/// The cache is asked again once in so many hits, so that it knows what is popular.
const HITS_PER_LOOK: u32 = 64;

/// A place is given to another answer once in so many questions that find it taken: a popular one gets it soon, and names
/// that are asked for once do not push out the others.
const MISSES_PER_TURN: u32 = 8;

/// Of how many questions answers are read ahead at the most: one for each datagram of a batch.
const WARM_AT_ONCE: usize = 64;

/// One thread's memory.
#[derive(Debug, Default)]
pub struct Recent {
    /// [`SETS`], or none before the first answer.
    sets: Box<[Set]>,
    hits: u32,
    misses: u32,
    /// The set in which what has left the cache is looked for next.
    swept: usize,
    hasher: foldhash::fast::RandomState,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Set {
    /// Some bits of each answer's hash; the last one belongs to none.
    tags: [u8; WAYS + 1],
    ways: [Option<Arc<Entry>>; WAYS],
}

const _: () = assert!(size_of::<Set>() == 64);

/// Where an answer would stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    set: usize,
    tag: u8,
}

impl Recent {
    /// The answer to a question on this route, be it in its own time or stale at `now`: this thread's own, else the cache's. One
    /// past its time is always the cache's, where a newer one may stand. A key is compared in full. `place` is the question's own, if
    /// that is known already.
    pub fn get(
        &mut self,
        cache: &Cache,
        question: &Question,
        route: u16,
        place: Option<Place>,
        now: Instant,
    ) -> Option<Cow<'_, Arc<Entry>>> {
        let place = place.unwrap_or_else(|| self.place(question.name.as_bytes(), question.qtype));
        let way = self.sets.get(place.set).and_then(|set| {
            set.tagged(place.tag).find(|way| {
                let entry = set.ways[*way].as_ref();
                entry.is_some_and(|it| it.is_for(question, route) && is_to_stay(it, now))
            })
        });
        if let Some(way) = way
            && !self.is_to_look()
        {
            return self.sets[place.set].ways[way].as_ref().map(Cow::Borrowed);
        }
        let entry = cache.get(&Key::new(question, route), now)?;
        if way.is_none() && is_to_stay(&entry, now) && entry.message_len() <= SHORT {
            self.keep(place, &entry, now);
        }
        self.sweep();
        Some(Cow::Owned(entry))
    }

    /// Where the answer stands to a question for this name, in lower-cased wire form, and type.
    pub fn place(&self, name: &[u8], qtype: u16) -> Place {
        let hash = self.hasher.hash_one(name);
        Place {
            // The types of a name stand in different sets: many ask for both A and AAAA.
            set: ((hash >> 32) as usize).wrapping_add(usize::from(qtype)) % SETS,
            tag: hash as u8,
        }
    }

    /// Reads what stands in these places. The reads of one step do not wait for each other, only for those of the step before.
    pub fn warm(&self, places: &[Option<Place>]) {
        for place in places.iter().flatten() {
            black_box(self.sets.get(place.set).map(|set| set.tags[0]));
        }
        let mut entries = [None; WARM_AT_ONCE];
        for (slot, place) in entries.iter_mut().zip(places) {
            let Some(Place { set, tag }) = place else {
                continue;
            };
            let set = self.sets.get(*set);
            *slot = set.and_then(|set| set.ways[set.tagged(*tag).next()?].as_ref());
        }
        let entries = entries[..places.len().min(WARM_AT_ONCE)].iter().flatten();
        for entry in entries.clone() {
            black_box(entry.touch());
        }
        for entry in entries {
            black_box(entry.touch_content());
        }
    }

    /// Does it hold nothing?
    pub const fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// One hit in [`HITS_PER_LOOK`], without a period that the order of questions could share.
    const fn is_to_look(&mut self) -> bool {
        self.hits = self.hits.wrapping_add(0x9E37_79B9); // 2³² by the golden ratio
        self.hits < u32::MAX / HITS_PER_LOOK
    }

    fn keep(&mut self, Place { set, tag }: Place, entry: &Arc<Entry>, now: Instant) {
        if self.is_empty() {
            self.sets = (0..SETS).map(|_| Set::default()).collect();
        }
        let set = &mut self.sets[set];
        let is_free =
            |way: &Option<Arc<Entry>>| !way.as_ref().is_some_and(|it| is_to_stay(it, now));
        let way = match set.ways.iter().position(is_free) {
            Some(free) => free,
            None => {
                self.misses = self.misses.wrapping_add(1);
                if !self.misses.is_multiple_of(MISSES_PER_TURN) {
                    return;
                }
                (self.misses / MISSES_PER_TURN) as usize % WAYS
            }
        };
        set.tags[way] = tag;
        set.ways[way] = Some(Arc::clone(entry));
    }

    /// Lets go of what has left the cache in one more set: it must not take memory because nobody asks for it.
    fn sweep(&mut self) {
        self.swept = (self.swept + 1) % SETS;
        if let Some(set) = self.sets.get_mut(self.swept) {
            for way in &mut set.ways {
                way.take_if(|entry| entry.is_gone());
            }
        }
    }
}

impl Set {
    /// The ways with this tag, found at once, as which it is cannot be guessed; perhaps one more behind them.
    fn tagged(&self, tag: u8) -> impl Iterator<Item = usize> {
        const ONES: u64 = u64::from_le_bytes([1; WAYS + 1]);
        const OF_WAYS: u64 = (ONES << 7) & (u64::MAX >> 8);
        let difference = u64::from_le_bytes(self.tags) ^ (ONES * u64::from(tag));
        // The highest bit of each octet that is zero; of the one above it, too, if that is 1, because of the borrow.
        let mut equal = difference.wrapping_sub(ONES) & !difference & OF_WAYS;
        iter::from_fn(move || {
            let way = (equal != 0).then(|| equal.trailing_zeros() as usize / 8)?;
            equal &= equal - 1;
            Some(way)
        })
    }
}

fn is_to_stay(entry: &Entry, now: Instant) -> bool {
    !entry.is_gone() && entry.is_current(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{
        MESSAGE_MAX,
        tests::{NOW, entry, key, question},
    };
    use proptest::prelude::*;
    use std::time::Duration;

    fn cache() -> Cache {
        Cache::new(1 << 26, MESSAGE_MAX)
    }

    #[test]
    fn a_hit_is_the_caches_entry_until_a_newer_one_stands_there() {
        let (cache, mut recent) = (cache(), Recent::default());
        let mut held = |after| {
            let entry = recent.get(
                &cache,
                &question("a"),
                0,
                None,
                *NOW + Duration::from_secs(after),
            );
            entry.map(Cow::into_owned)
        };
        assert!(held(0).is_none());
        for entry in [entry("a", 60, 200, *NOW), entry("a", 60, 400, *NOW)] {
            cache.put(Arc::clone(&entry));
            for after in [0, 1, 59, 60, 3659] {
                assert!(Arc::ptr_eq(&held(after).unwrap(), &entry), "{after}");
            }
            assert!(held(3660).is_none());
        }
        cache.put(entry("a", 0, 200, *NOW));
        assert!(held(0).is_none());
    }

    #[test]
    fn the_cache_is_asked_once_in_so_many_hits() {
        let (cache, mut recent) = (cache(), Recent::default());
        cache.put(entry("a", 60, 200, *NOW));
        let mut is_lent = || {
            let entry = recent.get(&cache, &question("a"), 0, None, *NOW).unwrap();
            matches!(entry, Cow::Borrowed(_))
        };
        is_lent();
        let looks = (0..64_000).filter(|_| !is_lent()).count();
        assert!(looks.abs_diff(1000) < 10, "{looks}");
    }

    proptest! {
        #[test]
        fn every_way_with_a_tag_is_found_and_the_first_one_has_it(
            tags in prop::array::uniform8(prop_oneof![0..4_u8, 126..130_u8, 254..=255_u8]),
            tag in prop_oneof![0..4_u8, 126..130_u8, 254..=255_u8],
        ) {
            let set = Set { tags, ..Set::default() };
            let plain: Vec<_> = (0..WAYS).filter(|way| tags[*way] == tag).collect();
            let found: Vec<_> = set.tagged(tag).collect();
            prop_assert_eq!(found.first(), plain.first());
            prop_assert!(plain.iter().all(|way| found.contains(way)));
            prop_assert!(found.is_sorted_by(|a, b| a < b) && found.iter().all(|way| *way < WAYS));
        }
    }

    #[test]
    fn answers_that_share_a_set_are_never_taken_for_each_other() {
        let (cache, mut recent) = (cache(), Recent::default());
        let names: Vec<_> = (0..2 * SETS * WAYS).map(|n| n.to_string()).collect();
        for name in &names {
            cache.put(entry(name, 60, 200, *NOW));
        }
        for name in names.iter().chain(names.iter().rev()) {
            let given = recent.get(&cache, &question(name), 0, None, *NOW).unwrap();
            assert_eq!(given.key(), Key::new(&question(name), 0).as_bytes());
            assert!(recent.get(&cache, &question(name), 1, None, *NOW).is_none());
        }
        let held = recent.sets.iter().flat_map(|set| &set.ways).flatten();
        assert!(held.count() > SETS * WAYS * 9 / 10);
    }

    #[test]
    fn what_left_the_cache_is_let_go_though_nobody_asks_for_it() {
        let (cache, mut recent) = (cache(), Recent::default());
        let gone = entry("gone", 60, 200, *NOW);
        cache.put(Arc::clone(&gone));
        recent
            .get(&cache, &question("gone"), 0, None, *NOW)
            .unwrap();
        cache.put(entry("gone", 60, 200, *NOW));
        assert_eq!(Arc::strong_count(&gone), 2);
        cache.put(entry("other", 60, 200, *NOW));
        for _ in 0..SETS as u32 * HITS_PER_LOOK * 2 {
            recent
                .get(&cache, &question("other"), 0, None, *NOW)
                .unwrap();
        }
        assert_eq!(Arc::strong_count(&gone), 1);
    }

    #[test]
    fn what_made_room_in_the_cache_is_given_by_nobody() {
        let (cache, mut recent) = (Cache::new(1 << 20, MESSAGE_MAX), Recent::default());
        let gone = entry("gone", 60, 200, *NOW);
        cache.put(Arc::clone(&gone));
        recent
            .get(&cache, &question("gone"), 0, None, *NOW)
            .unwrap();
        for n in (0..100_000).take_while(|_| !gone.is_gone()) {
            let name = n.to_string();
            cache.put(entry(&name, 60, 200, *NOW));
            cache.get(&key(&name), *NOW);
        }
        assert!(gone.is_gone());
        assert!(
            recent
                .get(&cache, &question("gone"), 0, None, *NOW)
                .is_none()
        );
    }

    #[test]
    fn a_long_answer_stays_with_the_cache() {
        let (cache, mut recent) = (cache(), Recent::default());
        cache.put(entry("a", 60, 600, *NOW));
        assert!(recent.get(&cache, &question("a"), 0, None, *NOW).is_some());
        assert!(recent.is_empty());
    }

    #[test]
    fn reading_ahead_finds_what_stands_there_and_nothing_else() {
        let (cache, mut recent) = (cache(), Recent::default());
        let place = |recent: &Recent| Some(recent.place(question("a").name.as_bytes(), 16));
        recent.warm(&[place(&recent)]);
        cache.put(entry("a", 60, 200, *NOW));
        recent.get(&cache, &question("a"), 0, None, *NOW).unwrap();
        let Place { set, tag } = place(&recent).unwrap();
        assert_eq!(recent.sets[set].tagged(tag).next(), Some(0));
        recent.warm(&[place(&recent), None]);
        recent.warm(&[place(&recent); 2 * WARM_AT_ONCE]);
    }
}
