//! A node that is nothing but its word: it stands in for scheduler and kubelet. Pods are bound to it, are Running and Ready
//! with an address of their own after a set time, and are gone a set time after their deletion. It runs no container.

use super::ControlPlane;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Resource, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, WatchEvent, WatchParams},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::{
    collections::{HashMap, HashSet},
    fmt::Debug,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{task::JoinSet, time::Instant};

const NAME: &str = "stage";
/// The first address that a pod gets; every one after has the next.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);

/// It runs until it is dropped.
pub struct Node {
    ready: Arc<Mutex<HashMap<Ipv4Addr, Instant>>>,
    _running: JoinSet<()>,
}

impl Node {
    /// Creates the Node object, and takes every pod from now on. A pod is Ready `starts_within` after it is seen, and gone
    /// `stops_within` after its deletion is.
    pub async fn start(
        control_plane: &ControlPlane,
        starts_within: Duration,
        stops_within: Duration,
    ) -> Self {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME}});
        control_plane.apply(&node.to_string()).await;
        let client = control_plane.admin().clone();
        let ready = Arc::new(Mutex::new(HashMap::new()));
        let readied = ready.clone();
        let mut running = JoinSet::new();
        running.spawn(async move {
            let mut pods = JoinSet::new();
            let (mut started, mut stopped) = (HashSet::new(), HashSet::new());
            let all = Api::<Pod>::all(client.clone());
            follow(all, WatchParams::default(), |event| {
                let (WatchEvent::Added(pod) | WatchEvent::Modified(pod)) = event else {
                    return;
                };
                let uid = pod.uid().expect("every object has a UID");
                let there =
                    Api::namespaced(client.clone(), &pod.namespace().expect("a pod has one"));
                if pod.metadata.deletion_timestamp.is_some() {
                    if stopped.insert(uid) {
                        pods.spawn(stop(there, pod, stops_within));
                    }
                } else if started.insert(uid) {
                    let nth = u32::try_from(started.len() - 1).expect("few pods");
                    let address = Ipv4Addr::from_bits(FIRST_ADDRESS.to_bits() + nth);
                    pods.spawn(start(there, pod, address, starts_within, readied.clone()));
                }
            })
            .await;
        });
        Self {
            ready,
            _running: running,
        }
    }

    /// When the pod with this address was said to be Ready. No two pods ever have the same address.
    pub fn ready_at(&self, address: Ipv4Addr) -> Option<Instant> {
        self.ready.lock().unwrap().get(&address).copied()
    }
}

/// The moment of being Ready is that before the status is sent: whatever follows from it comes later.
async fn start(
    pods: Api<Pod>,
    pod: Pod,
    address: Ipv4Addr,
    after: Duration,
    ready: Arc<Mutex<HashMap<Ipv4Addr, Instant>>>,
) {
    let name = pod.name_any();
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name, "uid": pod.uid()},
        "target": {"apiVersion": "v1", "kind": "Node", "name": NAME},
    });
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
        .map(|condition| json!({"type": condition, "status": "True"}));
    let status = json!({"metadata": {"uid": pod.uid()}, "status": {
        "phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions,
    }});
    let started = async {
        let post = PostParams::default();
        pods.create_subresource::<_, Value>("binding", &name, &post, &binding)
            .await?;
        tokio::time::sleep(after).await;
        ready.lock().unwrap().insert(address, Instant::now());
        let patch = Patch::Strategic(&status);
        pods.patch_status(&name, &PatchParams::default(), &patch)
            .await
    };
    if let Err(error) = started.await {
        gone(&pod, &error);
    }
}

/// By UID: a successor of the same name, as a StatefulSet makes it, is not to die with this one.
async fn stop(pods: Api<Pod>, pod: Pod, after: Duration) {
    tokio::time::sleep(after).await;
    let this_one = Preconditions {
        uid: pod.uid(),
        ..<_>::default()
    };
    let delete = DeleteParams::default()
        .grace_period(0)
        .preconditions(this_one);
    if let Err(error) = pods.delete(&pod.name_any(), &delete).await {
        gone(&pod, &error);
    }
}

/// A pod that was deleted meanwhile is no concern of a node's.
fn gone(pod: &Pod, error: &kube::Error) {
    let kube::Error::Api(status) = error else {
        panic!("pod {}: {error}", pod.name_any());
    };
    let expected = [404, 409].contains(&status.code);
    assert!(expected, "pod {}: {status:?}", pod.name_any());
}

/// Tells every event of a collection from its present state on, for ever. The API server ends a watch every few minutes;
/// the next one begins where it ended.
pub async fn follow<K>(api: Api<K>, params: WatchParams, mut told: impl FnMut(WatchEvent<K>))
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let mut version = "0".to_owned();
    loop {
        let events = api.watch(&params, &version).await.expect("a watch");
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            // The end of a connection is the end of a watch.
            let Ok(event) = event else { break };
            match &event {
                WatchEvent::Added(object)
                | WatchEvent::Modified(object)
                | WatchEvent::Deleted(object) => {
                    version = object.resource_version().expect("every object has one");
                }
                WatchEvent::Bookmark(mark) => version.clone_from(&mark.metadata.resource_version),
                WatchEvent::Error(status) => panic!("a watch failed: {status:?}"),
            }
            told(event);
        }
    }
}
