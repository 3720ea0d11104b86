//! How old what is known of each source is, worked out at the scrape: nobody wakes up to say so. It knows times, and not
//! what confirmed them.

use super::source::SOURCES;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Unit,
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Instant,
};

#[derive(Debug)]
pub(super) struct Ages {
    clock: OnceLock<fn() -> Instant>,
    /// When each source was last confirmed; `None` before that.
    confirmed: Mutex<BTreeMap<&'static str, Option<Instant>>>,
}

impl Default for Ages {
    fn default() -> Self {
        let confirmed = SOURCES.map(|source| (source, None));
        Self {
            clock: OnceLock::new(),
            confirmed: Mutex::new(confirmed.into()),
        }
    }
}

impl Ages {
    /// Leaves only these sources, whose ages `clock` tells.
    pub(super) fn keep(&self, fed: &[&'static str], clock: fn() -> Instant) {
        self.clock.get_or_init(|| clock);
        self.confirmed().retain(|source, _| fed.contains(source));
    }

    pub(super) fn confirm(&self, source: &'static str, at: Instant) {
        self.confirmed().insert(source, Some(at));
    }

    fn confirmed(&self) -> MutexGuard<'_, BTreeMap<&'static str, Option<Instant>>> {
        self.confirmed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Ages {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Time since the last event, bookmark or list, by source.";
        let mut family = encoder.encode_descriptor(
            "index_age",
            help,
            Some(&Unit::Seconds),
            MetricType::Gauge,
        )?;
        let now = self.clock.get().map(|clock| clock());
        for (source, confirmed) in &*self.confirmed() {
            let age = now
                .zip(*confirmed)
                .map(|(now, at)| now.saturating_duration_since(at));
            let age = ConstGauge::new(age.map_or(f64::NAN, |age| age.as_secs_f64()));
            age.encode(family.encode_family(&[("source", *source)])?)?;
        }
        Ok(())
    }
}
