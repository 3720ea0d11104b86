//! Arbitrary packets to an engine over the demo's manifests: the path that never waits gives the bytes of the one that may,
//! or declines.
#![no_main]

use gapless::{
    answer::{self, PodNames, Scope},
    engine::{Asked, Engine, Identity, MAX_MESSAGE, Now, Options},
    feed::manifests::{self, Manifests},
    forward::Forwarder,
    index::{self, EndpointNames, Index, Ttl},
    lifecycle::{Drain, Tasks},
    metrics::{Metrics, Transport},
    model::Change,
    wire::NameKey,
};
use libfuzzer_sys::fuzz_target;
use prometheus_client::registry::Registry;
use rand::{SeedableRng, rngs::StdRng};
use std::{net::Ipv4Addr, sync::LazyLock, time::Duration};
use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc,
    time::Instant,
};

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/demo");

static STAGE: LazyLock<(Runtime, Engine)> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let engine = runtime.block_on(engine());
    (runtime, engine)
});

/// The demo, synced; no upstreams.
async fn engine() -> Engine {
    let metrics = Metrics::new(&mut Registry::default());
    let (mut index, reader) = Index::new(index::Options {
        zone: NameKey::from_text("cluster.local").expect("a name"),
        ttl: Ttl::default(),
        endpoint_names: EndpointNames::Hostname,
        cluster_ip_endpoints: true,
        sources: manifests::SOURCES.to_vec(),
        staleness: None,
    });
    let options = manifests::Options {
        directory: DEMO.into(),
    };
    let manifests = Manifests::open(&options, &metrics.feed).expect("the demo");
    let (tasks, drain) = (Tasks::new().0, Drain::new());
    let (events, mut received) = mpsc::channel(64);
    drop(tasks.brief(manifests.run(events, drain.clone())));
    let mut listed = 0;
    while listed < manifests::SOURCES.len() {
        let change = received.recv().await.expect("the feed goes on").change;
        listed += usize::from(matches!(change, Change::ListDone(_)));
        index.apply(change);
    }
    drain.cancel();
    index.publish(42);
    let rng = StdRng::seed_from_u64(1);
    let forward = Forwarder::new(&<_>::default(), tasks, metrics.forward, rng);
    let options = Options {
        answers: answer::Options {
            scope: Scope::Cluster,
            pods: PodNames::Verified,
            fallthrough: vec![],
            routes: <_>::default(),
            hosts: <_>::default(),
            nameservers: vec![],
        },
        has_cluster_dns: false,
        tcp_idle_timeout: Duration::from_secs(10),
        identity: Identity {
            version: Some("gapless".into()),
            id: None,
        },
    };
    Engine::new(reader, forward, metrics.queries, options)
}

fuzz_target!(|input: (bool, u8, &[u8])| {
    let (tcp, rotation, packet) = input;
    let (runtime, engine) = &*STAGE;
    let asked = Asked {
        packet,
        client: (Ipv4Addr::LOCALHOST, 5353).into(),
        local: Ipv4Addr::LOCALHOST.into(),
        transport: if tcp { Transport::Tcp } else { Transport::Udp },
        rotation: rotation.into(),
    };
    let (mut fast, mut plain) = (vec![0; MAX_MESSAGE], vec![0; MAX_MESSAGE]);
    let now = Instant::now().into_std();
    let fast = match engine.answer_now(&asked, now, &mut fast) {
        Now::Reply(len) => Some(&fast[..len]),
        Now::Drop => None,
        Now::NeedsAsync => return,
    };
    let len = runtime.block_on(engine.answer(asked, &mut plain));
    assert_eq!(fast, len.map(|len| &plain[..len]), "{packet:02x?}");
});
