//! What the process says about its index: readiness by source, and the metrics of each publication.

use crate::{
    index::{Index, Published, Reader},
    lifecycle::{Awaited, Readiness},
    metrics,
    model::Source,
};
use std::time::Instant;

/// Follows the index from publication to publication.
#[derive(Debug)]
pub(super) struct Synced {
    readiness: Readiness,
    reader: Reader,
    metrics: metrics::Index,
    awaited: Vec<(Source, Option<Awaited>)>,
}

impl Synced {
    /// Makes the process unready for every source that is fed.
    pub(super) fn new(
        readiness: Readiness,
        reader: Reader,
        metrics: metrics::Index,
        clock: fn() -> Instant,
    ) -> Self {
        let sources = reader.load().options().sources.clone();
        let fed: Vec<_> = sources.iter().map(|source| source.name()).collect();
        metrics.keep(&fed, clock);
        let awaited = sources
            .into_iter()
            .map(|source| (source, Some(readiness.wait_for(part(source)))))
            .collect();
        Self {
            readiness,
            reader,
            metrics,
            awaited,
        }
    }

    /// To be called after each publication.
    pub(super) fn into_callback(mut self) -> impl FnMut(&Index, Published<'_>) {
        move |index, published| self.follow(index, &published)
    }

    fn follow(&mut self, index: &Index, published: &Published<'_>) {
        let was_synced = self.awaited.iter().all(|(_, awaited)| awaited.is_none());
        let snapshot = self.reader.load();
        for (source, awaited) in &mut self.awaited {
            self.metrics.set_objects(
                source.name(),
                index.count(*source),
                snapshot.has_listed(*source),
            );
            let confirmed = index.confirmed(*source);
            if let Some(confirmed) = confirmed.filter(|_| snapshot.options().staleness.is_some()) {
                self.metrics.confirmed(source.name(), confirmed);
            }
            self.metrics
                .set_repairs(source.name(), index.repaired(*source));
            if snapshot.has_listed(*source) {
                awaited.take();
            } else if awaited.is_none() {
                *awaited = Some(self.readiness.wait_for(part(*source)));
            }
        }
        if !published.received.is_empty() || published.rebuilt > 0 {
            self.metrics.published(published.rebuilt);
        }
        if was_synced {
            // While the first lists come in, the time would be that of the list, not of a change.
            for received in published.received {
                self.metrics
                    .answerable(published.at.saturating_duration_since(*received));
            }
            for triggered in published.triggered {
                self.metrics
                    .programmed(published.since_1970.saturating_sub(*triggered));
            }
        }
    }
}

const fn part(source: Source) -> &'static str {
    match source {
        Source::Services => "index: services",
        Source::EndpointSlices => "index: endpointslices",
        Source::ForeignEndpointSlices => "index: foreign endpointslices",
        Source::Namespaces => "index: namespaces",
        Source::Pods => "index: pods",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{app::options, config::Config, metrics::Metrics, model::Change};
    use std::time::Duration;

    #[test]
    fn a_source_that_is_lost_is_awaited_again_until_it_is_listed() {
        let options = options::index(&Config::default(), vec![Source::Services]);
        let (mut index, reader) = Index::new(options);
        let (readiness, registry) = (Readiness::default(), &mut <_>::default());
        let metrics = Metrics::new(registry).index;
        let now = || tokio::time::Instant::now().into_std();
        let mut synced = Synced::new(readiness.clone(), reader, metrics, now);
        let (started, done) = (Change::ListStarted, Change::ListDone);
        let lost = Change::Lost(Source::Services);
        for (change, ready) in [
            (started(Source::Services), false),
            (done(Source::Services), true),
            (lost, false),
            (started(Source::Services), false),
            (done(Source::Services), true),
        ] {
            let text = format!("{change:?}");
            index.apply(change);
            let rebuilt = index.publish(1);
            synced.follow(
                &index,
                &Published {
                    received: &[],
                    triggered: &[],
                    at: now(),
                    since_1970: Duration::ZERO,
                    rebuilt,
                },
            );
            assert_eq!(readiness.awaited().is_empty(), ready, "{text}");
        }
    }
}
