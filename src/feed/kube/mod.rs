//! The feed from a Kubernetes API server: one list-and-watch loop per source, each its own task. It knows the API's
//! protocol and how it fails; what the objects mean is [`convert`](super)'s business.
//!
//! The loop is ours rather than kube-runtime's watcher: that one hides bookmarks, repeats for ever a streaming list that
//! the server refuses, and fails a whole list over one malformed object.

mod connect;
mod kinds;
mod protocol;
mod requests;
mod watch;

pub use connect::{Credentials, Error, connect};
pub use kinds::Selection;

use super::{Rejections, Sink};
use crate::{
    lifecycle::{Drain, Tasks},
    metrics,
    model::{Event, Source},
};
use rand::{SeedableRng, rngs::StdRng};
use tokio::sync::mpsc;

/// What is watched, and through whom.
#[derive(Clone)]
pub struct Options {
    /// The client, from [`connect`].
    pub client: kube::Client,
    /// What of the cluster is watched.
    pub selection: Selection,
    /// Seeds the jitter of pauses and watch times.
    pub seed: u64,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("selection", &self.selection)
            .finish_non_exhaustive()
    }
}

/// Starts an essential task for each source of the selection; they end when the drain begins or nobody receives.
pub fn start(
    options: &Options,
    events: &mpsc::Sender<Event>,
    drain: &Drain,
    tasks: &Tasks,
    metrics: &metrics::Feed,
) {
    let rejections = Rejections::new(metrics.clone());
    let shared = watch::Shared::default();
    for (number, source) in options.selection.sources().into_iter().enumerate() {
        let collection = options.selection.collection(source);
        let task = watch::Watch::new(
            source,
            requests::Requests::new(options.client.clone(), collection),
            Sink {
                events: events.clone(),
                metrics: metrics.clone(),
            },
            rejections.clone(),
            StdRng::seed_from_u64(options.seed.wrapping_add(number as u64)),
            &shared,
        );
        let drain = drain.clone();
        tasks.essential(task_name(source), async move {
            drain.run_until_cancelled(Box::pin(task.run())).await;
        });
    }
}

const fn task_name(source: Source) -> &'static str {
    match source {
        Source::Services => "watch of services",
        Source::EndpointSlices => "watch of endpointslices",
        Source::ForeignEndpointSlices => "watch of foreign endpointslices",
        Source::Namespaces => "watch of namespaces",
        Source::Pods => "watch of pods",
    }
}
