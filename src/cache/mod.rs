//! Answers of upstreams, whole, each under its question: moka bounds the memory, an [`Entry`] knows its own times.
//! It knows no upstream and asks nobody.

mod entry;
mod key;
mod recent;
mod ttl;

pub use entry::{Entry, Times};
pub use key::Key;
pub use recent::Recent;
pub use ttl::{Bounds, FAILURE_MAX, NEGATIVE_MAX, POSITIVE_MAX, STALE_MAX, failure};

use moka::{Expiry, notification::RemovalCause, sync};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Octets of memory when nothing else is said: some 100,000 answers, which is more than a node's pods ask for.
pub const DEFAULT_BYTES: u64 = 64 * 1024 * 1024;
/// Longest message that is kept when nothing else is said, in octets: a few giant answers must not push out thousands of
/// others.
pub const MESSAGE_MAX: usize = 8 * 1024;
/// What moka and the allocator need for one entry besides key and value: its record, its places in the queues and in the
/// timer wheel, the table's slots. Measured with moka 0.12.16: 136,000 small answers take 650 octets each, 190 of them
/// their own.
const OVERHEAD: usize = 460;

/// The cache. Every clone is a handle to the same one.
#[derive(Clone, Debug)]
pub struct Cache {
    entries: sync::Cache<Vec<u8>, Arc<Entry>, foldhash::fast::RandomState>,
    evicted: Arc<AtomicU64>,
    message_max: usize,
}

/// How full the cache is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Answers.
    pub entries: u64,
    /// Octets, as they count for the bound.
    pub bytes: u64,
    /// Answers that had to leave before their time.
    pub evicted: u64,
}

impl Cache {
    /// An empty cache bounded by this many octets, which keeps messages of at most `message_max` octets.
    pub fn new(bytes: u64, message_max: usize) -> Self {
        let evicted = Arc::<AtomicU64>::default();
        let count = Arc::clone(&evicted);
        let entries = sync::Cache::builder()
            .max_capacity(bytes)
            .weigher(|key: &Vec<u8>, entry: &Arc<Entry>| {
                let weight = key.len() + entry.weight() + OVERHEAD;
                u32::try_from(weight).unwrap_or(u32::MAX)
            })
            .expire_after(OwnTime)
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
            .build_with_hasher(foldhash::fast::RandomState::default());
        Self {
            entries,
            evicted,
            message_max,
        }
    }

    /// The answer under this key, be it in its own time or stale at `now`.
    pub fn get(&self, key: &Key, now: Instant) -> Option<Arc<Entry>> {
        let entry = self.entries.get(key.as_bytes())?;
        (now < entry.times().stale_until).then_some(entry)
    }

    /// Keeps an answer, unless it is good for no time or longer than the cache keeps. The answer that stood there is gone
    /// in any case, from threads' own memories too: the newer one is right.
    pub fn put(&self, key: &Key, entry: Arc<Entry>) {
        let older = self.entries.get(key.as_bytes());
        if entry.kept_for().is_zero() || entry.message_len() > self.message_max {
            self.entries.invalidate(key.as_bytes());
        } else {
            self.entries.insert(key.as_bytes().to_vec(), entry);
        }
        if let Some(older) = older {
            older.displace();
        }
    }

    /// How full it is, as of moka's last housekeeping (at most some 300 ms of use ago).
    pub fn size(&self) -> Size {
        Size {
            entries: self.entries.entry_count(),
            bytes: self.entries.weighted_size(),
            evicted: self.evicted.load(Ordering::Relaxed),
        }
    }
}

/// Lets an entry leave the memory when it may not be given any more. Both methods are needed: by default a replaced entry keeps
/// the deadline of its predecessor.
struct OwnTime;

impl Expiry<Vec<u8>, Arc<Entry>> for OwnTime {
    fn expire_after_create(&self, _: &Vec<u8>, entry: &Arc<Entry>, _: Instant) -> Option<Duration> {
        Some(entry.kept_for())
    }

    fn expire_after_update(
        &self,
        _: &Vec<u8>,
        entry: &Arc<Entry>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.kept_for())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{NameKey, Question, Response};
    use hickory_proto::{
        op::{Message, MessageType, OpCode, Query, ResponseCode},
        rr::{Name, Record},
        serialize::txt::Parser,
    };
    use std::sync::LazyLock;

    /// Some moment; the tests only add to it.
    #[allow(clippy::disallowed_methods, reason = "an Instant has no other source")]
    pub(super) static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);

    fn record(line: &str) -> Record {
        let (_, sets) = Parser::new(line, None, Some(Name::root())).parse().unwrap();
        let set = sets.values().next().unwrap();
        set.records_without_rrsigs().next().unwrap().clone()
    }

    /// A reply to a question such as `example.org. A`, with zone-file lines for each section.
    pub(super) fn response(question: &str, rcode: u8, sections: [&[&str]; 3]) -> Response {
        let (name, rtype) = question.split_once(' ').unwrap();
        let mut message = Message::new(1, MessageType::Response, OpCode::Query);
        message.metadata.response_code = ResponseCode::from(0, rcode);
        message.add_query(Query::query(name.parse().unwrap(), rtype.parse().unwrap()));
        let lines = sections.map(|lines| lines.iter().map(|line| record(line)).collect());
        [message.answers, message.authorities, message.additionals] = lines;
        Response::parse(message.to_vec().unwrap()).unwrap()
    }

    pub(super) fn key(name: &str) -> Key {
        let question = Question {
            name: NameKey::from_text(name).unwrap(),
            qtype: 16,
            qclass: 1,
            dnssec_ok: false,
            checking_disabled: false,
        };
        Key::new(&question, 0)
    }

    pub(super) fn entry(ttl: u32, text_len: usize, now: Instant) -> Arc<Entry> {
        let text = "\"".to_owned() + &"x".repeat(200) + "\" ";
        let line = format!("a. {ttl} IN TXT {}", text.repeat(text_len / 200));
        let response = response("a. TXT", 0, [&[&line], &[], &[]]);
        Arc::new(Entry::new(response, Bounds::default(), false, now))
    }

    #[test]
    fn an_answer_is_there_until_its_stale_time_is_over_by_the_callers_clock() {
        let cache = Cache::new(DEFAULT_BYTES, MESSAGE_MAX);
        cache.put(&key("a"), entry(60, 200, *NOW));
        let current = |after| {
            let now = *NOW + Duration::from_secs(after);
            Some(cache.get(&key("a"), now)?.is_current(now))
        };
        assert_eq!(
            [59, 60, 3659].map(current),
            [Some(true), Some(false), Some(false)]
        );
        assert_eq!(current(3660), None);
    }

    #[test]
    fn a_replaced_answer_lives_by_its_own_ttl() {
        let cache = Cache::new(DEFAULT_BYTES, MESSAGE_MAX);
        cache.put(&key("a"), entry(1, 200, *NOW));
        cache.put(&key("a"), entry(60, 200, *NOW));
        assert!(
            cache
                .get(&key("a"), *NOW + Duration::from_secs(59))
                .is_some()
        );
    }

    #[test]
    fn an_answer_with_ttl_0_or_over_8_kib_is_not_kept_and_replaces_what_was() {
        for unfit in [entry(0, 200, *NOW), entry(60, 8400, *NOW)] {
            let cache = Cache::new(DEFAULT_BYTES, MESSAGE_MAX);
            cache.put(&key("a"), entry(60, 200, *NOW));
            cache.put(&key("a"), unfit);
            assert!(cache.get(&key("a"), *NOW).is_none());
        }
    }

    #[test]
    fn memory_is_bounded_by_bytes_and_evictions_are_counted() {
        let cache = Cache::new(100_000, MESSAGE_MAX);
        for n in 0..1000 {
            cache.put(&key(&n.to_string()), entry(60, 1000, *NOW));
        }
        cache.entries.run_pending_tasks();
        let size = cache.size();
        assert!((50_000..=100_000).contains(&size.bytes), "{size:?}");
        assert_eq!(size.entries + size.evicted, 1000);
    }
}
