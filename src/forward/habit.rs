//! How one upstream is best asked, as its replies show: over UDP or TCP first, and in letters of random case or not. Pure; it
//! reads no clock and sends nothing.
//!
//! ```text
//! UDP first ───── 2 in a row lost by UDP, then an answer by TCP ─────▶ TCP first, UDP tried again after 10, 20 … 600 s
//!     ▲                                                                    │
//!     └─────────────── a reply by UDP, or a failure of TCP ────────────────┘
//!
//! random case ─── 3 questions in a row repeated in other letters ────▶ lower case for an hour, then random case again
//!                 by a datagram, and then answered all the same
//! ```

use std::time::Duration;
use tokio::time::Instant;

/// So many UDP questions in a row without a word, and an answer by TCP: datagrams do not come through.
const LOST_MAX: u32 = 2;
/// From then to the first question that tries UDP again: a moment's loss looks the same.
const UDP_AGAIN_MIN: Duration = Duration::from_secs(10);
/// Longest such time, doubled up to here by every trial in vain: a firewall stays, and each trial costs somebody a time-out.
const UDP_AGAIN_MAX: Duration = Duration::from_secs(600);
/// So many questions in a row came back in other letters. A forger would have to know as many IDs and ports.
const RECASED_MAX: u32 = 3;
/// For so long questions go without random case then: an upstream may be replaced by a better one.
const LOWER_CASE_FOR: Duration = Duration::from_secs(3600);

/// What was learnt of one upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Habit {
    /// UDP questions in a row that nothing was heard of.
    lost: u32,
    /// While TCP comes first: when UDP is tried again, and how long that was put off.
    udp_again: Option<(Instant, Duration)>,
    /// Questions in a row that came back in other letters.
    recased: u32,
    lower_case_until: Option<Instant>,
}

impl Habit {
    /// Does a question at `now` go by TCP at once? If it is time to try UDP again, this one does, and no other.
    pub(super) fn takes_tcp(&mut self, now: Instant) -> bool {
        match &mut self.udp_again {
            None => false,
            Some((at, put_off)) if *at <= now => {
                *put_off = (*put_off * 2).min(UDP_AGAIN_MAX);
                *at = now + *put_off;
                false
            }
            Some(_) => true,
        }
    }

    /// Is TCP its first choice?
    pub(super) const fn is_tcp_first(&self) -> bool {
        self.udp_again.is_some()
    }

    /// Nothing was heard of a question by UDP, or the network sent it back.
    pub(super) fn lost_by_udp(&mut self) {
        self.lost = self.lost.saturating_add(1);
    }

    /// It said something by UDP.
    pub(super) const fn spoke_by_udp(&mut self) {
        (self.lost, self.udp_again) = (0, None);
    }

    /// It said something by TCP.
    pub(super) fn spoke_by_tcp(&mut self, now: Instant) {
        if self.lost >= LOST_MAX && self.udp_again.is_none() {
            self.udp_again = Some((now + UDP_AGAIN_MIN, UDP_AGAIN_MIN));
        }
    }

    /// Nothing was heard by TCP, or the connection broke: neither way is better than the other.
    pub(super) const fn failed_by_tcp(&mut self) {
        self.spoke_by_udp();
    }

    /// Do the letters of a question at `now` get random case?
    pub(super) fn takes_random_case(&self, now: Instant) -> bool {
        self.lower_case_until.is_none_or(|until| until <= now)
    }

    /// Is it known to change letters?
    pub(super) const fn is_lower_case(&self) -> bool {
        self.lower_case_until.is_some()
    }

    /// It repeated a question in the letters that chance had given to it.
    pub(super) const fn repeated(&mut self) {
        (self.recased, self.lower_case_until) = (0, None);
    }

    /// It changed a question's letters, as its answer to the same question in lower case confirms. Says whether questions are
    /// in lower case from now on.
    pub(super) fn recased(&mut self, now: Instant) -> bool {
        self.recased = self.recased.saturating_add(1);
        let is_new = self.recased >= RECASED_MAX && self.takes_random_case(now);
        if is_new {
            self.lower_case_until = Some(now + LOWER_CASE_FOR);
        }
        is_new
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "an Instant has no other source")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn two_losses_and_an_answer_by_tcp_put_tcp_first() {
        let now = Instant::now();
        let mut habit = Habit::default();
        habit.lost_by_udp();
        habit.spoke_by_tcp(now);
        assert!(!habit.takes_tcp(now));
        habit.spoke_by_udp();
        habit.lost_by_udp();
        habit.spoke_by_tcp(now);
        assert!(!habit.takes_tcp(now), "not in a row");
        habit.lost_by_udp();
        assert!(!habit.takes_tcp(now), "TCP may be lost too");
        habit.spoke_by_tcp(now);
        assert!(habit.takes_tcp(now));
    }

    #[test]
    fn udp_is_tried_again_by_one_question_after_10_growing_to_600_seconds() {
        let mut now = Instant::now();
        let mut habit = Habit {
            lost: LOST_MAX,
            ..Habit::default()
        };
        habit.spoke_by_tcp(now);
        let tried = (0..9).map(|_| {
            let seconds = (1..1000).find(|seconds| !habit.takes_tcp(now + SECOND * *seconds));
            now += SECOND * seconds.unwrap();
            habit.lost_by_udp();
            habit.spoke_by_tcp(now);
            seconds.unwrap()
        });
        assert!(tried.eq([10, 20, 40, 80, 160, 320, 600, 600, 600]));
        habit.spoke_by_udp();
        assert_eq!(habit, Habit::default());
    }

    #[test]
    fn a_failure_of_tcp_gives_udp_its_turn() {
        let now = Instant::now();
        let mut habit = Habit {
            lost: LOST_MAX,
            ..Habit::default()
        };
        habit.spoke_by_tcp(now);
        habit.failed_by_tcp();
        assert!(!habit.takes_tcp(now));
    }

    #[test]
    fn three_questions_in_other_letters_end_random_case_for_an_hour_and_then_one_does() {
        let now = Instant::now();
        let mut habit = Habit::default();
        assert_eq!([habit.recased(now), habit.recased(now)], [false; 2]);
        habit.repeated();
        assert_eq!([(); 3].map(|()| habit.recased(now)), [false, false, true]);
        assert!(!habit.recased(now), "said once");
        let over = now + LOWER_CASE_FOR;
        assert!(!habit.takes_random_case(over - SECOND));
        assert!(habit.takes_random_case(over));
        assert!(habit.recased(over));
        assert!(!habit.takes_random_case(over));
        habit.repeated();
        assert_eq!(habit, Habit::default());
    }
}
