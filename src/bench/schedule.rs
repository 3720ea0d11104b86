//! When queries should leave: arrivals at a constant rate or by chance, without a clock. Latency counts from these times, so
//! that a server that stalls does not hide the queries that it kept from being sent.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// How arrivals lie in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spacing {
    /// At equal distances.
    Constant,
    /// By a Poisson process: the distances are exponentially distributed, as those of many independent clients.
    Poisson,
}

/// Times of arrival without end, in nanoseconds since the start.
#[derive(Debug)]
pub struct Arrivals {
    spacing: Spacing,
    /// Mean distance in nanoseconds.
    distance: f64,
    at: f64,
    rng: StdRng,
}

impl Arrivals {
    /// `per_second` arrivals in the mean. Of `parts` streams at the same rate, the `part`-th of constant ones is that part of
    /// a distance late, so that they interleave.
    pub fn new(spacing: Spacing, per_second: f64, part: usize, parts: usize, seed: u64) -> Self {
        let distance = 1e9 / per_second;
        let mut arrivals = Self {
            spacing,
            distance,
            at: 0.0,
            rng: StdRng::seed_from_u64(seed.wrapping_add(part as u64)),
        };
        arrivals.at = match spacing {
            Spacing::Constant => distance * part as f64 / parts as f64,
            Spacing::Poisson => arrivals.step(),
        };
        arrivals
    }

    /// When the next query should leave.
    pub fn peek(&self) -> u64 {
        self.at as u64
    }

    /// Goes on to the one after it.
    pub fn advance(&mut self) {
        self.at += self.step();
    }

    fn step(&mut self) -> f64 {
        match self.spacing {
            Spacing::Constant => self.distance,
            // From [0, 1) to (0, 1], whose logarithm is finite.
            Spacing::Poisson => -(1.0 - self.rng.random::<f64>()).ln() * self.distance,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(mut arrivals: Arrivals, count: usize) -> Vec<u64> {
        let next = |_| {
            let at = arrivals.peek();
            arrivals.advance();
            at
        };
        (0..count).map(next).collect()
    }

    #[test]
    fn constant_streams_interleave() {
        let stream = |part| times(Arrivals::new(Spacing::Constant, 1000.0, part, 2, 0), 3);
        assert_eq!(stream(0), [0, 1_000_000, 2_000_000]);
        assert_eq!(stream(1), [500_000, 1_500_000, 2_500_000]);
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_a_variance_as_large_as_their_mean() {
        let at = times(Arrivals::new(Spacing::Poisson, 1e6, 0, 1, 1), 1_000_000);
        let last = at[999_999];
        assert!((995_000_000..1_005_000_000).contains(&last), "{last}");
        let mut counts = vec![0_f64; 9_900];
        for at in at {
            if let Some(count) = counts.get_mut((at / 100_000) as usize) {
                *count += 1.0;
            }
        }
        let n = counts.len() as f64;
        let mean = counts.iter().sum::<f64>() / n;
        let variance = counts.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / n;
        assert!(
            (0.95..1.05).contains(&(variance / mean)),
            "{variance} {mean}"
        );
    }
}
