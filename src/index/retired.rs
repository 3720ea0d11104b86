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
    /// Takes one that no new reader gets, and frees others as [`Self::free`] does.
    pub(super) fn add(&mut self, snapshot: Arc<Snapshot>, rest: &mut dyn FnMut()) {
        self.0.push_back(snapshot);
        self.free(rest);
        if self.0.len() > MOST {
            self.0.pop_front();
        }
    }

    /// Frees those that nobody reads any more, and rests behind each shard that is no newer one's, too.
    pub(super) fn free(&mut self, rest: &mut dyn FnMut()) {
        for _ in 0..self.0.len() {
            match self.0.pop_front().map(Arc::try_unwrap) {
                Some(Ok(free)) => {
                    let names = free.names.into_iter().filter_map(Arc::into_inner);
                    names.for_each(|_| rest());
                    let addresses = free.addresses.into_iter().filter_map(Arc::into_inner);
                    addresses.for_each(|_| rest());
                }
                Some(Err(read)) => self.0.push_back(read),
                None => {}
            }
        }
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
        retired.add(read.clone(), &mut || {});
        assert_eq!(retired.next_deadline(Some(now)), Some(now + LOOK_AFTER));
        drop(read);
        assert!(lives.upgrade().is_some(), "the reader freed it");
        retired.free(&mut || {});
        assert!(lives.upgrade().is_none());
        assert_eq!(retired.next_deadline(Some(now)), None);
    }

    #[test]
    fn of_too_many_the_oldest_are_left_to_their_readers() {
        let mut retired = Retired::default();
        let read: Vec<_> = (0..MOST + 2).map(|_| snapshot()).collect();
        read.iter()
            .for_each(|it| retired.add(it.clone(), &mut || {}));
        let held = read.iter().map(|it| Arc::strong_count(it) > 1);
        assert_eq!(held.filter(|held| *held).count(), MOST);
        drop(read);
        retired.free(&mut || {});
        assert!(retired.0.is_empty());
    }
}
