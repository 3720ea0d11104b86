//! From time to time, what is held is compared with a consistent list, page by page, while the watch goes on: for events
//! that a watch lost, and for an etcd that was restored from a backup. It knows versions and pages; what differs, the
//! index finds.

use super::{Stop, Watch};
use crate::{
    feed::{
        kube::{
            protocol,
            requests::{Arrived, Failure},
        },
        now,
    },
    model::{Change, ObjectKey},
};
use rand::{RngExt, rngs::StdRng};
use std::{collections::HashSet, future, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

/// How long after a list its comparison comes, different each time and for each process: a consistent list costs the API
/// server a read of etcd.
const PERIOD_SECONDS: std::ops::RangeInclusive<u64> = 10 * 60..=30 * 60;
/// How long a page may wait for the watch to get there: bookmarks come every minute.
const PATIENCE: Duration = Duration::from_secs(180);
/// Objects that may change meanwhile; with more, the next comparison is waited for.
const MAX_CHANGED: usize = 100_000;

/// The comparison of one source: put off, under way or at rest.
pub(super) struct Audit {
    turns: Arc<Semaphore>,
    next: Pin<Box<dyn Future<Output = Step> + Send>>,
    running: Option<Running>,
}

/// What it waited for.
pub(super) enum Step {
    /// It is time, and no other source is compared.
    Begin(OwnedSemaphorePermit),
    Page(Result<Arrived, Failure>),
    /// The watch does not get to where the page is.
    GiveUp,
}

struct Running {
    _turn: OwnedSemaphorePermit,
    /// Where the watch was at the beginning.
    from: String,
    /// What the watch told since then: that is newer than the list, or the same.
    changed: HashSet<ObjectKey>,
    /// A page and its version, which waits until the watch has told everything up to there.
    held: Option<(String, Arrived)>,
}

impl Audit {
    pub(super) fn new(turns: Arc<Semaphore>) -> Self {
        Self {
            turns,
            next: Box::pin(future::pending()),
            running: None,
        }
    }

    /// Everything was listed just now, or a comparison has ended in whatever way.
    pub(super) fn put_off(&mut self, rng: &mut StdRng) {
        let period = Duration::from_secs(rng.random_range(PERIOD_SECONDS));
        let turns = Arc::clone(&self.turns);
        self.running = None;
        self.next = Box::pin(async move {
            sleep(period).await;
            match turns.acquire_owned().await {
                Ok(turn) => Step::Begin(turn),
                Err(_) => future::pending().await,
            }
        });
    }

    /// Waits for what comes next; may be dropped and called again.
    pub(super) async fn step(&mut self) -> Step {
        let step = (&mut self.next).await;
        self.next = Box::pin(future::pending());
        step
    }

    /// Notes what the watch tells.
    pub(super) fn changed(&mut self, change: &Change) {
        if let Some(running) = &mut self.running {
            let key = match change {
                Change::Apply(_, object) => object.key(),
                Change::Delete(_, key) => key,
                _ => return,
            };
            // One more than the limit says that it was reached.
            if running.changed.len() <= MAX_CHANGED {
                running.changed.insert(key.clone());
            }
        }
    }
}

impl Watch {
    /// Goes on with the comparison while the watch stands at `position`.
    pub(super) async fn go_on(&mut self, step: Step, position: &str) -> Result<(), Stop> {
        match (step, &mut self.audit.running) {
            (Step::Begin(turn), _) => {
                let source = self.source;
                self.sink.send(now(), Change::AuditStarted(source)).await?;
                self.audit.running = Some(Running {
                    _turn: turn,
                    from: position.to_owned(),
                    changed: HashSet::new(),
                    held: None,
                });
                self.ask_for_page(None);
            }
            (Step::Page(Ok(page)), Some(running)) => match page.page() {
                Ok(parsed) => {
                    running.held = Some((parsed.resource_version, page));
                    self.audit.next = Box::pin(async {
                        sleep(PATIENCE).await;
                        Step::GiveUp
                    });
                }
                Err(failure) => self.give_up(&failure),
            },
            (Step::Page(Err(failure)), _) => self.give_up(&failure),
            (Step::GiveUp, _) => self.give_up(&"the watch stays behind the list"),
            (Step::Page(Ok(_)), None) => {}
        }
        Ok(())
    }

    fn ask_for_page(&mut self, next: Option<String>) {
        let requests = self.requests.clone();
        self.audit.next = Box::pin(async move { Step::Page(requests.page(next.as_deref()).await) });
    }

    fn give_up(&mut self, why: &dyn std::fmt::Display) {
        tracing::info!(source = self.source.name(), "not compared this time: {why}");
        self.audit.put_off(&mut self.rng);
    }

    /// Compares the page that is held, if the watch has got to where it is.
    pub(super) async fn compare(&mut self, position: &str) -> Result<(), Stop> {
        let Some(running) = &mut self.audit.running else {
            return Ok(());
        };
        let Some((version, arrived)) = running
            .held
            .take_if(|(version, _)| !protocol::is_before(position, version))
        else {
            return Ok(());
        };
        if protocol::is_before(&version, &running.from) {
            self.doubted = true;
            return Err(Failure::Behind(version, running.from.clone()).into());
        }
        if running.changed.len() > MAX_CHANGED {
            self.give_up(&"too much changes meanwhile");
            return Ok(());
        }
        let page = arrived.page()?;
        for item in page.items {
            let Change::Apply(source, object) = self.applied(item.get())?.change else {
                continue;
            };
            let running = self.audit.running.as_ref();
            if running.is_some_and(|running| !running.changed.contains(object.key())) {
                let audited = Change::Audited(source, object);
                self.sink.send(arrived.received, audited).await?;
            }
        }
        match page.next {
            Some(next) => self.ask_for_page(Some(next)),
            None => {
                let done = Change::AuditDone(self.source);
                self.sink.send(arrived.received, done).await?;
                self.audit.put_off(&mut self.rng);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Source;

    #[test]
    fn a_hundred_thousand_objects_may_change_during_a_comparison_and_no_more_are_noted() {
        let mut audit = Audit::new(Arc::new(Semaphore::new(1)));
        audit.running = Some(Running {
            _turn: Arc::clone(&audit.turns).try_acquire_owned().unwrap(),
            from: "1".to_owned(),
            changed: HashSet::new(),
            held: None,
        });
        let change = |audit: &mut Audit, n: usize| {
            let key = ObjectKey::new("shop", &n.to_string());
            audit.changed(&Change::Delete(Source::Services, key));
            audit.running.as_ref().unwrap().changed.len()
        };
        for n in 0..100_000 {
            change(&mut audit, n);
        }
        assert_eq!(change(&mut audit, 7), MAX_CHANGED, "an object counts once");
        for n in 100_000..300_000 {
            assert_eq!(
                change(&mut audit, n),
                MAX_CHANGED + 1,
                "given up, and bounded"
            );
        }
    }
}
