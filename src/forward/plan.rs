//! The turns of one question's upstreams, and how many sends are left. It knows no clock, and not how anybody is asked.

use std::collections::VecDeque;

/// Most questions that one asker can cause, each by a socket of its own: what is lost twice is not worth a storm (RFC 9520 §3.1).
pub const SENDS: usize = 3;

/// Who is still to be asked; by default, nobody.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Upstreams, the next one in front; who was asked stands at the end for another round.
    turns: VecDeque<usize>,
    /// How many of them, in front, were not asked yet.
    fresh: usize,
    sends_left: usize,
}

impl Plan {
    pub(super) fn new(order: Vec<usize>) -> Self {
        let turns = VecDeque::from(order);
        Self {
            fresh: turns.len(),
            turns,
            sends_left: SENDS,
        }
    }

    /// Is there somebody to be asked, and a send for it?
    pub(super) fn may_send(&self) -> bool {
        self.sends_left > 0 && !self.turns.is_empty()
    }

    /// Is the next send the last one?
    pub(super) const fn is_last(&self) -> bool {
        self.sends_left <= 1
    }

    /// Takes one send, if one is left.
    pub(super) fn spend(&mut self) -> Option<()> {
        self.sends_left = self.sends_left.checked_sub(1)?;
        Some(())
    }

    /// The next upstream's turn, which takes one send.
    pub(super) fn next(&mut self) -> Option<usize> {
        let upstream = self.turns.pop_front()?;
        self.turns.push_back(upstream);
        self.fresh = self.fresh.saturating_sub(1);
        self.spend()?;
        Some(upstream)
    }

    /// Is the next turn that of an upstream that has not had one? For those who were asked, the second turn comes with time.
    pub(super) const fn is_fresh(&self) -> bool {
        self.fresh > 0
    }

    /// An upstream that was asked cannot answer this question; asking it again is of no use.
    pub(super) fn take_out(&mut self, upstream: usize) {
        self.turns.retain(|it| *it != upstream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(plan: &mut Plan) -> Vec<usize> {
        std::iter::from_fn(|| plan.next()).collect()
    }

    #[test]
    fn upstreams_take_turns_until_the_sends_are_used_up() {
        assert_eq!(turns(&mut Plan::new((0..1).collect())), [0, 0, 0]);
        assert_eq!(turns(&mut Plan::new((0..2).collect())), [0, 1, 0]);
        assert_eq!(turns(&mut Plan::new((0..5).collect())), [0, 1, 2]);
        assert_eq!(turns(&mut Plan::default()), [] as [usize; 0]);
    }

    #[test]
    fn who_cannot_answer_has_no_more_turns() {
        let mut plan = Plan::new((0..3).collect());
        let first = plan.next().unwrap();
        plan.take_out(first);
        assert_eq!(turns(&mut plan), [1, 2]);
        let mut plan = Plan::new((0..1).collect());
        plan.next();
        plan.take_out(0);
        assert_eq!(turns(&mut plan), [] as [usize; 0]);
    }

    #[test]
    fn the_second_round_is_no_longer_fresh() {
        let mut plan = Plan::new((0..2).collect());
        plan.next();
        assert!(plan.is_fresh());
        plan.next();
        assert!(!plan.is_fresh());
        assert_eq!(turns(&mut plan), [0]);
    }
}
