//! What one question costs and survives, against upstreams in this process that lie, change letters, lose datagrams or are slow.
//! Time is tokio's, held; only who waits moves it. Situations with a clock alone are scripts, in `tests/cases/exchange`.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test may panic, askers are its own tasks, and its modules have no other reader"
)]

#[path = "../support/mod.rs"]
mod support;

mod case_randomization;
mod forgeries;
mod hedges;
mod tcp_first;

use gapless::{
    forward::{Failure, Forwarder, Options, Route},
    lifecycle::Tasks,
    metrics::Metrics,
    wire::{NameKey, Query, Question, ReplyEdns},
};
use hickory_proto::op::Message;
use prometheus_client::{encoding::text, registry::Registry};
use rand::{SeedableRng, rngs::StdRng};
use support::upstream::FakeUpstream;
use tokio::time::Instant;

struct Bench {
    forwarder: Forwarder,
    registry: Registry,
}

/// A forwarder to these upstreams.
fn over(upstreams: &[&FakeUpstream], change: impl FnOnce(&mut Options)) -> Bench {
    let mut options = Options {
        upstreams: upstreams.iter().map(|it| it.address.into()).collect(),
        ..Options::default()
    };
    change(&mut options);
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry).forward;
    let rng = StdRng::from_seed([7; 32]);
    let forwarder = Forwarder::new(&options, Tasks::new().0, metrics, rng);
    Bench {
        forwarder,
        registry,
    }
}

impl Bench {
    /// The answer to a question for addresses of a name in this spelling.
    async fn ask(&self, name: &str) -> Result<Message, Failure> {
        let question = Question {
            name: NameKey::from_text(name).unwrap(),
            qtype: 1,
            qclass: 1,
            dnssec_ok: false,
            checking_disabled: false,
        };
        let held = self
            .forwarder
            .resolve(
                &question,
                Route::Default,
                std::net::Ipv4Addr::LOCALHOST.into(),
            )
            .await?;
        let mut packet = b"\xab\xcd\x01\0\0\x01\0\0\0\0\0\0".to_vec();
        for label in name.split('.') {
            packet.push(u8::try_from(label.len()).unwrap());
            packet.extend_from_slice(label.as_bytes());
        }
        packet.extend_from_slice(b"\0\0\x01\0\x01");
        let (query, mut out) = (Query::parse(&packet).unwrap(), vec![0; 65_535]);
        let now = Instant::now().into_std();
        let len = held.write(&query, ReplyEdns::default(), &mut out, 65_535, now);
        Ok(Message::from_vec(&out[..len.unwrap()]).unwrap())
    }

    /// A sample of the metrics, such as `upstream_hedges_total{hedge="sent"}`; of several with this beginning, the sum.
    fn metric(&self, sample: &str) -> u64 {
        let mut page = String::new();
        text::encode(&mut page, &self.registry).unwrap();
        let lines = page.lines().filter_map(|line| {
            let rest = line.strip_prefix("gapless_")?.strip_prefix(sample)?;
            rest.rsplit(' ').next()?.parse::<u64>().ok()
        });
        lines.sum()
    }
}
