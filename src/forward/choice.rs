//! In which order a route's upstreams are asked, and how long one may be silent: by the round-trips measured and the failures
//! of late. It reads no clock and sends nothing.
//!
//! ```text
//!             first time-out                       answer
//! in the band ──────────────▶ aside, probed after ────────▶ in the band, or aside if it is slow
//!      ▲                      1, 2, 4 … 30 s
//!      └── answer ── not measured yet: aside, probed at once
//! ```

use crate::forward::habit::Habit;
use std::{
    iter,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Shortest wait before the next upstream is asked as well. An upstream that looks a name up itself takes tens of ms.
const TIMEOUT_MIN: Duration = Duration::from_millis(50);
/// Longest such wait, and the one for an upstream that was not measured yet.
pub(super) const TIMEOUT_MAX: Duration = Duration::from_millis(800);
/// Round-trips up to twice the fastest and this are as good as the fastest: less is noise.
const BAND: Duration = Duration::from_millis(5);
/// From the first failure to the first probe.
const PROBE_MIN: Duration = Duration::from_secs(1);
/// Longest time between two probes, doubled up to here by every failure; and the time after which a slow upstream is
/// measured again. One question in this time may be a slow one.
const PROBE_MAX: Duration = Duration::from_secs(30);

/// What is known of a fixed number of upstreams.
#[derive(Debug)]
pub(super) struct Choice {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    upstreams: Box<[Health]>,
    /// Questions so far, for those in the band to share them.
    turn: usize,
}

/// What is known of one upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Health {
    round_trip: Option<RoundTrip>,
    /// Failures since it last said anything.
    failures: u32,
    failed_at: Option<Instant>,
    /// While it stands aside, the next question from here on is asked of it first; at once without a time.
    probe_at: Option<Instant>,
    /// How it is best asked.
    pub(super) habit: Habit,
}

/// A round-trip, smoothed as in RFC 6298 §2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RoundTrip {
    smoothed: Duration,
    variation: Duration,
}

impl RoundTrip {
    fn with(before: Option<Self>, sample: Duration) -> Self {
        match before {
            None => Self {
                smoothed: sample,
                variation: sample / 2,
            },
            Some(Self {
                smoothed,
                variation,
            }) => Self {
                smoothed: (smoothed * 7 + sample) / 8,
                variation: (variation * 3 + smoothed.abs_diff(sample)) / 4,
            },
        }
    }
}

impl Health {
    /// Has it failed since it last said anything?
    pub(super) const fn is_down(&self) -> bool {
        self.failures > 0
    }

    /// The smoothed round-trip, once there is one.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        Some(self.round_trip?.smoothed)
    }

    /// Doubled by every failure (RFC 6298 §5.5): who became slower must be able to come back.
    fn timeout(&self) -> Duration {
        let Some(it) = self.round_trip else {
            return TIMEOUT_MAX;
        };
        let timeout = (it.smoothed + it.variation * 4).max(TIMEOUT_MIN);
        timeout
            .saturating_mul(doubled(self.failures))
            .min(TIMEOUT_MAX)
    }

    fn probe_interval(&self) -> Duration {
        match self.failures {
            0 => PROBE_MAX,
            nth => (PROBE_MIN * doubled(nth - 1)).min(PROBE_MAX),
        }
    }
}

/// Two to the power of a number that may be large; beyond 1024 every use is at its bound.
fn doubled(times: u32) -> u32 {
    1 << times.min(10)
}

impl Choice {
    /// The choice among upstreams of which so much is known.
    pub(super) fn new(upstreams: Box<[Health]>) -> Self {
        let state = State { upstreams, turn: 0 };
        Self {
            state: Mutex::new(state),
        }
    }

    /// Every upstream once, in the order in which a question at `now` is to ask them: one that is to be probed, if its time
    /// has come, which is for this question alone; those about as fast as the fastest, by turns; the slower ones; those that
    /// failed.
    pub(super) fn order(&self, now: Instant) -> Vec<usize> {
        self.state().order(now)
    }

    /// How long this upstream may be silent before another one is asked as well.
    pub(super) fn timeout(&self, upstream: usize) -> Duration {
        self.state().upstreams[upstream].timeout()
    }

    /// An answer came, so long after the question: the upstream is well.
    pub(super) fn answered(&self, upstream: usize, after: Duration, now: Instant) {
        let health = &mut self.state().upstreams[upstream];
        *health = Health {
            round_trip: Some(RoundTrip::with(health.round_trip, after)),
            probe_at: Some(now + PROBE_MAX),
            habit: health.habit,
            ..Health::default()
        };
    }

    /// It said that it cannot answer. It may be about that one name, so it is no failure; and the time that it took says
    /// nothing about the time that answers take.
    pub(super) fn spoke(&self, upstream: usize) {
        let health = &mut self.state().upstreams[upstream];
        (health.failures, health.failed_at) = (0, None);
    }

    /// It was silent for too long, or could not be reached. Of questions under way at the same time, only the first one counts.
    pub(super) fn failed(&self, upstream: usize, sent_at: Instant, now: Instant) {
        let health = &mut self.state().upstreams[upstream];
        if health.failed_at.is_some_and(|failed| sent_at < failed) {
            return;
        }
        health.failures = health.failures.saturating_add(1);
        health.failed_at = Some(now);
        health.probe_at = Some(now + health.probe_interval());
    }

    /// Looks up, or notes, how this upstream is best asked.
    pub(super) fn habit<T>(&self, upstream: usize, of: impl FnOnce(&mut Habit) -> T) -> T {
        of(&mut self.state().upstreams[upstream].habit)
    }

    /// What is known of each.
    pub(super) fn health(&self) -> Box<[Health]> {
        self.state().upstreams.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn order(&mut self, now: Instant) -> Vec<usize> {
        let well = self.upstreams.iter().filter(|it| !it.is_down());
        let fastest = well.filter_map(Health::round_trip).min();
        // A single name that took long to look up shows in the variation, and says nothing about the next one.
        let in_band = |health: &Health| match (health.round_trip, fastest) {
            (Some(own), Some(fastest)) if !health.is_down() => {
                own.smoothed.saturating_sub(own.variation) <= fastest * 2 + BAND
            }
            _ => false,
        };
        let (mut first, mut aside): (Vec<_>, Vec<_>) =
            (0..self.upstreams.len()).partition(|it| in_band(&self.upstreams[*it]));
        self.turn = self.turn.wrapping_add(1);
        if !first.is_empty() {
            let turn = self.turn % first.len();
            first.rotate_left(turn);
        }
        let upstreams = &mut self.upstreams;
        aside.sort_by_key(|it| (upstreams[*it].failures, upstreams[*it].round_trip()));
        let due = |it: &usize| upstreams[*it].probe_at.is_none_or(|at| at <= now);
        let probe = aside.iter().position(due).map(|at| aside.remove(at));
        if let Some(probed) = probe {
            upstreams[probed].probe_at = Some(now + upstreams[probed].probe_interval());
        }
        iter::empty()
            .chain(probe)
            .chain(first)
            .chain(aside)
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "an Instant has no other source")]
mod tests {
    use super::*;

    fn unknown(upstreams: usize) -> Choice {
        Choice::new(vec![Health::default(); upstreams].into())
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A choice among upstreams that answered once, in these ms.
    fn measured(round_trips: &[u64], now: Instant) -> Choice {
        let choice = unknown(round_trips.len());
        for (upstream, round_trip) in round_trips.iter().enumerate() {
            choice.answered(upstream, ms(*round_trip), now);
        }
        choice
    }

    fn firsts(choice: &Choice, times: usize, now: Instant) -> Vec<usize> {
        (0..times).map(|_| choice.order(now)[0]).collect()
    }

    #[test]
    fn upstreams_about_as_fast_as_the_fastest_take_turns() {
        let now = Instant::now();
        let choice = measured(&[10, 52, 50, 1], now);
        choice.failed(3, now, now);
        let mut firsts = firsts(&choice, 10, now);
        firsts.sort_unstable();
        assert_eq!(firsts, [0, 0, 0, 0, 0, 2, 2, 2, 2, 2]);
        assert_eq!(choice.order(now)[2..], [1, 3]);
    }

    #[test]
    fn one_slow_answer_does_not_set_an_upstream_aside() {
        let now = Instant::now();
        let choice = measured(&[1, 1], now);
        choice.answered(0, ms(300), now);
        assert_eq!(firsts(&choice, 4, now), [1, 0, 1, 0]);
        (0..20).for_each(|_| choice.answered(0, ms(300), now));
        assert_eq!(firsts(&choice, 4, now), [1; 4]);
    }

    #[test]
    fn an_upstream_not_measured_yet_is_asked_by_one_question() {
        let now = Instant::now();
        let choice = unknown(3);
        assert_eq!(choice.order(now), [0, 1, 2]);
        assert_eq!(choice.order(now), [1, 0, 2]);
        choice.answered(0, ms(1), now);
        assert_eq!(firsts(&choice, 4, now), [2, 0, 0, 0]);
        assert!(unknown(0).order(now).is_empty());
    }

    #[test]
    fn a_failed_upstream_is_probed_by_one_question_after_1_growing_to_30_seconds() {
        let mut now = Instant::now();
        let choice = measured(&[1, 100], now);
        let mut intervals = Vec::new();
        for _ in 0..7 {
            choice.answered(1, ms(100), now); // not measured again for its slowness
            choice.failed(0, now, now);
            let seconds = (1..100).find(|seconds| {
                choice.answered(1, ms(100), now);
                let until = now + Duration::from_secs(*seconds);
                assert_eq!(choice.order(until - ms(1))[0], 1);
                choice.order(until)[0] == 0
            });
            intervals.push(seconds.unwrap());
            now += Duration::from_secs(intervals[intervals.len() - 1]);
            assert_eq!(firsts(&choice, 10, now), [1; 10]);
        }
        assert_eq!(intervals, [1, 2, 4, 8, 16, 30, 30]);
        (0..2).for_each(|it| choice.answered(it, ms(1 + 99 * it as u64), now));
        assert_eq!(firsts(&choice, 2, now), [0; 2]);
        choice.failed(0, now, now);
        assert_eq!(firsts(&choice, 2, now + PROBE_MIN), [0, 1]);
    }

    #[test]
    fn questions_under_way_together_fail_once() {
        let sent_at = Instant::now();
        let choice = measured(&[1, 1], sent_at);
        for silent in 1..100 {
            choice.failed(0, sent_at, sent_at + ms(50 + silent));
        }
        let now = sent_at + ms(51);
        let order = |at| firsts(&choice, 2, at);
        assert_eq!(order(now + PROBE_MIN - ms(1)), [1; 2]);
        assert_eq!(order(now + PROBE_MIN), [0, 1]);
    }

    #[test]
    fn a_slow_upstream_is_measured_again_after_30_seconds() {
        let now = Instant::now();
        let choice = measured(&[500, 1], now);
        assert_eq!(firsts(&choice, 3, now + PROBE_MAX - ms(1)), [1; 3]);
        assert_eq!(firsts(&choice, 3, now + PROBE_MAX), [0, 1, 1]);
    }

    #[test]
    fn who_says_that_it_cannot_answer_has_not_failed() {
        let now = Instant::now();
        let choice = measured(&[1, 1], now);
        choice.spoke(0);
        assert_eq!(choice.health(), measured(&[1, 1], now).health());
        choice.failed(0, now, now);
        assert!(choice.health()[0].is_down());
        choice.spoke(0);
        assert!(!choice.health()[0].is_down());
    }

    #[test]
    fn rfc_6298_the_timeout_follows_the_round_trip_and_its_variation() {
        let now = Instant::now();
        let choice = unknown(1);
        let answered = |after| {
            choice.answered(0, ms(after), now);
            choice.timeout(0)
        };
        assert_eq!(answered(100), ms(100 + 4 * 50));
        assert_eq!(answered(180), ms(110) + Duration::from_micros(4 * 57_500));
        (0..100).for_each(|_| assert!(answered(1) >= TIMEOUT_MIN));
        assert_eq!(choice.timeout(0), TIMEOUT_MIN);
        choice.failed(0, now, now);
        assert_eq!(choice.timeout(0), TIMEOUT_MIN * 2);
        (0..100).for_each(|_| choice.failed(0, now, now));
        assert_eq!(choice.timeout(0), TIMEOUT_MAX);
        assert_eq!(unknown(1).timeout(0), TIMEOUT_MAX);
        choice.answered(0, ms(4000), now);
        assert_eq!(choice.timeout(0), TIMEOUT_MAX);
    }
}
