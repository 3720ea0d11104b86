//! Answers of upstreams, whole, each under its question: a [`Store`] bounds the memory, an [`Entry`] knows its own times.
//! It knows no upstream and asks nobody.

mod entry;
mod key;
mod store;
mod ttl;

pub use entry::{Entry, Times};
pub use key::Key;
pub use store::{Size, Store, Weigh};
pub use ttl::{Bounds, FAILURE_MAX, NEGATIVE_MAX, POSITIVE_MAX, STALE_MAX, failure};

use std::{sync::Arc, time::Instant};

/// Octets of memory when nothing else is said: some 150,000 answers, which is more than a node's pods ask for.
pub const DEFAULT_BYTES: u64 = 64 * 1024 * 1024;
/// Longest message that is kept when nothing else is said, in octets: a few giant answers must not push out thousands of
/// others.
pub const MESSAGE_MAX: usize = 8 * 1024;
/// NXDOMAIN and NODATA have one in so many of the octets: anyone can ask for names that do not exist, and they are the
/// answers that are missed least.
const NEGATIVE_SHARE: u64 = 4;

/// The cache. Every clone is a handle to the same one.
#[derive(Clone, Debug)]
pub struct Cache {
    stores: Arc<Stores>,
    message_max: usize,
}

/// A question has its answer in one of them.
#[derive(Debug)]
struct Stores {
    positive: Store<entry::ByKey, Arc<Entry>>,
    negative: Store<entry::ByKey, Arc<Entry>>,
}

impl Cache {
    /// An empty cache bounded by this many octets, which keeps messages of at most `message_max` octets.
    pub fn new(bytes: u64, message_max: usize) -> Self {
        let negative = bytes / NEGATIVE_SHARE;
        let stores = Stores {
            positive: Store::new(bytes - negative),
            negative: Store::new(negative),
        };
        Self {
            stores: Arc::new(stores),
            message_max,
        }
    }

    /// The answer under this key, be it in its own time or stale at `now`.
    pub fn get(&self, key: &Key, now: Instant) -> Option<Arc<Entry>> {
        let Stores { positive, negative } = &*self.stores;
        let key = key.as_bytes();
        let entry = positive.get(key).or_else(|| negative.get(key))?;
        entry.is_alive(now).then_some(entry)
    }

    /// Keeps an answer, unless it is good for no time or longer than the cache keeps. The answer that stood there is gone
    /// in any case: the newer one is right.
    pub fn put(&self, entry: Arc<Entry>) {
        let Stores { positive, negative } = &*self.stores;
        let (own, other) = match entry.is_negative() {
            true => (negative, positive),
            false => (positive, negative),
        };
        let of = entry::ByKey(Arc::clone(&entry));
        match entry.is_fleeting() || entry.message_len() > self.message_max {
            true => own.remove(entry.key()),
            false => own.insert(of.clone(), entry),
        }
        other.remove(of.0.key());
    }

    /// How full it is: with answers that have data, and with those that have none.
    pub fn size(&self) -> [Size; 2] {
        [self.stores.positive.size(), self.stores.negative.size()]
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
    use std::time::Duration;

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

    pub(super) fn question(name: &str) -> Question {
        Question {
            name: NameKey::from_text(name).unwrap(),
            qtype: 16,
            qclass: 1,
            dnssec_ok: false,
            checking_disabled: false,
        }
    }

    pub(super) fn key(name: &str) -> Key {
        Key::new(&question(name), 0)
    }

    pub(super) fn entry(name: &str, ttl: u32, text_len: usize, now: Instant) -> Arc<Entry> {
        let text = "\"".to_owned() + &"x".repeat(200) + "\" ";
        let line = format!("a. {ttl} IN TXT {}", text.repeat(text_len / 200));
        let response = response("a. TXT", 0, [&[&line], &[], &[]]);
        let (key, bounds) = (key(name), Bounds::default());
        Arc::new(Entry::new(&key, &response, bounds, false, now))
    }

    #[test]
    fn an_answer_is_there_until_its_stale_time_is_over_by_the_callers_clock() {
        let cache = Cache::new(DEFAULT_BYTES, MESSAGE_MAX);
        cache.put(entry("a", 60, 200, *NOW));
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
        cache.put(entry("a", 1, 200, *NOW));
        cache.put(entry("a", 60, 200, *NOW));
        assert!(
            cache
                .get(&key("a"), *NOW + Duration::from_secs(59))
                .is_some()
        );
    }

    #[test]
    fn an_answer_with_ttl_0_or_over_8_kib_is_not_kept_and_replaces_what_was() {
        for unfit in [entry("a", 0, 200, *NOW), entry("a", 60, 8400, *NOW)] {
            let cache = Cache::new(DEFAULT_BYTES, MESSAGE_MAX);
            cache.put(entry("a", 60, 200, *NOW));
            cache.put(unfit);
            assert!(cache.get(&key("a"), *NOW).is_none());
        }
    }
}
