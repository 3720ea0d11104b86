//! A run in figures, as it is written to JSON and read again. It knows no socket, and draws nothing.

use super::{
    answer::Kind,
    statistics::Estimate,
    tally::{Slice, Tally},
};
use hdrhistogram::{Counter, Histogram};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the form below; a reader refuses another one.
pub const FORMAT: u32 = 1;

/// Percentiles that pictures draw; the last is the maximum.
const DRAWN: [f64; 14] = [
    0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99, 99.999, 100.0,
];

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of the program.
    pub gapless: String,
    /// When it began (RFC 3339).
    pub began: String,
    /// What was asked for, by flag.
    pub settings: BTreeMap<String, String>,
    /// How long queries were sent, in seconds.
    pub seconds: f64,
    /// Was it ended before its time?
    pub interrupted: bool,
    /// In the order of the command line.
    pub servers: Vec<Server>,
    /// Of every later server to the first one.
    pub differences: Vec<Difference>,
    /// The program's own share.
    pub generator: Generator,
}

/// What came of the queries to one server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the counters are described in `Tally`")]
pub struct Server {
    /// As on the command line.
    pub server: String,
    pub sent: u64,
    pub unsent: u64,
    pub answered: u64,
    pub lost: u64,
    pub unfinished: u64,
    pub wrong: u64,
    pub unexpected: u64,
    pub late: u64,
    pub truncated: u64,
    pub errors: u64,
    /// Answers by kind.
    pub kinds: BTreeMap<String, u64>,
    /// Answers a second.
    pub rate: f64,
    /// From when queries should have left to their answers.
    pub latency: Latency,
    /// Some wrong answers, in words.
    pub examples: Vec<String>,
    /// The run in parts.
    pub slices: Vec<Part>,
    /// The rate at which a ramp lost no more than a thousandth, queries a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub highest_rate: Option<f64>,
}

/// Latencies in microseconds; zeroes if there was no answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Latency {
    pub min_us: f64,
    pub mean_us: f64,
    pub p50_us: f64,
    pub p90_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub max_us: f64,
    /// Percentile and latency, for pictures.
    pub percentiles: Vec<(f64, f64)>,
}

/// A part of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as in `Server`")]
pub struct Part {
    /// Begin and end, in seconds since the start.
    pub from_s: f64,
    pub to_s: f64,
    pub sent: u64,
    pub answered: u64,
    pub lost: u64,
    pub wrong: u64,
    pub mean_us: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub max_us: f64,
}

/// How much one server's figure is more than another's, slice by slice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Whose figure.
    pub server: String,
    /// From whose it is taken.
    pub from: String,
    /// Which: `mean`, `p50`, `p99`.
    pub figure: String,
    /// In microseconds.
    pub us: Estimate,
}

/// What the program itself added.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// How late queries left, in microseconds.
    pub late_p50_us: f64,
    /// Likewise.
    pub late_p99_us: f64,
    /// Likewise.
    pub late_max_us: f64,
    /// Why the figures are the generator's rather than the servers', if so.
    pub limited: Option<String>,
}

fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

impl Latency {
    /// From a histogram of nanoseconds.
    pub fn of<T: Counter>(ns: &Histogram<T>) -> Self {
        if ns.is_empty() {
            return Self::default();
        }
        let at = |percentile| us(ns.value_at_percentile(percentile));
        Self {
            min_us: us(ns.min()),
            mean_us: ns.mean() / 1e3,
            p50_us: at(50.0),
            p90_us: at(90.0),
            p99_us: at(99.0),
            p999_us: at(99.9),
            max_us: us(ns.max()),
            percentiles: DRAWN.map(|it| (it, at(it))).into(),
        }
    }
}

impl Part {
    fn of(slice: &Slice, nth: usize, seconds: f64) -> Self {
        let answered = slice.answered;
        let at = |percentile| us(slice.latency.value_at_percentile(percentile));
        let some = |value: f64| if answered == 0 { 0.0 } else { value };
        Self {
            from_s: nth as f64 * seconds,
            to_s: (nth + 1) as f64 * seconds,
            sent: slice.sent,
            answered,
            lost: slice.lost,
            wrong: slice.wrong,
            mean_us: some(slice.sum_ns / answered.max(1) as f64 / 1e3),
            p50_us: some(at(50.0)),
            p99_us: some(at(99.0)),
            max_us: some(us(slice.latency.max())),
        }
    }
}

impl Server {
    /// From what was counted in so many seconds.
    pub fn of(server: String, tally: &Tally, seconds: f64) -> Self {
        let slice_s = tally.slice_ns() as f64 / 1e9;
        let slices = tally.slices.iter().enumerate();
        let kinds = Kind::ALL.iter().zip(tally.kinds);
        Self {
            server,
            sent: tally.sent,
            unsent: tally.unsent,
            answered: tally.answered,
            lost: tally.lost,
            unfinished: tally.unfinished,
            wrong: tally.wrong,
            unexpected: tally.unexpected,
            late: tally.late,
            truncated: tally.truncated,
            errors: tally.errors,
            kinds: kinds
                .map(|((_, name), count)| ((*name).to_owned(), count))
                .collect(),
            rate: tally.answered as f64 / seconds.max(1e-9),
            latency: Latency::of(&tally.latency),
            examples: tally.examples.values().cloned().collect(),
            slices: slices
                .map(|(nth, slice)| Part::of(slice, nth, slice_s))
                .filter(|part| part.sent > 0)
                .collect(),
            highest_rate: None,
        }
    }

    /// Lost queries as a share of those whose end is known.
    pub fn loss(&self) -> f64 {
        self.lost as f64 / (self.answered + self.lost).max(1) as f64
    }

    /// Answers that are failures.
    pub fn failed(&self) -> u64 {
        let of = |kind: &str| self.kinds.get(kind).copied().unwrap_or_default();
        of("servfail") + of("refused") + of("other")
    }
}

type Figure = fn(&Part) -> f64;

/// The figures that servers are compared by.
const FIGURES: [(&str, Figure); 3] = [
    ("mean", |part| part.mean_us),
    ("p50", |part| part.p50_us),
    ("p99", |part| part.p99_us),
];

/// Each server's figures less those of the first one, slice by slice: in a slice both met the same machine.
pub fn paired_differences(servers: &[Server]) -> Vec<Difference> {
    let Some((first, others)) = servers.split_first() else {
        return vec![];
    };
    let of = |server: &Server, (name, figure): (&str, Figure)| {
        let pairs = server.slices.iter().filter_map(|part| {
            let same = |it: &&Part| it.from_s == part.from_s;
            let other = first.slices.iter().find(same)?;
            let both = part.answered > 0 && other.answered > 0;
            both.then(|| figure(part) - figure(other))
        });
        Some(Difference {
            server: server.server.clone(),
            from: first.server.clone(),
            figure: name.to_owned(),
            us: Estimate::of(&pairs.collect::<Vec<_>>())?,
        })
    };
    let all = others
        .iter()
        .flat_map(|server| FIGURES.map(|it| of(server, it)));
    all.flatten().collect()
}

/// What changed from an earlier report to a later one, by the servers' places.
pub fn changes(earlier: &Report, later: &Report) -> Vec<Difference> {
    let of = |before: &Server, after: &Server, (name, figure): (&str, Figure)| {
        let figures = |server: &Server| -> Vec<_> {
            let parts = server.slices.iter().filter(|part| part.answered > 0);
            parts.map(figure).collect()
        };
        Some(Difference {
            server: format!("later {}", after.server),
            from: format!("earlier {}", before.server),
            figure: name.to_owned(),
            us: Estimate::difference(&figures(after), &figures(before))?,
        })
    };
    let pairs = earlier.servers.iter().zip(&later.servers);
    let all = pairs.flat_map(|(before, after)| FIGURES.map(|it| of(before, after, it)));
    all.flatten().collect()
}
