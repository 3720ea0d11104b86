//! Queries as the engine counts them. Every handle is made at the start, so that counting one is an addition to an
//! atomic and nothing else.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use std::mem;

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the protocols'")]
pub enum Transport {
    Udp,
    Tcp,
    Https,
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The index of the cluster's names.
    Cluster,
    /// A rule that needs neither index nor upstream: special-use names, malformed and refused queries.
    Local,
    /// The cache of forwarded answers.
    Cache,
    /// The cache, past the answer's time, because no upstream gave a newer one soon enough.
    Stale,
    /// An upstream, for this query or for one like it that was under way.
    Upstream,
}

const TRANSPORTS: [&str; 3] = ["udp", "tcp", "https"];
const ORIGINS: [&str; 5] = ["cluster", "local", "cache", "stale", "upstream"];
const RCODES: [&str; 8] = [
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "BADVERS", "other",
];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    transport: &'static str,
    origin: &'static str,
    rcode: &'static str,
}

const ROWS: usize = TRANSPORTS.len() * ORIGINS.len() * RCODES.len();

/// Kinds of answers that are counted at once: a batch has few.
const KINDS: usize = 4;

/// Answers that one thread counts for itself, to be added for a whole batch: a counter that many threads write for each answer
/// is on its way between their processors all the time.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Rows of [`Queries::answered`], and how many answers of each.
    counts: [(usize, u64); KINDS],
    used: usize,
    /// How many of them were given before.
    remembered: u64,
}

/// Where the answers with this (extended) RCODE are counted.
const fn row(transport: Transport, origin: Origin, rcode: u8) -> usize {
    let rcode = match rcode {
        0..=5 => rcode as usize,
        16 => 6,
        _ => 7,
    };
    (transport as usize * ORIGINS.len() + origin as usize) * RCODES.len() + rcode
}

/// Counters of answered and of dropped queries.
#[derive(Clone, Debug)]
pub struct Queries {
    answered: Box<[Counter]>,
    remembered: Counter,
    dropped: [Counter; TRANSPORTS.len()],
}

impl Tally {
    /// Notes that the last answer was given before.
    pub const fn remember(&mut self) {
        self.remembered += 1;
    }
}

impl Queries {
    /// Registers the families and makes every handle.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let family = Family::<Labels, Counter>::default();
        let mut answered = Vec::with_capacity(ROWS);
        for transport in TRANSPORTS {
            for origin in ORIGINS {
                for rcode in RCODES {
                    let labels = Labels {
                        transport,
                        origin,
                        rcode,
                    };
                    answered.push(family.get_or_create_owned(&labels));
                }
            }
        }
        registry.register(
            "dns_answers",
            "Answers sent, by transport, origin and code",
            family,
        );
        let remembered = Counter::default();
        registry.register(
            "dns_remembered_answers",
            "Answers that a UDP worker gave again, octet for octet, as nothing had changed that they were made of",
            remembered.clone(),
        );
        let family = Family::<[(&str, &str); 1], Counter>::default();
        let dropped = TRANSPORTS.map(|it| family.get_or_create_owned(&[("transport", it)]));
        registry.register(
            "dns_dropped_queries",
            "Packets not answered: too short, responses, or from port 0",
            family,
        );
        Self {
            answered: answered.into(),
            remembered,
            dropped,
        }
    }

    /// Counts an answer with this (extended) RCODE.
    pub fn answered(&self, transport: Transport, origin: Origin, rcode: u8) {
        if let Some(counter) = self.answered.get(row(transport, origin, rcode)) {
            counter.inc();
        }
    }

    /// Counts an answer in `tally`, which [`Self::add`] is to add.
    pub fn tally(&self, tally: &mut Tally, transport: Transport, origin: Origin, rcode: u8) {
        let row = row(transport, origin, rcode);
        let mut counted = tally.counts.iter_mut().take(tally.used);
        if let Some((_, count)) = counted.find(|(of, _)| *of == row) {
            *count += 1;
            return;
        }
        if tally.used == KINDS {
            self.add(tally);
        }
        tally.counts[tally.used] = (row, 1);
        tally.used += 1;
    }

    /// Adds what one thread has counted, which begins anew.
    pub fn add(&self, tally: &mut Tally) {
        for (row, count) in tally.counts.iter().take(mem::take(&mut tally.used)) {
            if let Some(counter) = self.answered.get(*row) {
                counter.inc_by(*count);
            }
        }
        if tally.remembered > 0 {
            self.remembered.inc_by(mem::take(&mut tally.remembered));
        }
    }

    /// Counts a packet that gets no answer.
    pub fn dropped(&self, transport: Transport) {
        self.dropped[transport as usize].inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_counts_what_its_answers_would_have_one_by_one() {
        let queries = || Queries::new(&mut Registry::default());
        let (one_by_one, added, mut tally) = (queries(), queries(), Tally::default());
        for n in 0..100 {
            let origin = [Origin::Cluster, Origin::Cache, Origin::Local][n % 3];
            let rcode = [0, 3, 16, 5, 77][n / 20];
            one_by_one.answered(Transport::Udp, origin, rcode);
            added.tally(&mut tally, Transport::Udp, origin, rcode);
            if n % 4 == 0 {
                tally.remember();
            }
        }
        added.add(&mut tally);
        added.add(&mut tally);
        let counts =
            |queries: &Queries| -> Vec<u64> { queries.answered.iter().map(Counter::get).collect() };
        assert_eq!(counts(&added), counts(&one_by_one));
        assert_eq!(counts(&added).iter().sum::<u64>(), 100);
        assert_eq!(added.remembered.get(), 25);
    }
}
