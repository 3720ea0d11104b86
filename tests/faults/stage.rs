//! An engine over upstreams that fail as they are told, and questions to it at a steady rate. Every name is new, so that
//! every question goes to the upstreams; whoever wants names to be held asks twice.

use crate::{
    support::{self, upstream::FakeUpstream},
    tally::{Asked, Outcome, Tally},
};
use gapless::{
    engine::{self, Engine},
    forward,
    metrics::Transport,
    wire::rtype,
};
use hickory_proto::{
    op::Message,
    rr::{
        RData,
        rdata::opt::{EdnsCode, EdnsOption},
    },
};
use std::{collections::HashMap, net::Ipv4Addr, ops::Range, sync::Arc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

/// How long a well upstream takes.
pub const ROUND_TRIP: Duration = Duration::from_millis(20);
/// Between two questions.
pub const EVERY: Duration = Duration::from_millis(50);

pub struct Stage {
    pub upstreams: Vec<FakeUpstream>,
    pub engine: Arc<Engine>,
}

/// The zone of the names `n0` to `n<count>`, each with an address of its own.
pub fn numbered(count: u32, ttl: u32) -> String {
    let line = |n| format!("n{n}.example.org. {ttl} IN A {}\n", address(n));
    (0..count).map(line).collect()
}

/// The address of the name `n<n>`.
pub fn address(n: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + n)
}

/// So many well upstreams that know `n0` to `n<names>`.
pub async fn upstreams<const N: usize>(names: u32) -> [FakeUpstream; N] {
    let mut upstreams = vec![];
    for _ in 0..N {
        let upstream = FakeUpstream::start(&numbered(names, 300)).await;
        upstream.round_trip(ROUND_TRIP);
        upstreams.push(upstream);
    }
    upstreams.try_into().expect("as many")
}

impl Stage {
    /// An engine that asks these.
    pub fn over<const N: usize>(upstreams: [FakeUpstream; N]) -> Self {
        Self::with(upstreams, |_| {})
    }

    /// An engine that asks these, with other options.
    pub fn with<const N: usize>(
        upstreams: [FakeUpstream; N],
        change: impl FnOnce(&mut forward::Options),
    ) -> Self {
        let mut options = forward::Options {
            upstreams: upstreams.iter().map(|it| it.address.into()).collect(),
            ..forward::Options::default()
        };
        change(&mut options);
        let engine = support::engine::synced(&[], &options);
        Self {
            upstreams: upstreams.into(),
            engine: Arc::new(engine),
        }
    }

    /// Asks for the address of each of these names, one after the other as time goes by, whatever becomes of those before.
    pub async fn load(&self, names: Range<u32>) -> Tally {
        self.ask_each(names, EVERY).await
    }

    /// The same at another rate.
    pub async fn ask_each(&self, names: impl IntoIterator<Item = u32>, every: Duration) -> Tally {
        let seen: Vec<_> = self.upstreams.iter().map(|it| it.seen().len()).collect();
        let mut askers = JoinSet::new();
        for n in names {
            let engine = Arc::clone(&self.engine);
            askers.spawn(async move {
                let begun = Instant::now();
                let reply = ask(&engine, &Question::a(&format!("n{n}.example.org"))).await;
                Asked {
                    number: n,
                    outcome: outcome(&reply, address(n)),
                    ttl: reply.answers.first().map_or(0, |it| it.ttl),
                    ended: Instant::now(),
                    took: begun.elapsed(),
                }
            });
            sleep(every).await;
        }
        let each = askers.join_all().await;
        let sends = self.sends_since(&seen);
        Tally { each, sends }
    }

    /// How often upstreams were asked for each name, after so many queries to each of them.
    pub fn sends_since(&self, before: &[usize]) -> Vec<usize> {
        let mut sends = HashMap::<_, usize>::new();
        for (upstream, before) in self.upstreams.iter().zip(before) {
            for (_, query) in upstream.seen().into_iter().skip(*before) {
                *sends.entry(query.queries[0].name().clone()).or_default() += 1;
            }
        }
        sends.into_values().collect()
    }

    pub async fn ask(&self, question: &Question) -> Message {
        ask(&self.engine, question).await
    }

    pub async fn ask_by(&self, transport: Transport, question: &Question) -> Message {
        ask_by(&self.engine, transport, question).await
    }
}

/// A question as a client asks it, by TCP so that no answer is cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub name: String,
    pub qtype: u16,
    pub qclass: u16,
    pub dnssec_ok: bool,
    pub checking_disabled: bool,
}

impl Question {
    pub fn new(name: &str, qtype: u16) -> Self {
        Self {
            name: name.to_owned(),
            qtype,
            qclass: 1,
            dnssec_ok: false,
            checking_disabled: false,
        }
    }

    pub fn a(name: &str) -> Self {
        Self::new(name, rtype::A)
    }

    pub fn packet(&self) -> Vec<u8> {
        let checking_disabled = if self.checking_disabled { 0x10 } else { 0 };
        let mut packet = vec![0xab, 0xcd, 1, checking_disabled, 0, 1, 0, 0, 0, 0, 0, 1];
        for label in self.name.split_terminator('.') {
            packet.push(u8::try_from(label.len()).unwrap());
            packet.extend_from_slice(label.as_bytes());
        }
        packet.push(0);
        packet.extend_from_slice(&self.qtype.to_be_bytes());
        packet.extend_from_slice(&self.qclass.to_be_bytes());
        let dnssec_ok = if self.dnssec_ok { 0x80 } else { 0 };
        packet.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, dnssec_ok, 0, 0, 0]);
        packet
    }
}

/// The reply of an engine.
pub async fn ask(engine: &Engine, question: &Question) -> Message {
    ask_by(engine, Transport::Tcp, question).await
}

async fn ask_by(engine: &Engine, transport: Transport, question: &Question) -> Message {
    let packet = question.packet();
    let asked = engine::Asked {
        packet: &packet,
        client: (Ipv4Addr::LOCALHOST, 5353).into(),
        local: Ipv4Addr::LOCALHOST.into(),
        transport,
        rotation: 0,
    };
    let mut out = vec![0; 65_535];
    let len = engine.answer(asked, &mut out).await.expect("a reply");
    Message::from_vec(&out[..len]).unwrap()
}

/// What came of the question for this address. An answer that is not true is the end of the test.
pub fn outcome(reply: &Message, address: Ipv4Addr) -> Outcome {
    let ede = ede(reply);
    let answers: Vec<_> = reply.answers.iter().map(|it| &it.data).collect();
    match answers[..] {
        [RData::A(given)] if given.0 == address => match ede {
            Some(3) => Outcome::Stale,
            _ => Outcome::Right,
        },
        [] if ![0, 3].contains(&u16::from(reply.metadata.response_code)) => {
            let code = format!("{:?}", reply.metadata.response_code).to_uppercase();
            Outcome::Failed(code, ede)
        }
        _ => panic!("a wrong answer, expected {address}: {reply}"),
    }
}

/// The Extended DNS Error of a reply.
pub fn ede(reply: &Message) -> Option<u16> {
    let option = reply.edns.as_ref()?.option(EdnsCode::from(15))?;
    match option {
        EdnsOption::Unknown(_, bytes) => Some(u16::from_be_bytes([bytes[0], bytes[1]])),
        other => panic!("an unexpected option: {other:?}"),
    }
}
