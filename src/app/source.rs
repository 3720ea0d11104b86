//! Where the cluster's objects come from: which feed was configured, opened and then started.

use crate::{
    config::{self, Config, Pods, Scope},
    feed::{
        kube::{self, Credentials, Selection},
        manifests::{self, Manifests},
    },
    lifecycle::{Background, Drain, Tasks},
    metrics::Metrics,
    model::{self, Event},
};
use anyhow::Context as _;
use tokio::sync::mpsc;

/// An open feed, and the thread that it is read on.
#[derive(Debug)]
pub(super) struct Feed {
    kind: Kind,
    background: Background,
}

#[derive(Debug)]
enum Kind {
    Manifests(Box<Manifests>),
    Kubernetes(kube::Options),
}

impl Feed {
    /// Reads the directory, or makes a client of the credentials; the API server is asked nothing yet.
    pub(super) async fn open(config: &Config, metrics: &Metrics) -> anyhow::Result<Self> {
        let background =
            Background::start("gapless-feed").context("the feed's thread does not start")?;
        let kind = match &config.source {
            config::Source::Manifests(directory) => {
                let options = manifests::Options {
                    directory: directory.clone(),
                };
                Kind::Manifests(Box::new(Manifests::open(&options, &metrics.feed)?))
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
                // The client's own tasks stay where it is made.
                let client = async move { kube::connect(&credentials).await };
                let client = background.handle().spawn(client).await?;
                let client = client.context("cannot reach the Kubernetes API")?;
                let selection = Selection {
                    headless_services_only: config.cluster.scope == Scope::Headless,
                    all_endpoint_slices: config.cluster.endpoint_slices
                        == config::EndpointSlices::All,
                    pods: config.cluster.pods == Pods::Verified,
                };
                Kind::Kubernetes(kube::Options {
                    client,
                    selection,
                    seed: rand::random(),
                })
            }
        };
        Ok(Self { kind, background })
    }

    /// What it lists.
    pub(super) fn sources(&self) -> Vec<model::Source> {
        match &self.kind {
            Kind::Manifests(_) => manifests::SOURCES.to_vec(),
            Kind::Kubernetes(options) => options.selection.sources(),
        }
    }

    /// Starts it; it ends with the drain. The thread lives as long as what is given.
    pub(super) fn start(
        self,
        events: mpsc::Sender<Event>,
        drain: &Drain,
        tasks: &Tasks,
        metrics: &Metrics,
    ) -> Background {
        let tasks = tasks.on(self.background.handle());
        match self.kind {
            Kind::Manifests(manifests) => {
                tasks.essential("manifests", manifests.run(events, drain.clone()));
            }
            Kind::Kubernetes(options) => {
                kube::start(&options, &events, drain, &tasks, &metrics.feed);
            }
        }
        self.background
    }
}
