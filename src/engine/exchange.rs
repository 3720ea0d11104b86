//! One query from its bytes to its reply: the order of the look-ups, the sizes, and what is counted.

use super::{Asked, Engine, MAX_MESSAGE, chase, identity};
use crate::{
    answer::{self, Answer, Elsewhere, Verdict},
    forward::{Failure, Held, Route},
    index::Lookup,
    metrics::{Origin, Transport},
    wire::{
        self, CLASS_CH, CLASS_IN, Ede, Flags, MAX_UDP_PAYLOAD, MIN_UDP_PAYLOAD, NameKey, Query,
        Question, Rcode, Reply, ReplyEdns, Unanswerable, rtype,
    },
};
use std::time::Instant;

/// The Extended DNS Error "Not Ready" (RFC 8914 §4.15).
const NOT_READY: u16 = 14;

/// One query on its way.
pub(super) struct Exchange<'x, 'p> {
    pub(super) engine: &'x Engine,
    pub(super) snapshot: Lookup<'x>,
    pub(super) asked: &'x Asked<'p>,
    /// Are address records to be written one by one?
    pub(super) plain: bool,
}

/// Where a query stands after everything that needs no waiting.
pub(super) enum Step {
    Done(Option<Done>),
    /// Others are to be asked for the records of the answer's name, which may be an alias's target.
    Forward(Route),
}

/// A reply that stands in the buffer. It is given back in one register: read from memory as a whole, what was just written piece by piece
/// is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    pub(super) len: u16,
    pub(super) origin: Origin,
    pub(super) rcode: u8,
    /// For how many milliseconds it is the same, if it is from the cache.
    pub(super) same_ms: u16,
}

impl Done {
    /// A reply of that many octets; none is longer than a message may be.
    pub(super) fn new(len: usize, origin: Origin, rcode: u8) -> Option<Self> {
        Some(Self {
            len: u16::try_from(len).ok()?,
            origin,
            rcode,
            same_ms: 0,
        })
    }
}

impl<'x, 'p> Exchange<'x, 'p> {
    /// Everything that needs no waiting. The packet is read into `query`, of which nothing is left, and what is decided is put into
    /// `answer`, which is empty: whoever goes on needs both, and they are too large to be handed from hand to hand.
    pub(super) fn first_steps(
        &self,
        query: &mut Query<'p>,
        answer: &mut Answer<'x>,
        now: Instant,
        out: &mut [u8],
    ) -> Step {
        if self.asked.client.port() == 0 {
            return Step::Done(None); // RFC 6335 §6: reserved; a reply could only feed a loop
        }
        match query.read(self.asked.packet) {
            Ok(()) => {}
            Err(Unanswerable::Silence) => return Step::Done(None),
            Err(Unanswerable::HeaderOnly(header, rcode)) => {
                let len = wire::header_only(header, rcode, out);
                return Step::Done(len.and_then(|len| Done::new(len, Origin::Local, rcode as u8)));
            }
        }
        if let Some(rcode) = refusal(query) {
            return Step::Done(self.refuse(query, rcode, out));
        }
        let (question, options) = (&query.question, &self.engine.options);
        let route = match answer::decide(question, &self.snapshot, &options.answers, answer) {
            Verdict::Answer => return Step::Done(self.authoritative(query, answer, out)),
            Verdict::Forward(Elsewhere::Upstream) => self.route(&answer.name(&question.name)),
            Verdict::Forward(Elsewhere::ClusterDns) => Route::ClusterDns,
            Verdict::Unsure if options.has_cluster_dns => {
                *answer = Answer::default();
                Route::ClusterDns
            }
            Verdict::Unsure => {
                let ede = Ede::new(
                    NOT_READY,
                    "the index of the cluster's names is not complete",
                );
                let done = self.error(query, Rcode::ServFail, Some(&ede), Origin::Cluster, out);
                return Step::Done(done);
            }
        };
        match self.held(query, route, answer, now, out) {
            Some(done) => Step::Done(done),
            None => Step::Forward(route),
        }
    }

    /// The user's route for a name, if there is one.
    fn route(&self, name: &NameKey) -> Route {
        let zone = self.engine.options.answers.routes.longest(name);
        zone.map_or(Route::Default, |(_, number)| Route::Zone(number))
    }

    fn refuse(&self, query: &Query<'_>, rcode: Rcode, out: &mut [u8]) -> Option<Done> {
        if rcode == Rcode::Refused
            && query.question.qclass == CLASS_CH
            && let Some(text) = self.engine.options.identity.text(&query.question)
        {
            let mut reply = self.reply(query, None, out);
            identity::write(text, &mut reply);
            return Done::new(reply.finish()?, Origin::Local, Rcode::NoError as u8);
        }
        self.error(query, rcode, None, Origin::Local, out)
    }

    fn authoritative(
        &self,
        query: &Query<'_>,
        answer: &Answer<'_>,
        out: &mut [u8],
    ) -> Option<Done> {
        let name = answer.name(&query.question.name);
        let mut reply = self.reply(query, answer.ede.as_ref(), out);
        answer::write(answer, &self.context(query, &name), &mut reply);
        let origin = if answer.is_local {
            Origin::Local
        } else {
            Origin::Cluster
        };
        Done::new(reply.finish()?, origin, answer.rcode as u8)
    }

    /// What is said without asking anyone: what the cache holds, or a refusal. An alias's target is fetched and put behind
    /// the alias in any case. The outer `None` says that others are to be asked.
    fn held(
        &self,
        query: &Query<'_>,
        route: Route,
        answer: &Answer<'_>,
        now: Instant,
        out: &mut [u8],
    ) -> Option<Option<Done>> {
        let recursion_desired = query.header.flags.has(Flags::RD);
        match answer.is_bare() {
            true => {}
            false if recursion_desired => return None,
            false => return Some(self.authoritative(query, answer, out)),
        }
        let (forwarder, question) = (&self.engine.forward, &query.question);
        if let Some(held) = &forwarder.held(question, route, now) {
            return Some(self.forwarded(query, held, Origin::Cache, now, out));
        }
        if !recursion_desired {
            // RFC 1035 §4.1.1: no recursion was desired, and there is no data of our own.
            return Some(self.error(query, Rcode::Refused, None, Origin::Local, out));
        }
        match forwarder.refused(question, route, self.asked.client.ip(), now) {
            Some(Ok(held)) => Some(self.forwarded(query, &held, Origin::Cache, now, out)),
            Some(Err(failure)) => Some(self.failed(query, failure, out)),
            None => None,
        }
    }

    /// Asks others, and writes what comes of it.
    pub(super) async fn forward(
        &self,
        query: &Query<'_>,
        answer: &Answer<'_>,
        route: Route,
        out: &mut [u8],
    ) -> Option<Done> {
        let question = Question {
            name: answer.name(&query.question.name).into_owned(),
            ..query.question.clone()
        };
        let (forwarder, client) = (&self.engine.forward, self.asked.client.ip());
        let result = forwarder.resolve(&question, route, client).await;
        let now = tokio::time::Instant::now().into_std();
        match result {
            Ok(held) if answer.is_bare() => {
                self.forwarded(query, &held, Origin::Upstream, now, out)
            }
            Ok(held) if self.is_too_little(&held) => self.failed(query, Failure::Truncated, out),
            Ok(held) => {
                let ede = held.ede();
                let mut reply = self.reply(query, ede.as_ref(), out);
                let rcode = chase::write(
                    answer,
                    &self.context(query, &question.name),
                    &question,
                    &held,
                    now,
                    &mut reply,
                )?;
                Done::new(reply.finish()?, origin(&held, Origin::Upstream), rcode)
            }
            Err(failure) => self.failed(query, failure, out),
        }
    }

    /// Is it a part of an answer only, and the client's way has room for all of it?
    fn is_too_little(&self, held: &Held) -> bool {
        held.entry.is_truncated() && self.asked.transport != Transport::Udp
    }

    fn failed(&self, query: &Query<'_>, failure: Failure, out: &mut [u8]) -> Option<Done> {
        let ede = failure.ede();
        self.error(query, Rcode::ServFail, Some(&ede), Origin::Upstream, out)
    }

    fn forwarded(
        &self,
        query: &Query<'_>,
        held: &Held,
        unless_stale: Origin,
        now: Instant,
        out: &mut [u8],
    ) -> Option<Done> {
        if self.is_too_little(held) {
            return self.failed(query, Failure::Truncated, out);
        }
        let ede = held.ede();
        let edns = self.edns(query, ede.as_ref());
        let len = held.write(query, edns, out, self.limit(query), now)?;
        let done = Done::new(len, origin(held, unless_stale), held.entry.rcode())?;
        let same_ms = held.same_for.as_millis() as u16; // a second at the most
        Some(Done { same_ms, ..done })
    }

    fn error(
        &self,
        query: &Query<'_>,
        rcode: Rcode,
        ede: Option<&Ede<'_>>,
        origin: Origin,
        out: &mut [u8],
    ) -> Option<Done> {
        let mut reply = self.reply(query, ede, out);
        reply.set_rcode(rcode);
        Done::new(reply.finish()?, origin, rcode as u8)
    }

    fn reply<'o, 't>(
        &self,
        query: &Query<'t>,
        ede: Option<&'t Ede<'t>>,
        out: &'o mut [u8],
    ) -> Reply<'o, 't> {
        let (edns, limit) = (self.edns(query, ede), self.limit(query));
        Reply::new(query, edns, out, limit, self.plain)
    }

    fn edns<'t>(&self, query: &Query<'_>, ede: Option<&'t Ede<'t>>) -> ReplyEdns<'t> {
        let asks = query.edns.is_some_and(|edns| edns.keepalive);
        let tenths = self.engine.options.tcp_idle_timeout.as_millis() / 100;
        let keepalive = (asks && self.asked.transport == Transport::Tcp)
            .then(|| u16::try_from(tenths).unwrap_or(u16::MAX));
        ReplyEdns { keepalive, ede }
    }

    /// Longest reply that the client takes.
    fn limit(&self, query: &Query<'_>) -> usize {
        match (self.asked.transport, query.edns) {
            (Transport::Tcp | Transport::Https, _) => MAX_MESSAGE,
            (Transport::Udp, Some(edns)) => edns.payload.min(MAX_UDP_PAYLOAD).into(),
            (Transport::Udp, None) => MIN_UDP_PAYLOAD.into(),
        }
    }

    fn context<'c>(&'c self, query: &Query<'_>, name: &'c NameKey) -> answer::Context<'c> {
        answer::Context {
            snapshot: &self.snapshot,
            options: &self.engine.options.answers,
            local: self.asked.local,
            rotation: self.asked.rotation,
            name,
            qtype: query.question.qtype,
        }
    }

    /// Counts what became of the query.
    pub(super) fn finish(&self, done: Option<Done>) -> Option<usize> {
        let queries = &self.engine.queries;
        match done {
            Some(done) => {
                queries.answered(self.asked.transport, done.origin, done.rcode);
                Some(done.len.into())
            }
            None => {
                queries.dropped(self.asked.transport);
                None
            }
        }
    }
}

/// Where an answer of others came from, as it is counted.
const fn origin(held: &Held, unless_stale: Origin) -> Origin {
    if held.stale {
        Origin::Stale
    } else {
        unless_stale
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
