//! `gapless bench resolve`: names as a program in a pod looks them up, through search list, both address families, retries
//! and time-outs of its C library. One figure for each name: what the program waits for.

mod conf;
mod library;

use super::{report::Latency, schedule::Arrivals, wait};
use crate::{lifecycle::Drain, server::unspecified_like};
pub use conf::{BadConf, Conf, SERVERS_MAX};
use hdrhistogram::Histogram;
pub use library::{Library, Lookup, Network, Outcome, Socket, look_up};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpStream, UdpSocket},
    sync::mpsc,
    task::JoinSet,
    time::Instant,
};

/// Look-ups under way at once: more are a resolver that answers nothing, and wait for their turn, which their time counts.
const AT_ONCE: usize = 10_000;

/// Upper ends of the buckets, in seconds. What waits for a lost packet lies at 2.5 s (musl) and 5 s (glibc), and multiples.
const BUCKETS: [f64; 10] = [0.001, 0.01, 0.1, 1.0, 2.4, 2.6, 4.9, 5.1, 9.9, 10.1];

/// What is to be done.
#[derive(Debug)]
pub struct Options {
    /// Names as a program gives them to its library; not empty.
    pub names: Vec<String>,
    /// What the library was told.
    pub conf: Conf,
    /// How it looks names up.
    pub library: Library,
    /// When look-ups begin.
    pub arrivals: Arrivals,
    /// For how long look-ups are begun.
    pub duration: Duration,
}

/// What the look-ups came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Resolved {
    pub library: Library,
    pub servers: Vec<SocketAddr>,
    pub names: u64,
    pub found: u64,
    pub not_found: u64,
    pub failed: u64,
    /// Look-ups that were under way at an interruption.
    pub unfinished: u64,
    /// From when the program asked to the library's answer.
    pub latency: Latency,
    /// How many look-ups took up to so many seconds, and longer than the bound before.
    pub buckets: Vec<(f64, u64)>,
    /// How many took longer than the last bound.
    pub longer: u64,
    /// How many look-ups sent so many queries.
    pub queries: BTreeMap<u32, u64>,
}

/// The machine's own network.
#[derive(Clone, Copy, Debug)]
pub struct Udp;

impl Network for Udp {
    type Socket = UdpSocket;
    type Stream = TcpStream;

    async fn open(&self, server: SocketAddr) -> io::Result<UdpSocket> {
        UdpSocket::bind((unspecified_like(server.ip()), 0)).await
    }

    async fn connect(&self, server: SocketAddr) -> io::Result<UdpSocket> {
        let socket = self.open(server).await?;
        socket.connect(server).await?;
        Ok(socket)
    }

    async fn dial(&self, server: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(server).await
    }
}

impl Socket for UdpSocket {
    async fn send(&self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        self.send_to(packet, to).await.map(drop)
    }

    async fn receive(&self, packet: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.recv_from(packet).await
    }
}

/// Looks names up, one after the other in their list, as long as the run lasts.
pub async fn run(options: Options, stop: Drain) -> anyhow::Result<Resolved> {
    let Options {
        names,
        conf,
        library,
        arrivals,
        duration,
    } = options;
    let began = Instant::now();
    let (due, mut dues) = mpsc::channel(1024);
    let pacing = stop.clone();
    let mut pacer = JoinSet::new();
    pacer.spawn_blocking(move || pace(arrivals, duration, began, &pacing, &due));
    let conf = Arc::new(conf);
    let mut resolved = Resolved {
        library,
        servers: conf.servers.clone(),
        names: 0,
        found: 0,
        not_found: 0,
        failed: 0,
        unfinished: 0,
        latency: Latency::default(),
        buckets: BUCKETS.map(|bound| (bound, 0)).into(),
        longer: 0,
        queries: BTreeMap::new(),
    };
    let mut latency = Histogram::<u64>::new(3)?;
    let mut under_way = JoinSet::new();
    let mut all_due = false;
    while !all_due || !under_way.is_empty() {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(done) = under_way.join_next() => {
                let (lookup, time): (Lookup, Duration) = done?;
                resolved.add(&lookup, time);
                let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
                latency.record(ns.max(1))?;
            }
            next = dues.recv(), if !all_due && under_way.len() < AT_ONCE => match next {
                None => all_due = true,
                Some((nth, due)) => {
                    let name = names[nth % names.len()].clone();
                    let (conf, due) = (Arc::clone(&conf), began + due);
                    under_way.spawn(async move {
                        let lookup = look_up(&name, &conf, library, &Udp).await;
                        (lookup, due.elapsed())
                    });
                }
            },
        }
    }
    resolved.unfinished = under_way.len() as u64;
    resolved.latency = Latency::of(&latency);
    Ok(resolved)
}

/// Says when each look-up is due: the runtime's timer is no finer than a millisecond.
fn pace(
    mut arrivals: Arrivals,
    duration: Duration,
    began: Instant,
    stop: &Drain,
    due: &mpsc::Sender<(usize, Duration)>,
) {
    wait::precisely();
    for nth in 0.. {
        let next = Duration::from_nanos(arrivals.peek());
        if next >= duration {
            return;
        }
        while let Some(wait) = next.checked_sub(began.elapsed()).filter(|it| !it.is_zero()) {
            if stop.is_cancelled() {
                return;
            }
            wait::pause(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX));
        }
        if due.blocking_send((nth, next)).is_err() {
            return;
        }
        arrivals.advance();
    }
}

impl Resolved {
    fn add(&mut self, lookup: &Lookup, time: Duration) {
        self.names += 1;
        *match lookup.outcome {
            Outcome::Found => &mut self.found,
            Outcome::NotFound => &mut self.not_found,
            Outcome::Failed => &mut self.failed,
        } += 1;
        *self.queries.entry(lookup.queries).or_default() += 1;
        let bucket = self.buckets.iter_mut();
        let mut fitting = bucket.filter(|(bound, _)| time.as_secs_f64() <= *bound);
        match fitting.next() {
            Some((_, count)) => *count += 1,
            None => self.longer += 1,
        }
    }
}
