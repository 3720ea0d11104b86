//! A connection over a pipe in this process, on a clock that the tests hold.

use super::*;
use crate::{
    lifecycle::Tasks,
    server::{
        fixture::{self, IDLE, PLAIN, WAITS},
        limits::Connections,
    },
    wire::{Flags, Header},
};
use futures::FutureExt as _;
use tokio::{
    io::{DuplexStream, duplex},
    task::JoinHandle,
};

/// A connection under test, from the client's side.
struct Client {
    stream: DuplexStream,
    served: JoinHandle<Closed>,
    shared: Arc<Shared>,
    connections: Arc<Connections>,
}

/// Connects, with `tcp_in_flight` queries to wait at once, through a pipe of `pipe` octets.
fn connect(tcp_in_flight: usize, pipe: usize) -> Client {
    let shared = fixture::shared(tcp_in_flight);
    let connections = Connections::new(1, 2, shared.metrics.clone());
    let (stream, server) = duplex(pipe);
    let client = SocketAddr::from(([127, 0, 0, 1], 40_000));
    let admitted = connections.admit(client.ip()).unwrap();
    let served = Tasks::new().0.brief({
        let shared = Arc::clone(&shared);
        let local = [127, 0, 0, 1].into();
        async move { serve(server, Peer { client, local }, shared, &admitted).await }
    });
    Client {
        stream,
        served,
        shared,
        connections,
    }
}

/// A query with its length in front.
fn framed(id: u16, label: &str) -> Vec<u8> {
    let mut framed = vec![];
    put_message(&mut framed, &fixture::query(id, label));
    framed
}

impl Client {
    async fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.unwrap();
    }

    /// The ID of the next reply.
    async fn reply(&mut self) -> u16 {
        let length = self.stream.read_u16().await.unwrap();
        let mut reply = vec![0; length.into()];
        self.stream.read_exact(&mut reply).await.unwrap();
        let header = Header::read(&reply).unwrap();
        assert!(header.flags.has(Flags::QR));
        header.id
    }

    /// What the server still sends, to its end, and why it ended.
    async fn rest(mut self) -> (Vec<u8>, Closed) {
        let mut rest = vec![];
        self.stream.read_to_end(&mut rest).await.unwrap();
        drop(self.stream);
        (rest, self.served.await.unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn answers_come_in_the_order_of_becoming_ready() {
    let mut client = connect(8, 4096);
    let queries = [framed(1, WAITS), framed(2, PLAIN), framed(3, PLAIN)].concat();
    client.send(&queries).await;
    let replies = [
        client.reply().await,
        client.reply().await,
        client.reply().await,
    ];
    assert_eq!(replies, [2, 3, 1]);
}

#[tokio::test(start_paused = true)]
async fn messages_may_be_split_at_every_octet() {
    let mut client = connect(8, 4096);
    let queries = [framed(1, PLAIN), framed(2, PLAIN)].concat();
    for at in 1..queries.len() {
        let (head, tail) = queries.split_at(at);
        client.send(head).await;
        tokio::task::yield_now().await;
        client.send(tail).await;
        assert_eq!([client.reply().await, client.reply().await], [1, 2]);
    }
    for octet in framed(3, PLAIN) {
        client.send(&[octet]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.reply().await, 3);
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_no_queries_do_not_end_the_connection() {
    let mut client = connect(8, 4096);
    client.send(&[0, 0, 0, 3, 1, 2, 3]).await;
    client.send(&framed(7, PLAIN)).await;
    assert_eq!(client.reply().await, 7);
}

#[tokio::test(start_paused = true)]
async fn the_longest_message_is_read() {
    let mut client = connect(8, 4096);
    let mut longest = framed(1, PLAIN);
    longest.resize(2 + MESSAGE_BYTES, 0);
    longest[..2].fill(0xff);
    longest.extend_from_slice(&framed(2, PLAIN));
    client.send(&longest).await;
    let mut last = client.reply().await;
    if last == 1 {
        last = client.reply().await; // whether octets behind the question make a query malformed is not decided here
    }
    assert_eq!(last, 2);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_the_idle_time() {
    let started = Instant::now();
    let mut client = connect(8, 4096);
    tokio::time::advance(IDLE / 2).await;
    client.send(&framed(1, PLAIN)).await;
    assert_eq!(client.reply().await, 1);
    assert_eq!(client.rest().await, (vec![], Closed::Idle));
    assert_eq!(started.elapsed().as_secs(), (IDLE / 2 + IDLE).as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_message_in_slow_pieces_ends_the_connection() {
    let started = Instant::now();
    let mut client = connect(8, 4096);
    for octet in framed(1, PLAIN) {
        if client.stream.write_all(&[octet]).await.is_err() {
            break;
        }
        tokio::time::advance(Duration::from_millis(300)).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.rest().await, (vec![], Closed::SlowMessage));
    assert!(started.elapsed() < IDLE);
}

#[tokio::test(start_paused = true)]
async fn each_message_has_its_own_deadline() {
    let mut client = connect(8, 4096);
    let query = framed(1, PLAIN);
    let (head, tail) = query.split_at(5);
    client.send(head).await;
    for _ in 0..5 {
        tokio::time::advance(MESSAGE_WITHIN * 3 / 4).await;
        client.send(&[tail, head].concat()).await;
        assert_eq!(client.reply().await, 1);
    }
    assert_eq!(client.rest().await, (vec![], Closed::SlowMessage));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_answers_is_read_from_no_longer_and_then_closed() {
    let client = connect(8, 64);
    let (reader, mut writer) = split(client.stream);
    let mut sent = 0;
    while writer.write_all(&framed(1, PLAIN)).await.is_ok() {
        sent += 1;
    }
    assert_eq!(client.served.await.unwrap(), Closed::SlowReader);
    // What is held for the client at most: two buffers of replies, and what was read last.
    let held = 2 * OUTPUT_BYTES + MESSAGE_BYTES;
    assert!(sent * framed(1, PLAIN).len() < held, "{sent} queries");
    drop(reader);
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_client_gets_its_answers() {
    let mut client = connect(1, 4096);
    let held = client.shared.tcp_in_flight.acquire().await.unwrap();
    let queries = [framed(1, PLAIN), framed(2, WAITS)].concat();
    client.stream.write_all(&queries).await.unwrap();
    client.stream.shutdown().await.unwrap();
    let mut first = vec![0; framed(1, PLAIN).len()];
    client.stream.read_exact(&mut first).await.unwrap();
    assert!(client.stream.read_u8().now_or_never().is_none());
    drop(held);
    let mut second = vec![];
    client.stream.read_to_end(&mut second).await.unwrap();
    assert_eq!((first[3], second[3]), (1, 2));
    assert_eq!(client.served.await.unwrap(), Closed::Finished);
}

#[tokio::test(start_paused = true)]
async fn reading_pauses_while_too_many_queries_wait() {
    let mut client = connect(1, 4096);
    let shared = Arc::clone(&client.shared);
    let held = shared.tcp_in_flight.acquire().await.unwrap();
    client
        .send(&[framed(1, WAITS), framed(2, PLAIN)].concat())
        .await;
    tokio::time::advance(IDLE * 2).await; // it is not idle, and no message of it is late
    assert!(client.stream.read_u8().now_or_never().is_none());
    drop(held);
    let mut replies = [client.reply().await, client.reply().await];
    replies.sort_unstable();
    assert_eq!(replies, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn more_queries_than_may_wait_are_all_answered() {
    let mut client = connect(8, 65_536);
    let ids: Vec<u16> = (0..200).collect();
    let queries: Vec<u8> = ids.iter().flat_map(|id| framed(*id, WAITS)).collect();
    client.send(&queries).await;
    let mut replies = vec![];
    for _ in &ids {
        replies.push(client.reply().await);
    }
    replies.sort_unstable();
    assert_eq!(replies, ids);
}

#[tokio::test(start_paused = true)]
async fn drain_answers_what_was_sent_and_closes() {
    let mut client = connect(8, 4096);
    let queries = [framed(1, PLAIN), framed(2, WAITS), framed(3, PLAIN)].concat();
    client.send(&queries).await;
    client.shared.drain.cancel();
    let (rest, closed) = client.rest().await;
    assert_eq!((rest.len(), closed), (queries.len(), Closed::Drained));
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_ends_the_one_that_is_idle() {
    let client = connect(8, 4096);
    tokio::task::yield_now().await;
    let successor = client.connections.admit([127, 0, 0, 2].into());
    assert!(successor.is_ok());
    assert_eq!(client.rest().await, (vec![], Closed::Evicted));
}
