//! What came of many questions, and how it is written down.

use crate::figures::Row;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// What came of one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The true answer.
    Right,
    /// The true answer, said to be past its time.
    Stale,
    /// None: the code, and the Extended DNS Error if there was one.
    Failed(String, Option<u16>),
}

/// One question and its end.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Of its name.
    pub number: u32,
    pub outcome: Outcome,
    /// How long the answer is good, in seconds.
    pub ttl: u32,
    pub ended: Instant,
    pub took: Duration,
}

/// Many questions.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub each: Vec<Asked>,
    /// Of every name that upstreams were asked for: how often.
    pub sends: Vec<usize>,
}

impl Tally {
    /// Notes a question that was asked at `begun` and ends now.
    pub fn add(&mut self, number: u32, outcome: Outcome, ttl: u32, begun: Instant) {
        self.each.push(Asked {
            number,
            outcome,
            ttl,
            ended: Instant::now(),
            took: begun.elapsed(),
        });
    }

    pub fn asked(&self) -> usize {
        self.each.len()
    }

    pub fn right(&self) -> usize {
        self.count(|outcome| *outcome == Outcome::Right)
    }

    pub fn stale(&self) -> usize {
        self.count(|outcome| *outcome == Outcome::Stale)
    }

    /// Each failure and how often it was met.
    pub fn failures(&self) -> BTreeMap<(&str, Option<u16>), usize> {
        let mut failures = BTreeMap::new();
        for asked in &self.each {
            if let Outcome::Failed(code, ede) = &asked.outcome {
                *failures.entry((code.as_str(), *ede)).or_default() += 1;
            }
        }
        failures
    }

    /// How many took longer than this.
    pub fn slower_than(&self, time: Duration) -> usize {
        self.each.iter().filter(|it| it.took > time).count()
    }

    pub fn worst(&self) -> Duration {
        self.quantile(1.0)
    }

    /// The time within which this share of the questions came to its end.
    pub fn quantile(&self, share: f64) -> Duration {
        let mut took: Vec<_> = self.each.iter().map(|it| it.took).collect();
        took.sort_unstable();
        let nth = (took.len() as f64 * share).ceil() as usize;
        took[nth.max(1) - 1]
    }

    pub fn most_sends(&self) -> usize {
        self.sends.iter().copied().max().unwrap_or(0)
    }

    fn count(&self, which: impl Fn(&Outcome) -> bool) -> usize {
        self.each.iter().filter(|it| which(&it.outcome)).count()
    }

    /// The row of the document.
    pub fn row(&self) -> Row {
        let sends = self.sends.iter().sum::<usize>() as f64 / self.asked() as f64;
        Row {
            questions: self.asked(),
            answered: percent(self.right() + self.stale(), self.asked()),
            sends: format!("{sends:.2}, {}", self.most_sends()),
            p99: time(self.quantile(0.99)),
            worst: time(self.worst()),
            besides: String::new(),
        }
    }
}

/// A share, rounded down: what is not all is not 100 %.
pub fn percent(part: usize, of: usize) -> String {
    match part * 10_000 / of {
        10_000 => "100 %".to_owned(),
        hundredths => format!("{}.{:02} %", hundredths / 100, hundredths % 100),
    }
}

/// A time, as exact as it is: tokio's timers fire up to a millisecond late.
pub fn time(time: Duration) -> String {
    match time.as_millis() / 10 {
        tens @ 0..100 => format!("{} ms", tens * 10),
        hundredths @ 100..6000 => format!("{}.{:02} s", hundredths / 100, hundredths % 100),
        hundredths => format!("{} min {} s", hundredths / 6000, hundredths / 100 % 60),
    }
}
