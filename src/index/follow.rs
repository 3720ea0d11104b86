//! The writer's loop: takes events in batches, publishes once a batch, and says what that took. It reads no clock.

use super::Index;
use crate::model::{Change, Event};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How many events at most stand behind one publication: a re-list of the largest cluster (some 20,000 objects) then
/// publishes some eighty times, and an event waits for at most this many others.
const BATCH: usize = 256;

/// A batch of events that has become visible to readers.
#[derive(Debug)]
pub struct Published<'b> {
    /// When each of those events was received that say how an object is now, in order. What only confirms or compares
    /// makes nothing answerable.
    pub received: &'b [Instant],
    /// Of those that changed an object and say for what: when that happened, since 1970.
    pub triggered: &'b [Duration],
    /// When readers could see them.
    pub at: Instant,
    /// The same, since 1970.
    pub since_1970: Duration,
    /// Services rebuilt for them.
    pub rebuilt: usize,
}

/// Applies events until the channel closes. `clock` gives the time now, and the time since 1970; `published` is told
/// of each batch, and of what becomes visible because time has passed, and may look at the index.
pub async fn follow(
    mut index: Index,
    mut events: mpsc::Receiver<Event>,
    clock: impl Fn() -> (Instant, Duration),
    mut published: impl FnMut(&Index, Published<'_>),
) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut received = Vec::with_capacity(BATCH);
    let mut triggered = Vec::new();
    loop {
        let deadline = async {
            match index.next_deadline() {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            count = events.recv_many(&mut batch, BATCH) => if count == 0 {
                return;
            },
            () = deadline => {}
        }
        received.clear();
        triggered.clear();
        let (now, since_1970) = clock();
        index.tell_time(now);
        for event in batch.drain(..) {
            if matches!(event.change, Change::Apply(..) | Change::Delete(..)) {
                received.push(event.received);
            }
            // The annotation stays when something else is changed that DNS does not see.
            if index.apply(event.change) {
                triggered.extend(event.triggered);
            }
        }
        // Serial numbers are 32 bits wide and wrap (RFC 1982).
        let rebuilt = index.publish(since_1970.as_secs() as u32);
        let (at, since_1970) = clock();
        published(
            &index,
            Published {
                received: &received,
                triggered: &triggered,
                at,
                since_1970,
                rebuilt,
            },
        );
    }
}
