//! The listeners over real sockets on loopback: every query answered from where it was asked, limits kept, nothing lost
//! on drain. What an answer says is tested elsewhere.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where it stopped"
)]

#[path = "support/engine.rs"]
#[allow(dead_code, unreachable_pub, reason = "other tests use the rest of it")]
mod engine;

use gapless::{
    lifecycle::{Drain, Tasks},
    metrics::{Closed, Metrics, Refused},
    server::{Listeners, Options},
    wire::{Flags, Header},
};
use prometheus_client::registry::Registry;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
};

/// Gives up on a reply that was lost, so that the test fails and does not hang.
const LOST_AFTER: Duration = Duration::from_secs(20);

/// A name that is answered at once, and one that the asynchronous side answers.
const PLAIN: &str = "plain";
const WAITS: &str = "async";

struct Server {
    address: SocketAddr,
    tasks: Tasks,
    drain: Drain,
    metrics: Metrics,
}

impl Server {
    fn start(address: &str, options: Options) -> Self {
        Self::serve(Listeners::bind(&[address.parse().unwrap()], &options).unwrap())
    }

    fn serve(listeners: Listeners) -> Self {
        let address = listeners.local_addrs()[0];
        let (tasks, _ended) = Tasks::new();
        let drain = Drain::new();
        let metrics = Metrics::new(&mut Registry::default());
        listeners
            .serve(Arc::new(engine::idle()), &tasks, drain.clone(), &metrics)
            .unwrap();
        Self {
            address,
            tasks,
            drain,
            metrics,
        }
    }

    /// A socket that takes replies from this address of the server only.
    async fn udp(&self, asked: &str) -> UdpSocket {
        let asked: IpAddr = asked.parse().unwrap();
        let socket = UdpSocket::bind((asked, 0)).await.unwrap();
        socket.connect((asked, self.address.port())).await.unwrap();
        socket
    }

    async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Drains, and waits until everything has ended.
    async fn finish(&self) {
        self.drain.cancel();
        within(self.tasks.finished()).await;
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(LOST_AFTER, future).await;
    result.expect("what is waited for happens")
}

/// Both kinds of UDP sockets.
fn kinds() -> [Options; 2] {
    [true, false].map(|udp_batches| Options {
        udp_batches,
        udp_workers: 2,
        ..Options::default()
    })
}

fn query(id: u16, label: &str) -> Vec<u8> {
    let header = Header {
        id,
        flags: Flags(Flags::RD),
        counts: [1, 0, 0, 0],
    };
    let mut query = vec![0; 12];
    header.write(&mut query).unwrap();
    query.push(u8::try_from(label.len()).unwrap());
    query.extend_from_slice(label.as_bytes());
    // A transfer is refused at once, without records; an address has to be asked for elsewhere.
    let qtype = if label == PLAIN { 252 } else { 1 };
    query.extend_from_slice(&[7]);
    query.extend_from_slice(b"example\x00");
    query.extend_from_slice(&[0, qtype, 0, 1]);
    query
}

fn framed(id: u16, label: &str) -> Vec<u8> {
    let query = query(id, label);
    let length = u16::try_from(query.len()).unwrap();
    [&length.to_be_bytes(), query.as_slice()].concat()
}

fn reply_id(reply: &[u8]) -> u16 {
    let header = Header::read(reply).unwrap();
    assert!(header.flags.has(Flags::QR));
    header.id
}

async fn udp_reply(socket: &UdpSocket) -> u16 {
    let mut reply = [0; 2048];
    let len = within(socket.recv(&mut reply)).await.unwrap();
    reply_id(&reply[..len])
}

async fn tcp_reply(stream: &mut TcpStream) -> u16 {
    within(async {
        let length = stream.read_u16().await.unwrap();
        let mut reply = vec![0; length.into()];
        stream.read_exact(&mut reply).await.unwrap();
        reply_id(&reply)
    })
    .await
}

#[tokio::test]
async fn every_query_of_one_socket_is_answered() {
    for options in kinds() {
        let server = Server::start("127.0.0.1:0", options);
        let client = server.udp("127.0.0.1").await;
        for round in 0..50 {
            let ids: Vec<u16> = (round * 100..(round + 1) * 100).collect();
            for &id in &ids {
                let label = if id % 10 == 0 { WAITS } else { PLAIN };
                client.send(&query(id, label)).await.unwrap();
            }
            let mut replies = vec![];
            for _ in &ids {
                replies.push(udp_reply(&client).await);
            }
            replies.sort_unstable();
            assert_eq!(replies, ids);
        }
        server.finish().await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_reply_leaves_from_the_address_that_was_asked() {
    for (bound, asked) in [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "::1")] {
        let server = Server::start(bound, Options::default());
        let client = server.udp(asked).await;
        for (id, label) in [(1, PLAIN), (2, WAITS)] {
            client.send(&query(id, label)).await.unwrap();
            assert_eq!(udp_reply(&client).await, id);
        }
    }
}

#[tokio::test]
async fn datagrams_longer_than_announced_are_dropped_and_counted() {
    for options in kinds() {
        let server = Server::start("127.0.0.1:0", options);
        let client = server.udp("127.0.0.1").await;
        let mut long = query(1, PLAIN);
        long.resize(1233, 0);
        client.send(&long).await.unwrap();
        client.send(&query(2, PLAIN)).await.unwrap();
        assert_eq!(udp_reply(&client).await, 2);
        assert_eq!(server.metrics.server.udp_oversized.get(), 1);
    }
}

#[tokio::test]
async fn queued_datagrams_are_answered_on_drain() {
    for options in kinds() {
        let listeners = Listeners::bind(&["127.0.0.1:0".parse().unwrap()], &options).unwrap();
        let address = listeners.local_addrs()[0];
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.connect(address).await.unwrap();
        let ids: Vec<u16> = (0..150).collect();
        for &id in &ids {
            let label = if id % 10 == 0 { WAITS } else { PLAIN };
            client.send(&query(id, label)).await.unwrap();
        }
        Server::serve(listeners).finish().await;
        let mut replies = vec![];
        for _ in &ids {
            replies.push(udp_reply(&client).await);
        }
        replies.sort_unstable();
        assert_eq!(replies, ids);
    }
}

#[tokio::test]
async fn random_datagrams_do_no_harm() {
    const GOOD: u16 = 0x600d;
    for (seed, options) in (1..).zip(kinds()) {
        let server = Server::start("127.0.0.1:0", options);
        let client = server.udp("127.0.0.1").await;
        let mut random = SmallRng::seed_from_u64(seed);
        let good = query(GOOD, PLAIN);
        for _ in 0..2000 {
            for _ in 0..25 {
                // Half of them noise, half a query with noise in it; none with the good query's ID.
                let mut datagram = if random.random() {
                    vec![0; random.random_range(0..1500)]
                } else {
                    good.clone()
                };
                let noisy = random.random_range(0..=datagram.len());
                random.fill(&mut datagram[noisy..]);
                if let Some(id) = datagram.first_mut() {
                    *id = 0;
                }
                client.send(&datagram).await.unwrap();
            }
            client.send(&good).await.unwrap();
            while udp_reply(&client).await != GOOD {}
        }
        server.finish().await;
    }
}

#[tokio::test]
async fn tcp_answers_pipelined_queries_as_they_are_ready() {
    let server = Server::start("127.0.0.1:0", Options::default());
    let mut client = server.tcp().await;
    let queries = [framed(1, WAITS), framed(2, PLAIN)].concat();
    client.write_all(&queries).await.unwrap();
    let replies = [tcp_reply(&mut client).await, tcp_reply(&mut client).await];
    assert_eq!(replies, [2, 1]);
}

#[tokio::test]
async fn a_tcp_client_that_sends_its_fin_with_the_query_gets_its_answers() {
    let server = Server::start("[::1]:0", Options::default());
    let mut client = server.tcp().await;
    let queries = [framed(1, WAITS), framed(2, PLAIN)].concat();
    client.write_all(&queries).await.unwrap();
    client.shutdown().await.unwrap();
    let mut replies = vec![];
    within(client.read_to_end(&mut replies)).await.unwrap();
    assert_eq!(replies.len(), queries.len());
    server.finish().await;
    assert_eq!(server.metrics.server.closed(Closed::Finished).get(), 1);
    assert_eq!(server.metrics.server.tcp_connections.get(), 0);
}

#[tokio::test]
async fn one_client_gets_no_more_connections_than_its_share() {
    let options = Options {
        tcp_connections_per_client: 2,
        ..Options::default()
    };
    let server = Server::start("127.0.0.1:0", options);
    let mut clients = vec![];
    for id in 0..2 {
        let mut client = server.tcp().await;
        client.write_all(&framed(id, PLAIN)).await.unwrap();
        assert_eq!(tcp_reply(&mut client).await, id);
        clients.push(client);
    }
    let mut refused = server.tcp().await;
    assert_eq!(within(refused.read(&mut [0])).await.unwrap_or_default(), 0);
    assert_eq!(server.metrics.server.refused(Refused::Client).get(), 1);
    assert_eq!(server.metrics.server.tcp_connections.get(), 2);
}

#[tokio::test]
async fn a_new_tcp_connection_takes_the_place_of_the_one_idle_the_longest() {
    let options = Options {
        tcp_connections: 2,
        ..Options::default()
    };
    let server = Server::start("127.0.0.1:0", options);
    let mut clients = vec![];
    for id in 0..3 {
        let mut client = server.tcp().await;
        client.write_all(&framed(id, PLAIN)).await.unwrap();
        assert_eq!(tcp_reply(&mut client).await, id);
        clients.push(client);
    }
    assert_eq!(
        within(clients[0].read(&mut [0])).await.unwrap_or_default(),
        0
    );
    for client in &mut clients[1..] {
        client.write_all(&framed(9, PLAIN)).await.unwrap();
        assert_eq!(tcp_reply(client).await, 9);
    }
    assert_eq!(server.metrics.server.closed(Closed::Evicted).get(), 1);
}

#[tokio::test]
async fn open_tcp_connections_are_closed_on_drain() {
    let server = Server::start("127.0.0.1:0", Options::default());
    let mut client = server.tcp().await;
    client.write_all(&framed(1, PLAIN)).await.unwrap();
    assert_eq!(tcp_reply(&mut client).await, 1);
    server.drain.cancel();
    assert_eq!(within(client.read(&mut [0])).await.unwrap(), 0);
    drop(client);
    within(server.tasks.finished()).await;
    assert_eq!(server.metrics.server.closed(Closed::Drained).get(), 1);
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[test]
fn a_port_in_use_is_an_error_that_says_so() {
    let options = Options::default();
    let first = Listeners::bind(&["127.0.0.1:0".parse().unwrap()], &options).unwrap();
    let address = first.local_addrs()[0];
    let error = Listeners::bind(&[address], &options).unwrap_err();
    let port = address.port();
    assert_eq!(
        error.to_string(),
        format!("cannot listen on 127.0.0.1:{port} (TCP): port {port} is already in use")
    );
    drop(first);

    // Nobody else uses this address, so the port is free for TCP.
    let other = std::net::UdpSocket::bind("127.0.0.2:0").unwrap();
    let address = other.local_addr().unwrap();
    let error = Listeners::bind(&[address], &options).unwrap_err();
    let port = address.port();
    assert_eq!(
        error.to_string(),
        format!("cannot listen on 127.0.0.2:{port} (UDP): port {port} is already in use")
    );
}

#[test]
fn an_address_of_another_host_is_an_error_that_says_so() {
    let address = "198.51.100.7:5300".parse().unwrap();
    let error = Listeners::bind(&[address], &Options::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot listen on 198.51.100.7:5300 (TCP): no interface of this host has the address"
    );
}
