//! Where [`Change`]s come from: a Kubernetes API server ([`kube`]) or a directory of manifests ([`manifests`]). A feed
//! knows the model and neither the index nor DNS.
//!
//! The contract that both feeds keep, for each [`Source`](crate::model::Source) by itself:
//!
//! - [`Change::ListStarted`] comes first, then [`Change::Apply`] for each object, then [`Change::ListDone`]. What was not
//!   applied in between is gone.
//! - Afterwards [`Change::Apply`] and [`Change::Delete`] come in the order in which the object changed. An unchanged
//!   object may be applied again, a key that was never applied may be deleted, and a [`Change::Delete`] may come within
//!   a list, for an object that is deleted or malformed by then.
//! - A list that breaks off is started again with [`Change::ListStarted`]; half a list never gets a
//!   [`Change::ListDone`]. The same holds when a source is listed anew later: whoever receives the changes goes on
//!   serving what it holds until the list is complete.
//! - [`Change::Confirmed`] says that nothing else has happened. From time to time [`Change::AuditStarted`],
//!   [`Change::Audited`] for the objects of a list, and [`Change::AuditDone`] come between the other changes: whatever
//!   differs then, a watch has failed to tell.
//! - [`Change::Lost`] says that access to this kind is denied, and for longer than an API server's start explains. It is
//!   tried again, and a success lists anew.
//! - A malformed object is named once, counted, and applied as [`Unreadable`](crate::model::Unreadable), whatever it was
//!   before: unknown, neither stale nor absent. One whose key cannot be read either is left out.

mod convert;
pub mod kube;
pub mod manifests;
mod rejections;

use crate::model::{Change, Event};
use rejections::Rejections;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Whoever received the changes is gone, so the feed ends.
#[derive(Debug)]
struct Closed;

/// The sending end, with what every change is counted by.
#[derive(Clone, Debug)]
struct Sink {
    events: mpsc::Sender<Event>,
    metrics: crate::metrics::Feed,
}

impl Sink {
    async fn send(&self, received: Instant, change: Change) -> Result<(), Closed> {
        self.send_triggered(received, None, change).await
    }

    /// Sends a change that says for what it was made, and when that was, since 1970.
    async fn send_triggered(
        &self,
        received: Instant,
        triggered: Option<Duration>,
        change: Change,
    ) -> Result<(), Closed> {
        match &change {
            Change::Apply(source, _) | Change::Delete(source, _) => {
                self.metrics.changed(source.name());
            }
            Change::ListDone(source) => self.metrics.listed(source.name()),
            Change::AuditDone(source) => self.metrics.audited(source.name()),
            Change::ListStarted(_)
            | Change::Confirmed(_)
            | Change::AuditStarted(_)
            | Change::Audited(..)
            | Change::Lost(_) => {}
        }
        let event = Event {
            received,
            triggered,
            change,
        };
        self.events.send(event).await.map_err(|_| Closed)
    }
}

/// The clock is read where bytes arrive, and nowhere else in a feed.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use crate::{metrics::Metrics, model::Source};

    #[test]
    fn every_source_has_its_counters() {
        let feed = Metrics::new(&mut prometheus_client::registry::Registry::default()).feed;
        for source in Source::ALL {
            feed.rejected(source.name());
            assert_eq!(feed.rejected_total(source.name()), 1, "{source:?}");
        }
    }
}
