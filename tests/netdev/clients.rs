//! Clients in the pod that ask without a pause, and what they noticed.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::{
    collections::HashMap,
    fs::File,
    net::{IpAddr, UdpSocket},
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::time::Instant;

/// Threads, each with a socket of its own.
const CLIENTS: u32 = 4;

/// Questions a second of all together.
pub(crate) const PER_SECOND: u32 = 2000;

/// An answer that comes later counts as none.
const WITHIN: Duration = Duration::from_secs(1);

const QUESTION: &[u8] = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x03who\x07example\0\0\x01\0\x01";

pub(crate) struct Clients {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Outage>>,
}

/// What the clients noticed.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    /// The longest time that one client was without an answer.
    pub(crate) silence: Duration,
    pub(crate) asked: usize,
    pub(crate) unanswered: usize,
}

impl Clients {
    pub(crate) fn start(namespace: &str, server: &str) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let server: IpAddr = server.parse().unwrap();
        let threads = (0..CLIENTS).map(|_| {
            let namespace = File::open(format!("/run/netns/{namespace}")).unwrap();
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            thread::spawn(move || {
                // Of this thread only.
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .unwrap();
                ask(server, &stop, &answered)
            })
        });
        let threads = threads.collect();
        Self {
            stop,
            answered,
            threads,
        }
    }

    /// Waits for so many answers more.
    pub(crate) fn until_answered(&self, count: usize) {
        let enough = self.answered.load(Ordering::Relaxed) + count;
        while self.answered.load(Ordering::Relaxed) < enough {
            thread::park_timeout(Duration::from_millis(10));
        }
    }

    pub(crate) fn end(self) -> Outage {
        self.until_answered(500);
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Outage::default();
        for thread in self.threads {
            let one = thread.join().unwrap();
            all.silence = all.silence.max(one.silence);
            all.asked += one.asked;
            all.unanswered += one.unanswered;
        }
        all
    }
}

fn ask(server: IpAddr, stop: &AtomicBool, answered: &AtomicUsize) -> Outage {
    let any = if server.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = UdpSocket::bind(any).unwrap();
    socket.connect((server, 53)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(1)))
        .unwrap();
    let (mut open, mut next) = (HashMap::new(), 0_u16);
    let (mut outage, began) = (Outage::default(), Instant::now());
    let (mut question, mut reply) = (QUESTION.to_vec(), [0; 512]);
    let mut last = began;
    while !stop.load(Ordering::Relaxed) {
        let due = began.elapsed().as_micros() * u128::from(PER_SECOND / CLIENTS) / 1_000_000;
        if (outage.asked as u128) < due {
            question[..2].copy_from_slice(&next.to_be_bytes());
            drop(socket.send(&question)); // what is refused is without an answer
            open.insert(next, Instant::now());
            (next, outage.asked) = (next.wrapping_add(1), outage.asked + 1);
        }
        let Ok(length) = socket.recv(&mut reply) else {
            continue; // a time-out, or a port where nobody listens
        };
        let id = u16::from_be_bytes([reply[0], reply[1]]);
        if length > 12 && open.remove(&id).is_some_and(|at| at.elapsed() < WITHIN) {
            outage.silence = outage.silence.max(last.elapsed());
            last = Instant::now();
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
    let in_time = |at: &&Instant| at.elapsed() < Duration::from_millis(100);
    outage.unanswered = open.len() - open.values().filter(in_time).count();
    outage
}
