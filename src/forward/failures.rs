//! Failures, remembered for a moment (RFC 9520 §3.2), so that a dead upstream is not asked for every query. Apart from the
//! cache: a failure must not push out an answer.

use crate::{
    cache::{FAILURE_MAX, Key, Store, Weigh, failure},
    forward::Outcome,
};
use std::time::{Duration, Instant};

/// Octets for remembered failures: 10,000 of them. What does not fit is asked again, which is what the memory saves.
const BYTES: u64 = 4 * 1024 * 1024;
/// A failure after the last one's time and within this long again counts as the next in a row.
const ROW_GAP: Duration = Duration::from_secs(2 * FAILURE_MAX as u64);

/// The failures of the last seconds.
#[derive(Debug)]
pub(super) struct Failures {
    remembered: Store<Box<[u8]>, Remembered>,
}

#[derive(Clone, Debug)]
struct Remembered {
    outcome: Outcome,
    /// How many were before it in a row.
    nth: u32,
    until: Instant,
}

impl Weigh for Remembered {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.outcome.as_ref().map_or(0, Weigh::weight)
    }
}

impl Failures {
    pub(super) fn new() -> Self {
        Self {
            remembered: Store::new(BYTES),
        }
    }

    /// The failure that stands for this key at `now`.
    pub(super) fn get(&self, key: &Key, now: Instant) -> Option<Outcome> {
        let failure = self.remembered.get(key.as_bytes())?;
        (now < failure.until).then_some(failure.outcome)
    }

    /// Remembers a failure: for 1 s, and for longer the more of them came in a row.
    pub(super) fn put(&self, key: &Key, outcome: Outcome, now: Instant) {
        let last = self.remembered.get(key.as_bytes());
        let nth = last
            .filter(|last| now < last.until + ROW_GAP)
            .map_or(0, |last| last.nth.saturating_add(1));
        let until = now + Duration::from_secs(failure(nth).into());
        let failure = Remembered {
            outcome,
            nth,
            until,
        };
        self.remembered.insert(key.as_bytes().into(), failure);
    }

    /// An answer came: the row is over.
    pub(super) fn forget(&self, key: &Key) {
        self.remembered.remove(key.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        forward::Failure,
        wire::{NameKey, Question},
    };

    #[test]
    #[allow(clippy::disallowed_methods, reason = "an Instant has no other source")]
    fn failures_in_a_row_are_remembered_longer_until_an_answer_comes() {
        let failures = Failures::new();
        let question = Question {
            name: NameKey::from_text("a").unwrap(),
            qtype: 1,
            qclass: 1,
            dnssec_ok: false,
            checking_disabled: false,
        };
        let key = Key::new(&question, 0);
        let mut now = Instant::now();
        let mut fail = |pause: u64| {
            now += Duration::from_secs(pause);
            failures.put(&key, Err(Failure::NoAnswer), now);
            let stands = |ms| {
                failures
                    .get(&key, now + Duration::from_millis(ms))
                    .is_some()
            };
            let seconds = (1..10).find(|seconds| !stands(seconds * 1000)).unwrap();
            assert!(stands(seconds * 1000 - 1));
            seconds
        };
        assert_eq!(
            [fail(0), fail(1), fail(2), fail(4), fail(14)],
            [1, 2, 4, 5, 5]
        );
        assert_eq!(fail(15), 1);
        assert_eq!(fail(1), 2);
        failures.forget(&key);
        assert!(failures.get(&key, now).is_none());
    }
}
