//! The only way from a query's bytes to a response's bytes, for every listener. It knows the order in which answers are
//! looked for, and neither sockets nor clocks.
//!
//! ```text
//! parse ─▶ ours to refuse? ─▶ answer::decide ─▶ index │ cache ─▶ bytes     answer_now: never waits
//!                                   └ elsewhere, not held ─▶ forward ─▶ bytes     answer: waits
//! ```

mod chase;
mod identity;

pub use crate::cache::Recent;
pub use identity::Identity;

use crate::{
    answer::{self, Answer, Elsewhere, Verdict},
    cache::Entry,
    forward::{Forwarder, Route},
    index::{Reader, Snapshot},
    metrics::{Origin, Queries, Transport},
    wire::{
        self, CLASS_CH, CLASS_IN, Ede, Flags, MAX_UDP_PAYLOAD, MIN_UDP_PAYLOAD, Query, Question,
        Rcode, Reply, ReplyEdns, Unanswerable, rtype,
    },
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

/// Longest message that TCP's framing can carry.
pub const MAX_MESSAGE: usize = u16::MAX as usize;

/// A query as a listener hands it over.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'p> {
    /// The message, without framing.
    pub packet: &'p [u8],
    /// Who asks.
    pub client: SocketAddr,
    /// The address that was asked.
    pub local: IpAddr,
    /// How it came.
    pub transport: Transport,
    /// Which of several addresses comes first in the answer; listeners count it up.
    pub rotation: usize,
}

/// What became of a query without waiting for anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Now {
    /// The reply is in the buffer and has this length.
    Reply(usize),
    /// Not to be answered at all.
    Drop,
    /// [`Engine::answer`] will know.
    NeedsAsync,
}

/// What the engine is told by the configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// The rules' own options.
    pub answers: answer::Options,
    /// Is there a cluster DNS to ask about names that the index cannot answer?
    pub has_cluster_dns: bool,
    /// What TCP clients that ask are told about idle connections (RFC 7828).
    pub tcp_idle_timeout: Duration,
    /// What the server says about itself.
    pub identity: Identity,
}

/// Index, rules, cache and upstreams as one thing that answers queries.
#[derive(Debug)]
pub struct Engine {
    index: Reader,
    forward: Forwarder,
    queries: Queries,
    options: Options,
}

/// The engine over one snapshot, for a batch of queries.
#[derive(Debug)]
pub struct View<'e> {
    engine: &'e Engine,
    snapshot: arc_swap::Guard<Arc<Snapshot>>,
    recent: Option<&'e mut Recent>,
}

impl Engine {
    /// An engine over an index and a forwarder.
    pub const fn new(
        index: Reader,
        forward: Forwarder,
        queries: Queries,
        options: Options,
    ) -> Self {
        Self {
            index,
            forward,
            queries,
            options,
        }
    }

    /// Loads the snapshot; a listener does so once a batch. A thread that answers much brings its own memory of recent
    /// answers.
    pub fn view<'e>(&'e self, recent: Option<&'e mut Recent>) -> View<'e> {
        View {
            engine: self,
            snapshot: self.index.load(),
            recent,
        }
    }

    /// Answers with whatever it takes, upstreams included; `None` if there is to be no answer. `out` holds the longest
    /// message of the transport. It is the plain twin of [`View::answer_now`]: what that one answers, this one answers
    /// in the same bytes. The time is tokio's, which a test can stop.
    pub async fn answer(&self, asked: Asked<'_>, out: &mut [u8]) -> Option<usize> {
        let snapshot = arc_swap::Guard::into_inner(self.index.load());
        let exchange = Exchange {
            engine: self,
            snapshot: &snapshot,
            asked: &asked,
            plain: true,
        };
        let now = tokio::time::Instant::now().into_std();
        let done = match exchange.first_steps(None, now, out) {
            Step::Done(done) => done,
            Step::Forward(query, forward) => exchange.forward(&query, &forward, out).await,
        };
        exchange.finish(done)
    }
}

impl View<'_> {
    /// Answers without waiting, allocating or locking, if that can be done.
    pub fn answer_now(&mut self, asked: &Asked<'_>, now: Instant, out: &mut [u8]) -> Now {
        let exchange = Exchange {
            engine: self.engine,
            snapshot: &self.snapshot,
            asked,
            plain: false,
        };
        match exchange.first_steps(self.recent.as_deref_mut(), now, out) {
            Step::Done(done) => exchange.finish(done).map_or(Now::Drop, Now::Reply),
            Step::Forward(..) => Now::NeedsAsync,
        }
    }
}

/// One query on its way.
struct Exchange<'x> {
    engine: &'x Engine,
    snapshot: &'x Snapshot,
    asked: &'x Asked<'x>,
    plain: bool,
}

/// Where a query stands after everything that needs no waiting.
#[allow(
    clippy::large_enum_variant,
    reason = "it lives on the stack for the time of one query; a box would allocate"
)]
enum Step<'q, 's> {
    Done(Option<Done>),
    Forward(Query<'q>, Forward<'s>),
}

/// What is to be asked of others: the records of `answer.name`, which may be an alias's target.
struct Forward<'s> {
    route: Route,
    answer: Answer<'s>,
}

/// A reply that stands in the buffer.
struct Done {
    len: usize,
    origin: Origin,
    rcode: u8,
}

impl<'x> Exchange<'x> {
    /// Everything that needs no waiting.
    fn first_steps(
        &self,
        recent: Option<&mut Recent>,
        now: Instant,
        out: &mut [u8],
    ) -> Step<'x, 'x> {
        if self.asked.client.port() == 0 {
            return Step::Done(None); // RFC 6335 §6: reserved; a reply could only feed a loop
        }
        let query = match Query::parse(self.asked.packet) {
            Ok(query) => query,
            Err(Unanswerable::Silence) => return Step::Done(None),
            Err(Unanswerable::HeaderOnly(header, rcode)) => {
                let len = wire::header_only(header, rcode, out);
                return Step::Done(len.map(|len| Done {
                    len,
                    origin: Origin::Local,
                    rcode: rcode as u8,
                }));
            }
        };
        if let Some(rcode) = refusal(&query) {
            return Step::Done(self.refuse(&query, rcode, out));
        }
        match answer::decide(&query.question, self.snapshot, &self.engine.options.answers) {
            Verdict::Answer(answer) => Step::Done(self.authoritative(&query, &answer, out)),
            Verdict::Unsure if self.engine.options.has_cluster_dns => {
                let answer = Answer::about(query.question.name.clone());
                self.held_or_forward(
                    query,
                    Forward {
                        route: Route::ClusterDns,
                        answer,
                    },
                    recent,
                    now,
                    out,
                )
            }
            Verdict::Unsure => {
                let ede = Ede::new(
                    ede::NOT_READY,
                    "the index of the cluster's names is not complete",
                );
                Step::Done(self.error(&query, Rcode::ServFail, Some(ede), Origin::Cluster, out))
            }
            Verdict::Forward(who, answer) => {
                let route = match who {
                    Elsewhere::Upstream => Route::Default,
                    Elsewhere::ClusterDns => Route::ClusterDns,
                };
                self.held_or_forward(query, Forward { route, answer }, recent, now, out)
            }
        }
    }

    fn refuse(&self, query: &Query<'_>, rcode: Rcode, out: &mut [u8]) -> Option<Done> {
        if query.question.qclass == CLASS_CH
            && let Some(text) = self.engine.options.identity.text(&query.question)
        {
            let mut reply = self.reply(query, None, out)?;
            identity::write(text, &mut reply);
            return Some(Done {
                len: reply.finish(),
                origin: Origin::Local,
                rcode: Rcode::NoError as u8,
            });
        }
        self.error(query, rcode, None, Origin::Local, out)
    }

    fn authoritative(
        &self,
        query: &Query<'_>,
        answer: &Answer<'_>,
        out: &mut [u8],
    ) -> Option<Done> {
        let mut reply = self.reply(query, answer.ede, out)?;
        answer::write(answer, self.context(query), &mut reply);
        let origin = if answer.is_local() {
            Origin::Local
        } else {
            Origin::Cluster
        };
        Some(Done {
            len: reply.finish(),
            origin,
            rcode: answer.rcode as u8,
        })
    }

    /// What the cache holds, else whom to ask. An alias's target is fetched and put behind the alias in any case.
    fn held_or_forward(
        &self,
        query: Query<'x>,
        forward: Forward<'x>,
        recent: Option<&mut Recent>,
        now: Instant,
        out: &mut [u8],
    ) -> Step<'x, 'x> {
        if !forward.answer.is_bare() {
            return Step::Forward(query, forward);
        }
        if let Some(entry) = self
            .engine
            .forward
            .held(&query.question, forward.route, recent, now)
        {
            return Step::Done(self.forwarded(&query, &entry, Origin::Cache, now, out));
        }
        if !query.header.flags.has(Flags::RD) {
            // RFC 1035 §4.1.1: no recursion was desired, and there is no data of our own.
            return Step::Done(self.error(&query, Rcode::Refused, None, Origin::Local, out));
        }
        Step::Forward(query, forward)
    }

    async fn forward(
        &self,
        query: &Query<'_>,
        forward: &Forward<'_>,
        out: &mut [u8],
    ) -> Option<Done> {
        let question = Question {
            name: forward.answer.name.clone(),
            ..query.question.clone()
        };
        let result = self.engine.forward.resolve(&question, forward.route).await;
        let now = tokio::time::Instant::now().into_std();
        match result {
            Ok(entry) if forward.answer.is_bare() => {
                self.forwarded(query, &entry, Origin::Upstream, now, out)
            }
            Ok(entry) => {
                let mut reply = self.reply(query, None, out)?;
                let rcode = chase::write(
                    &forward.answer,
                    self.context(query),
                    &question,
                    &entry,
                    now,
                    &mut reply,
                )?;
                Some(Done {
                    len: reply.finish(),
                    origin: Origin::Upstream,
                    rcode,
                })
            }
            Err(failure) => self.error(
                query,
                Rcode::ServFail,
                Some(failure.ede()),
                Origin::Upstream,
                out,
            ),
        }
    }

    fn forwarded(
        &self,
        query: &Query<'_>,
        entry: &Entry,
        origin: Origin,
        now: Instant,
        out: &mut [u8],
    ) -> Option<Done> {
        let len = entry.write(query, self.edns(query, None), out, self.limit(query), now)?;
        Some(Done {
            len,
            origin,
            rcode: entry.rcode(),
        })
    }

    fn error(
        &self,
        query: &Query<'_>,
        rcode: Rcode,
        ede: Option<Ede<'_>>,
        origin: Origin,
        out: &mut [u8],
    ) -> Option<Done> {
        let mut reply = self.reply(query, ede, out)?;
        reply.set_rcode(rcode);
        Some(Done {
            len: reply.finish(),
            origin,
            rcode: rcode as u8,
        })
    }

    fn reply<'o, 't>(
        &self,
        query: &Query<'_>,
        ede: Option<Ede<'t>>,
        out: &'o mut [u8],
    ) -> Option<Reply<'o, 't>> {
        let reply = Reply::new(query, self.edns(query, ede), out, self.limit(query))?;
        Some(if self.plain { reply.plain() } else { reply })
    }

    fn edns<'t>(&self, query: &Query<'_>, ede: Option<Ede<'t>>) -> ReplyEdns<'t> {
        let asks = query.edns.is_some_and(|edns| edns.keepalive);
        let tenths = self.engine.options.tcp_idle_timeout.as_millis() / 100;
        let keepalive = (asks && self.asked.transport == Transport::Tcp)
            .then(|| u16::try_from(tenths).unwrap_or(u16::MAX));
        ReplyEdns { keepalive, ede }
    }

    /// Longest reply that the client takes.
    fn limit(&self, query: &Query<'_>) -> usize {
        match (self.asked.transport, query.edns) {
            (Transport::Tcp, _) => MAX_MESSAGE,
            (Transport::Udp, Some(edns)) => edns.payload.min(MAX_UDP_PAYLOAD).into(),
            (Transport::Udp, None) => MIN_UDP_PAYLOAD.into(),
        }
    }

    fn context(&self, query: &Query<'_>) -> answer::Context<'_> {
        answer::Context {
            snapshot: self.snapshot,
            options: &self.engine.options.answers,
            local: self.asked.local,
            rotation: self.asked.rotation,
            qtype: query.question.qtype,
        }
    }

    /// Counts what became of the query.
    fn finish(&self, done: Option<Done>) -> Option<usize> {
        let queries = &self.engine.queries;
        match done {
            Some(done) => {
                queries.answered(self.asked.transport, done.origin, done.rcode);
                Some(done.len)
            }
            None => {
                queries.dropped(self.asked.transport);
                None
            }
        }
    }
}

/// The code of a query that is not to be looked up at all.
fn refusal(query: &Query<'_>) -> Option<Rcode> {
    let question = &query.question;
    match query.edns {
        Some(edns) if edns.version > 0 => Some(Rcode::BadVers), // RFC 6891 §6.1.3
        _ if question.qclass != CLASS_IN => Some(Rcode::Refused),
        _ if matches!(question.qtype, rtype::AXFR | rtype::IXFR) => Some(Rcode::Refused),
        _ => None,
    }
}

/// Extended DNS Errors that the engine gives (RFC 8914 §4).
mod ede {
    pub(super) const NOT_READY: u16 = 14;
}

#[cfg(test)]
impl Engine {
    /// An engine without names and without upstreams, for the tests of those who call it: special-use names are answered
    /// at once, all others wait for a failure.
    pub(crate) fn idle() -> Self {
        use crate::{index, lifecycle::Tasks, metrics::Metrics};
        use rand::{SeedableRng, rngs::StdRng};
        let metrics = Metrics::new(&mut prometheus_client::registry::Registry::default());
        let rng = StdRng::seed_from_u64(1);
        let forward = Forwarder::new(&<_>::default(), Tasks::new().0, metrics.forward, rng);
        let index = index::Options {
            zone: wire::NameKey::from_text("cluster.local").expect("a name"),
            ttl: <_>::default(),
            endpoint_names: index::EndpointNames::Hostname,
            cluster_ip_endpoints: false,
            sources: vec![],
        };
        let options = Options {
            answers: answer::Options {
                scope: answer::Scope::Cluster,
                pods: answer::PodNames::Disabled,
                fallthrough: vec![],
                nameservers: vec![],
            },
            has_cluster_dns: false,
            tcp_idle_timeout: Duration::from_secs(10),
            identity: Identity::default(),
        };
        Self::new(
            index::Index::new(index).1,
            forward,
            metrics.queries,
            options,
        )
    }
}
