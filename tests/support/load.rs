//! A constant load of one question, by UDP and by many TCP connections, and what became of each. It asks at set times,
//! whatever the answers do.

use std::{
    collections::HashMap,
    io::ErrorKind,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

/// Sockets that ask by UDP, so that every worker is met.
const UDP_CLIENTS: u64 = 16;

/// A question that has no answer after so long is lost.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// How often a TCP connection asks.
const TCP_PERIOD: Duration = Duration::from_millis(50);

/// What became of the questions.
#[derive(Debug, Default)]
pub struct Tally {
    /// Questions that were answered as they should be.
    pub answered: AtomicU64,
    /// Questions that were answered with something else.
    pub wrong: AtomicU64,
    /// Questions without an answer.
    pub lost: AtomicU64,
    /// Connections that were reset or refused.
    pub resets: AtomicU64,
    /// Connections that were ended in order, and their questions asked anew over the next one.
    pub reconnects: AtomicU64,
}

/// The load, until it is ended.
pub struct Load {
    tally: Arc<Tally>,
    stop: watch::Sender<bool>,
    clients: JoinSet<()>,
}

impl Load {
    /// Asks `question`, whose header has ID 0, with so many datagrams a second in all and over so many connections.
    pub fn start(server: SocketAddr, question: &[u8], per_second: u64, connections: usize) -> Self {
        let (tally, (stop, stopped)) = (Arc::<Tally>::default(), watch::channel(false));
        let mut clients = JoinSet::new();
        for _ in 0..UDP_CLIENTS {
            let per_second = per_second / UDP_CLIENTS;
            let (tally, stopped) = (Arc::clone(&tally), stopped.clone());
            clients.spawn(udp(server, question.to_vec(), per_second, tally, stopped));
        }
        for _ in 0..connections {
            let (tally, stopped) = (Arc::clone(&tally), stopped.clone());
            clients.spawn(tcp(server, question.to_vec(), tally, stopped));
        }
        Self {
            tally,
            stop,
            clients,
        }
    }

    /// How many questions have been answered so far.
    pub fn answered(&self) -> u64 {
        self.tally.answered.load(Ordering::Relaxed)
    }

    /// Asks no more, waits for what is due, and tells.
    pub async fn end(self) -> Arc<Tally> {
        self.stop.send_replace(true);
        self.clients.join_all().await;
        self.tally
    }
}

/// Is it an answer with at least one record?
fn is_good(reply: &[u8]) -> bool {
    reply.len() > 12 && reply[2] & 0x80 != 0 && reply[3] & 0x0f == 0 && reply[6..8] != [0, 0]
}

fn count(reply: &[u8], tally: &Tally) {
    let outcome = if is_good(reply) {
        &tally.answered
    } else {
        &tally.wrong
    };
    outcome.fetch_add(1, Ordering::Relaxed);
}

async fn udp(
    server: SocketAddr,
    mut question: Vec<u8>,
    per_second: u64,
    tally: Arc<Tally>,
    mut stopped: watch::Receiver<bool>,
) {
    let socket = UdpSocket::bind((server.ip(), 0)).await.unwrap();
    socket.connect(server).await.unwrap();
    let mut open: HashMap<u16, Instant> = HashMap::new();
    let (mut sent, mut next, mut reply) = (0_u64, 0_u16, [0; 1500]);
    let began = Instant::now();
    let mut tick = interval(Duration::from_millis(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut ended: Option<Instant> = None;
    loop {
        tokio::select! {
            biased;
            received = socket.recv(&mut reply) => if let Ok(length) = received {
                let id = u16::from_be_bytes([reply[0], reply[1]]);
                if open.remove(&id).is_some() {
                    count(&reply[..length], &tally);
                }
            },
            _ = tick.tick() => if ended.is_none() {
                let due = u64::try_from(began.elapsed().as_micros()).unwrap() * per_second / 1_000_000;
                while sent < due {
                    question[..2].copy_from_slice(&next.to_be_bytes());
                    if open.insert(next, Instant::now()).is_some() {
                        tally.lost.fetch_add(1, Ordering::Relaxed);
                    }
                    // What the system refuses is without an answer, and counted so.
                    drop(socket.send(&question).await);
                    (sent, next) = (sent + 1, next.wrapping_add(1));
                }
            } else if open.is_empty() || ended.is_some_and(|at| at.elapsed() > LOST_AFTER) {
                tally.lost.fetch_add(open.len() as u64, Ordering::Relaxed);
                return;
            },
            _ = stopped.changed(), if ended.is_none() => ended = Some(Instant::now()),
        }
    }
}

async fn tcp(
    server: SocketAddr,
    question: Vec<u8>,
    tally: Arc<Tally>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut stream: Option<TcpStream> = None;
    let mut tick = interval(TCP_PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = stopped.changed() => return,
        }
        match timeout(LOST_AFTER, ask(server, &question, &mut stream, &tally)).await {
            Ok(reply) => count(&reply, &tally),
            Err(_) => drop(tally.lost.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

/// Asks until there is an answer, as RFC 7766 section 6.2.4 has it: over another connection when one has ended.
async fn ask(
    server: SocketAddr,
    question: &[u8],
    open: &mut Option<TcpStream>,
    tally: &Tally,
) -> Vec<u8> {
    loop {
        let mut stream = match open.take() {
            Some(stream) => stream,
            None => match TcpStream::connect(server).await {
                Ok(stream) => stream,
                Err(_) => {
                    tally.resets.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
            },
        };
        match exchange(&mut stream, question).await {
            Ok(reply) => {
                *open = Some(stream);
                return reply;
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                tally.reconnects.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => drop(tally.resets.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

async fn exchange(stream: &mut TcpStream, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let length = u16::try_from(question.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length, question].concat()).await?;
    let mut reply = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut reply).await?;
    Ok(reply)
}
