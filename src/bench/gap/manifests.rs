//! The side of a directory of manifests: which names its endpoints give and since when, and a file of our own in it. It parses none, and
//! asks no DNS server.

use super::{Fact, rolling::PAUSE, rolling::Rolling};
use crate::{
    lifecycle::Drain,
    model::{Change, EndpointSlice, Event, Object, ObjectKey, ServiceKind, Source},
};
use anyhow::Context as _;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs, io,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

/// A change is told of when the directory has been quiet for a while; one that is older than this is as old as its notice.
const NOTICED_WITHIN: Duration = Duration::from_secs(10);
/// Addresses of pods before and after they moved: the network for benchmarks (RFC 2544), in halves.
const BEFORE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
const AFTER: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 0);

/// Which names.
pub(super) struct Directory {
    pub(super) path: PathBuf,
    pub(super) namespace: Option<String>,
    pub(super) domain: String,
}

type Names = BTreeMap<String, IpAddr>;

impl Directory {
    /// Tells of every name, and of every change, until nobody listens.
    pub(super) async fn follow(
        self,
        mut events: mpsc::Receiver<Event>,
        facts: mpsc::Sender<Fact>,
    ) -> anyhow::Result<()> {
        let (mut headless, mut names, mut before) = (HashSet::new(), Names::new(), None);
        // A directory is told of as a whole: its services, and then its slices.
        while let Some(event) = events.recv().await {
            match event.change {
                Change::ListStarted(Source::Services) => headless.clear(),
                Change::Apply(_, Object::Service(it)) if it.kind == ServiceKind::Headless => {
                    headless.insert(it.key);
                }
                Change::Apply(_, Object::EndpointSlice(slice)) => {
                    self.note(&slice, &headless, &mut names);
                }
                Change::ListDone(Source::EndpointSlices) => {
                    let is_old = before.is_none();
                    let at = self.written(event.received.into());
                    let known: Names = before.unwrap_or_default();
                    let all: BTreeSet<_> = known.keys().chain(names.keys()).collect();
                    for name in all {
                        let address = names.get(name).copied();
                        let fact = Fact {
                            name: name.clone(),
                            address,
                            at,
                            is_old,
                        };
                        if address != known.get(name).copied() && facts.send(fact).await.is_err() {
                            return Ok(());
                        }
                    }
                    before = Some(std::mem::take(&mut names));
                }
                _ => {}
            }
        }
        anyhow::bail!("{} is no longer followed", self.path.display())
    }

    /// The names that a slice gives. Of several addresses of one name the first counts, and IPv4 before IPv6.
    fn note(&self, slice: &EndpointSlice, headless: &HashSet<ObjectKey>, names: &mut Names) {
        let (namespace, service) = (&*slice.key.namespace, slice.service.as_str());
        let is_followed = self.namespace.as_deref().is_none_or(|it| it == namespace);
        if !is_followed || !headless.contains(&ObjectKey::new(namespace, service)) {
            return;
        }
        for endpoint in slice.endpoints.iter().filter(|it| it.ready) {
            if let (Some(host), Some(address)) = (&endpoint.hostname, endpoint.addresses.first()) {
                let (host, domain) = (host.as_str(), &self.domain);
                let name = format!("{host}.{service}.{namespace}.svc.{domain}");
                let least = names.entry(name).or_insert(*address);
                *least = (*least).min(*address);
            }
        }
    }

    /// When the directory was last written to, of which this is the notice.
    #[allow(
        clippy::disallowed_methods,
        reason = "files say by the clock when they were written"
    )]
    fn written(&self, noticed: Instant) -> Instant {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let paths = entries.map(|it| it.path()).chain([self.path.clone()]);
        let times = paths.filter_map(|it| fs::metadata(it).ok()?.modified().ok());
        let (now, clock) = (Instant::now(), SystemTime::now());
        let age = times.max().and_then(|it| clock.duration_since(it).ok());
        let at = age.filter(|it| *it < NOTICED_WITHIN);
        at.and_then(|age| now.checked_sub(age)).unwrap_or(noticed)
    }
}

impl Rolling {
    /// Rolls it out in a file, and takes that away; in any case, when asked to stop, too.
    pub(super) async fn in_file(mut self, directory: &Path, stop: Drain) -> anyhow::Result<()> {
        let path = directory.join(format!("{}.json", self.create.name));
        let done = tokio::select! {
            () = stop.cancelled() => Ok(()),
            done = self.change(&path) => done,
        };
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("{} is left behind", path.display()))
            }
            _ => done,
        }
    }

    async fn change(&mut self, path: &Path) -> anyhow::Result<()> {
        let whole = usize::from(self.create.pods);
        let address =
            |of: Ipv4Addr, pod: usize| Some(Ipv4Addr::from(u32::from(of) + pod as u32 + 1));
        self.begin().await?;
        let mut pods: Vec<_> = (0..whole).map(|pod| address(BEFORE, pod)).collect();
        self.put(path, &pods).await?;
        self.settled("rolled out", whole).await?;
        for pod in 0..whole {
            for (address, rest) in [(None, whole - 1), (address(AFTER, pod), whole)] {
                pods[pod] = address;
                self.put(path, &pods).await?;
                self.settled(&format!("pod {pod}"), rest).await?;
            }
        }
        self.put(path, &vec![None; whole]).await?;
        self.settled("scaled to nothing", 0).await
    }

    /// Replaces the file by one in which these pods are ready, and tells of them.
    async fn put(&self, path: &Path, pods: &[Option<Ipv4Addr>]) -> anyhow::Result<()> {
        let (name, namespace) = (&self.create.name, &self.namespace);
        let endpoints = pods.iter().enumerate().filter_map(|(pod, address)| {
            let host = format!("{name}-{pod}");
            Some(json!({"addresses": [(*address)?], "hostname": host, "conditions": {"ready": true}}))
        });
        let metadata = json!({"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": name}});
        let ports = json!([{"name": "none", "port": 9}]);
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"clusterIP": "None", "ports": ports}},
            {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata, "addressType": "IPv4",
             "ports": ports, "endpoints": endpoints.collect::<Vec<_>>()},
        ]});
        // Nobody reads half of it: hidden files are not read.
        let hidden = path.with_file_name(format!(".{name}.json"));
        let written = fs::write(&hidden, list.to_string()).and_then(|()| fs::rename(&hidden, path));
        written.with_context(|| path.display().to_string())?;
        let at = Instant::now();
        for (pod, address) in (0..).zip(pods) {
            let fact = Fact {
                name: self.name_of(pod),
                address: address.map(IpAddr::V4),
                at,
                is_old: false,
            };
            self.facts.send(fact).await?;
        }
        sleep(PAUSE).await;
        Ok(())
    }
}
