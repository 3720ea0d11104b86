//! One stored answer: the whole message, where its records stand, and what its times are. It writes itself as a reply;
//! whether it may be given at all is its reader's to judge.

use crate::{
    cache::{
        Bounds, Key,
        store::{Weigh, allocated},
        ttl,
    },
    wire::{Ede, Flags, Mark, Query, Rcode, ReplyEdns, Response, Stored, Ttls},
};
use smallvec::SmallVec;
use std::{
    borrow::Borrow,
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// Longest EXTRA-TEXT of an upstream that is passed on; of a longer one only the code is.
const EDE_TEXT_MAX: usize = 128;

/// What every record of an answer past its time gets for a TTL, in seconds (RFC 8767 §5.11 recommends it).
const STALE_TTL: u32 = 30;

/// An answer of an upstream, ready to be given to anyone who asks the same question.
#[derive(Debug)]
pub struct Entry {
    /// The key, and behind it the octets of the records: what an answer reads stands together.
    octets: Box<[u8]>,
    key_len: u16,
    /// Where in the message the records stood, behind header and question.
    records_at: u16,
    /// Most answers have one or two.
    marks: SmallVec<[Mark; 2]>,
    ede: Option<Box<(u16, Box<[u8]>)>>,
    stored_at: Instant,
    /// Seconds from `stored_at`.
    good_for: u32,
    /// Seconds from `stored_at`.
    kept_for: u32,
    ttl_max: u32,
    rcode: u8,
    truncated: bool,
    authentic: bool,
    negative: bool,
    /// Milliseconds from `stored_at` to the last refresh that failed, plus 1; 0 if none did.
    refresh_failed_ms: AtomicU32,
    /// Hits, as far as [`POPULAR`]; [`CLAIMED`] while a refresh is under way because of them.
    hits: AtomicU8,
}

/// So many hits show that an answer is asked for again and again.
const POPULAR: u8 = 2;
const CLAIMED: u8 = u8::MAX;

/// How far an entry is in its life; everything counts from the moment at which it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Now.
    pub age: Duration,
    /// From here on it is past its time.
    pub good_for: Duration,
    /// From here on it is given to nobody.
    pub kept_for: Duration,
    /// When a newer answer was last asked for in vain.
    pub refresh_failed_at: Option<Duration>,
}

impl Entry {
    /// Makes an entry for this key of an answer that came at `now`, good and then stale for as long as the rules say within these
    /// bounds. Its AD bit counts only if the upstream and the way to it are trusted (RFC 6840 §5.8). Only the header's
    /// four bits of the response code are kept: the others speak about the sender's own OPT.
    pub fn new(
        key: &Key,
        response: &Response,
        bounds: Bounds,
        trust_ad: bool,
        now: Instant,
    ) -> Self {
        let lifetime = ttl::lifetime(response, bounds);
        let flags = response.header.flags;
        let ede = response.opt.as_ref().and_then(|opt| opt.ede.clone());
        // What is good for no time was for those who waited (RFC 8767 §4).
        let kept_for = match lifetime.good_for {
            0 => 0,
            good_for => good_for.saturating_add(bounds.stale),
        };
        let key = key.as_bytes();
        Self {
            octets: [key, response.records()].concat().into(),
            key_len: key.len() as u16,
            records_at: response.records_at() as u16,
            marks: response.marks().into(),
            ede: ede.map(|(code, text)| match text.len() {
                0..=EDE_TEXT_MAX => Box::new((code, text)),
                _ => Box::new((code, Box::default())),
            }),
            stored_at: now,
            good_for: lifetime.good_for,
            kept_for,
            ttl_max: lifetime.ttl_max,
            rcode: (flags.0 & Flags::RCODE) as u8,
            truncated: flags.has(Flags::TC),
            authentic: trust_ad && flags.has(Flags::AD),
            negative: lifetime.negative,
            refresh_failed_ms: AtomicU32::new(0),
            hits: AtomicU8::new(0),
        }
    }

    /// Is it within its own time?
    pub fn is_current(&self, now: Instant) -> bool {
        self.age(now) < seconds(self.good_for)
    }

    /// May it still be given, be it in its own time or stale?
    pub(super) fn is_alive(&self, now: Instant) -> bool {
        self.age(now) < seconds(self.kept_for)
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.stored_at)
    }

    /// How far it is in its life.
    pub fn times(&self, now: Instant) -> Times {
        let failed = self.refresh_failed_ms.load(Ordering::Relaxed);
        let failed = failed.checked_sub(1).map(u64::from);
        Times {
            age: self.age(now),
            good_for: seconds(self.good_for),
            kept_for: seconds(self.kept_for),
            refresh_failed_at: failed.map(Duration::from_millis),
        }
    }

    /// Notes that a newer answer was asked for and did not come.
    pub fn refresh_failed(&self, now: Instant) {
        let ms = self.age(now).as_millis();
        let ms = u32::try_from(ms).unwrap_or(u32::MAX).saturating_add(1);
        self.refresh_failed_ms.store(ms, Ordering::Relaxed);
        // Whoever has changed it in the meantime knows better.
        self.swap_hits(CLAIMED, POPULAR);
    }

    /// Counts a hit; once it is popular nothing is written any more, because all threads share it. A hit that is lost to
    /// another one at the same time does no harm.
    pub fn hit(&self) {
        let hits = self.hits.load(Ordering::Relaxed);
        if hits < POPULAR {
            self.swap_hits(hits, hits + 1);
        }
    }

    /// Is it popular, and does nobody refresh it yet? Then the caller is to do it, and nobody else.
    pub fn claim_refresh(&self) -> bool {
        self.hits.load(Ordering::Relaxed) == POPULAR && self.swap_hits(POPULAR, CLAIMED)
    }

    /// Is it asked for again and again?
    pub fn is_popular(&self) -> bool {
        self.hits.load(Ordering::Relaxed) >= POPULAR
    }

    /// What the cache has it under.
    pub fn key(&self) -> &[u8] {
        &self.octets[..self.key_len.into()]
    }

    fn records(&self) -> &[u8] {
        &self.octets[self.key_len.into()..]
    }

    fn swap_hits(&self, from: u8, to: u8) -> bool {
        let relaxed = Ordering::Relaxed;
        self.hits
            .compare_exchange(from, to, relaxed, relaxed)
            .is_ok()
    }

    /// Is it for nobody but those who wait for it?
    pub(super) const fn is_fleeting(&self) -> bool {
        self.kept_for == 0
    }

    /// Does it say that there is no such name, or no such data (RFC 2308)?
    pub(super) const fn is_negative(&self) -> bool {
        self.negative
    }

    /// Is it only the part that fitted into a datagram? Then it is for nobody who asks over a connection, and not to be kept.
    pub const fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Its response code, 0..=15.
    pub const fn rcode(&self) -> u8 {
        self.rcode
    }

    /// Length of its message in octets, without OPT.
    pub const fn message_len(&self) -> usize {
        self.octets.len() - self.key_len as usize + self.records_at as usize
    }

    /// Writes it as the reply to `query`, of at most `limit` octets, and says how long the reply is; `None` if the question
    /// does not fit. The upstream's Extended DNS Error is passed on unless `edns` has one. Allocates nothing.
    pub fn write(
        &self,
        query: &Query<'_>,
        edns: ReplyEdns<'_>,
        out: &mut [u8],
        limit: usize,
        now: Instant,
    ) -> Option<usize> {
        let ttls = Ttls::Aged {
            age: u32::try_from(self.age(now).as_secs()).unwrap_or(u32::MAX),
            max: self.ttl_max,
        };
        self.write_with(ttls, query, edns, out, limit)
    }

    /// Writes it as [`Entry::write`] does, as an answer past its time: every TTL is 30 s, or what the bounds allow if that
    /// is less. The Extended DNS Error says so, unless `edns` has one.
    pub fn write_stale(
        &self,
        query: &Query<'_>,
        edns: ReplyEdns<'_>,
        out: &mut [u8],
        limit: usize,
    ) -> Option<usize> {
        let stale = self.stale_ede();
        let edns = ReplyEdns {
            ede: edns.ede.or(Some(&stale)),
            ..edns
        };
        let ttls = Ttls::Fixed(STALE_TTL.min(self.ttl_max));
        self.write_with(ttls, query, edns, out, limit)
    }

    /// The Extended DNS Error of this answer past its time (RFC 8914 §4.4, §4.20).
    pub const fn stale_ede(&self) -> Ede<'static> {
        const STALE_ANSWER: u16 = 3;
        const STALE_NXDOMAIN: u16 = 19;
        match self.rcode == Rcode::NxDomain as u8 {
            true => Ede::new(STALE_NXDOMAIN, ""),
            false => Ede::new(STALE_ANSWER, ""),
        }
    }

    fn write_with(
        &self,
        ttls: Ttls,
        query: &Query<'_>,
        edns: ReplyEdns<'_>,
        out: &mut [u8],
        limit: usize,
    ) -> Option<usize> {
        let stored = Stored {
            records: self.records(),
            records_at: self.records_at.into(),
            marks: &self.marks,
            rcode: self.rcode,
            truncated: self.truncated,
            authentic: self.authentic,
            ttls,
        };
        let passed_on = self.ede.as_deref().map(|(code, text)| Ede {
            code: *code,
            text: [text, b"", b""],
        });
        let edns = ReplyEdns {
            ede: edns.ede.or(passed_on.as_ref()),
            ..edns
        };
        stored.write(query, edns, out, limit)
    }
}

const fn seconds(count: u32) -> Duration {
    Duration::from_secs(count as u64)
}

impl Weigh for Arc<Entry> {
    fn weight(&self) -> usize {
        /// An `Arc` keeps two counts beside what it holds.
        const COUNTED: usize = 2 * size_of::<usize>() + size_of::<Entry>();
        let ede = self.ede.as_deref().map_or(0, |ede| {
            allocated(size_of_val(ede)) + allocated(ede.1.len())
        });
        let marks = match self.marks.spilled() {
            true => allocated(self.marks.capacity() * size_of::<Mark>()),
            false => 0,
        };
        allocated(COUNTED) + allocated(self.octets.len()) + marks + ede
    }
}

/// An entry as what it is found by: its key, which need not be held twice.
#[derive(Clone, Debug)]
pub(super) struct ByKey(pub(super) Arc<Entry>);

impl Weigh for ByKey {
    fn weight(&self) -> usize {
        0
    }
}

impl Borrow<[u8]> for ByKey {
    fn borrow(&self) -> &[u8] {
        self.0.key()
    }
}

impl Hash for ByKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key().hash(state);
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.key() == other.0.key()
    }
}

impl Eq for ByKey {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cache::tests::{NOW, key, response},
        wire::ReplyOpt,
    };
    use hickory_proto::op::Message;

    fn asked(spelling: &[u8]) -> Vec<u8> {
        let mut packet = b"\xab\xcd\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
        packet.extend_from_slice(spelling);
        packet.extend_from_slice(b"\x00\x01\x00\x01");
        packet
    }

    fn written(entry: &Entry, query: &[u8], age: Duration) -> Message {
        let mut out = [0; 512];
        let query = Query::parse(query).unwrap();
        let now = *NOW + age;
        let len = entry.write(&query, ReplyEdns::default(), &mut out, 512, now);
        Message::from_vec(&out[..len.unwrap()]).unwrap()
    }

    #[test]
    fn ttls_age_by_whole_seconds_and_the_spelling_is_the_askers() {
        let lines = ["www.x. 60 IN CNAME a.x.", "a.x. 20 IN A 192.0.2.1"];
        let response = response("www.x. A", 0, [&lines, &[], &[]]);
        let entry = Entry::new(&key("a"), &response, Bounds::default(), false, *NOW);
        assert_eq!(entry.times(*NOW).good_for, Duration::from_secs(20));
        let reply = written(
            &entry,
            &asked(b"\x03wWw\x01X\0"),
            Duration::from_millis(4999),
        );
        assert_eq!(reply.metadata.id, 0xabcd);
        assert_eq!(reply.queries[0].to_string(), "wWw.X. IN A");
        let lines: Vec<_> = reply.answers.iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["wWw.X. 56 IN CNAME a.X.", "a.X. 16 IN A 192.0.2.1"]);
    }

    #[test]
    fn an_entry_is_current_until_its_time_and_not_at_it() {
        let response = response("a. A", 0, [&["a. 5 IN A 192.0.2.1"], &[], &[]]);
        let entry = Entry::new(&key("a"), &response, Bounds::default(), false, *NOW);
        assert!(entry.is_current(*NOW + Duration::from_millis(4999)));
        assert!(!entry.is_current(*NOW + Duration::from_secs(5)));
    }

    #[test]
    fn ad_is_passed_on_only_from_a_trusted_upstream_to_who_asked_for_it() {
        let mut answer = response("a. A", 0, [&["a. 5 IN A 192.0.2.1"], &[], &[]]);
        answer.header.flags.0 |= Flags::AD;
        for (trust_ad, asks, expected) in [
            (true, true, true),
            (true, false, false),
            (false, true, false),
        ] {
            let entry = Entry::new(&key("a"), &answer, Bounds::default(), trust_ad, *NOW);
            let mut query = asked(b"\x01a\0");
            query[3] = if asks { 0x20 } else { 0 };
            let reply = written(&entry, &query, Duration::ZERO);
            assert_eq!(reply.metadata.authentic_data, expected);
        }
    }
    #[test]
    fn an_upstreams_extended_error_is_passed_on_unless_there_is_a_nearer_one() {
        let mut answer = response("a. A", 2, [&[], &[], &[]]);
        let ede = |text: &[u8]| ReplyOpt {
            extended_rcode: 0,
            ede: Some((6, text.into())),
        };
        answer.opt = Some(ede(b"bogus"));
        let mut query = asked(b"\x01a\0");
        query[11] = 1;
        query.extend_from_slice(b"\0\0\x29\x04\xd0\0\0\0\0\0\0");
        let query = Query::parse(&query).unwrap();
        let option = |answer: &Response, edns| {
            let entry = Entry::new(&key("a"), answer, Bounds::default(), false, *NOW);
            let mut out = [0; 512];
            let len = entry.write(&query, edns, &mut out, 512, *NOW).unwrap();
            out[19 + 11..len].to_vec()
        };
        let plain = ReplyEdns::default();
        assert_eq!(option(&answer, plain), b"\0\x0f\0\x07\0\x06bogus");
        let nearer = ReplyEdns {
            ede: Some(&Ede::new(3, "")),
            ..plain
        };
        assert_eq!(option(&answer, nearer), b"\0\x0f\0\x02\0\x03");
        answer.opt = Some(ede(&[b'x'; EDE_TEXT_MAX + 1]));
        assert_eq!(option(&answer, plain), b"\0\x0f\0\x02\0\x06");
    }
}
