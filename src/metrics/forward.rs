//! What leaves the node and what is kept of it. The cache's size, and what is known of the upstreams, are read
//! at the scrape.

use crate::metrics::{
    connections::{Connected, Connections},
    counters,
    upstreams::{Upstream, Upstreams},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{
        counter::{ConstCounter, Counter},
        gauge::ConstGauge,
    },
    registry::{Registry, Unit},
};
use std::{
    fmt,
    sync::{Arc, OnceLock},
};

/// What became of one question sent to one upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// An answer came.
    Answered,
    /// An answer came that says it cannot answer: SERVFAIL, REFUSED, NOTIMP, FORMERR …
    Unable,
    /// A truncated answer came.
    Truncated,
    /// A datagram with a wrong ID came first.
    Suspicious,
    /// A reply came to the question in other letters than it was sent in.
    Recased,
    /// The network said that there is nobody, or the connection broke.
    Unreachable,
    /// Nothing came in time.
    Silent,
}

/// Why a datagram or a message was not taken for an upstream's reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// Too short, or not to be taken apart.
    Malformed,
    /// Its QR bit says that it is a query, or its opcode is another one.
    NotReply,
    /// From another address than the one asked.
    WrongSource,
    /// Another ID than the question's.
    WrongId,
    /// Another question than the one sent.
    WrongQuestion,
    /// Over a connection: nobody waits for it any more.
    Late,
}

/// Which limit a question met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Different questions under way.
    Flights,
    /// Askers waiting for one of them.
    Waiters,
    /// Questions of one client.
    Client,
    /// Questions under way over the connections to one upstream: this one waits.
    Connections,
}

/// What became of asking a second time before the longest time-out was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hedge {
    /// It was done.
    Sent,
    /// It was done, and its answer was the first.
    Won,
    /// There was no budget left for it.
    Deferred,
}

const RESOLV_CONF: [&str; 2] = ["unusable", "taken"];
const TRANSPORTS: [&str; 4] = ["udp", "tcp", "tls", "https"];
const SENT: [&str; 7] = [
    "answered",
    "unable",
    "truncated",
    "suspicious",
    "recased",
    "unreachable",
    "silent",
];
const IGNORED: [&str; 6] = [
    "malformed",
    "not_reply",
    "wrong_source",
    "wrong_id",
    "wrong_question",
    "late",
];
const HEDGES: [&str; 3] = ["sent", "won", "deferred"];
/// Answers with data; NXDOMAIN and NODATA.
const KINDS: [&str; 2] = ["positive", "negative"];
const LIMITS: [&str; 4] = ["flights", "waiters", "client", "connections"];

/// The size of the cache, of each of [`KINDS`]: entries, octets, evictions so far.
type ReadSize = Box<dyn Fn() -> [[u64; 3]; 2] + Send + Sync>;

/// Counters of the forwarder, and where its state is read.
#[derive(Clone, Debug)]
pub struct Forward {
    sends: [Counter; 4],
    sent: [Counter; 7],
    ignored: [Counter; 6],
    hedges: [Counter; 3],
    limited: [Counter; 4],
    resolv_conf: [Counter; 2],
    /// What is counted of connections.
    pub connections: Connections,
    cache: Arc<CacheSize>,
    upstreams: Arc<Upstreams>,
}

impl Forward {
    /// Registers the families and makes every handle.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let cache = Arc::new(CacheSize(OnceLock::new()));
        registry.register_collector(Box::new(Arc::clone(&cache)));
        let upstreams = Arc::<Upstreams>::default();
        registry.register_collector(Box::new(Arc::clone(&upstreams)));
        Self {
            sends: counters(
                registry,
                ("upstream_questions", "transport", TRANSPORTS),
                "Questions sent to upstreams, by transport",
            ),
            sent: counters(
                registry,
                ("upstream_outcomes", "outcome", SENT),
                "What became of the questions sent to upstreams",
            ),
            ignored: counters(
                registry,
                ("upstream_ignored_datagrams", "reason", IGNORED),
                "Datagrams to a question's port, and messages over connections, that were not taken for a reply, by reason",
            ),
            hedges: counters(
                registry,
                ("upstream_hedges", "hedge", HEDGES),
                "Second questions before the longest time-out was over, and what became of them",
            ),
            limited: counters(
                registry,
                ("forward_limited", "limit", LIMITS),
                "Questions that met a limit of this server's",
            ),
            resolv_conf: counters(
                registry,
                ("forward_resolv_conf_changes", "outcome", RESOLV_CONF),
                "Versions of resolv.conf after the one at the start, by whether they name an upstream",
            ),
            connections: Connections::new(registry),
            cache,
            upstreams,
        }
    }

    /// Counts a question on its way to an upstream, in a datagram if it is over no connection.
    pub fn send(&self, over: Option<Connected>) {
        self.sends[over.map_or(0, |it| it as usize + 1)].inc();
    }

    /// Counts what became of it.
    pub fn sent(&self, outcome: Sent) {
        self.sent[outcome as usize].inc();
    }

    /// Counts a datagram that is not the reply.
    pub fn ignored(&self, reason: Ignored) {
        self.ignored[reason as usize].inc();
    }

    /// How many such datagrams there were.
    pub fn ignored_so_far(&self, reason: Ignored) -> u64 {
        self.ignored[reason as usize].get()
    }

    /// Counts an early second question.
    pub fn hedged(&self, hedge: Hedge) {
        self.hedges[hedge as usize].inc();
    }

    /// Counts a question that met a limit.
    pub fn limited(&self, limit: Limit) {
        self.limited[limit as usize].inc();
    }

    /// How many questions met it.
    pub fn limited_so_far(&self, limit: Limit) -> u64 {
        self.limited[limit as usize].get()
    }

    /// Counts a new version of resolv.conf.
    pub fn resolv_conf(&self, usable: bool) {
        self.resolv_conf[usize::from(usable)].inc();
    }

    /// Says where the size of the cache is read at each scrape; the first one to say so is heard.
    pub fn cache_size_from(&self, read: impl Fn() -> [[u64; 3]; 2] + Send + Sync + 'static) {
        self.cache.0.get_or_init(|| Box::new(read));
    }

    /// Says where the state of every upstream of every route is read at each scrape; the first one to say so is heard.
    pub fn upstreams_from(&self, read: impl Fn() -> Vec<Upstream> + Send + Sync + 'static) {
        self.upstreams.read_from(read);
    }
}

struct CacheSize(OnceLock<ReadSize>);

impl Collector for CacheSize {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let sizes = self.0.get().map_or([[0; 3]; 2], |read| read());
        let gauge = |value| ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        let entries = sizes.map(|[entries, _, _]| gauge(entries));
        let help = "Forwarded answers in the cache, by whether they have data.";
        by_kind(&mut encoder, ("cache_entries", help, None), &entries)?;
        let bytes = sizes.map(|[_, bytes, _]| gauge(bytes));
        let help = "Memory that the cached answers take, as it counts for the bound.";
        let family = ("cache_size", help, Some(&Unit::Bytes));
        by_kind(&mut encoder, family, &bytes)?;
        let evicted = sizes.map(|[_, _, evicted]| ConstCounter::new(evicted));
        let help = "Forwarded answers that left the cache to make room.";
        by_kind(&mut encoder, ("cache_evictions", help, None), &evicted)
    }
}

fn by_kind<M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, unit): (&str, &str, Option<&Unit>),
    values: &[M; 2],
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, unit, values[0].metric_type())?;
    KINDS.iter().zip(values).try_for_each(|(kind, value)| {
        let labels = [("kind", *kind)];
        value.encode(family.encode_family(&labels)?)
    })
}

impl fmt::Debug for CacheSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CacheSize")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text;

    #[test]
    fn the_size_of_the_cache_is_read_at_the_scrape() {
        let mut registry = Registry::default();
        let forward = crate::metrics::Metrics::new(&mut registry).forward;
        forward.cache_size_from(|| [[3, 1000, 7], [2, 500, 0]]);
        let mut page = String::new();
        text::encode(&mut page, &registry).unwrap();
        for line in [
            "gapless_cache_entries{kind=\"positive\"} 3\n",
            "gapless_cache_size_bytes{kind=\"negative\"} 500\n",
            "gapless_cache_evictions_total{kind=\"positive\"} 7\n",
        ] {
            assert!(page.contains(line), "{line} in {page}");
        }
    }
}
