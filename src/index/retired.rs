//! Snapshots that were replaced and that somebody still reads. Whoever lets go of one last frees it, thousands of shards and records
//! at times, which takes a millisecond: it shall be the writer, and not a reader with queries to answer.

use super::Snapshot;
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

/// Readers hold one for a batch, which takes microseconds, and for as long as they wait for an upstream. Of more than so many
/// the oldest are their readers' to free.
const MOST: usize = 64;
/// How soon it is looked again whether the readers are done.
const LOOK_AFTER: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub(super) struct Retired(VecDeque<Arc<Snapshot>>);

impl Retired {
    /// Takes one that no new reader gets.
    pub(super) fn add(&mut self, snapshot: Arc<Snapshot>) {
        self.0.push_back(snapshot);
        self.free();
        if self.0.len() > MOST {
            self.0.pop_front();
        }
    }

    /// Frees those that nobody reads any more.
    pub(super) fn free(&mut self) {
        self.0.retain(|snapshot| Arc::strong_count(snapshot) > 1);
    }

    /// When to look again, if there is anything to look at.
    pub(super) fn next_deadline(&self, now: Option<Instant>) -> Option<Instant> {
        Some(now.filter(|_| !self.0.is_empty())? + LOOK_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Index, tests::options};

    fn snapshot() -> Arc<Snapshot> {
        arc_swap::Guard::into_inner(Index::new(options()).1.load())
    }

    #[test]
    fn what_a_reader_lets_go_of_is_freed_by_the_writer() {
        let (mut retired, read) = (Retired::default(), snapshot());
        let now = tokio::time::Instant::now().into_std();
        let lives = Arc::downgrade(&read);
        retired.add(read.clone());
        assert_eq!(retired.next_deadline(Some(now)), Some(now + LOOK_AFTER));
        drop(read);
        assert!(lives.upgrade().is_some(), "the reader freed it");
        retired.free();
        assert!(lives.upgrade().is_none());
        assert_eq!(retired.next_deadline(Some(now)), None);
    }

    #[test]
    fn of_too_many_the_oldest_are_left_to_their_readers() {
        let mut retired = Retired::default();
        let read: Vec<_> = (0..MOST + 2).map(|_| snapshot()).collect();
        read.iter().for_each(|it| retired.add(it.clone()));
        let held = read.iter().map(|it| Arc::strong_count(it) > 1);
        assert_eq!(held.filter(|held| *held).count(), MOST);
        drop(read);
        retired.free();
        assert!(retired.0.is_empty());
    }
}
