//! The only way from a query's bytes to a response's bytes, for every listener. It knows the order in which answers are
//! looked for, and neither sockets nor clocks.
//!
//! ```text
//! parse ─▶ ours to refuse? ─▶ answer::decide ─▶ index │ cache ─▶ bytes     answer_now: never waits
//!                                   └ elsewhere, not held ─▶ forward ─▶ bytes     answer: waits
//! ```

mod ahead;
mod chase;
mod exchange;
mod identity;
mod recent;

pub use ahead::{Ahead, ReadAhead};
pub use identity::Identity;
pub use recent::Recent;

use crate::{
    answer::{self, Answer},
    forward::Forwarder,
    index::{Lookup, Reader, Snapshot},
    metrics::{Origin, Queries, Tally, Transport},
    wire::{self, Query},
};
use exchange::{Done, Exchange, Step};
use recent::{Basis, Place};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

/// Longest message that TCP's framing can carry, and that RFC 8484 §6 allows in HTTPS's.
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

/// What is left of a reply that is too long for its path: the question, with TC (RFC 9715 §3.1). `None` if it holds no more.
pub fn truncate(reply: &mut [u8]) -> Option<usize> {
    wire::truncate(reply)
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
pub struct View<'e, 'p> {
    engine: &'e Engine,
    snapshot: &'e Snapshot,
    recent: Option<&'e mut Recent>,
    tally: Tally,
    /// The last one; made once, as it takes half as long to clear as to read.
    query: Query<'p>,
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

    /// The current snapshot; a listener loads it once a batch.
    pub fn snapshot(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.index.load()
    }

    /// The engine over this snapshot. A thread that answers much by UDP brings its own memory of recent replies.
    pub fn view<'e, 'p>(
        &'e self,
        snapshot: &'e Snapshot,
        recent: Option<&'e mut Recent>,
    ) -> View<'e, 'p> {
        View {
            engine: self,
            snapshot,
            recent,
            tally: Tally::default(),
            query: Query::default(),
        }
    }

    /// Answers one query as [`View::answer_now`] does.
    pub fn answer_now(&self, asked: &Asked<'_>, now: Instant, out: &mut [u8]) -> Now {
        let snapshot = self.snapshot();
        self.view(&snapshot, None)
            .answer_now(asked, Ahead::default(), now, out)
    }

    /// Answers with whatever it takes, upstreams included; `None` if there is to be no answer. `out` holds the longest
    /// message of the transport. It is the plain twin of [`View::answer_now`]: what that one answers, this one answers
    /// in the same bytes. The time is tokio's, which a test can stop.
    pub async fn answer(&self, asked: Asked<'_>, out: &mut [u8]) -> Option<usize> {
        let snapshot = arc_swap::Guard::into_inner(self.index.load());
        let exchange = Exchange {
            engine: self,
            snapshot: Lookup::new(&snapshot, <_>::default()),
            asked: &asked,
            plain: true,
        };
        let now = tokio::time::Instant::now().into_std();
        let (mut query, mut answer) = (Query::default(), Answer::default());
        let done = match exchange.first_steps(&mut query, &mut answer, now, out) {
            Step::Done(done) => done,
            Step::Forward(route) => exchange.forward(&query, &answer, route, out).await,
        };
        exchange.finish(done)
    }
}

impl<'e, 'p> View<'e, 'p> {
    /// Reads ahead for the queries in these packets, which are asked next.
    pub fn read_ahead(
        &self,
        packets: impl ExactSizeIterator<Item = &'p [u8]> + Clone,
    ) -> ReadAhead<'e> {
        ReadAhead::of(self.snapshot, self.recent.as_deref(), packets)
    }

    /// Answers without waiting, allocating or locking, if that can be done. What was read ahead changes no answer, be it another
    /// query's.
    pub fn answer_now(
        &mut self,
        asked: &Asked<'p>,
        ahead: Ahead<'_, 'e>,
        now: Instant,
        out: &mut [u8],
    ) -> Now {
        let place = self.place(asked, ahead);
        let snapshot = self.snapshot;
        let known = (self.recent.as_deref_mut().zip(place))
            .and_then(|(recent, place)| recent.reply(place, asked.packet, snapshot, now, out));
        if let Some(done) = known {
            self.tally.remember();
            return self.done(asked, done);
        }
        let exchange = Exchange {
            engine: self.engine,
            snapshot: Lookup::new(snapshot, ahead.index()),
            asked,
            plain: false,
        };
        let mut answer = Answer::default();
        match exchange.first_steps(&mut self.query, &mut answer, now, out) {
            Step::Done(Some(done)) => {
                if let Some(place) = place {
                    self.keep(place, asked, done, &answer, now, out);
                }
                self.done(asked, done)
            }
            Step::Done(None) => {
                self.engine.queries.dropped(asked.transport);
                Now::Drop
            }
            Step::Forward(..) => Now::NeedsAsync,
        }
    }

    /// Where a reply would stand that is the same for all who ask this.
    fn place(&self, asked: &Asked<'_>, ahead: Ahead<'_, '_>) -> Option<Place> {
        let recent = self.recent.as_deref()?;
        let may_be_known = asked.transport == Transport::Udp && asked.client.port() != 0;
        may_be_known.then(|| ahead.place().unwrap_or_else(|| recent.place(asked.packet)))
    }

    fn done(&mut self, asked: &Asked<'_>, done: Done) -> Now {
        let queries = &self.engine.queries;
        queries.tally(&mut self.tally, asked.transport, done.origin, done.rcode);
        Now::Reply(done.len.into())
    }

    /// Keeps a reply for whoever asks the same.
    fn keep(
        &mut self,
        place: Place,
        asked: &Asked<'_>,
        done: Done,
        answer: &Answer<'_>,
        now: Instant,
        out: &[u8],
    ) {
        if done.origin != Origin::Cluster && done.same_ms == 0 {
            return;
        }
        let (Some(recent), Some(reply)) = (&mut self.recent, out.get(..done.len.into())) else {
            return;
        };
        let (query, snapshot) = (&self.query, self.snapshot);
        let basis = || match done.same_ms {
            0 => (answer.basis(&query.question.name, snapshot)).map(Basis::Index),
            ms => Some(Basis::Until(now + Duration::from_millis(ms.into()))),
        };
        let question_end = wire::HEADER_LEN + query.question_wire.len();
        recent.keep(place, asked.packet, reply, question_end, done, basis);
    }
}

impl Drop for View<'_, '_> {
    fn drop(&mut self) {
        self.engine.queries.add(&mut self.tally);
    }
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
            staleness: None,
        };
        let options = Options {
            answers: answer::Options {
                scope: answer::Scope::Cluster,
                pods: answer::PodNames::Disabled,
                fallthrough: vec![],
                routes: <_>::default(),
                hosts: <_>::default(),
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
