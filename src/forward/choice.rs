//! In which order a route's upstreams are asked: the one that served last comes first, and loses its place when it fails.
//! It measures nothing and sends nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Who is asked first, of a fixed number of upstreams.
#[derive(Debug)]
pub(super) struct Choice {
    upstreams: usize,
    first: AtomicUsize,
}

impl Choice {
    /// The choice among so many upstreams; the first one is asked first.
    pub(super) const fn new(upstreams: usize) -> Self {
        Self {
            upstreams,
            first: AtomicUsize::new(0),
        }
    }

    /// Every upstream once, in the order in which they are to be asked.
    pub(super) fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let (first, upstreams) = (self.first.load(Ordering::Relaxed), self.upstreams);
        (first..upstreams).chain(0..first)
    }

    /// An upstream was silent or could not be reached: the next one is asked first from now on. If it was not the first
    /// any more, somebody else has noticed already. An answer that says it cannot answer is no reason (it may be about
    /// that one name).
    pub(super) fn failed(&self, upstream: usize) {
        let next = if upstream + 1 < self.upstreams {
            upstream + 1
        } else {
            0
        };
        // Losing the race means that the first one has changed: nothing is left to do.
        self.first
            .compare_exchange(upstream, next, Ordering::Relaxed, Ordering::Relaxed)
            .ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_one_stays_first_until_it_fails() {
        let choice = Choice::new(3);
        let order = || choice.order().collect::<Vec<_>>();
        assert_eq!(order(), [0, 1, 2]);
        choice.failed(0);
        choice.failed(0);
        assert_eq!(order(), [1, 2, 0]);
        choice.failed(2);
        assert_eq!(order(), [1, 2, 0]);
        choice.failed(1);
        choice.failed(2);
        assert_eq!(order(), [0, 1, 2]);
        assert_eq!(Choice::new(0).order().count(), 0);
    }
}
