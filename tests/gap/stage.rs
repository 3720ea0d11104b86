//! The stage: a control plane with its controllers and a node, the truth as its API tells it, and the resolvers that are
//! asked. It rolls StatefulSets out and takes them away, and says when gapless had which event.

use crate::{
    control_plane::{ControlPlane, Node, poll},
    resolvers::{Gapless, Page, Resolver},
    truth::Truth,
};
use serde_json::json;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

/// What a container needs to be ready.
const STARTS_WITHIN: Duration = Duration::from_millis(300);
/// What it needs to end.
const STOPS_WITHIN: Duration = Duration::from_millis(100);
/// How often gapless is asked what it has.
const LOOKED_AT_EVERY: Duration = Duration::from_millis(5);

pub const ORDERED: &str = "OrderedReady";
pub const PARALLEL: &str = "Parallel";

/// It stands until it is dropped, the control plane last.
pub struct Stage {
    pub node: Node,
    pub truth: Truth,
    pub gapless: Arc<Gapless>,
    /// How many objects came to gapless in lists: they are received, and not counted as answerable.
    listed: u64,
    /// Those beside gapless.
    pub others: Vec<Resolver>,
    pub control_plane: ControlPlane,
}

impl Stage {
    /// With gapless alone.
    pub async fn start() -> Self {
        let mut control_plane = ControlPlane::start().await;
        let gapless = Arc::new(Gapless::start(&control_plane.gapless_kubeconfig()).await);
        let mut before = None;
        let listed = poll("nothing is on its way", async || {
            let page = gapless.metrics().await;
            let now = Some((received(&page), answerable(&page)));
            let same = before == now;
            before = now;
            same.then(|| received(&page) - answerable(&page))
                .ok_or_else(|| format!("{now:?}"))
        })
        .await;
        let truth = Truth::start(control_plane.admin().clone());
        control_plane.start_controllers();
        let node = Node::start(&control_plane, STARTS_WITHIN, STOPS_WITHIN).await;
        Self {
            node,
            truth,
            gapless,
            listed,
            others: vec![],
            control_plane,
        }
    }

    pub fn resolvers(&self) -> impl Iterator<Item = &Resolver> {
        std::iter::once(&self.gapless.resolver).chain(&self.others)
    }

    /// A headless service and its StatefulSet, of one name.
    pub async fn roll_out(&self, set: &str, pods: usize, policy: &str) {
        let labels = json!({"app": set});
        for manifest in [
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": set},
                "spec": {"clusterIP": "None", "selector": labels, "ports": [{"name": "http", "port": 80}]}}),
            json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": set},
            "spec": {
                "serviceName": set, "replicas": pods, "podManagementPolicy": policy,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "web", "image": "web"}]}},
            }}),
        ] {
            self.control_plane.apply(&manifest.to_string()).await;
        }
    }

    /// Deletes a pod as `kubectl delete` does it: with the period of grace that it asks for.
    pub async fn delete_pod(&self, name: &str) {
        let pods = self.control_plane.api("Pod", None);
        pods.delete(name, &<_>::default()).await.unwrap();
    }

    /// What gapless has, from now on.
    pub fn known(&self) -> Known {
        Known::start(self.gapless.clone(), self.listed)
    }

    /// Deletes both, and waits until no name is left. The garbage collector deletes the pods.
    pub async fn take_away(&self, set: &str, pods: usize) {
        self.control_plane.delete("StatefulSet", None, set).await;
        poll("no name is left", async || {
            let left = (0..pods).find(|n| self.truth.address(&hostname(set, *n)).is_some());
            left.map_or(Ok(()), |n| Err(hostname(set, n)))
        })
        .await;
        self.control_plane.delete("Service", None, set).await;
    }
}

pub fn hostname(set: &str, n: usize) -> String {
    format!("{set}-{n}")
}

pub fn name(set: &str, n: usize) -> String {
    format!("{}.{set}.default.svc.cluster.local.", hostname(set, n))
}

fn received(page: &Page) -> u64 {
    page.sum("gapless_feed_changes_total")
}

fn answerable(page: &Page) -> u64 {
    page.sum("gapless_index_answerable_seconds_count")
}

/// When gapless could answer from which event of the slices, by its own word.
pub struct Known {
    seen: Arc<Mutex<Vec<(u64, Instant)>>>,
    _looking: JoinSet<()>,
}

impl Known {
    fn start(gapless: Arc<Gapless>, listed: u64) -> Self {
        let seen = Arc::new(Mutex::new(vec![]));
        let seeing = seen.clone();
        let mut looking = JoinSet::new();
        looking.spawn(async move {
            let mut ticks = interval(LOOKED_AT_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut counted = 0;
            loop {
                ticks.tick().await;
                let page = gapless.metrics().await;
                // The page counts what was received before it counts what is answerable.
                let all = answerable(&page) + listed >= received(&page);
                let slices = page.sum("gapless_feed_changes_total{source=\"endpointslices\"}");
                if all && slices > counted {
                    counted = slices;
                    seeing.lock().unwrap().push((slices, Instant::now()));
                }
            }
        });
        Self {
            seen,
            _looking: looking,
        }
    }

    /// When it certainly had the event with this number.
    pub fn at(&self, event: u64) -> Option<Instant> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .find(|(events, _)| *events >= event)
            .map(|(_, at)| *at)
    }
}
