//! One source as a feed follows it: what it is about to tell, what it has told, and since when it may be behind.

use crate::truth::Mode;
use gapless::{
    index::Index,
    model::{Change, Endpoint, Object, ObjectKey, ServiceKind, Source},
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The two watches of slices.
pub(crate) const WATCHES: [Source; 2] = Source::SLICES;
/// How long an event may be on its way, in milliseconds: less than what vanished is still given for.
pub(crate) const NEWS: u64 = 40;
/// For how long a vanished endpoint is given at most.
pub(crate) const FADING: u64 = 50;
/// The same after a list.
pub(crate) const FADING_AFTER_A_LIST: u64 = 1_000;

/// A time in which the watch was down, and until when the list was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    /// Since when something may be fading: since the gap before, if that was not over yet.
    pub(crate) from: u64,
    pub(crate) cut: u64,
    pub(crate) until: Option<u64>,
}

/// An event that was never told, of which service of which namespace.
#[derive(Clone, Debug)]
pub(crate) struct Unheard {
    pub(crate) at: u64,
    pub(crate) namespace: String,
    pub(crate) service: Option<String>,
    /// When a list, or a comparison, had repaired it.
    pub(crate) repaired: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) source: Source,
    mode: Mode,
    pub(crate) is_fed: bool,
    pub(crate) is_up: bool,
    pub(crate) gap: Option<Gap>,
    /// It was cut between two events that are one: an endpoint left a slice, and is in no other one.
    pub(crate) is_torn: bool,
    /// Since when it may be relied on.
    pub(crate) known_from: Option<u64>,
    pub(crate) heard: Option<u64>,
    pub(crate) unheard: Vec<Unheard>,
    /// Services that were told to be so, and were not before.
    pub(crate) became_headless: Vec<ObjectKey>,
    queue: VecDeque<(u64, Change)>,
    pages: VecDeque<(u64, Change)>,
    /// When the list, or comparison, under way was read.
    read_at: u64,
    is_listing: bool,
    /// What the watch told since a comparison began.
    changed: Option<BTreeSet<ObjectKey>>,
    held: BTreeMap<ObjectKey, Object>,
    seen: BTreeSet<ObjectKey>,
    repaired: u64,
}

impl Watch {
    pub(crate) fn new(source: Source, mode: Mode) -> Self {
        let is_fed = match source {
            Source::ForeignEndpointSlices => !mode.all_slices,
            Source::Pods => mode.verified,
            _ => true,
        };
        Self {
            source,
            mode,
            is_fed,
            is_up: false,
            gap: Some(Gap {
                from: 0,
                cut: 0,
                until: None,
            }),
            is_torn: false,
            known_from: None,
            heard: None,
            unheard: Vec::new(),
            became_headless: Vec::new(),
            queue: VecDeque::new(),
            pages: VecDeque::new(),
            read_at: 0,
            is_listing: false,
            changed: None,
            held: BTreeMap::new(),
            seen: BTreeSet::new(),
            repaired: 0,
        }
    }

    /// Tells this later, `delay` from now, and after what was said before.
    pub(crate) fn push(&mut self, now: u64, delay: u64, change: Change) {
        let last = self.queue.back().map_or(0, |(at, _)| *at);
        self.queue.push_back((last.max(now + delay), change));
    }

    pub(crate) fn cut(&mut self, now: u64) {
        self.is_up = false;
        self.is_torn |= !self.queue.is_empty();
        self.queue.clear();
        self.pages.clear();
        self.changed = None;
        let from = self.gap.map_or(now, |gap| gap.from);
        let goes_on = self.gap.filter(|gap| gap.until.is_none());
        let cut = goes_on.map_or(now, |gap| gap.cut);
        let until = None;
        self.gap = Some(Gap { from, cut, until });
    }

    /// Tells a list within that time; only its beginning if it breaks off.
    pub(crate) fn list(&mut self, now: u64, takes: u64, objects: Vec<Object>, breaks: bool) {
        self.read_at = now;
        let source = self.source;
        self.push(now, 0, Change::ListStarted(source));
        let count = objects.len() as u64;
        let told = if breaks { count / 2 } else { count };
        for (nth, object) in (1..=told).zip(objects) {
            self.push(now, takes * nth / count, Change::Apply(source, object));
        }
        if !breaks {
            self.push(now, takes, Change::ListDone(source));
            self.is_up = true;
        }
    }

    /// Compares what is held with these objects, page by page.
    pub(crate) fn compare(&mut self, now: u64, takes: u64, objects: Vec<Object>) {
        let source = self.source;
        self.read_at = now;
        self.pages.clear();
        self.pages.push_back((now, Change::AuditStarted(source)));
        // Everything is told that the list may know.
        let begin = self.queue.back().map_or(now, |(at, _)| *at);
        let count = objects.len() as u64;
        for (nth, object) in (1..=count).zip(objects) {
            let at = begin + 1 + takes * nth / count;
            self.pages.push_back((at, Change::Audited(source, object)));
        }
        let done = Change::AuditDone(source);
        self.pages.push_back((begin + 1 + takes, done));
    }

    /// May a list or a comparison begin?
    pub(crate) fn is_idle(&self) -> bool {
        self.is_fed && !self.is_listing && self.queue.is_empty() && self.pages.is_empty()
    }

    pub(crate) fn due(&self) -> Option<u64> {
        let fronts = [self.queue.front(), self.pages.front()];
        fronts.into_iter().flatten().map(|(at, _)| *at).min()
    }

    /// Tells the index what is due.
    pub(crate) fn deliver(&mut self, now: u64, index: &mut Index) -> Result<(), String> {
        while let Some((_, change)) = take_due(&mut self.queue, now) {
            self.tell(now, index, change)?;
        }
        while let Some((_, change)) = take_due(&mut self.pages, now) {
            let stays = |changed: &BTreeSet<_>| match &change {
                Change::Audited(_, object) => !changed.contains(object.key()),
                _ => true,
            };
            if self.changed.as_ref().is_none_or(stays) {
                self.tell(now, index, change)?;
            }
        }
        Ok(())
    }

    /// Tells the index, and holds it to a plain account of what it was told.
    pub(crate) fn tell(
        &mut self,
        now: u64,
        index: &mut Index,
        change: Change,
    ) -> Result<(), String> {
        let mut confirms = !self.is_listing;
        let mut differs = false;
        match &change {
            Change::ListStarted(_) => {
                (self.is_listing, confirms) = (true, false);
                self.seen.clear();
            }
            Change::ListDone(_) => {
                self.held.retain(|key, _| self.seen.contains(key));
                (self.is_listing, confirms) = (false, true);
                if !self.is_known(now) {
                    // What its first list misses may have joined the other watch, which has yet to tell.
                    let moves = WATCHES.contains(&self.source) && !self.mode.all_slices;
                    self.known_from = Some(now + if moves { FADING } else { 0 });
                }
                self.is_torn = false;
                self.gap = self.gap.map(|gap| Gap {
                    until: Some(now),
                    ..gap
                });
                self.repair(now);
            }
            Change::AuditStarted(_) => {
                self.changed = Some(BTreeSet::new());
                self.seen.clear();
                confirms = false;
            }
            Change::Apply(_, object) | Change::Audited(_, object) => {
                let object = &kept(object, self.mode);
                let before = self.held.insert(object.key().clone(), object.clone());
                differs = before.as_ref() != Some(object);
                if before.as_ref().and_then(is_headless) == Some(false)
                    && is_headless(object) == Some(true)
                {
                    self.became_headless.push(object.key().clone());
                }
                self.seen.insert(object.key().clone());
                if matches!(change, Change::Audited(..)) {
                    self.repaired += u64::from(differs);
                    confirms = false;
                } else if let Some(changed) = &mut self.changed {
                    changed.insert(object.key().clone());
                }
            }
            Change::Delete(_, key) => {
                differs = self.held.remove(key).is_some();
                if let Some(changed) = &mut self.changed {
                    changed.insert(key.clone());
                }
            }
            Change::AuditDone(_) => {
                let before = self.held.len();
                self.held.retain(|key, _| self.seen.contains(key));
                self.repaired += (before - self.held.len()) as u64;
                self.changed = None;
                self.repair(now);
            }
            Change::Lost(_) => (self.known_from, confirms) = (None, false),
            Change::Confirmed(_) => {}
        }
        if confirms {
            self.heard = Some(now);
        }
        let source = self.source;
        if index.apply(change.clone()) != differs {
            return Err(format!("{change:?}: {differs} was expected"));
        }
        let account = (self.held.len(), self.repaired);
        let says = (index.count(source), index.repaired(source));
        match says == account {
            true => Ok(()),
            false => Err(format!(
                "{source:?} held, repaired: {says:?}, not {account:?}"
            )),
        }
    }

    fn repair(&mut self, now: u64) {
        for unheard in &mut self.unheard {
            // At the same moment the list may have been the first.
            if unheard.at < self.read_at {
                unheard.repaired.get_or_insert(now);
            }
        }
    }

    /// Is something kept until it is listed, or for a moment after?
    pub(crate) fn keeps(&self, now: u64) -> bool {
        let done = self.gap.and_then(|gap| gap.until);
        self.is_listing || done.is_some_and(|it| now <= it + FADING_AFTER_A_LIST)
    }

    /// Was it listed so lately that the other watch may have yet to tell what left it while it was down?
    pub(crate) fn is_just_listed(&self, now: u64) -> bool {
        let done = self.gap.and_then(|gap| gap.until);
        done.is_some_and(|it| now <= it + NEWS)
    }

    /// Forgets what is over.
    pub(crate) fn forget(&mut self, now: u64) {
        let is_over = |until: Option<u64>| until.is_some_and(|it| it + FADING_AFTER_A_LIST < now);
        self.gap = self.gap.filter(|gap| !is_over(gap.until));
        self.unheard.retain(|it| !is_over(it.repaired));
    }

    /// Is what it held at the time of a gap still to be seen, as the list is not told whole?
    pub(crate) fn is_behind(&self, now: u64) -> bool {
        self.gap
            .is_some_and(|gap| gap.until.is_none_or(|it| now <= it))
    }

    /// Since when everything counts as news.
    pub(crate) fn news_from(&self, now: u64) -> u64 {
        let gap = self.gap.filter(|_| self.is_behind(now));
        gap.map_or(now, |gap| gap.cut).saturating_sub(NEWS)
    }

    /// Since when what vanished may still be given.
    pub(crate) fn fading_from(&self, now: u64) -> u64 {
        let from = self.gap.map_or(now, |gap| gap.from);
        from.saturating_sub(NEWS + FADING + 1)
    }

    pub(crate) fn is_known(&self, now: u64) -> bool {
        self.known_from.is_some_and(|from| from <= now)
    }

    pub(crate) fn is_stale(&self, now: u64, after: u64) -> bool {
        self.heard.is_some_and(|heard| heard + after <= now)
    }
}

/// What is kept of an object: the pods of a slice only where they name endpoints, which stand in the order of their labels.
fn kept(object: &Object, mode: Mode) -> Object {
    let mut object = object.clone();
    if let Object::EndpointSlice(slice) = &mut object {
        for endpoint in &mut slice.endpoints {
            let named = !mode.pod_names || endpoint.hostname.is_some();
            endpoint.pod.take_if(|_| named);
        }
        let label = |it: &Endpoint| it.hostname.clone().or_else(|| it.pod.clone());
        slice
            .endpoints
            .sort_by_key(|it| label(it).map(|label| label.as_bytes().to_vec()));
    }
    object
}

/// `None` if it is no service, or says nothing.
fn is_headless(object: &Object) -> Option<bool> {
    match object {
        Object::Service(service) => Some(service.kind == ServiceKind::Headless),
        _ => None,
    }
}

/// The first change, if its time has come.
fn take_due(queue: &mut VecDeque<(u64, Change)>, now: u64) -> Option<(u64, Change)> {
    let due = queue.front().is_some_and(|(at, _)| *at <= now);
    due.then(|| queue.pop_front()).flatten()
}
