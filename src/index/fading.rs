//! What is over and is answered for a moment longer, because the event that says where it went may be under way. It knows
//! services and times, not what is made of them.

use super::held::Held;
use crate::model::{ObjectKey, Source};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

/// How many slices fade at once: those that vanish in 50 ms at 200,000 events a second, or all of a large cluster's after
/// a list. Further ones go at once.
const MAX_FADING: usize = 10_000;

/// Former slices of services, and services that wait for slices.
#[derive(Debug, Default)]
pub(super) struct Fading {
    now: Option<Instant>,
    services: HashMap<ObjectKey, Service>,
    deadlines: BinaryHeap<Reverse<(Instant, ObjectKey)>>,
    slices: usize,
}

#[derive(Debug, Default)]
struct Service {
    slices: Vec<(Until, Arc<Held>)>,
    awaits_slices_until: Option<Instant>,
}

/// How long a former slice is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    Time(Instant),
    /// These sources are being listed, and may name what moved at their lists' end only.
    Listed(Sources),
}

/// Some of the sources.
pub(super) type Sources = [bool; Source::ALL.len()];

impl Fading {
    /// Lets go of what is over, and says which services that touches.
    pub(super) fn tell_time(&mut self, now: Instant) -> Vec<ObjectKey> {
        self.now = Some(now);
        let mut touched = Vec::new();
        while let Some(Reverse((at, _))) = self.deadlines.peek()
            && *at <= now
        {
            let Some(Reverse((_, key))) = self.deadlines.pop() else {
                break;
            };
            if let Some(service) = self.services.get_mut(&key) {
                let before = service.slices.len();
                let stays = |until| !matches!(until, Until::Time(at) if at <= now);
                service.slices.retain(|(until, _)| stays(*until));
                self.slices -= before - service.slices.len();
                service.awaits_slices_until.take_if(|until| *until <= now);
                if service.slices.is_empty() && service.awaits_slices_until.is_none() {
                    self.services.remove(&key);
                }
                touched.push(key);
            }
        }
        touched
    }

    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.slices
    }

    pub(super) const fn now(&self) -> Option<Instant> {
        self.now
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.peek().map(|Reverse((at, _))| *at)
    }

    /// Keeps a former slice of a service for so long.
    pub(super) fn keep(&mut self, service: ObjectKey, slice: Arc<Held>, time: Duration) {
        if let Some(now) = self.now {
            self.push(&service, Until::Time(now + time), slice);
            self.deadlines.push(Reverse((now + time, service)));
        }
    }

    /// Keeps a former slice of a service until [`Fading::listed`].
    pub(super) fn keep_until_listed(
        &mut self,
        service: &ObjectKey,
        slice: Arc<Held>,
        sources: Sources,
    ) {
        if self.now.is_some() {
            self.push(service, Until::Listed(sources), slice);
        }
    }

    fn push(&mut self, service: &ObjectKey, until: Until, slice: Arc<Held>) {
        if self.slices < MAX_FADING {
            self.slices += 1;
            let kept = self.services.entry(service.clone()).or_default();
            kept.slices.push((until, slice));
        }
    }

    /// The source is listed: what was kept for that, and for no other, fades from now on.
    pub(super) fn listed(&mut self, source: Source, time: Duration) {
        let Some(now) = self.now else { return };
        for (key, service) in &mut self.services {
            for (until, _) in &mut service.slices {
                if let Until::Listed(sources) = until
                    && std::mem::take(&mut sources[source as usize])
                    && !sources.contains(&true)
                {
                    *until = Until::Time(now + time);
                    self.deadlines.push(Reverse((now + time, key.clone())));
                }
            }
        }
    }

    /// Notes that slices of a service are to come.
    pub(super) fn await_slices(&mut self, service: &ObjectKey, time: Duration) {
        let Some(now) = self.now else { return };
        let kept = self.services.entry(service.clone()).or_default();
        kept.awaits_slices_until = Some(now + time);
        self.deadlines.push(Reverse((now + time, service.clone())));
    }

    pub(super) fn awaits_slices(&self, service: &ObjectKey) -> bool {
        let kept = self.services.get(service);
        kept.is_some_and(|kept| kept.awaits_slices_until.is_some())
    }

    pub(super) fn slices(&self, service: &ObjectKey) -> impl Iterator<Item = &Held> + Clone {
        let kept = self.services.get(service).into_iter();
        kept.flat_map(|kept| kept.slices.iter().map(|(_, slice)| &**slice))
    }
}
