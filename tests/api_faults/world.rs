//! Feed, index and engine over a scripted API server, and objects to put into it.
#![allow(dead_code, reason = "each crate of tests uses a part of it")]

use crate::{
    api_server::ApiServer,
    support::{
        ask::{Ask, describe},
        engine,
    },
};
use gapless::{
    engine::{Asked, Engine, Now},
    feed::kube::{self, Selection},
    forward,
    index::{self, Index, Staleness},
    lifecycle::{Drain, Tasks},
    metrics::{Feed, Metrics, Transport},
    model::Source,
};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

/// What a test may choose.
pub(crate) struct Choices {
    pub(crate) selection: Selection,
    pub(crate) staleness: Staleness,
    /// Is there a cluster DNS to ask?
    pub(crate) forwards: bool,
    pub(crate) seed: u64,
}

/// What the index said of each source after its last publication.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) confirmed: BTreeMap<Source, std::time::Instant>,
    pub(crate) repaired: BTreeMap<Source, u64>,
    pub(crate) publications: usize,
    /// Events, and services rebuilt, behind one publication at most; and the longest time that an event waited for it.
    pub(crate) largest: usize,
    pub(crate) rebuilt: usize,
    pub(crate) lag: Duration,
}

pub(crate) struct World {
    pub(crate) server: ApiServer,
    pub(crate) feed: Feed,
    engine: Engine,
    said: Arc<Mutex<Said>>,
    /// By how many seconds the wall clock is wrong.
    pub(crate) wall: Arc<AtomicI64>,
    _tasks: Tasks,
    drain: Drain,
}

impl Drop for World {
    fn drop(&mut self) {
        self.drain.cancel();
    }
}

impl World {
    pub(crate) fn start(server: ApiServer) -> Self {
        Self::with(server, |_| {})
    }

    pub(crate) fn with(server: ApiServer, choose: impl FnOnce(&mut Choices)) -> Self {
        let mut choices = Choices {
            selection: Selection::default(),
            staleness: Staleness {
                after: Duration::from_secs(300),
                unsure: false,
            },
            forwards: false,
            seed: 7,
        };
        choose(&mut choices);
        let sources = choices.selection.sources();
        let (index, reader) = Index::new(index::Options {
            sources: sources.clone(),
            staleness: Some(choices.staleness),
            ..engine::index_options()
        });
        let (tasks, _) = Tasks::new();
        let (events, received) = mpsc::channel(64);
        let said = Arc::<Mutex<Said>>::default();
        let kept = said.clone();
        let begin = Instant::now();
        let wall = Arc::<AtomicI64>::default();
        let wrong_by = wall.clone();
        let clock = move || {
            let now = Instant::now();
            let seconds = 1_000_000 + wrong_by.load(Relaxed);
            let seconds = Duration::from_secs(seconds.unsigned_abs());
            (now.into_std(), seconds + (now - begin))
        };
        let published = move |index: &Index, published: index::Published<'_>| {
            let mut said = kept.lock().unwrap();
            said.publications += usize::from(!published.received.is_empty());
            said.largest = said.largest.max(published.received.len());
            said.rebuilt = said.rebuilt.max(published.rebuilt);
            let waited = published.received.iter().map(|it| published.at - *it);
            said.lag = said.lag.max(waited.max().unwrap_or_default());
            for source in &sources {
                if let Some(confirmed) = index.confirmed(*source) {
                    said.confirmed.insert(*source, confirmed);
                }
                said.repaired.insert(*source, index.repaired(*source));
            }
        };
        tasks.essential("index", index::follow(index, received, clock, published));
        let feed = Metrics::new(&mut Registry::default()).feed;
        let drain = Drain::new();
        let options = kube::Options {
            client: server.client_in_process(),
            selection: choices.selection,
            seed: choices.seed,
        };
        kube::start(&options, &events, &drain, &tasks, &feed);
        let upstreams = forward::Options {
            cluster_dns: if choices.forwards {
                vec![std::net::SocketAddr::from(([192, 0, 2, 1], 53)).into()]
            } else {
                vec![]
            },
            ..forward::Options::default()
        };
        Self {
            engine: engine::over(reader, &upstreams, &mut Registry::default()),
            server,
            feed,
            said,
            wall,
            _tasks: tasks,
            drain,
        }
    }

    /// The answer in one line: `NXDOMAIN`, `NOERROR 10.1.0.1 ede 3`, `forwarded`. Names are below `svc.cluster.local`.
    pub(crate) fn ask(&self, name: &str) -> String {
        let ask = Ask::parse(&format!("{name}.svc.cluster.local. A"));
        let Some(reply) = self.reply(&ask) else {
            return "forwarded".to_owned();
        };
        let text = describe(&ask, &reply);
        let mut lines = text.lines();
        let mut said = vec![lines.next().unwrap().split(' ').next().unwrap().to_owned()];
        for line in lines {
            let words: Vec<_> = line.split(' ').collect();
            match words[..] {
                ["ede:", code, ..] if matches!(code, "3" | "19") => {
                    said.push(format!("ede {code}"))
                }
                [_, _, "IN", "A", address] => said.push(address.to_owned()),
                _ => {}
            }
        }
        said.join(" ")
    }

    /// The reply itself; none if somebody else is to be asked.
    pub(crate) fn reply(&self, ask: &Ask) -> Option<Vec<u8>> {
        let mut out = [0; 1232];
        let packet = ask.packet(1);
        let asked = Asked {
            packet: &packet,
            client: ([192, 0, 2, 7], 5353).into(),
            local: Ipv4Addr::LOCALHOST.into(),
            transport: Transport::Udp,
            rotation: 0,
        };
        let now = Instant::now().into_std();
        match self.engine.answer_now(&asked, now, &mut out) {
            Now::Reply(len) => Some(out[..len].to_vec()),
            Now::NeedsAsync => None,
            Now::Drop => panic!("an answer"),
        }
    }

    /// Waits until the answer is so, and says how long that took, to 5 % and a millisecond.
    pub(crate) async fn until(&self, name: &str, expected: &str) -> Duration {
        let begin = Instant::now();
        let right = async {
            while self.ask(name) != expected {
                sleep(Duration::from_millis(1) + begin.elapsed() / 20).await;
            }
        };
        let patience = Duration::from_secs(7200);
        if timeout(patience, right).await.is_err() {
            panic!("{name}: expected {expected}, there is {}", self.ask(name));
        }
        begin.elapsed()
    }

    /// Holds the answer to be so at each of these moments, a millisecond apart.
    pub(crate) async fn throughout(&self, milliseconds: usize, name: &str, expected: &str) {
        for _ in 0..milliseconds {
            assert_eq!(self.ask(name), expected, "{name}");
            sleep(Duration::from_millis(1)).await;
        }
    }

    pub(crate) fn said(&self) -> Said {
        self.said.lock().unwrap().clone()
    }

    /// How long ago each source was last confirmed.
    pub(crate) fn ages(&self) -> BTreeMap<Source, Duration> {
        let now = Instant::now().into_std();
        let confirmed = self.said().confirmed;
        confirmed
            .into_iter()
            .map(|(source, at)| (source, now - at))
            .collect()
    }
}

/// Lets so much time pass.
pub(crate) async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

pub(crate) fn service(name: &str, cluster_ip: &str) -> Value {
    json!({
        "kind": "Service", "apiVersion": "v1",
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"clusterIP": cluster_ip, "ports": [{"name": "http", "port": 80}]},
    })
}

/// The label that the EndpointSlice controller sets on its slices.
pub(crate) const CONTROLLER: &str = "endpointslice-controller.k8s.io";

/// A slice of a headless service, written by that manager, with ready endpoints.
pub(crate) fn slice(name: &str, service: &str, manager: &str, endpoints: &[(&str, &str)]) -> Value {
    let endpoints: Vec<_> = (endpoints.iter())
        .map(|(host, address)| json!({"addresses": [address], "hostname": host, "conditions": {"ready": true}}))
        .collect();
    json!({
        "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1",
        "metadata": {"namespace": "shop", "name": name, "labels": {
            "kubernetes.io/service-name": service,
            "service.kubernetes.io/headless": "",
            "endpointslice.kubernetes.io/managed-by": manager,
        }},
        "addressType": "IPv4", "endpoints": endpoints, "ports": [{"name": "http", "port": 80}],
    })
}

/// A cluster with the headless service `db` with host `db-0`, and `api` with a cluster IP.
pub(crate) async fn shop() -> ApiServer {
    let server = ApiServer::start().await;
    server.apply(&json!({"kind": "Namespace", "metadata": {"name": "shop"}}));
    server.apply(&service("api", "10.96.0.30"));
    server.apply(&service("db", "None"));
    server.apply(&slice("db-1", "db", CONTROLLER, &[("db-0", "10.1.0.1")]));
    server
}

pub(crate) const API: &str = "NOERROR 10.96.0.30";
pub(crate) const DB: &str = "NOERROR 10.1.0.1";

/// Every kind that is watched, by the name in its requests.
pub(crate) const KINDS: [&str; 3] = ["services", "endpointslices", "namespaces"];
