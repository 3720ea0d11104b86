//! A worker over a socket that follows a script, and the dispatcher behind it.

use super::*;
use crate::{
    lifecycle::Tasks,
    server::{
        batch::SLOTS,
        fixture::{self, PLAIN, WAITS},
    },
    wire::Header,
};
use std::{collections::VecDeque, io::ErrorKind, net::SocketAddr, sync::Mutex};

/// A socket that receives what the test says, takes replies as the test says, and remembers them.
#[derive(Default)]
struct Scripted {
    receives: Mutex<VecDeque<io::Result<Vec<Datagram>>>>,
    takes: Mutex<VecDeque<io::Result<usize>>>,
    sent: Mutex<Vec<u16>>,
}

type Datagram = (SocketAddr, Vec<u8>);

impl Socket for Scripted {
    fn receive(&self, batch: &mut Batch) -> io::Result<()> {
        let next = self.receives.lock().unwrap().pop_front();
        let datagrams = next.unwrap_or_else(|| Ok(vec![]))?;
        for (slot, (_, packet)) in batch.room().iter_mut().zip(&datagrams) {
            slot[..packet.len()].copy_from_slice(packet);
        }
        for (client, packet) in datagrams {
            let local = [127, 0, 0, 1].into();
            batch.push(Ends { client, local }, packet.len());
        }
        Ok(())
    }

    fn send(&self, replies: &[(&Ends, &[u8])]) -> io::Result<usize> {
        let takes = self.takes.lock().unwrap().pop_front();
        let takes = takes.unwrap_or(Ok(SLOTS))?;
        let ids = replies
            .iter()
            .map(|(_, reply)| Header::read(reply).unwrap().id);
        let taken: Vec<_> = ids.take(takes).collect();
        self.sent.lock().unwrap().extend(&taken);
        Ok(taken.len())
    }

    fn stop_receiving(&self) {}

    fn leave(&self) {}
}

fn query(id: u16, label: &str) -> Datagram {
    let client = ([127, 0, 0, 1], 40_000).into();
    (client, fixture::query(id, label))
}

/// Runs a worker through the script; gives the IDs of its replies, and what it left to the dispatcher.
fn run(
    socket: Scripted,
    shared: &Arc<Shared>,
    queue: usize,
) -> (Vec<u16>, mpsc::Receiver<Waiting>) {
    let (queue, waiting) = mpsc::channel(queue);
    let socket = Arc::new(socket);
    let worker = Worker {
        socket: Arc::clone(&socket) as Arc<dyn Socket>,
        shared: Arc::clone(shared),
        queue,
        stopping: Arc::default(),
        rotation: 0,
        recent: Recent::default(),
    };
    worker.run();
    let sent = socket.sent.lock().unwrap().clone();
    (sent, waiting)
}

#[test]
fn a_send_cut_short_is_continued_and_a_reply_not_taken_is_skipped() {
    let shared = fixture::shared(1);
    let socket = Scripted::default();
    let queries = (1..=5).map(|id| query(id, PLAIN)).collect();
    *socket.receives.lock().unwrap() = [Ok(queries)].into();
    *socket.takes.lock().unwrap() = [Ok(2), Err(ErrorKind::WouldBlock.into()), Ok(1)].into();
    let (sent, _) = run(socket, &shared, 1);
    assert_eq!(sent, [1, 2, 4, 5]);
    assert_eq!(shared.metrics.udp_send_errors.get(), 1);
}

#[test]
fn a_reply_that_is_too_long_for_its_path_is_sent_once_more_without_its_records() {
    let shared = fixture::shared(1);
    let too_long = || Err(io::Error::from_raw_os_error(90)); // EMSGSIZE
    let socket = Scripted::default();
    let queries = (1..=3).map(|id| query(id, "localhost")).collect();
    *socket.receives.lock().unwrap() = [Ok(queries)].into();
    *socket.takes.lock().unwrap() = [Ok(1), too_long(), Ok(1), too_long(), too_long()].into();
    let (sent, _) = run(socket, &shared, 1);
    assert_eq!(sent, [1, 2], "the third does not fit even so");
    assert_eq!(shared.metrics.udp_send_errors.get(), 1);
}

#[test]
fn a_failure_to_receive_does_not_end_the_worker() {
    let shared = fixture::shared(1);
    let socket = Scripted::default();
    let refused = || Err(ErrorKind::ConnectionRefused.into());
    *socket.receives.lock().unwrap() = [refused(), refused(), Ok(vec![query(1, PLAIN)])].into();
    let (sent, _) = run(socket, &shared, 1);
    assert_eq!(sent, [1]);
    assert_eq!(shared.metrics.udp_receive_errors.get(), 2);
}

#[test]
fn source_port_0_gets_no_reply() {
    let shared = fixture::shared(1);
    let socket = Scripted::default();
    let mut unanswerable = query(1, PLAIN);
    unanswerable.0.set_port(0);
    *socket.receives.lock().unwrap() = [Ok(vec![unanswerable, query(2, PLAIN)])].into();
    let (sent, _) = run(socket, &shared, 1);
    assert_eq!(sent, [2]);
}

#[test]
fn queries_beyond_the_queue_are_dropped_and_counted() {
    let shared = fixture::shared(1);
    let socket = Scripted::default();
    let queries = (1..=3).map(|id| query(id, WAITS)).collect();
    *socket.receives.lock().unwrap() = [Ok(queries)].into();
    let (sent, mut waiting) = run(socket, &shared, 2);
    assert_eq!(sent, [0_u16; 0]);
    assert_eq!(shared.metrics.udp_queue_full.get(), 1);
    let left = [waiting.try_recv(), waiting.try_recv()].map(|it| it.unwrap().packet[1]);
    assert_eq!(left, [1, 2]);
}

#[tokio::test]
async fn the_dispatcher_answers_by_the_socket_that_was_asked() {
    let shared = fixture::shared(1);
    let (queue, waiting) = mpsc::channel(8);
    let socket = Arc::new(Scripted::default());
    for id in 1..=5 {
        let (client, packet) = query(id, WAITS);
        let waiting = Waiting {
            packet: packet.into(),
            ends: Ends {
                client,
                local: [127, 0, 0, 1].into(),
            },
            rotation: 0,
            socket: Arc::clone(&socket) as Arc<dyn Socket>,
        };
        queue.try_send(waiting).ok().unwrap();
    }
    drop(queue);
    dispatch(shared, waiting, 2).await;
    let mut sent = socket.sent.lock().unwrap().clone();
    sent.sort_unstable();
    assert_eq!(sent, [1, 2, 3, 4, 5]);
}

struct Panics;

impl Socket for Panics {
    fn receive(&self, _: &mut Batch) -> io::Result<()> {
        panic!("on purpose")
    }

    fn send(&self, _: &[(&Ends, &[u8])]) -> io::Result<usize> {
        Ok(0)
    }

    fn stop_receiving(&self) {}

    fn leave(&self) {}
}

#[tokio::test]
async fn a_worker_that_panics_is_reported() {
    let (tasks, mut ended) = Tasks::new();
    let (queue, _waiting) = mpsc::channel(1);
    let worker = start(
        "udp-test".to_owned(),
        Arc::new(Panics),
        fixture::shared(1),
        queue,
        Recent::default(),
    )
    .unwrap();
    tasks.essential("udp worker", worker);
    assert_eq!(ended.first().await, "udp worker");
}
