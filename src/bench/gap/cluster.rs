//! The cluster's side: what its pods' names are and since when, and a StatefulSet of our own. It asks no DNS server.

use super::{
    Fact,
    rolling::{Create, PAUSE, Rolling},
};
use crate::lifecycle::Drain;
use anyhow::Context as _;
use futures::TryStreamExt as _;
use kube::{
    Api, Client, ResourceExt as _,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Object, PostParams,
        WatchEvent, WatchParams,
    },
};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

/// Of a pod what its name and address are read from: all of a pod's types are 2 MiB of a binary.
type Pod = Object<PodSpec, PodStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
struct PodSpec {
    hostname: Option<String>,
    subdomain: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodStatus {
    conditions: Option<Vec<PodCondition>>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct PodCondition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
}

fn resource(group: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind))
}

/// Which pods.
#[derive(Clone)]
pub(super) struct Pods {
    pub(super) client: Client,
    pub(super) namespace: Option<String>,
    pub(super) selector: Option<String>,
    pub(super) domain: String,
}

impl Pods {
    /// What a pod says of its name; nothing if it has none of its own.
    fn fact(&self, pod: &Pod, is_old: bool, deleted: bool) -> Option<Fact> {
        let (hostname, subdomain) = (pod.spec.hostname.as_ref()?, pod.spec.subdomain.as_ref()?);
        let namespace = pod.namespace()?;
        let status = pod.status.as_ref();
        let mut conditions = status
            .iter()
            .filter_map(|it| it.conditions.as_ref())
            .flatten();
        let ready = conditions.any(|it| it.type_ == "Ready" && it.status == "True");
        let going = deleted || pod.metadata.deletion_timestamp.is_some();
        let ip = status.and_then(|it| it.pod_ip.as_ref()?.parse().ok());
        Some(Fact {
            name: format!("{hostname}.{subdomain}.{namespace}.svc.{}", self.domain),
            address: ip.filter(|_| ready && !going),
            at: Instant::now(),
            is_old,
        })
    }

    fn api(&self) -> Api<Pod> {
        let (client, pods) = (self.client.clone(), resource("", "Pod"));
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &pods),
            None => Api::all_with(client, &pods),
        }
    }

    /// Tells of every pod, and of every change, until nobody listens. Only the first list may fail.
    pub(super) async fn follow(&self, facts: mpsc::Sender<Fact>) -> anyhow::Result<()> {
        let api = self.api();
        let selector = self.selector.clone().unwrap_or_default();
        let mut is_first = true;
        loop {
            let listed = api.list(&ListParams::default().labels(&selector)).await;
            let listed = match listed {
                Err(error) if is_first => return Err(error).context("cannot list pods"),
                Err(error) => {
                    tracing::warn!(%error, "cannot list pods; trying again");
                    sleep(PAUSE).await;
                    continue;
                }
                Ok(listed) => listed,
            };
            let version = listed.metadata.resource_version.unwrap_or_default();
            for pod in &listed.items {
                if let Some(fact) = self.fact(pod, is_first, false)
                    && facts.send(fact).await.is_err()
                {
                    return Ok(());
                }
            }
            is_first = false;
            let params = WatchParams::default().labels(&selector);
            let watching = api.watch(&params, &version);
            let mut events = std::pin::pin!(match watching.await {
                Ok(events) => events,
                Err(_) => continue,
            });
            while let Ok(Some(event)) = events.try_next().await {
                let fact = match &event {
                    WatchEvent::Added(pod) | WatchEvent::Modified(pod) => {
                        self.fact(pod, false, false)
                    }
                    WatchEvent::Deleted(pod) => self.fact(pod, false, true),
                    WatchEvent::Bookmark(_) => None,
                    WatchEvent::Error(_) => break,
                };
                if let Some(fact) = fact
                    && facts.send(fact).await.is_err()
                {
                    return Ok(());
                }
            }
            sleep(PAUSE).await;
        }
    }
}

impl Rolling {
    /// Rolls out a StatefulSet, deletes its pods one by one, and takes it away; in any case, when asked to stop, too.
    pub(super) async fn in_cluster(mut self, pods: &Pods, stop: Drain) -> anyhow::Result<()> {
        let namespace = self.namespace.clone();
        let api = |resource| Api::namespaced_with(pods.client.clone(), &namespace, &resource);
        let services = api(resource("", "Service"));
        let sets = api(resource("apps", "StatefulSet"));
        let done = tokio::select! {
            () = stop.cancelled() => Ok(()),
            done = self.roll(pods, &services, &sets) => done,
        };
        let foreground = DeleteParams::foreground();
        let name = &self.create.name;
        let set = sets.delete(name, &foreground).await;
        let service = services.delete(name, &foreground).await;
        done?;
        let left = || format!("{namespace}/{name} is left behind");
        set.with_context(left)?;
        service.with_context(left)?;
        Ok(())
    }

    async fn roll(
        &mut self,
        pods: &Pods,
        services: &Api<DynamicObject>,
        sets: &Api<DynamicObject>,
    ) -> anyhow::Result<()> {
        let Create {
            name,
            pods: count,
            image,
        } = self.create.clone();
        self.begin().await?;
        let labels = json!({"app.kubernetes.io/name": name});
        let service = json!({"metadata": {"name": name}, "spec": {
            "clusterIP": "None", "selector": labels, "ports": [{"name": "none", "port": 9}]}});
        let set = json!({"metadata": {"name": name}, "spec": {
            "serviceName": name, "replicas": count, "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [{"name": "pause", "image": image}]}}}});
        let params = PostParams::default();
        let service = serde_json::from_value(service)?;
        services
            .create(&params, &service)
            .await
            .context("the service")?;
        let set = serde_json::from_value(set)?;
        sets.create(&params, &set)
            .await
            .context("the StatefulSet")?;
        let whole = usize::from(count);
        self.settled("rolled out", whole).await?;
        for n in 0..count {
            let pod = format!("{name}-{n}");
            pods.api().delete(&pod, &DeleteParams::default()).await?;
            // Until the API says that it goes, nothing has changed.
            sleep(PAUSE).await;
            self.settled(&pod, whole).await?;
        }
        let none = json!({"spec": {"replicas": 0}});
        let patch = kube::api::Patch::Merge(&none);
        sets.patch(&name, &<_>::default(), &patch).await?;
        sleep(PAUSE).await;
        self.settled("scaled to nothing", 0).await
    }
}
