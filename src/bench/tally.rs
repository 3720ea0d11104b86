//! Counts and latencies of one server, for the whole run and by slices of it. Times come in; it reads no clock.

use super::{
    answer::{Answer, Kind},
    questions::{Pick, Question},
};
use crate::wire::{Flags, Header};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// Latencies are held from a nanosecond to two minutes; longer than any time-out.
const LONGEST_NS: u64 = 120_000_000_000;
/// Significant digits of the whole run's histogram, and of a slice's.
const DIGITS: (u8, u8) = (3, 2);
/// Wrong answers that are kept to be shown.
const EXAMPLES: usize = 5;

/// What came of the queries to one server.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Queries that left.
    pub sent: u64,
    /// Queries that were due and never left.
    pub unsent: u64,
    /// Queries with a reply in time.
    pub answered: u64,
    /// Queries without one.
    pub lost: u64,
    /// Queries that still waited when the run was interrupted.
    pub unfinished: u64,
    /// Answers that are not what they have to be.
    pub wrong: u64,
    /// Messages that reply to nothing that was asked: another ID, another question, malformed.
    pub unexpected: u64,
    /// Replies after the time-out.
    pub late: u64,
    /// Answers with TC.
    pub truncated: u64,
    /// Failures of sockets and connections.
    pub errors: u64,
    /// Replies that the kernel dropped because nobody took them in time: lost by the generator, not by the server.
    pub dropped: u64,
    /// Answers by kind, in the order of [`Kind::ALL`].
    pub kinds: [u64; 6],
    /// From when a query should have left to its answer, in nanoseconds.
    pub latency: Histogram<u64>,
    /// How late queries left, in nanoseconds: the generator's own share.
    pub lateness: Histogram<u64>,
    /// A wrong answer to each of some questions, by its place in the list, in words.
    pub examples: BTreeMap<usize, String>,
    /// Parts of the run, by when queries should have left.
    pub slices: Vec<Slice>,
    slice_ns: u64,
}

/// One part of a run.
#[derive(Clone, Debug)]
pub struct Slice {
    /// As in the whole.
    pub sent: u64,
    /// As in the whole.
    pub answered: u64,
    /// As in the whole.
    pub lost: u64,
    /// As in the whole.
    pub wrong: u64,
    /// Sum of the latencies in nanoseconds.
    pub sum_ns: f64,
    /// Latencies in nanoseconds.
    pub latency: Histogram<u32>,
}

impl Tally {
    /// Nothing yet, in so many slices of that length; what is due later counts for the last of them.
    pub fn new(slices: usize, slice_ns: u64) -> Self {
        let slice = Slice {
            sent: 0,
            answered: 0,
            lost: 0,
            wrong: 0,
            sum_ns: 0.0,
            latency: Histogram::new_with_bounds(1, LONGEST_NS, DIGITS.1).expect("valid bounds"),
        };
        let whole = Histogram::new_with_bounds(1, LONGEST_NS, DIGITS.0).expect("valid bounds");
        Self {
            sent: 0,
            unsent: 0,
            answered: 0,
            lost: 0,
            unfinished: 0,
            wrong: 0,
            unexpected: 0,
            late: 0,
            truncated: 0,
            errors: 0,
            dropped: 0,
            kinds: [0; 6],
            latency: whole.clone(),
            lateness: whole,
            examples: BTreeMap::new(),
            slices: vec![slice; slices.max(1)],
            slice_ns: slice_ns.max(1),
        }
    }

    fn slice(&mut self, due: u64) -> &mut Slice {
        let nth = usize::try_from(due / self.slice_ns).unwrap_or(usize::MAX);
        let last = self.slices.len() - 1;
        &mut self.slices[nth.min(last)]
    }

    /// A query left.
    pub fn sent(&mut self, due: u64, left: u64) {
        self.sent += 1;
        self.lateness
            .saturating_record(left.saturating_sub(due).max(1));
        self.slice(due).sent += 1;
    }

    /// A query is given up.
    pub fn lost(&mut self, due: u64) {
        self.lost += 1;
        self.slice(due).lost += 1;
    }

    /// Judges a reply with the ID of a query under way, which was due at `due`. False for a message that is no reply to it,
    /// so that waiting goes on.
    pub fn reply(
        &mut self,
        question: &Question,
        pick: Pick,
        due: u64,
        now: u64,
        reply: &[u8],
    ) -> bool {
        let header = Header::read(reply).filter(|header| header.flags.has(Flags::QR));
        let Some(header) = header.filter(|_| question.is_repeated_by(pick.unique, reply)) else {
            self.unexpected += 1;
            return false;
        };
        let latency = now.saturating_sub(due).max(1);
        self.answered += 1;
        self.truncated += u64::from(header.flags.has(Flags::TC));
        let kind = Kind::of(&header);
        let counted = Kind::ALL.iter().position(|(it, _)| *it == kind);
        self.kinds[counted.expect("every kind is in the list")] += 1;
        self.latency.saturating_record(latency);
        let wrong = match (&question.expected, pick.unique) {
            (Some(expected), None) => {
                let answer = Answer::read(reply);
                let right = answer
                    .as_ref()
                    .is_some_and(|answer| expected.allows(question.qtype, answer));
                let known = self.examples.contains_key(&pick.question);
                if !right && !known && self.examples.len() < EXAMPLES {
                    let was = answer.map_or_else(|| "malformed".to_owned(), |it| it.to_string());
                    let text = question.text();
                    let example = format!("{text}: expected {expected}, was {was}");
                    self.examples.insert(pick.question, example);
                }
                !right
            }
            _ => false,
        };
        self.wrong += u64::from(wrong);
        let slice = self.slice(due);
        slice.answered += 1;
        slice.wrong += u64::from(wrong);
        slice.sum_ns += latency as f64;
        slice.latency.saturating_record(latency);
        true
    }

    /// Adds what another counted of the same server, with slices of the same length.
    pub fn add(&mut self, other: &Self) {
        for (to, from) in [
            (&mut self.sent, other.sent),
            (&mut self.unsent, other.unsent),
            (&mut self.answered, other.answered),
            (&mut self.lost, other.lost),
            (&mut self.unfinished, other.unfinished),
            (&mut self.wrong, other.wrong),
            (&mut self.unexpected, other.unexpected),
            (&mut self.late, other.late),
            (&mut self.truncated, other.truncated),
            (&mut self.errors, other.errors),
            (&mut self.dropped, other.dropped),
        ] {
            *to += from;
        }
        for (to, from) in self.kinds.iter_mut().zip(other.kinds) {
            *to += from;
        }
        self.latency.add(&other.latency).expect("the same bounds");
        self.lateness.add(&other.lateness).expect("the same bounds");
        for (question, example) in &other.examples {
            if self.examples.len() < EXAMPLES {
                self.examples.insert(*question, example.clone());
            }
        }
        for (to, from) in self.slices.iter_mut().zip(&other.slices) {
            to.sent += from.sent;
            to.answered += from.answered;
            to.lost += from.lost;
            to.wrong += from.wrong;
            to.sum_ns += from.sum_ns;
            to.latency.add(&from.latency).expect("the same bounds");
        }
    }

    /// How long a slice is, in nanoseconds.
    pub fn slice_ns(&self) -> u64 {
        self.slice_ns
    }
}
