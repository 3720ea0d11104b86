//! A UDP server that does with each query what a script says, and keeps for how long it held it. It answers every name with
//! [`RIGHT`].

use hdrhistogram::Histogram;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// The address that every name has here, and one that it has not.
pub(crate) const RIGHT: [u8; 4] = [192, 0, 2, 1];
const WRONG: [u8; 4] = [192, 0, 2, 99];

/// What is done with a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// The right answer, after this time.
    After(Duration),
    /// Nothing.
    Lose,
    /// Another address.
    Lie,
    /// The right answer under another ID.
    OtherId,
    /// The answer to another question.
    OtherQuestion,
}

pub(crate) struct KnownServer {
    pub(crate) address: SocketAddr,
    stop: Arc<AtomicBool>,
    held: Arc<Mutex<Histogram<u64>>>,
    thread: Option<JoinHandle<()>>,
}

impl KnownServer {
    /// `script` is given the number of the query, from 0, and the time since the first one.
    pub(crate) fn start(script: impl Fn(u64, Duration) -> Act + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let held = Arc::new(Mutex::new(Histogram::new(3).unwrap()));
        let (stopping, holding) = (Arc::clone(&stop), Arc::clone(&held));
        let thread = thread::spawn(move || serve(&socket, &script, &stopping, &holding));
        Self {
            address,
            stop,
            held,
            thread: Some(thread),
        }
    }

    /// For how long it held the queries that it answered, in nanoseconds, from receipt to reply.
    pub(crate) fn held(&self) -> Histogram<u64> {
        self.held.lock().unwrap().clone()
    }
}

impl Drop for KnownServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.thread.take().unwrap().join().unwrap();
    }
}

type Reply = (Instant, Instant, SocketAddr, Vec<u8>);

fn serve(
    socket: &UdpSocket,
    script: &dyn Fn(u64, Duration) -> Act,
    stop: &AtomicBool,
    held: &Mutex<Histogram<u64>>,
) {
    rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1)).unwrap();
    let mut waiting: BinaryHeap<Reverse<Reply>> = BinaryHeap::new();
    let (mut count, mut first) = (0, None);
    let mut buffer = [0; 2048];
    while !stop.load(Ordering::Acquire) {
        while let Ok((len, client)) = socket.recv_from(&mut buffer) {
            let now = Instant::now();
            let since = now - *first.get_or_insert(now);
            let mut reply = answer(&buffer[..len], RIGHT);
            let after = match script(count, since) {
                Act::After(after) => Some(after),
                Act::Lose => None,
                Act::Lie => {
                    reply = answer(&buffer[..len], WRONG);
                    Some(Duration::ZERO)
                }
                Act::OtherId => {
                    // Half of all IDs away: no query under way has it.
                    reply[0] ^= 0x80;
                    Some(Duration::ZERO)
                }
                Act::OtherQuestion => {
                    reply[13] ^= 0x01;
                    Some(Duration::ZERO)
                }
            };
            count += 1;
            if let Some(after) = after {
                waiting.push(Reverse((now + after, now, client, reply)));
            }
        }
        let now = Instant::now();
        while let Some(Reverse((due, _, _, _))) = waiting.peek()
            && *due <= now
        {
            let Reverse((_, came, client, reply)) = waiting.pop().unwrap();
            let for_ns = came.elapsed().as_nanos();
            held.lock().unwrap().saturating_record(for_ns as u64);
            drop(socket.send_to(&reply, client));
        }
        let next = waiting.peek().map(|Reverse((due, ..))| *due);
        let wait = next.map_or(Duration::from_millis(5), |due| {
            due.saturating_duration_since(Instant::now())
        });
        let wait = Timespec {
            tv_sec: 0,
            tv_nsec: wait.min(Duration::from_millis(5)).as_nanos() as _,
        };
        poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&wait)).unwrap();
    }
}

/// The reply to a query, with one address and without OPT.
fn answer(query: &[u8], address: [u8; 4]) -> Vec<u8> {
    let labels = query[12..].iter().position(|octet| *octet == 0).unwrap();
    let mut reply = query[..12 + labels + 5].to_vec();
    reply[2] |= 0x80;
    reply[4..12].copy_from_slice(&[0, 1, 0, 1, 0, 0, 0, 0]);
    reply.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04");
    reply.extend_from_slice(&address);
    reply
}
