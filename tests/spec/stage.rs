//! A whole gapless without a process: manifests through their feed into an index, an engine over it, listeners on
//! loopback, and upstreams that the test plays.

use crate::support::{self, upstream::FakeUpstream};
use gapless::{
    answer,
    engine::{self, Asked, Engine, Identity, Now},
    feed::manifests::{self, Manifests},
    forward::{self, Forwarder, ZoneRoute},
    index::{self, Index},
    lifecycle::{Drain, Tasks},
    metrics::{Metrics, Transport},
    model::Change,
    server::{self, Listeners},
    wire::NameKey,
};
use prometheus_client::registry::Registry;
use rand::{SeedableRng, rngs::StdRng};
use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};
use tokio::{runtime::Runtime, sync::mpsc};

/// The authority section of a negative answer about the cluster.
pub const NEGATIVE: &str = "auth: cluster.local. 0 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 42 7200 1800 86400 0";

/// Manifests of a namespace `shop`: a service `api` with a cluster IP, and a headless one `db` with the host `db-0`.
pub const SHOP: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {clusterIP: 10.96.0.30, ports: [{name: http, port: 80}, {port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints: [{addresses: [10.1.0.4], hostname: db-0}]
ports: [{name: sql, port: 5432, protocol: TCP}]
";

/// When the last change was, as the zone's serial number says it.
const SERIAL: u32 = 42;

/// How a query gets to its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `View::answer_now`, and `Engine::answer` if that one declines.
    Now,
    /// `Engine::answer`.
    Async,
    Udp,
    Tcp,
}

impl Way {
    pub const ALL: [Self; 4] = [Self::Now, Self::Async, Self::Udp, Self::Tcp];
}

/// What a case may set before the first question.
pub struct Options {
    pub index: index::Options,
    pub answers: answer::Options,
    pub identity: Identity,
}

pub struct Stage {
    pub client: SocketAddr,
    /// Where it listens, and nobody else does.
    pub local: Ipv4Addr,
    runtime: Runtime,
    index: Index,
    reader: index::Reader,
    options: Options,
    upstream: FakeUpstream,
    cluster_dns: Option<Arc<FakeUpstream>>,
    /// Zones, and who is asked about them.
    routes: Vec<(Vec<NameKey>, Arc<FakeUpstream>)>,
    running: Option<Running>,
}

struct Running {
    engine: Arc<Engine>,
    address: SocketAddr,
    udp: UdpSocket,
    drain: Drain,
    tasks: Tasks,
}

impl Stage {
    /// These manifests, synced.
    pub fn new(manifests: &str) -> Self {
        Self::with(manifests, |_| {})
    }

    /// A synced cluster without objects.
    pub fn empty() -> Self {
        Self::new("")
    }

    /// These manifests, with other options.
    pub fn with(manifests: &str, choose: impl FnOnce(&mut Options)) -> Self {
        let mut stage = Self::unsynced_with(choose);
        let changes = stage.read(manifests);
        stage.apply(changes);
        stage
    }

    /// An index that was told nothing yet.
    pub fn unsynced() -> Self {
        Self::unsynced_with(|_| {})
    }

    /// The same, with other options.
    pub fn unsynced_with(choose: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options {
            index: index::Options {
                sources: manifests::SOURCES.to_vec(),
                ..support::engine::index_options()
            },
            answers: support::engine::answer_options(),
            identity: Identity::default(),
        };
        choose(&mut options);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let upstream = runtime.block_on(FakeUpstream::start(""));
        let (index, reader) = Index::new(options.index.clone());
        let local = own_address();
        let client = (local, 5353).into();
        Self {
            client,
            local,
            runtime,
            index,
            reader,
            options,
            upstream,
            cluster_dns: None,
            routes: vec![],
            running: None,
        }
    }

    /// The changes that the manifests feed makes of a directory with this file.
    fn read(&self, text: &str) -> Vec<Change> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("case.yaml"), text).unwrap();
        let metrics = Metrics::new(&mut Registry::default()).feed;
        let options = manifests::Options {
            directory: directory.path().to_owned(),
        };
        self.runtime.block_on(async {
            let manifests = Manifests::open(&options, &metrics).unwrap();
            let (events, mut received) = mpsc::channel(64);
            let (tasks, drain) = (Tasks::new().0, Drain::new());
            tasks.brief(manifests.run(events, drain.clone()));
            let (mut changes, mut done) = (vec![], 0);
            while done < manifests::SOURCES.len() {
                let event = received.recv().await.expect("the feed goes on");
                done += usize::from(matches!(event.change, Change::ListDone(_)));
                changes.push(event.change);
            }
            drain.cancel();
            changes
        })
    }

    /// Puts changes into the index, and publishes.
    pub fn apply(&mut self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            self.index.apply(change);
        }
        self.index.publish(SERIAL);
    }

    /// What the upstream answers; any other name does not exist.
    pub fn upstream(&self, lines: &[&str]) {
        self.upstream.zone(&lines.join("\n"));
    }

    /// Configures a cluster DNS that answers so; any other name does not exist, and may be remembered for 60 s.
    pub fn cluster_dns(&mut self, lines: &[&str]) -> Arc<FakeUpstream> {
        assert!(self.running.is_none(), "before the first question");
        let zone = format!("{}\n. 60 IN SOA ns. host. 1 2 3 4 60", lines.join("\n"));
        let dns = Arc::new(self.runtime.block_on(FakeUpstream::start(&zone)));
        self.cluster_dns = Some(dns.clone());
        dns
    }

    /// Configures a route for these zones to an upstream that answers so; any other name does not exist.
    pub fn route(&mut self, zones: &[&str], lines: &[&str]) -> Arc<FakeUpstream> {
        assert!(self.running.is_none(), "before the first question");
        let zone = lines.join("\n");
        let upstream = Arc::new(self.runtime.block_on(FakeUpstream::start(&zone)));
        let zones = zones.iter().map(|zone| NameKey::from_text(zone).unwrap());
        self.routes.push((zones.collect(), upstream.clone()));
        upstream
    }

    /// Where it listens.
    pub fn address(&mut self) -> SocketAddr {
        self.running().address
    }

    /// One query and its reply; `None` if there is none.
    pub fn exchange(&mut self, way: Way, packet: &[u8]) -> Option<Vec<u8>> {
        let client = self.client;
        self.running();
        let running = self.running.as_mut().expect("it was started");
        let mut out = vec![0; 65_535];
        let local = self.local.into();
        let asked = Asked {
            packet,
            client,
            local,
            transport: Transport::Udp,
            rotation: 0,
        };
        let len = match way {
            Way::Udp => return running.udp(packet),
            Way::Tcp => return running.tcp(packet),
            Way::Now => match running.engine.answer_now(&asked, now(), &mut out) {
                Now::Reply(len) => Some(len),
                Now::Drop => None,
                Now::NeedsAsync => self
                    .runtime
                    .block_on(running.engine.answer(asked, &mut out)),
            },
            Way::Async => self
                .runtime
                .block_on(running.engine.answer(asked, &mut out)),
        };
        out.truncate(len?);
        Some(out)
    }

    fn running(&mut self) -> &mut Running {
        if self.running.is_none() {
            self.running = Some(self.start());
        }
        self.running.as_mut().expect("it was started")
    }

    fn start(&self) -> Running {
        let _runtime = self.runtime.enter();
        let metrics = Metrics::new(&mut Registry::default());
        let (tasks, _ended) = Tasks::new();
        let drain = Drain::new();
        let upstreams = forward::Options {
            upstreams: vec![self.upstream.address.into()],
            cluster_dns: self
                .cluster_dns
                .iter()
                .map(|dns| dns.address.into())
                .collect(),
            routes: (self.routes.iter())
                .map(|(_, upstream)| ZoneRoute {
                    upstreams: vec![upstream.address.into()],
                    trust_ad: false,
                })
                .collect(),
            ..forward::Options::default()
        };
        let rng = StdRng::seed_from_u64(1);
        let forward = Forwarder::new(&upstreams, tasks.clone(), metrics.forward.clone(), rng);
        let options = engine::Options {
            answers: answer::Options {
                routes: (0..)
                    .zip(&self.routes)
                    .flat_map(|(number, (zones, _))| zones.iter().map(move |zone| (zone, number)))
                    .collect(),
                ..self.options.answers.clone()
            },
            has_cluster_dns: self.cluster_dns.is_some(),
            tcp_idle_timeout: Duration::from_secs(10),
            identity: self.options.identity.clone(),
        };
        let engine = Arc::new(Engine::new(
            self.reader.clone(),
            forward,
            metrics.queries.clone(),
            options,
        ));
        let any = (self.local, 0).into();
        let listeners = Listeners::bind(&[any], &server::Options::default()).unwrap();
        let address = listeners.local_addrs()[0];
        listeners
            .serve(engine.clone(), &tasks, drain.clone(), &metrics)
            .unwrap();
        let udp = UdpSocket::bind(any).unwrap();
        udp.connect(address).unwrap();
        Running {
            engine,
            address,
            udp,
            drain,
            tasks,
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.drain.cancel();
            self.runtime.block_on(running.tasks.finished());
        }
    }
}

/// A loopback address of its own for each stage: a listener shares its UDP port (SO_REUSEPORT), and must not share it with
/// one that is just ending.
fn own_address() -> Ipv4Addr {
    static STAGES: AtomicU16 = AtomicU16::new(1);
    let [high, low] = STAGES.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

/// A query whose reply shows that whatever was asked before on the same socket or connection was dealt with.
const MARKER: &[u8] = b"\xff\xfe\x01\0\0\x01\0\0\0\0\0\0\x07invalid\0\0\x01\0\x01";

impl Running {
    /// What comes back before the marker's reply does.
    fn udp(&self, packet: &[u8]) -> Option<Vec<u8>> {
        self.udp.send(packet).unwrap();
        let mut reply = vec![0; 65_535];
        // A lost datagram fails the test instead of hanging it.
        self.udp
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        if !expects_silence(packet) {
            let len = self.udp.recv(&mut reply).expect("a reply over UDP");
            reply.truncate(len);
            return Some(reply);
        }
        self.udp.send(MARKER).unwrap();
        let len = self.udp.recv(&mut reply).expect("the marker's reply");
        assert_eq!(
            reply[..2],
            MARKER[..2],
            "silence, then the marker: {} octets",
            len
        );
        None
    }

    fn tcp(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let len = u16::try_from(packet.len()).unwrap();
        stream
            .write_all(&[&len.to_be_bytes()[..], packet].concat())
            .unwrap();
        // The server answers what it has read, and closes after it.
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut replies = vec![];
        stream.read_to_end(&mut replies).unwrap();
        (!replies.is_empty()).then(|| replies.split_off(2))
    }
}

/// Packets to which the rules say that there is no reply.
fn expects_silence(packet: &[u8]) -> bool {
    packet.len() < 12 || packet[2] & 0x80 != 0
}

#[allow(
    clippy::disallowed_methods,
    reason = "the test is the one who has the clock"
)]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}
