//! The single writer of derived state: applies [`Change`]s to the objects it keeps, and rebuilds what they touch and
//! nothing else. It knows neither feeds nor queries.
//!
//! ```text
//! Change ─▶ Index: objects ─▶ dirty services ─▶ records (once a batch) ─▶ Snapshot ─▶ Reader
//! ```

mod ahead;
mod basis;
mod derive;
mod dirty;
mod fading;
mod follow;
mod held;
mod objects;
mod options;
mod records;
mod retired;
mod snapshot;
mod working;

pub use ahead::{AT_ONCE, Ahead, Below, Lookup};
pub use basis::Basis;
pub use follow::{Published, follow};
pub use options::{EndpointNames, Options, Staleness, Ttl};
pub use records::{Kind, ServicePort, ServiceRecords, Target};
pub use snapshot::{Reader, Snapshot};

use crate::model::{Change, ObjectKey, Source};
use arc_swap::ArcSwap;
use dirty::Dirty;
use fading::Fading;
use held::Held;
use retired::Retired;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};
use working::Working;

/// How long a ready endpoint that vanishes from its slice is still answered if nothing else is said about its name: it
/// may move to another slice, or its slice from one watch to the other, and the order of the two events is not given.
pub const FADING: Duration = Duration::from_millis(50);

/// The writer's side: the objects, and the snapshot in the making.
#[derive(Debug)]
pub struct Index {
    objects: [HashMap<ObjectKey, Listed>; Source::ALL.len()],
    /// Counts the lists of each source, to tell what the last one did not name.
    generations: [u64; Source::ALL.len()],
    /// Counts what comparisons found to be otherwise than it was held.
    repaired: [u64; Source::ALL.len()],
    /// When each source was last known to be as it is held.
    confirmed: [Option<Instant>; Source::ALL.len()],
    /// When a source is known that is listed already ([`Self::know`]).
    known_from: [Option<Instant>; Source::ALL.len()],
    /// Is it being listed, so that its events confirm nothing yet?
    listing: [bool; Source::ALL.len()],
    /// The slices that name a service.
    slices: HashMap<ObjectKey, BTreeSet<(Source, ObjectKey)>>,
    /// How many Services and Namespace objects say that a namespace exists.
    namespaces: HashMap<Box<str>, usize>,
    /// What is over and still answered for a moment.
    fading: Fading,
    dirty: Dirty,
    working: Working,
    published: Arc<ArcSwap<Snapshot>>,
    retired: Retired,
    rebuilt: u64,
}

/// An object, and the list in which it was seen last.
#[derive(Debug)]
struct Listed {
    generation: u64,
    held: Arc<Held>,
}

impl Index {
    /// An index that knows nothing yet, and the handle to read it.
    pub fn new(options: Options) -> (Self, Reader) {
        let mut working = Working::new(options);
        let published = Arc::new(ArcSwap::new(working.edition()));
        let reader = Reader(published.clone());
        let index = Self {
            objects: <_>::default(),
            generations: <_>::default(),
            repaired: <_>::default(),
            confirmed: <_>::default(),
            known_from: <_>::default(),
            listing: <_>::default(),
            slices: HashMap::new(),
            namespaces: HashMap::new(),
            fading: Fading::default(),
            dirty: Dirty::default(),
            working,
            published,
            retired: Retired::default(),
            rebuilt: 0,
        };
        (index, reader)
    }

    /// Sets the time of the changes that follow, and lets go of what faded until then. An index that is never told the
    /// time lets go at once.
    pub fn tell_time(&mut self, now: Instant) {
        for service in self.fading.tell_time(now) {
            self.dirty.touch(service);
        }
        self.retired.free();
        for source in Source::ALL {
            if self.known_from[source as usize].is_some_and(|from| from <= now) {
                self.set_known(source, true);
            }
            let stale = self.stale_from(source).is_some_and(|from| from <= now);
            self.working.set_stale(source, stale);
        }
    }

    /// When a source is stale if it is not confirmed before.
    fn stale_from(&self, source: Source) -> Option<Instant> {
        let after = self.working.options.staleness?.after;
        Some(self.confirmed(source)? + after)
    }

    /// When a source was last known to be as it is held: at its last event, bookmark or list.
    pub const fn confirmed(&self, source: Source) -> Option<Instant> {
        self.confirmed[source as usize]
    }

    /// When [`Self::tell_time`] has something to do next.
    pub fn next_deadline(&self) -> Option<Instant> {
        let fresh = Source::ALL
            .into_iter()
            .filter(|source| !self.working.stale[*source as usize]);
        let stale_from = fresh.filter_map(|source| self.stale_from(source));
        self.fading
            .next_deadline()
            .into_iter()
            .chain(stale_from)
            .chain(self.known_from.into_iter().flatten())
            .chain(self.retired.next_deadline(self.fading.now()))
            .min()
    }

    /// Takes a change in, and says whether an object is otherwise than it was held. Readers see nothing of it before
    /// [`Self::publish`].
    pub fn apply(&mut self, change: Change) -> bool {
        self.confirm(&change);
        match change {
            Change::ListStarted(source) | Change::AuditStarted(source) => {
                self.generations[source as usize] += 1;
            }
            Change::ListDone(source) => {
                self.sweep(source);
                self.fading.listed(source, FADING);
                self.know(source);
            }
            Change::Confirmed(_) => {}
            Change::Audited(source, object) => {
                let differs = self.upsert(source, object);
                self.repaired[source as usize] += u64::from(differs);
                return differs;
            }
            Change::AuditDone(source) => self.repaired[source as usize] += self.sweep(source),
            Change::Lost(source) => {
                self.fading.listed(source, FADING);
                self.set_known(source, false);
            }
            Change::Apply(source, object) => return self.upsert(source, object),
            Change::Delete(source, key) => return self.remove(source, &key),
        }
        false
    }

    fn confirm(&mut self, change: &Change) {
        let source = match change {
            Change::ListStarted(source) => return self.listing[*source as usize] = true,
            Change::ListDone(source) => {
                self.listing[*source as usize] = false;
                *source
            }
            Change::Apply(source, _)
            | Change::Delete(source, _)
            | Change::Confirmed(source)
            | Change::AuditDone(source) => *source,
            Change::Lost(source) => return self.listing[*source as usize] = false,
            Change::AuditStarted(_) | Change::Audited(..) => return,
        };
        if let Some(now) = self.fading.now()
            && !self.listing[source as usize]
        {
            self.confirmed[source as usize] = Some(now);
            self.working.set_stale(source, false);
        }
    }

    /// Rebuilds what the changes since the last call touched, each service once, and lets readers see it, all at once.
    /// Says how many services were rebuilt. `serial` is the time of the change in seconds since 1970.
    pub fn publish(&mut self, serial: u32) -> usize {
        let mut rebuilt = 0;
        for (service, touched) in std::mem::take(&mut self.dirty) {
            self.rebuild(&service, &touched);
            rebuilt += 1;
        }
        self.rebuilt += rebuilt as u64;
        if let Some(snapshot) = self.working.publish(serial) {
            self.retired.add(self.published.swap(snapshot));
        }
        rebuilt
    }

    /// How many services were rebuilt since the start.
    pub const fn rebuilt(&self) -> u64 {
        self.rebuilt
    }

    /// How many objects a source holds.
    pub fn count(&self, source: Source) -> usize {
        self.objects[source as usize].len()
    }

    /// How many objects of a source were otherwise than a comparison found them.
    pub const fn repaired(&self, source: Source) -> u64 {
        self.repaired[source as usize]
    }

    /// A source is listed. What just left one watch of slices is not in its first list, nothing of it fades, and the event
    /// that says that it joined the other may be under way: until that is told, the source is not known.
    fn know(&mut self, source: Source) {
        match self.fading.now() {
            Some(now) if self.may_move(source) && !self.working.known[source as usize] => {
                self.known_from[source as usize] = Some(now + FADING);
            }
            _ => self.set_known(source, true),
        }
    }

    fn set_known(&mut self, source: Source, known: bool) {
        self.known_from[source as usize] = None;
        self.working.set_known(source, known);
    }

    /// Is it one of two watches of slices? With one, whatever moved stands in the same list.
    fn may_move(&self, source: Source) -> bool {
        let fed = &self.working.options.sources;
        Source::SLICES.contains(&source) && Source::SLICES.iter().all(|it| fed.contains(it))
    }
}

#[cfg(test)]
mod tests;
