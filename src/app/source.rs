//! Where the cluster's objects come from: which feed was configured, opened and then started.

use crate::{
    config::{self, Config, Pods, Scope},
    feed::{
        kube::{self, Credentials, Selection},
        manifests::{self, Manifests},
    },
    lifecycle::{Drain, Tasks},
    metrics::Metrics,
    model::{self, Event},
};
use anyhow::Context as _;
use tokio::sync::mpsc;

/// An open feed.
#[derive(Debug)]
pub(super) enum Feed {
    Manifests(Box<Manifests>),
    Kubernetes(kube::Options),
}

impl Feed {
    /// Reads the directory, or makes a client of the credentials; the API server is asked nothing yet.
    pub(super) async fn open(config: &Config, metrics: &Metrics) -> anyhow::Result<Self> {
        Ok(match &config.source {
            config::Source::Manifests(directory) => {
                let options = manifests::Options {
                    directory: directory.clone(),
                };
                Self::Manifests(Box::new(Manifests::open(&options, &metrics.feed)?))
            }
            config::Source::Kubernetes {
                kubeconfig,
                context,
            } => {
                let credentials = Credentials {
                    kubeconfig: kubeconfig.clone(),
                    context: context.clone(),
                    environment: std::env::vars().collect(),
                };
                let client = kube::connect(&credentials)
                    .await
                    .context("cannot reach the Kubernetes API")?;
                let selection = Selection {
                    headless_services_only: config.cluster.scope == Scope::Headless,
                    all_endpoint_slices: config.cluster.endpoint_slices
                        == config::EndpointSlices::All,
                    pods: config.cluster.pods == Pods::Verified,
                };
                Self::Kubernetes(kube::Options {
                    client,
                    selection,
                    seed: rand::random(),
                })
            }
        })
    }

    /// What it lists.
    pub(super) fn sources(&self) -> Vec<model::Source> {
        match self {
            Self::Manifests(_) => manifests::SOURCES.to_vec(),
            Self::Kubernetes(options) => options.selection.sources(),
        }
    }

    /// Starts it; it ends with the drain.
    pub(super) fn start(
        self,
        events: mpsc::Sender<Event>,
        drain: &Drain,
        tasks: &Tasks,
        metrics: &Metrics,
    ) {
        match self {
            Self::Manifests(manifests) => {
                tasks.essential("manifests", manifests.run(events, drain.clone()))
            }
            Self::Kubernetes(options) => {
                kube::start(&options, &events, drain, tasks, &metrics.feed)
            }
        }
    }
}
