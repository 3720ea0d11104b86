//! What the benches of the parts share: the objects of a cluster of some size, an engine over them, and how it is asked.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each bench uses a part, and ends with a panic if it cannot be made"
)]

#[path = "../../tests/support/mod.rs"]
pub mod fixtures;

use fixtures::upstream::FakeUpstream;
use gapless::{
    engine::{Asked, Engine, Now, Recent},
    forward,
    index::{Index, Options, Reader},
    metrics::Transport,
    model::{
        Change, Endpoint, EndpointSlice, Label, Object, ObjectKey, Port, Protocol, Service,
        ServiceKind, Source,
    },
    wire::NameKey,
};
use std::{net::Ipv4Addr, time::Instant};

/// Service `service-N` in the namespace `team-(N mod 200)`, with one port.
pub fn service(n: usize, headless: bool) -> Object {
    let [.., a, b, c] = n.to_be_bytes();
    let kind = match headless {
        true => ServiceKind::Headless,
        false => ServiceKind::ClusterIp([[10, 96 + a, b, c].into()].into()),
    };
    let port = Port {
        name: Some(label("http")),
        protocol: Protocol::Tcp,
        number: 80,
    };
    let key = ObjectKey::new(&namespace(n), &format!("service-{n}"));
    Object::Service(Service {
        key,
        kind,
        ports: [port].into(),
    })
}

/// The one slice of service N, whose first endpoint has another address in every round. Endpoints are `service-N-E`.
pub fn slice(n: usize, endpoints: usize, round: usize) -> Object {
    let endpoint = |e: usize| {
        let number = n * endpoints + e + if e == 0 { round << 21 } else { 0 };
        let [.., a, b, c] = number.to_be_bytes();
        let net = 10 + u8::try_from(number >> 24).unwrap();
        Endpoint {
            addresses: [[net, a, b, c].into()].into(),
            hostname: Some(label(&format!("service-{n}-{e}"))),
            pod: Some(label(&format!("service-{n}-{e}"))),
            ready: true,
        }
    };
    Object::EndpointSlice(EndpointSlice {
        key: ObjectKey::new(&namespace(n), &format!("service-{n}-abcde")),
        service: label(&format!("service-{n}")),
        endpoints: (0..endpoints).map(endpoint).collect(),
        ports: [Port {
            name: Some(label("http")),
            protocol: Protocol::Tcp,
            number: 80,
        }]
        .into(),
    })
}

fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

pub fn namespace(n: usize) -> String {
    format!("team-{}", n % 200)
}

/// So many services, the first of them headless with so many endpoints each.
pub fn objects(services: usize, headless: usize, endpoints: usize) -> Vec<Object> {
    let slices = (0..headless).map(|n| slice(n, endpoints, 0));
    let namespaces = (0..200).map(|n| Object::Namespace(ObjectKey::new("", &namespace(n))));
    let services = (0..services).map(|n| service(n, n < headless));
    namespaces.chain(services).chain(slices).collect()
}

/// A synced index of so many services, the first of them headless with so many endpoints each, listed in batches as a feed's are.
pub fn listed(services: usize, headless: usize, endpoints: usize) -> (Index, Reader) {
    let (mut index, reader) = Index::new(Options {
        sources: vec![Source::Services, Source::EndpointSlices],
        ..fixtures::engine::index_options()
    });
    let mut list = |source, count: usize, object: &dyn Fn(usize) -> Object| {
        index.apply(Change::ListStarted(source));
        for n in 0..count {
            index.apply(Change::Apply(source, object(n)));
            if n % 256 == 255 {
                index.publish(1);
            }
        }
        index.apply(Change::ListDone(source));
    };
    list(Source::Services, services, &|n| service(n, n < headless));
    list(Source::EndpointSlices, headless, &|n| {
        slice(n, endpoints, 0)
    });
    index.publish(1);
    (index, reader)
}

/// What an engine is asked, in turn.
pub struct Questions {
    engine: Engine,
    recent: Option<Recent>,
    packets: Vec<Vec<u8>>,
    rcode: u8,
    now: Instant,
    out: Vec<u8>,
}

/// What can be asked: a name for the questions, and how many services, headless ones and endpoints each there are.
pub const QUESTIONS: [(&str, [usize; 3]); 10] = [
    ("cluster_a", [1000, 0, 0]),
    ("cluster_srv", [1000, 0, 0]),
    ("search_nxdomain", [1000, 0, 0]),
    ("headless_100_pod", [100, 100, 100]),
    ("headless_100_whole", [100, 100, 100]),
    ("headless_10000_pod", [1, 1, 10_000]),
    ("hit", [0, 0, 0]),
    ("again_cluster_a", [1000, 0, 0]),
    ("again_cluster_srv", [1000, 0, 0]),
    ("again_hit", [0, 0, 0]),
];

/// Questions with this in front are asked of somebody who remembers his replies; all others are answered anew.
const AGAIN: &str = "again_";

/// The same, for one headless service of more and more endpoints.
pub const GROWTH: [(&str, [usize; 3]); 4] = [
    ("pod_of_100", [1, 1, 100]),
    ("pod_of_1000", [1, 1, 1000]),
    ("pod_of_10000", [1, 1, 10_000]),
    ("pod_of_100000", [1, 1, 100_000]),
];

/// Different names in turn: less than a worker remembers the replies of.
const NAMES: usize = 100;

impl Questions {
    /// One of [`QUESTIONS`] or [`GROWTH`].
    pub fn new(what: &str) -> Self {
        let [services, headless, endpoints] = QUESTIONS
            .iter()
            .chain(&GROWTH)
            .find(|(name, _)| *name == what)
            .unwrap()
            .1;
        let (what, again) = match what.strip_prefix(AGAIN) {
            Some(what) => (what, true),
            None => (what, false),
        };
        let service = |n: usize| format!("service-{n}.{}.svc.cluster.local", namespace(n));
        let (rcode, names): (u8, Vec<_>) = match what {
            "cluster_a" => (0, (0..NAMES).map(|n| (service(n), 1)).collect()),
            "cluster_srv" => (
                0,
                (0..NAMES)
                    .map(|n| (format!("_http._tcp.{}", service(n)), 33))
                    .collect(),
            ),
            "search_nxdomain" => (
                3,
                (0..NAMES)
                    .map(|n| {
                        (
                            format!("www{n}.example.com.{}.svc.cluster.local", namespace(n)),
                            1,
                        )
                    })
                    .collect(),
            ),
            "headless_100_whole" => (0, (0..NAMES).map(|n| (service(n), 1)).collect()),
            _ if headless > 0 => (
                0,
                (0..NAMES)
                    .map(|n| {
                        let (n, e) = (n % headless, n * 97 % endpoints);
                        (format!("service-{n}-{e}.{}", service(n)), 1)
                    })
                    .collect(),
            ),
            _ => (
                0,
                (0..NAMES)
                    .map(|n| (format!("www{n}.example.org"), 1))
                    .collect(),
            ),
        };
        let packets: Vec<_> = names
            .iter()
            .map(|(name, rtype)| query(name, *rtype))
            .collect();
        let (engine, now) = match what == "hit" {
            true => holding(&names, &packets),
            false => (
                fixtures::engine::with_objects(&objects(services, headless, endpoints)),
                now(),
            ),
        };
        Self {
            engine,
            recent: again.then(Recent::default),
            packets,
            rcode,
            now,
            out: vec![0; 1232],
        }
    }

    /// Asks the Nth batch of so many, as a UDP worker does that gets them at once.
    pub fn ask(&mut self, n: usize, batch: usize) {
        let first = n * batch % (self.packets.len() - batch + 1);
        let packets = &self.packets[first..first + batch];
        let snapshot = self.engine.snapshot();
        let mut view = self.engine.view(&snapshot, self.recent.as_mut());
        let ahead = view.read_ahead(packets.iter().map(|packet| &**packet));
        for (nth, packet) in packets.iter().enumerate() {
            let asked = asked(packet, n);
            let answer = view.answer_now(&asked, ahead.nth(nth), self.now, &mut self.out);
            assert!(matches!(answer, Now::Reply(_)), "{answer:?}");
            assert_eq!(self.out[3] & 15, self.rcode);
        }
    }
}

pub fn asked(packet: &[u8], rotation: usize) -> Asked<'_> {
    Asked {
        packet,
        client: (Ipv4Addr::LOCALHOST, 5353).into(),
        local: Ipv4Addr::LOCALHOST.into(),
        transport: Transport::Udp,
        rotation,
    }
}

pub fn query(name: &str, rtype: u8) -> Vec<u8> {
    let mut packet = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0".to_vec();
    packet.extend_from_slice(NameKey::from_text(name).unwrap().as_bytes());
    packet.extend_from_slice(&[0, rtype, 0, 1]);
    packet
}

/// An engine whose cache holds these names' answers, and the time by which it does.
fn holding(names: &[(String, u8)], packets: &[Vec<u8>]) -> (Engine, Instant) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let zone: String = names
            .iter()
            .map(|(name, _)| format!("{name}. 3600 IN A 192.0.2.7\n"))
            .collect();
        let upstream = FakeUpstream::start(&zone).await;
        let upstreams = forward::Options {
            upstreams: vec![upstream.address.into()],
            ..<_>::default()
        };
        let engine = fixtures::engine::synced(&[], &upstreams);
        for packet in packets {
            engine
                .answer(asked(packet, 0), &mut vec![0; 1232])
                .await
                .unwrap();
        }
        (engine, now())
    })
}

#[allow(clippy::disallowed_methods, reason = "an Instant has no other source")]
pub fn now() -> Instant {
    Instant::now()
}
