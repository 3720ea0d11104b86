//! The budget for asking a second time before the longest time-out is over: one such send in twenty questions, unless its
//! answer is the one that counts. It knows neither upstreams nor time.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// What one send costs, in what one question brings.
const COST: u32 = 20;
/// So many sends are in hand at first, and at most: when an upstream dies, the questions under way to it are to move on at once.
const IN_HAND: u32 = 100;

/// A bucket of sends.
#[derive(Debug)]
pub(super) struct Budget(AtomicU32);

impl Budget {
    pub(super) const fn new() -> Self {
        Self(AtomicU32::new(IN_HAND * COST))
    }

    /// A question came.
    pub(super) fn question(&self) {
        self.put(1);
    }

    /// Takes one send, if there is one.
    pub(super) fn take(&self) -> bool {
        self.0
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(COST))
            .is_ok()
    }

    /// Gives one back: it was of use.
    pub(super) fn give_back(&self) {
        self.put(COST);
    }

    fn put(&self, more: u32) {
        let put = |left: u32| Some((left + more).min(IN_HAND * COST));
        self.0
            .fetch_update(Relaxed, Relaxed, put)
            .expect("every value has a successor");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_send_in_twenty_questions_after_a_hundred_in_hand() {
        let budget = Budget::new();
        let takes = |times| (0..times).filter(|_| budget.take()).count();
        assert_eq!(takes(1000), 100);
        (0..1999).for_each(|_| budget.question());
        assert_eq!(takes(1000), 99);
        budget.question();
        assert_eq!(takes(1000), 1);
        (0..1_000_000).for_each(|_| budget.question());
        assert_eq!(takes(1000), 100);
    }

    #[test]
    fn a_send_that_was_of_use_costs_nothing() {
        let budget = Budget::new();
        for _ in 0..1000 {
            assert!(budget.take());
            budget.give_back();
        }
    }
}
