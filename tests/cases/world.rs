//! What a script acts on: an engine over upstreams that the script plays, and a clock that only waiting moves.

use crate::{
    script::{Answer, Says, Statement, duration},
    support::{
        self,
        upstream::{Act, FakeUpstream},
    },
};
use gapless::{
    engine::{Asked, Engine, Now, Recent},
    forward,
    index::{self, Index},
    metrics::Transport,
    model::{Object, Source},
    wire::NameKey,
};
use hickory_proto::{
    op::Message,
    rr::{
        Record, RecordType,
        rdata::opt::{EdnsCode, EdnsOption},
    },
};
use prometheus_client::{encoding::text, registry::Registry};
use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};
use tokio::time::{Instant, sleep};

/// The upstream of this name has a route of its own; every other one is an upstream of the default route.
const CLUSTER_DNS: &str = "cluster-dns";

/// The path of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `View::answer_now` as a worker calls it, and `Engine::answer` if that one declines.
    Now,
    /// `Engine::answer`.
    Async,
}

pub struct World {
    way: Way,
    options: forward::Options,
    objects: Vec<Object>,
    upstreams: BTreeMap<String, FakeUpstream>,
    registry: Registry,
    recent: Recent,
    /// From the first question on.
    engine: Option<Engine>,
}

impl World {
    pub fn new(way: Way) -> Self {
        Self {
            way,
            options: forward::Options::default(),
            objects: vec![],
            upstreams: BTreeMap::new(),
            registry: Registry::default(),
            recent: Recent::default(),
            engine: None,
        }
    }

    /// Does what a statement says, or says what is otherwise.
    pub async fn take(&mut self, statement: Statement) -> Result<(), String> {
        match statement {
            Statement::Set(key, value) => self.set(&key, &value),
            Statement::Upstream(name, says) => self.upstream(name, says).await,
            Statement::Ask(question, expected) => {
                let stale_before = self.stale_answers();
                let given = self.ask(&question).await?;
                same(&question, expected, &given)?;
                let is_stale = matches!(given.ede, Some(3 | 19));
                let counted = self.stale_answers() - stale_before;
                same("counted as stale", u64::from(is_stale), &counted)
            }
            Statement::Asked(name, times, by_tcp) => {
                let upstream = self.upstreams.get(&name).ok_or("no such upstream")?;
                let asked = upstream.asked();
                same("asked", times, &(asked.udp + asked.tcp))?;
                same("asked by TCP", by_tcp.unwrap_or(asked.tcp), &asked.tcp)
            }
            Statement::Apply(name, target) => {
                self.before_the_first_question()?;
                let alias = support::objects::external_name(&name, &target);
                self.objects.push(alias);
                Ok(())
            }
            Statement::Elapse(time) => {
                sleep(time).await;
                Ok(())
            }
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let seconds = || duration(value).map(|time| u32::try_from(time.as_secs()).unwrap());
        self.before_the_first_question()?;
        match key {
            "max_ttl" => self.options.bounds.positive = seconds()?,
            "max_negative_ttl" => self.options.bounds.negative = seconds()?,
            "max_stale" => self.options.bounds.stale = seconds()?,
            "prefetch" => self.options.prefetch = value == "true",
            _ => return Err(format!("no such option: {key}")),
        }
        Ok(())
    }

    fn before_the_first_question(&self) -> Result<(), String> {
        match self.engine {
            None => Ok(()),
            Some(_) => Err("expected before the first question".into()),
        }
    }

    async fn upstream(&mut self, name: String, says: Says) -> Result<(), String> {
        if !self.upstreams.contains_key(&name) {
            self.before_the_first_question()?;
            let upstream = FakeUpstream::start("").await;
            match &*name {
                CLUSTER_DNS => self.options.cluster_dns.push(upstream.address.into()),
                _ => self.options.upstreams.push(upstream.address.into()),
            }
            self.upstreams.insert(name.clone(), upstream);
        }
        let upstream = &self.upstreams[&name];
        upstream.always(match &says {
            Says::Zone(_) => Act::Answer,
            Says::Rcode(code) => Act::Rcode(*code),
            Says::Nothing => Act::Silent,
            Says::Act(how) => act(how)?,
        });
        if let Says::Zone(zone) = says {
            upstream.zone(&zone);
        }
        Ok(())
    }

    /// With a DNS of its own to ask, the cluster's names are not known here.
    fn engine(&mut self) -> Engine {
        let reader = match self.options.cluster_dns.is_empty() {
            true => support::engine::index_of(&self.objects),
            false => {
                let options = index::Options {
                    sources: vec![Source::Services],
                    ..support::engine::index_options()
                };
                Index::new(options).1
            }
        };
        support::engine::over(reader, &self.options, &mut self.registry)
    }

    async fn ask(&mut self, question: &str) -> Result<Answer, String> {
        if self.engine.is_none() {
            self.engine = Some(self.engine());
        }
        let engine = self.engine.as_ref().expect("it was made");
        let packet = packet(question)?;
        let asked = Asked {
            packet: &packet,
            client: (Ipv4Addr::LOCALHOST, 5353).into(),
            local: Ipv4Addr::LOCALHOST.into(),
            transport: Transport::Udp,
            rotation: 0,
        };
        let mut out = vec![0; 1232];
        let begun = Instant::now();
        let now = match self.way {
            Way::Now => {
                let snapshot = engine.snapshot();
                let mut view = engine.view(&snapshot, Some(&mut self.recent));
                let ahead = view.read_ahead([&*packet; 4].into_iter());
                view.answer_now(&asked, ahead.nth(0), begun.into_std(), &mut out)
            }
            Way::Async => Now::NeedsAsync,
        };
        let len = match now {
            Now::Reply(len) => Some(len),
            Now::Drop => None,
            Now::NeedsAsync => engine.answer(asked, &mut out).await,
        };
        // tokio's timers are exact to a millisecond.
        let waited = begun.elapsed().as_millis() / 10 * 10;
        let after = Duration::from_millis(u64::try_from(waited).unwrap());
        // The clock moves when everything else waits: what goes on in the background gets as far as it can.
        sleep(Duration::from_millis(1)).await;
        let reply = out.get(..len.ok_or("no answer")?).expect("it fits");
        Ok(describe(&Message::from_vec(reply).unwrap(), after))
    }

    /// How many answers were counted as stale so far.
    fn stale_answers(&self) -> u64 {
        let mut page = String::new();
        text::encode(&mut page, &self.registry).unwrap();
        let lines = page
            .lines()
            .filter(|line| line.contains("origin=\"stale\""));
        lines
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }
}

fn act(how: &str) -> Result<Act, String> {
    Ok(match how {
        "well" => Act::Answer,
        "tcp-only" => Act::TcpOnly,
        "lower-case" => Act::LowerCase,
        "lower-case-without-tcp" => Act::LowerCaseWithoutTcp,
        "no-edns" => Act::FormErrToEdns,
        "bare-formerr" => Act::Bare(1),
        _ => Act::Late(duration(how.strip_prefix("late ").ok_or("no such act")?)?),
    })
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: T, given: &T) -> Result<(), String> {
    match expected == *given {
        true => Ok(()),
        false => Err(format!("{what}\nexpected {expected:#?}\ngiven {given:#?}")),
    }
}

fn packet(question: &str) -> Result<Vec<u8>, String> {
    let (name, rtype) = question.split_once(' ').ok_or("expected NAME TYPE")?;
    let rtype: RecordType = rtype.trim().parse().map_err(|_| "expected a type")?;
    let name = NameKey::from_text(name).map_err(|_| "expected a name")?;
    let mut packet = b"\0\x07\x01\0\0\x01\0\0\0\0\0\x01".to_vec();
    packet.extend_from_slice(name.as_bytes());
    packet.extend_from_slice(&u16::from(rtype).to_be_bytes());
    packet.extend_from_slice(b"\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0");
    Ok(packet)
}

fn describe(reply: &Message, after: Duration) -> Answer {
    let lines = |records: &[Record], prefix: &str| -> Vec<String> {
        let lines = records.iter().map(|record| format!("{prefix}{record}"));
        lines.collect()
    };
    let mut records = lines(&reply.answers, "");
    records.extend(lines(&reply.authorities, "auth: "));
    records.sort();
    let edns = reply.edns.as_ref().expect("OPT answers OPT");
    let ede = edns.option(EdnsCode::from(15)).map(|option| match option {
        EdnsOption::Unknown(_, bytes) => u16::from_be_bytes([bytes[0], bytes[1]]),
        other => panic!("an unexpected option: {other:?}"),
    });
    Answer {
        rcode: format!("{:?}", reply.metadata.response_code).to_uppercase(),
        ede,
        after,
        records,
    }
}
