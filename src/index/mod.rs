//! The single writer of derived state: applies [`Change`]s to the objects it keeps, and rebuilds what they touch and
//! nothing else. It knows neither feeds nor queries.
//!
//! ```text
//! Change ─▶ Index: objects ─▶ dirty services ─▶ records (once a batch) ─▶ Snapshot ─▶ Reader
//! ```

mod ahead;
mod dirty;
mod fading;
mod follow;
mod held;
mod options;
mod records;
mod retired;
mod snapshot;
mod working;

pub use ahead::{AT_ONCE, Ahead, Below, Lookup};
pub use follow::{Published, follow};
pub use options::{EndpointNames, Options, Staleness, Ttl};
pub use records::{Kind, ServicePort, ServiceRecords, Target};
pub use snapshot::{Reader, Snapshot};

use crate::model::{Change, Label, Object, ObjectKey, ServiceKind, Source};
use arc_swap::ArcSwap;
use dirty::{Dirty, Touched};
use fading::{Fading, Sources};
use held::{Apart, Held, Slice};
use retired::Retired;
use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use working::Working;

/// How long a ready endpoint that vanishes from its slice is still answered if nothing else is said about its name: it
/// may move to another slice, or its slice from one watch to the other, and the order of the two events is not given.
pub const FADING: Duration = Duration::from_millis(50);
/// The same for slices that vanished while a watch was down: the other watch may take longer to come back.
const FADING_AFTER_A_LIST: Duration = Duration::from_secs(1);
/// For how long no name is absent below a service that became headless: the controller labels its slices, one by one.
const AWAITING_SLICES: Duration = Duration::from_secs(5);

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
        let working = Working::new(options);
        let published = Arc::new(ArcSwap::from_pointee(Snapshot::clone(&working)));
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

    /// What the list that ends did not name is gone; says how much that is.
    fn sweep(&mut self, source: Source) -> u64 {
        let generation = self.generations[source as usize];
        let objects = &mut self.objects[source as usize];
        let gone = objects.extract_if(|_, listed| listed.generation != generation);
        let gone: Vec<_> = gone.collect();
        let may_move = self.may_move(source);
        let count = gone.len() as u64;
        for (key, listed) in gone {
            self.link(source, &key, &listed.held, false);
            if may_move {
                self.fade(&key, listed.held, false, FADING_AFTER_A_LIST);
            }
        }
        count
    }

    /// Is it one of two watches of slices? With one, whatever moved stands in the same list.
    fn may_move(&self, source: Source) -> bool {
        let fed = &self.working.options.sources;
        Source::SLICES.contains(&source) && Source::SLICES.iter().all(|it| fed.contains(it))
    }

    fn upsert(&mut self, source: Source, object: Object) -> bool {
        let generation = self.generations[source as usize];
        let (key, held) = Held::of(object, self.working.options.endpoint_names);
        let mut before = None;
        if let Some(known) = self.objects[source as usize].get_mut(&key) {
            known.generation = generation;
            if *known.held == held {
                return false;
            }
            before = Some(known.held.clone());
        }
        let held = Arc::new(held);
        match (&before, before.as_deref(), &*held) {
            (Some(before), Some(Held::EndpointSlice(had)), Held::EndpointSlice(has))
                if had.service == has.service =>
            {
                let service = ObjectKey::new(&key.namespace, has.service.as_str());
                self.replace_slice(service, before, had, has);
            }
            _ => {
                if let Some(before) = before {
                    self.link(source, &key, &before, false);
                    self.await_slices(&key, &before, &held);
                    self.fade(&key, before, true, FADING);
                }
                self.link(source, &key, &held, true);
            }
        }
        self.objects[source as usize].insert(key, Listed { generation, held });
        true
    }

    fn remove(&mut self, source: Source, key: &ObjectKey) -> bool {
        let Some(gone) = self.objects[source as usize].remove(key) else {
            return false;
        };
        self.link(source, key, &gone.held, false);
        self.fade(key, gone.held, false, FADING);
        true
    }

    /// A slice says something else of the same service. It is kept if a ready endpoint vanishes with it.
    fn replace_slice(&mut self, service: ObjectKey, before: &Arc<Held>, had: &Slice, has: &Slice) {
        let apart = Apart::between(had, has);
        let labels = apart.labels().map(|label| Box::from(&*label));
        self.dirty.touch_names(service.clone(), labels);
        if apart.loses_a_name(has) {
            self.keep(service, before.clone(), FADING);
        }
    }

    /// Keeps what was said of a service's slice, if a ready endpoint vanishes with it, or if nobody knows whether one does.
    fn fade(&mut self, key: &ObjectKey, before: Arc<Held>, is_replaced: bool, time: Duration) {
        let of = match &*before {
            Held::EndpointSlice(slice) if slice.ready().next().is_some() => &slice.service,
            // It leaves this watch; what it says may be readable in the other one.
            Held::Unreadable(Some(of)) if !is_replaced => of,
            _ => return,
        };
        let service = ObjectKey::new(&key.namespace, of.as_str());
        self.keep(service, before, time);
    }

    fn keep(&mut self, service: ObjectKey, before: Arc<Held>, time: Duration) {
        match self.slices_being_listed() {
            Some(sources) => self.fading.keep_until_listed(&service, before, sources),
            None => self.fading.keep(service, before, time),
        }
    }

    /// The sources of slices that may name what vanishes now at their lists' end only: the one that it was in, and the other.
    fn slices_being_listed(&self) -> Option<Sources> {
        let mut sources = Sources::default();
        for source in Source::SLICES {
            sources[source as usize] = self.listing[source as usize];
        }
        sources.contains(&true).then_some(sources)
    }

    /// A service becomes headless before its slices enter the watch of headless services' slices.
    fn await_slices(&mut self, key: &ObjectKey, before: &Held, after: &Held) {
        let options = &self.working.options;
        let selected = options.sources.contains(&Source::ForeignEndpointSlices);
        if let (Held::Service(before), Held::Service(after)) = (before, after)
            && selected
            && before.kind != ServiceKind::Headless
            && after.kind == ServiceKind::Headless
        {
            self.fading.await_slices(key, AWAITING_SLICES);
        }
    }

    /// Notes what the coming, or going, of an object touches.
    fn link(&mut self, source: Source, key: &ObjectKey, held: &Held, comes: bool) {
        match held {
            Held::Service(_) => {
                self.count_namespace(&key.namespace, comes);
                self.dirty.touch(key.clone());
            }
            Held::EndpointSlice(slice) => self.link_slice(source, key, &slice.service, comes),
            Held::Namespace => self.count_namespace(&key.name, comes),
            Held::Pod(addresses) => {
                for address in addresses {
                    self.working.set_pod(&key.namespace, *address, comes);
                }
            }
            Held::Unreadable(service) => match (source, service) {
                (Source::Services, _) => {
                    self.count_namespace(&key.namespace, comes);
                    self.dirty.touch(key.clone());
                }
                (Source::Namespaces, _) => self.count_namespace(&key.name, comes),
                (_, Some(service)) => self.link_slice(source, key, service, comes),
                (_, None) => self.working.set_unreadable(source, &key.namespace, comes),
            },
        }
    }

    fn link_slice(&mut self, source: Source, slice: &ObjectKey, service: &Label, comes: bool) {
        let service = ObjectKey::new(&slice.namespace, service.as_str());
        let link = (source, slice.clone());
        let links = self.slices.entry(service.clone()).or_default();
        if comes {
            links.insert(link)
        } else {
            links.remove(&link)
        };
        if links.is_empty() {
            self.slices.remove(&service);
        }
        self.dirty.touch(service);
    }

    fn count_namespace(&mut self, namespace: &str, comes: bool) {
        let count = self.namespaces.entry(namespace.into()).or_default();
        let existed = *count > 0;
        *count = if comes {
            *count + 1
        } else {
            count.saturating_sub(1)
        };
        let exists = *count > 0;
        if exists == existed {
            return;
        }
        if !exists {
            self.namespaces.remove(namespace);
        }
        self.working.set_namespace(namespace, exists);
    }

    fn rebuild(&mut self, service: &ObjectKey, touched: &Touched) {
        let Some(key) = wire_key(service) else { return };
        let (records, addresses) = self.derive(service, &key, touched);
        self.working.set_service(&key, records, addresses);
    }

    /// The records of a service, and at which addresses alone they may differ from the former ones, if that is known.
    fn derive(
        &self,
        service: &ObjectKey,
        key: &[u8],
        touched: &Touched,
    ) -> (Option<ServiceRecords>, Option<Vec<IpAddr>>) {
        let Some(listed) = self.objects[Source::Services as usize].get(service) else {
            return (None, None);
        };
        let Held::Service(object) = &*listed.held else {
            return (Some(records::unreadable(key)), None);
        };
        let links = self.slices.get(service).into_iter().flatten();
        let slices = links.clone().filter_map(|(source, slice)| {
            let listed = self.objects[*source as usize].get(slice)?;
            Some(&*listed.held)
        });
        let fading = self.fading.slices(service);
        let is_unreadable = |slice: &Held| matches!(slice, Held::Unreadable(_));
        let incomplete = self.fading.awaits_slices(service)
            || slices.clone().any(is_unreadable)
            || fading.clone().any(is_unreadable);
        let slices = records::Slices {
            slices: slices.filter_map(Held::as_slice),
            fading: fading.filter_map(Held::as_slice).collect(),
            incomplete,
        };
        let (options, hash) = (&self.working.options, |label: &[u8]| {
            self.working.host_hash(label)
        });
        if let (Touched::Names(names), Some(before)) = (touched, self.working.find(key))
            && let Some((records, addresses)) = records::mend(before, names, &slices, options, hash)
        {
            return (Some(records), Some(addresses));
        }
        (
            Some(records::build(key, object, slices, options, hash)),
            None,
        )
    }
}

/// The labels `<service>.<namespace>` in wire form; `None` if they are no labels.
fn wire_key(service: &ObjectKey) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(service.name.len() + service.namespace.len() + 2);
    for text in [&service.name, &service.namespace] {
        let label = Label::new(text).ok()?;
        key.push(u8::try_from(label.as_bytes().len()).ok()?);
        key.extend_from_slice(label.as_bytes());
    }
    Some(key)
}

#[cfg(test)]
mod tests;
