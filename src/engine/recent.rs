//! The replies that one thread gave last, by the octets that were asked. Never a second truth: a reply is given again as long as all is the
//! same that it was made of, and until then the same octets are what anybody would be given. It knows neither names nor records.
//!
//! Why: nearly everything that pods ask for was asked before, and to answer it anew takes four times the instructions and waits for three
//! times the memory. Here a batch's replies are read ahead, all at once.

use super::exchange::Done;
use crate::{
    index::{self, AT_ONCE, Snapshot},
    wire::HEADER_LEN,
};
use std::{hash::BuildHasher, hint::black_box, iter, ops::RangeInclusive, time::Instant};

/// Groups of replies, each found by one line of a processor's cache, that all threads have together: 32,768 replies, 12 MiB. A group's memory
/// is taken when the first reply comes into it.
const SETS: usize = 4096;
/// What one thread has of them: 16,384 replies if there are two threads, and 512 if there are 64, each of which has a part of the clients.
const SETS_OF_ONE: RangeInclusive<usize> = 64..=2048;
const WAYS: usize = 8;

/// Octets of one reply with what was asked and what it was made of: six lines of a processor's cache. What is longer is answered anew, for
/// which most of the time goes into its octets.
const SLOT: usize = 384;
/// What is left of them for the octets.
const ROOM: usize = 350;
/// An ID is each query's own.
const ID: usize = 2;
/// The rest of a header.
const FLAGS_AND_COUNTS: usize = HEADER_LEN - ID;

/// Octets of a line of a processor's cache.
const LINE: usize = 64;

/// One thread's memory of replies to queries by UDP.
#[derive(Debug)]
pub struct Recent {
    /// None before the first reply.
    sets: Box<[Set]>,
    /// How many there will be, a power of two.
    count: usize,
    hasher: foldhash::fast::RandomState,
}

#[derive(Debug, Default)]
struct Set {
    /// Some bits of each hash; 0 where nothing stands.
    tags: [u8; WAYS],
    /// A bit for each way whose reply was given again since its last turn.
    used: u8,
    /// The way whose turn it was last.
    turn: u8,
    slots: Option<Box<[Option<Slot>; WAYS]>>,
}

/// What a reply was made of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Basis {
    Index(index::Basis),
    /// A cached answer, whose TTLs and standing are the same until then.
    Until(Instant),
}

#[derive(Clone, Debug)]
#[repr(C, align(64))]
struct Slot {
    basis: Basis,
    done: Done,
    /// How long the query was.
    asked: u16,
    /// Where the question ended, in the query and in the reply.
    question_end: u16,
    /// Flags and counts of the query; the reply without its ID; what stood behind the question of the query.
    octets: [u8; ROOM],
}

const _: () = assert!(size_of::<Option<Slot>>() == SLOT);

/// Where the reply to a query would stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    set: u16,
    tag: u8,
}

impl Recent {
    /// That of one of so many threads.
    pub fn one_of(threads: usize) -> Self {
        let (least, most) = SETS_OF_ONE.into_inner();
        let share = SETS / threads.max(1);
        Self {
            sets: Box::default(),
            count: 1 << share.clamp(least, most).ilog2(),
            hasher: <_>::default(),
        }
    }

    /// Where the reply to these octets would stand.
    pub(super) fn place(&self, packet: &[u8]) -> Place {
        let hash = self.hasher.hash_one(packet.get(ID..).unwrap_or_default());
        Place {
            set: ((hash >> 32) as usize & (self.count - 1)) as u16,
            tag: (hash as u8).max(1),
        }
    }

    /// Writes the reply that these octets got, if it would still be the same.
    pub(super) fn reply(
        &mut self,
        place: Place,
        packet: &[u8],
        snapshot: &Snapshot,
        now: Instant,
        out: &mut [u8],
    ) -> Option<Done> {
        let set = self.sets.get_mut(usize::from(place.set))?;
        let (way, slot) = set
            .tagged(place.tag)
            .find(|(_, slot)| slot.is_for(packet))?;
        let is_same = match &slot.basis {
            Basis::Index(basis) => snapshot.still_has(basis),
            Basis::Until(until) => now < *until,
        };
        is_same.then(|| slot.write(packet, out)).flatten()?;
        let done = slot.done;
        set.used |= 1 << way;
        Some(done)
    }

    /// Keeps the reply to these octets, if it is short and there is a place for it. What it was made of is asked only then.
    pub(super) fn keep(
        &mut self,
        place: Place,
        packet: &[u8],
        reply: &[u8],
        question_end: usize,
        done: Done,
        basis: impl FnOnce() -> Option<Basis>,
    ) {
        let Some(behind) = packet.get(question_end..) else {
            return;
        };
        if FLAGS_AND_COUNTS + reply.len() - ID + behind.len() > ROOM {
            return;
        }
        if self.sets.is_empty() {
            self.sets = iter::repeat_with(Set::default).take(self.count).collect();
        }
        let set = &mut self.sets[usize::from(place.set)];
        if let Some(way) = set.way(place.tag, packet)
            && let Some(basis) = basis()
        {
            set.tags[way] = place.tag;
            let slots = set.slots.get_or_insert_with(<_>::default);
            slots[way] = Some(Slot::new(packet, reply, question_end, done, basis));
        }
    }

    /// Reads what stands in these places, and says of each whether something does. The reads of one step do not wait for each other.
    pub(super) fn read_ahead(&self, places: &[Place], found: &mut [bool]) {
        let mut slots = [None; AT_ONCE];
        for ((slot, place), found) in slots.iter_mut().zip(places).zip(found) {
            let set = self.sets.get(usize::from(place.set));
            *slot = set.and_then(|set| Some(set.tagged(place.tag).next()?.1));
            *found = slot.is_some();
        }
        let slots = slots.iter().flatten();
        for slot in slots.clone() {
            black_box((slot.asked, slot.octets[LINE]));
        }
        for slot in slots {
            black_box(slot.touch_rest());
        }
    }
}

impl Default for Recent {
    /// That of the only thread.
    fn default() -> Self {
        Self::one_of(1)
    }
}

impl Set {
    /// What stands in the ways with this tag.
    fn tagged(&self, tag: u8) -> impl Iterator<Item = (usize, &Slot)> {
        let slots = self.slots.as_deref();
        let slot = move |way: usize| Some((way, slots?[way].as_ref()?));
        ways(self.tags, tag).filter_map(slot)
    }

    /// The way for the reply to these octets: where one stood before, or one that is free. Otherwise the next way has its turn: if its reply was
    /// given again since its last one, it stays; else its tag is replaced, and the reply will stand there if the same is asked before the
    /// next turn. So what is asked for once costs an octet, and pushes out nothing that is asked for more often than its neighbours.
    fn way(&mut self, tag: u8, packet: &[u8]) -> Option<usize> {
        let own = self.tagged(tag).find(|(_, slot)| slot.is_for(packet));
        let own = own.map(|(way, _)| way);
        let noted = || ways(self.tags, tag).find(|way| self.used >> way & 1 == 0);
        if let Some(way) = own.or_else(noted).or_else(|| ways(self.tags, 0).next()) {
            return Some(way);
        }
        self.turn = (self.turn + 1) % WAYS as u8;
        let turn = 1 << self.turn;
        if self.used & turn == 0 {
            self.tags[usize::from(self.turn)] = tag;
        }
        self.used &= !turn;
        None
    }
}

/// The ways with this tag, found at once, as which it is cannot be guessed; perhaps one more behind each.
fn ways(tags: [u8; WAYS], tag: u8) -> impl Iterator<Item = usize> {
    const ONES: u64 = u64::from_le_bytes([1; WAYS]);
    let difference = u64::from_le_bytes(tags) ^ (ONES * u64::from(tag));
    // The highest bit of each octet that is zero; of the one above it, too, if that is 1, because of the borrow.
    let mut equal = difference.wrapping_sub(ONES) & !difference & (ONES << 7);
    iter::from_fn(move || {
        let way = (equal != 0).then(|| equal.trailing_zeros() as usize / 8)?;
        equal &= equal - 1;
        Some(way)
    })
}

impl Slot {
    fn new(packet: &[u8], reply: &[u8], question_end: usize, done: Done, basis: Basis) -> Self {
        let mut octets = [0; ROOM];
        let mut at = 0;
        for part in [
            &packet[ID..HEADER_LEN],
            &reply[ID..],
            &packet[question_end..],
        ] {
            octets[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        Self {
            basis,
            done,
            asked: packet.len() as u16,
            question_end: question_end as u16,
            octets,
        }
    }

    /// The reply, and what stands behind it.
    fn parts(&self) -> Option<(&[u8], &[u8])> {
        let (_, rest) = self.octets.split_at_checked(FLAGS_AND_COUNTS)?;
        let (reply, rest) = rest.split_at_checked(usize::from(self.done.len).checked_sub(ID)?)?;
        let behind = usize::from(self.asked).checked_sub(self.question_end.into())?;
        Some((reply, rest.get(..behind)?))
    }

    /// Reads one octet of each line of a processor's cache behind the second, as far as it is long.
    fn touch_rest(&self) -> u8 {
        let octets = usize::from(self.done.len) + usize::from(self.asked - self.question_end);
        let lines = self.octets[..octets.min(ROOM)].iter().step_by(LINE).skip(2);
        lines.fold(0, |all, octet| all ^ octet)
    }

    /// Are these the octets that it answers, but for the ID? The question is the reply's.
    fn is_for(&self, packet: &[u8]) -> bool {
        let end = usize::from(self.question_end);
        let same = || {
            let (reply, behind) = self.parts()?;
            let front = packet.get(ID..HEADER_LEN)? == &self.octets[..FLAGS_AND_COUNTS];
            let question = packet.get(HEADER_LEN..end)? == reply.get(FLAGS_AND_COUNTS..end - ID)?;
            Some(front && question && packet.get(end..)? == behind)
        };
        packet.len() == usize::from(self.asked) && same() == Some(true)
    }

    fn write(&self, packet: &[u8], out: &mut [u8]) -> Option<()> {
        let (reply, _) = self.parts()?;
        let out = out.get_mut(..usize::from(self.done.len))?;
        let (id, rest) = out.split_first_chunk_mut::<ID>()?;
        *id = *packet.first_chunk()?;
        rest.copy_from_slice(reply);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::Engine,
        metrics::Origin,
        wire::{NameKey, Query},
    };
    use proptest::prelude::*;
    use std::{sync::LazyLock, time::Duration};

    /// Some moment; the tests only add to it.
    #[allow(clippy::disallowed_methods, reason = "an Instant has no other source")]
    static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);
    static ENGINE: LazyLock<Engine> = LazyLock::new(Engine::idle);
    const SOON: Duration = Duration::from_millis(700);

    fn packet(id: u8, name: &str) -> Vec<u8> {
        let mut packet = vec![0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        packet.extend_from_slice(NameKey::from_text(name).unwrap().as_bytes());
        packet.extend_from_slice(&[0, 1, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        packet
    }

    /// The question back, as a response, and so many octets more.
    fn reply(packet: &[u8], more: usize) -> Vec<u8> {
        let question = Query::parse(packet).unwrap().question_wire.len();
        let mut reply = packet[..HEADER_LEN + question].to_vec();
        reply[2] |= 0x80;
        reply.resize(reply.len() + more, 7);
        reply
    }

    fn keep(recent: &mut Recent, packet: &[u8], more: usize) {
        let question_end = reply(packet, 0).len();
        let basis = || Some(Basis::Until(*NOW + SOON));
        let reply = reply(packet, more);
        let done = Done::new(reply.len(), Origin::Cache, 0).unwrap();
        recent.keep(
            recent.place(packet),
            packet,
            &reply,
            question_end,
            done,
            basis,
        );
    }

    fn given(recent: &mut Recent, packet: &[u8], after: Duration) -> Option<Vec<u8>> {
        let mut out = [0; 1232];
        let (place, now) = (recent.place(packet), *NOW + after);
        let given = recent.reply(place, packet, &ENGINE.snapshot(), now, &mut out);
        given.map(|done| out[..done.len.into()].to_vec())
    }

    #[test]
    fn a_reply_is_given_to_the_same_octets_with_any_id_in_its_time() {
        let mut recent = Recent::default();
        let (first, second) = (packet(1, "a.example"), packet(2, "a.example"));
        assert_eq!(given(&mut recent, &first, Duration::ZERO), None);
        keep(&mut recent, &first, 16);
        for packet in [&first, &second] {
            assert_eq!(
                given(&mut recent, packet, Duration::ZERO),
                Some(reply(packet, 16))
            );
        }
        assert_eq!(given(&mut recent, &first, SOON), None);
    }

    #[test]
    fn other_octets_get_nothing_wherever_they_differ() {
        let mut recent = Recent::default();
        let asked = packet(1, "a.example");
        keep(&mut recent, &asked, 16);
        let slots = recent.sets.iter().filter_map(|set| set.slots.as_deref());
        let slots: Vec<_> = slots.flatten().flatten().collect();
        let is_for = |packet: &[u8]| slots.iter().any(|slot| slot.is_for(packet));
        assert!(is_for(&asked));
        for at in ID..asked.len() {
            let mut other = asked.clone();
            other[at] ^= 1;
            assert!(!is_for(&other), "{at}");
        }
        for len in 0..asked.len() {
            assert!(!is_for(&asked[..len]), "{len}");
        }
        assert!(!is_for(&[&asked[..], &[0]].concat()));
    }

    #[test]
    fn replies_that_share_a_set_are_never_taken_for_each_other() {
        let mut recent = Recent::default();
        let room = recent.count * WAYS;
        let packets: Vec<_> = (0..2 * room).map(|n| packet(1, &n.to_string())).collect();
        for packet in &packets {
            keep(&mut recent, packet, 16);
        }
        let mut out = [0; 1232];
        let snapshot = ENGINE.snapshot();
        let mut known = 0;
        for packet in &packets {
            let given = recent.reply(recent.place(packet), packet, &snapshot, *NOW, &mut out);
            if let Some(done) = given {
                assert_eq!(out[..done.len.into()], reply(packet, 16));
                known += 1;
            }
        }
        assert!(known > room / 8, "{known} of {room}");
    }

    #[test]
    fn all_threads_together_remember_so_many_replies() {
        let of_each = |threads| Recent::one_of(threads).count * WAYS;
        assert_eq!(
            [0, 1, 2, 3, 4, 64].map(of_each),
            [16_384, 16_384, 16_384, 8_192, 8_192, 512]
        );
        assert_eq!(of_each(10_000), 512);
    }

    #[test]
    fn what_is_asked_for_again_stays_and_finds_a_place_and_what_is_asked_for_once_does_not() {
        let mut recent = Recent::default();
        let popular: Vec<_> = (0..1000).map(|n| packet(1, &format!("www{n}"))).collect();
        let mut flood = (0..).map(|n| packet(1, &format!("n{n}")));
        let is_known = |recent: &mut Recent, packet: &Vec<u8>| {
            let known = given(recent, packet, Duration::ZERO).is_some();
            if !known {
                keep(recent, packet, 16);
            }
            known
        };
        // Half of the popular ones come when there is no free place left. Each is asked for four times as often as each set has a turn.
        let between = recent.count * 2;
        for popular in popular.chunks(popular.len() / 2) {
            for _ in 0..100 {
                for packet in flood.by_ref().take(between) {
                    assert!(!is_known(&mut recent, &packet));
                }
                for packet in popular {
                    is_known(&mut recent, packet);
                }
            }
        }
        let popular = &popular[popular.len() / 2..];
        let known = popular.iter().filter(|it| is_known(&mut recent, it));
        let known = known.count();
        assert!(known > 490, "{known} of 500");
    }

    #[test]
    fn a_newer_reply_takes_the_place_of_the_former() {
        let mut recent = Recent::default();
        let asked = packet(1, "a.example");
        for more in [16, 32] {
            keep(&mut recent, &asked, more);
            assert_eq!(
                given(&mut recent, &asked, Duration::ZERO),
                Some(reply(&asked, more))
            );
        }
        let slots = recent
            .sets
            .iter()
            .flat_map(|set| set.slots.iter().flat_map(|it| it.iter()));
        assert_eq!(slots.flatten().count(), 1);
    }

    #[test]
    fn a_long_reply_is_not_kept_and_takes_no_memory() {
        let mut recent = Recent::default();
        let asked = packet(1, "a.example");
        let room = ROOM - FLAGS_AND_COUNTS - (asked.len() - ID);
        keep(&mut recent, &asked, room + 1);
        assert!(recent.sets.is_empty());
        keep(&mut recent, &asked, room);
        assert_eq!(
            given(&mut recent, &asked, Duration::ZERO),
            Some(reply(&asked, room))
        );
    }

    #[test]
    fn reading_ahead_finds_what_stands_there_and_nothing_else() {
        let mut recent = Recent::default();
        let packets = ["a.example", "b.example"].map(|name| packet(1, name));
        let found = |recent: &Recent| {
            let mut found = [false; 2];
            recent.read_ahead(&packets.each_ref().map(|it| recent.place(it)), &mut found);
            found
        };
        assert_eq!(found(&recent), [false; 2]);
        keep(&mut recent, &packets[1], 16);
        assert_eq!(found(&recent), [false, true]);
    }

    proptest! {
        #[test]
        fn every_way_with_a_tag_is_found_and_the_first_one_has_it(
            tags in prop::array::uniform8(prop_oneof![0..4_u8, 126..130_u8, 254..=255_u8]),
            tag in prop_oneof![0..4_u8, 126..130_u8, 254..=255_u8],
        ) {
            let plain: Vec<_> = (0..WAYS).filter(|way| tags[*way] == tag).collect();
            let found: Vec<_> = ways(tags, tag).collect();
            prop_assert_eq!(found.first(), plain.first());
            prop_assert!(plain.iter().all(|way| found.contains(way)));
            prop_assert!(found.is_sorted_by(|a, b| a < b) && found.iter().all(|way| *way < WAYS));
        }
    }
}
