//! The index as its writer counts it: objects, rebuilds, and the time from an event to its answer.

use super::{age::Ages, source::SOURCES};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

type Labels = [(&'static str, &'static str); 1];

/// Handles of the index's writer.
#[derive(Clone, Debug)]
pub struct Index {
    objects: Family<Labels, Gauge>,
    synced: Family<Labels, Gauge>,
    ages: Arc<Ages>,
    repairs: Family<Labels, Counter>,
    rebuilds: Counter,
    publications: Counter,
    answerable: Histogram,
    programming: Histogram,
}

impl Index {
    /// Registers the families.
    pub(super) fn new(registry: &mut Registry) -> Self {
        // From 1/64 ms, below what one publication takes, over 1 ms to 8 s, by factors of 2.
        let answerable = Histogram::new((0..20).map(|n| 1e-3 / 64.0 * f64::from(1 << n)));
        // From 10 ms to 164 s; the trigger's time has whole seconds for most pods.
        let programming = Histogram::new((0..15).map(|n| 0.01 * f64::from(1 << n)));
        let gauges = || {
            let family = Family::<Labels, Gauge>::default();
            for source in SOURCES {
                drop(family.get_or_create(&[("source", source)]));
            }
            family
        };
        let repairs = Family::<Labels, Counter>::default();
        for source in SOURCES {
            drop(repairs.get_or_create(&[("source", source)]));
        }
        let index = Self {
            objects: gauges(),
            synced: gauges(),
            ages: Arc::default(),
            repairs,
            rebuilds: Counter::default(),
            publications: Counter::default(),
            answerable,
            programming,
        };
        registry.register(
            "index_objects",
            "Objects held, by source",
            index.objects.clone(),
        );
        registry.register(
            "index_synced",
            "Whether a source is listed whole and can be relied on",
            index.synced.clone(),
        );
        registry.register_collector(Box::new(Arc::clone(&index.ages)));
        registry.register(
            "index_repairs",
            "Objects that were not as a consistent list had them, by source",
            index.repairs.clone(),
        );
        registry.register(
            "index_rebuilds",
            "Services rebuilt because of changes",
            index.rebuilds.clone(),
        );
        registry.register(
            "index_publications",
            "Snapshots published to readers",
            index.publications.clone(),
        );
        registry.register_with_unit(
            "index_answerable",
            "From the receipt of a change to its being answered, once the index is synced",
            Unit::Seconds,
            index.answerable.clone(),
        );
        registry.register_with_unit(
            "index_programming",
            "From the change of a pod or service, as the slice names it, to its being answered",
            Unit::Seconds,
            index.programming.clone(),
        );
        index
    }

    /// Leaves only the sources that are fed: the others would stand there as not synced for ever. `clock` tells how old
    /// they are.
    pub fn keep(&self, fed: &[&'static str], clock: fn() -> Instant) {
        self.ages.keep(fed, clock);
        for source in SOURCES.iter().filter(|source| !fed.contains(source)) {
            self.objects.remove(&[("source", source)]);
            self.synced.remove(&[("source", source)]);
            self.repairs.remove(&[("source", source)]);
        }
    }

    /// Sets what a source holds, and whether it is known whole.
    pub fn set_objects(&self, source: &'static str, count: usize, known: bool) {
        let labels = [("source", source)];
        self.objects
            .get_or_create(&labels)
            .set(i64::try_from(count).unwrap_or(i64::MAX));
        self.synced.get_or_create(&labels).set(known.into());
    }

    /// Notes when a source was last confirmed.
    pub fn confirmed(&self, source: &'static str, at: Instant) {
        self.ages.confirm(source, at);
    }

    /// Sets how many objects were repaired since the start.
    pub fn set_repairs(&self, source: &'static str, repaired: u64) {
        let repairs = self.repairs.get_or_create(&[("source", source)]);
        repairs.inc_by(repaired.saturating_sub(repairs.get()));
    }

    /// Counts a publication and the services rebuilt for it.
    pub fn published(&self, rebuilt: usize) {
        self.publications.inc();
        self.rebuilds.inc_by(rebuilt as u64);
    }

    /// Notes how long an event took to be answered.
    pub fn answerable(&self, time: Duration) {
        self.answerable.observe(time.as_secs_f64());
    }

    /// Notes how long that took to be answered for which a slice was changed.
    pub fn programmed(&self, time: Duration) {
        self.programming.observe(time.as_secs_f64());
    }
}
