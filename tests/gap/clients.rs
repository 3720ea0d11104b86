//! Clients that never stop asking: every name of a list, of one resolver, every few milliseconds. They keep each answer and
//! its times, and know nothing of what is right.

use crate::support::ask::Ask;
use hickory_proto::{
    op::{Message, ResponseCode},
    rr::RData,
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

/// What a name was said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    Address(Ipv4Addr),
    /// NXDOMAIN, or no address.
    Negative,
    /// Any other code.
    Failure,
}

/// One answer.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// Place in the list of names.
    pub name: usize,
    pub asked: Instant,
    pub came: Instant,
    pub given: Given,
}

/// It asks until it is finished or dropped.
pub struct Client {
    log: Arc<Mutex<Log>>,
    _asking: JoinSet<()>,
}

struct Log {
    answers: Vec<Answer>,
    /// For each name what it was said to be last, and how many times in a row.
    latest: Vec<(Given, usize)>,
}

impl Client {
    /// Asks for the address of each name once in `every`, the names one after the other.
    pub async fn start(resolver: SocketAddr, names: &[String], every: Duration) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(resolver).await.unwrap();
        let questions = names
            .iter()
            .map(|name| Ask::new(&format!("{name} A"), None).packet(0))
            .collect();
        let log = Arc::new(Mutex::new(Log {
            answers: Vec::new(),
            latest: vec![(Given::Failure, 0); names.len()],
        }));
        let mut asking = JoinSet::new();
        asking.spawn(ask_on(socket, questions, every, log.clone()));
        Self {
            log,
            _asking: asking,
        }
    }

    /// For each name what it was said to be last, and how many times in a row.
    pub fn latest(&self) -> Vec<(Given, usize)> {
        self.log.lock().unwrap().latest.clone()
    }

    /// What was answered, in the order of arrival.
    pub fn finish(self) -> Vec<Answer> {
        std::mem::take(&mut self.log.lock().unwrap().answers)
    }
}

impl Log {
    fn add(&mut self, answer: Answer) {
        let (given, times) = &mut self.latest[answer.name];
        *times = if *given == answer.given {
            *times + 1
        } else {
            1
        };
        *given = answer.given;
        self.answers.push(answer);
    }
}

/// Question and answer belong together by their ID, the count of questions. One that stays unanswered is asked again with
/// the next round, as every other is.
async fn ask_on(
    socket: UdpSocket,
    mut questions: Vec<Vec<u8>>,
    every: Duration,
    log: Arc<Mutex<Log>>,
) {
    let names = questions.len();
    let mut under_way = vec![None; 1 << 16];
    let mut sent = 0_usize;
    // The timer's own grain.
    let mut ticks = interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let began = Instant::now();
    let mut reply = [0; 1232];
    loop {
        tokio::select! {
            biased;
            received = socket.recv(&mut reply) => {
                let came = Instant::now();
                let reply = &reply[..received.expect("it listens")];
                let id = usize::from(u16::from_be_bytes([reply[0], reply[1]]));
                let (name, asked) = under_way[id].take().expect("asked, and answered once");
                let given = given(reply);
                log.lock().unwrap().add(Answer { name, asked, came, given });
            }
            _ = ticks.tick() => {
                let rounds = began.elapsed().div_duration_f64(every);
                while sent as f64 <= rounds * names as f64 {
                    let name = sent % names;
                    let id = sent as u16;
                    questions[name][..2].copy_from_slice(&id.to_be_bytes());
                    under_way[usize::from(id)] = Some((name, Instant::now()));
                    socket.send(&questions[name]).await.expect("it listens");
                    sent += 1;
                }
            }
        }
    }
}

fn given(reply: &[u8]) -> Given {
    let message = Message::from_vec(reply).expect("a DNS message");
    let address = message
        .answers
        .iter()
        .find_map(|record| match &record.data {
            RData::A(address) => Some(Given::Address(address.0)),
            _ => None,
        });
    match message.metadata.response_code {
        ResponseCode::NoError => address.unwrap_or(Given::Negative),
        ResponseCode::NXDomain => Given::Negative,
        _ => Given::Failure,
    }
}
