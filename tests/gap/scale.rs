//! Names that exist throughout, in services whose slices never rest: whether any is ever missing, and whether a service's own
//! name is ever given in part.

use crate::{
    control_plane::ControlPlane,
    resolvers::{Gapless, coredns_without_cache},
    support::ask::Ask,
};
use hickory_proto::{op::Message, rr::RData};
use serde_json::json;
use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};
use tokio::time::Instant;

/// The service whose endpoints' names are asked for: 10,000 of them.
const BIG: Churned = Churned {
    name: "big",
    slices: 100,
    network: 1,
};
/// The service whose own name is asked for: 2,000 addresses, half of what a message by TCP holds.
const WIDE: Churned = Churned {
    name: "wide",
    slices: 20,
    network: 2,
};
const OF_A_SLICE: usize = 100;
/// The last endpoints of each slice come and go. All others are always there, in one slice or another.
const CHURNING: usize = 10;
const QUESTIONS: usize = 1_000_000;
const QUESTIONS_BY_TCP: usize = 1000;
/// Questions that are under way at once.
const WINDOW: usize = 64;
const LOST_AFTER: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS and COREDNS, and some minutes"]
async fn a_million_questions_for_names_that_exist_throughout_a_churn_of_a_hundred_slices() {
    let control_plane = ControlPlane::start().await;
    for service in [BIG, WIDE] {
        control_plane.apply(&service.manifest()).await;
        for n in 0..service.slices {
            control_plane.apply(&service.slice(n, 0)).await;
        }
    }
    let gapless = Gapless::start(&control_plane.gapless_kubeconfig()).await;
    let coredns = coredns_without_cache(&control_plane).await;
    println!(
        "\n| resolver | questions | slices written meanwhile | NXDOMAIN | other wrong answers | lost | sets in part, by TCP | time |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (resolver, questions) in [(&gapless.resolver, QUESTIONS), (&coredns, QUESTIONS / 10)] {
        let (address, began) = (resolver.address, Instant::now());
        let names = tokio::task::spawn_blocking(move || ask_names(address, questions));
        let sets = tokio::task::spawn_blocking(move || ask_sets(address, QUESTIONS_BY_TCP));
        let asking = async { (names.await.unwrap(), sets.await.unwrap()) };
        let (said, written) = while_slices_change(&control_plane, asking).await;
        let (
            Said {
                nxdomain,
                wrong,
                lost,
            },
            in_part,
        ) = said;
        println!(
            "| {} | {questions} | {written} | {nxdomain} | {wrong} | {lost} | {in_part} of {QUESTIONS_BY_TCP} | {:.0?} |",
            resolver.name,
            began.elapsed(),
        );
        if resolver.name == gapless.resolver.name {
            assert!(written > 2 * BIG.slices, "the slices rest");
            assert_eq!((nxdomain, wrong, in_part), (0, 0, 0));
        }
    }
}

/// Writes slices, one after the other, until the other part is done; says how many.
async fn while_slices_change<T>(
    control_plane: &ControlPlane,
    asking: impl Future<Output = T>,
) -> (T, usize) {
    let mut written = 0;
    let writing = async {
        for phase in (1..=4).cycle() {
            for service in [BIG, WIDE] {
                for n in 0..service.slices {
                    control_plane.apply(&service.slice(n, phase % 4)).await;
                    written += 1;
                }
            }
        }
    };
    tokio::select! {
        said = asking => (said, written),
        () = writing => unreachable!("it writes for ever"),
    }
}

#[derive(Clone, Copy)]
struct Churned {
    name: &'static str,
    slices: usize,
    network: u8,
}

impl Churned {
    fn manifest(&self) -> String {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": self.name},
            "spec": {"clusterIP": "None", "ports": [{"name": "http", "port": 80}]}})
        .to_string()
    }

    /// The Nth slice. From phase to phase its first endpoint goes into the slice before it, and comes back, and is in both or
    /// in one of them at any time: 1 both, 2 the other, 3 both, 0 this one.
    fn slice(&self, n: usize, phase: usize) -> String {
        let own = (usize::from(phase == 2)..OF_A_SLICE).map(|e| (n, e));
        let borrowed = (phase > 0).then_some(((n + 1) % self.slices, 0));
        let endpoint = |(n, e)| {
            json!({"addresses": [self.address(n, e)], "hostname": format!("e-{n}-{e}"),
                "conditions": {"ready": e < OF_A_SLICE - CHURNING || phase.is_multiple_of(2)}})
        };
        let endpoints: Vec<_> = own.chain(borrowed).map(endpoint).collect();
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": format!("{}-{n}", self.name), "labels": {
                "kubernetes.io/service-name": self.name, "service.kubernetes.io/headless": "",
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}},
            "addressType": "IPv4", "ports": [{"name": "http", "port": 80}], "endpoints": endpoints})
        .to_string()
    }

    fn address(&self, n: usize, e: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, self.network, n as u8, e as u8)
    }

    /// Those that are always there.
    fn lasting(self) -> impl Iterator<Item = (String, Ipv4Addr)> {
        let all = (0..self.slices).flat_map(|n| (0..OF_A_SLICE - CHURNING).map(move |e| (n, e)));
        all.map(move |(n, e)| {
            let name = format!("e-{n}-{e}.{}.default.svc.cluster.local.", self.name);
            (name, self.address(n, e))
        })
    }
}

/// How many answers were not right.
#[derive(Default)]
struct Said {
    nxdomain: usize,
    wrong: usize,
    lost: usize,
}

/// Asks for the lasting names of [`BIG`] in turn, by UDP.
fn ask_names(resolver: SocketAddr, questions: usize) -> Said {
    let names: Vec<_> = BIG
        .lasting()
        .map(|(name, address)| (Ask::new(&format!("{name} A"), None).packet(0), address))
        .collect();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(resolver).unwrap();
    socket.set_read_timeout(Some(LOST_AFTER)).unwrap();
    let mut said = Said::default();
    let mut reply = [0; 512];
    for first in (0..questions).step_by(WINDOW) {
        let window = first..questions.min(first + WINDOW);
        for question in window.clone() {
            let mut packet = names[question % names.len()].0.clone();
            packet[..2].copy_from_slice(&(question as u16).to_be_bytes());
            socket.send(&packet).unwrap();
        }
        for _ in window.clone() {
            let Ok(length) = socket.recv(&mut reply) else {
                said.lost += 1;
                continue;
            };
            let id = u16::from_be_bytes([reply[0], reply[1]]);
            let question = window.clone().find(|question| *question as u16 == id);
            let address = question.map(|question| names[question % names.len()].1);
            // One answer and nothing behind it: the address ends the message.
            let right = reply[6..12] == [0, 1, 0, 0, 0, 0]
                && address.is_some_and(|address| reply[..length].ends_with(&address.octets()));
            match reply[3] & 0xf {
                0 if right => {}
                3 => said.nxdomain += 1,
                _ => said.wrong += 1,
            }
        }
    }
    said
}

/// Asks for the name of [`WIDE`] by TCP, and says how many answers lacked an address that is always there.
fn ask_sets(resolver: SocketAddr, questions: usize) -> usize {
    let lasting: BTreeSet<_> = WIDE.lasting().map(|(_, address)| address).collect();
    let packet = Ask::new("wide.default.svc.cluster.local. A", None).packet(1);
    let mut stream = TcpStream::connect(resolver).unwrap();
    let in_part = (0..questions).filter(|_| {
        let length = u16::try_from(packet.len()).unwrap();
        stream
            .write_all(&[&length.to_be_bytes()[..], &packet].concat())
            .unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut reply = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut reply).unwrap();
        let message = Message::from_vec(&reply).unwrap();
        let given = message
            .answers
            .iter()
            .filter_map(|record| match &record.data {
                RData::A(address) => Some(address.0),
                _ => None,
            });
        !lasting.is_subset(&given.collect())
    });
    in_part.count()
}
