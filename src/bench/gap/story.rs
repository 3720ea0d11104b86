//! One name at one server: what is true of it, since when, and when the server first said so. Pure: times come in.

use std::{net::IpAddr, time::Duration};
use tokio::time::Instant;

/// What became of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// It got an address: the pod became ready.
    Appeared,
    /// It got another address.
    Moved,
    /// It lost its address: the pod is being deleted, or is not ready.
    Gone,
}

impl Kind {
    /// Every kind, and what it is called.
    pub const ALL: [(Self, &'static str); 3] = [
        (Self::Appeared, "ready to resolvable"),
        (Self::Moved, "new address to resolvable"),
        (Self::Gone, "deleted to gone"),
    ];
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// This address.
    Address(IpAddr),
    /// That there is none.
    Nothing,
    /// Nothing of use.
    Failure,
}

/// How an answer stands to the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is true; for the first time since the change, and so long after it.
    Right(Option<(Kind, Duration)>),
    /// It has no address where there is one.
    Missing,
    /// It has an address that is not the name's.
    Stale,
}

/// What is true, and what the server has not said yet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Story {
    address: Option<IpAddr>,
    /// The address before it was lost: a pod that comes back has moved.
    last: Option<IpAddr>,
    pending: Option<(Instant, Kind)>,
}

impl Story {
    /// What was true before anything was seen.
    pub(super) fn begin(&mut self, address: Option<IpAddr>) {
        self.address = address;
        self.pending = None;
    }

    /// From now on this is true. Whether the server never said what was true before.
    pub(super) fn turn(&mut self, at: Instant, address: Option<IpAddr>) -> bool {
        if address == self.address {
            return false;
        }
        let kind = match (address, self.address.or(self.last)) {
            (None, _) => Kind::Gone,
            (Some(_), None) => Kind::Appeared,
            (Some(new), Some(old)) if new == old => Kind::Appeared,
            (Some(_), Some(_)) => Kind::Moved,
        };
        self.last = self.address.or(self.last);
        self.address = address;
        self.pending.replace((at, kind)).is_some()
    }

    /// Compares an answer with the truth.
    pub(super) fn hear(&mut self, came: Instant, given: Given) -> Heard {
        let right = match self.address {
            Some(address) => given == Given::Address(address),
            None => given == Given::Nothing,
        };
        match (right, given) {
            (true, _) => {
                let pending = self.pending.take();
                let delay = |(at, kind)| (kind, came.saturating_duration_since(at));
                Heard::Right(pending.map(delay))
            }
            (false, Given::Address(_)) => Heard::Stale,
            // Somebody who does not know says nothing wrong where there is nothing.
            (false, _) if self.address.is_none() => Heard::Right(None),
            (false, _) => Heard::Missing,
        }
    }

    /// What is true.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Has the server not said yet what is true?
    pub(super) fn is_unsettled(&self) -> bool {
        self.pending.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_life_is_appeared_gone_moved() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let ms = Duration::from_millis;
        let [one, two] = ["10.0.0.1", "10.0.0.2"].map(|it| it.parse::<IpAddr>().unwrap());
        let mut story = Story::default();
        assert_eq!(story.hear(at(0), Given::Nothing), Heard::Right(None));
        story.turn(at(10), Some(one));
        assert_eq!(story.hear(at(11), Given::Nothing), Heard::Missing);
        assert_eq!(story.hear(at(12), Given::Failure), Heard::Missing);
        assert!(story.is_unsettled());
        let right = story.hear(at(15), Given::Address(one));
        assert_eq!(right, Heard::Right(Some((Kind::Appeared, ms(5)))));
        assert_eq!(story.hear(at(16), Given::Address(one)), Heard::Right(None));
        assert!(!story.turn(at(20), None));
        assert_eq!(story.hear(at(21), Given::Address(one)), Heard::Stale);
        assert_eq!(story.hear(at(22), Given::Failure), Heard::Right(None));
        let gone = story.hear(at(23), Given::Nothing);
        assert_eq!(gone, Heard::Right(Some((Kind::Gone, ms(3)))));
        story.turn(at(30), Some(two));
        assert_eq!(story.hear(at(31), Given::Address(one)), Heard::Stale);
        let moved = story.hear(at(34), Given::Address(two));
        assert_eq!(moved, Heard::Right(Some((Kind::Moved, ms(4)))));
    }

    #[test]
    fn what_was_there_before_is_no_change() {
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let mut story = Story::default();
        story.begin(Some(address));
        assert!(!story.is_unsettled());
        story.turn(Instant::now(), Some(address));
        assert!(!story.is_unsettled());
    }
}
