//! Queries under way on one socket or connection, by ID: each ID is used once in 65,536 queries, so that a late reply is
//! nobody else's. It reads no clock.

use super::questions::Pick;

/// A query under way. Times are in nanoseconds since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flight {
    /// When it should have left.
    pub(super) due: u64,
    /// When it left.
    pub(super) sent: u64,
    /// What it asks.
    pub(super) pick: Pick,
}

/// To what a message with some ID replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Landing {
    /// A query under way.
    Awaited(Flight),
    /// One that counts as lost already.
    Late,
    /// None, or one that was answered before.
    Unknown,
}

#[derive(Clone, Copy)]
enum Slot {
    Free,
    Open(Flight),
    Lost,
}

/// The queries under way.
pub(super) struct Flights {
    slots: Box<[Slot]>,
    first_id: u16,
    /// Queries so far.
    started: usize,
    /// Those before it have landed or are lost.
    oldest: usize,
    open: usize,
}

const IDS: usize = 1 << 16;

impl Flights {
    /// None yet; IDs begin with this one.
    pub(super) fn new(first_id: u16) -> Self {
        Self {
            slots: vec![Slot::Free; IDS].into(),
            first_id,
            started: 0,
            oldest: 0,
            open: 0,
        }
    }

    /// How many more can start now.
    pub(super) fn room(&self) -> usize {
        IDS - (self.started - self.oldest)
    }

    /// How many are under way.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// The ID of the query that starts as the `n`-th from now.
    pub(super) fn id_of(&self, n: usize) -> u16 {
        self.first_id.wrapping_add((self.started + n) as u16)
    }

    /// Starts the next query, if there is room.
    pub(super) fn start(&mut self, flight: Flight) {
        debug_assert!(self.room() > 0, "an ID would be used twice");
        self.slots[self.started % IDS] = Slot::Open(flight);
        self.started += 1;
        self.open += 1;
    }

    /// The query that waits for a reply with this ID.
    pub(super) fn awaited(&self, id: u16) -> Landing {
        match self.slots[self.place(id)] {
            Slot::Open(flight) => Landing::Awaited(flight),
            Slot::Lost => Landing::Late,
            Slot::Free => Landing::Unknown,
        }
    }

    /// Ends the query with this ID.
    pub(super) fn land(&mut self, id: u16) {
        let place = self.place(id);
        if let Slot::Open(_) = std::mem::replace(&mut self.slots[place], Slot::Free) {
            self.open -= 1;
        }
        self.skip_ended();
    }

    /// Gives up queries that left before this time.
    pub(super) fn lose_before(&mut self, time: u64, mut lost: impl FnMut(Flight)) {
        self.skip_ended();
        while self.oldest < self.started {
            let slot = &mut self.slots[self.oldest % IDS];
            if let Slot::Open(flight) = *slot {
                if flight.sent >= time {
                    return;
                }
                *slot = Slot::Lost;
                self.open -= 1;
                lost(flight);
            }
            self.oldest += 1;
        }
    }

    fn skip_ended(&mut self) {
        let is_open = |slot: &Slot| matches!(slot, Slot::Open(_));
        while self.oldest < self.started && !is_open(&self.slots[self.oldest % IDS]) {
            self.oldest += 1;
        }
    }

    fn place(&self, id: u16) -> usize {
        usize::from(id.wrapping_sub(self.first_id))
    }
}

impl std::fmt::Debug for Flights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Flights({} open)", self.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(sent: u64) -> Flight {
        Flight {
            due: sent,
            sent,
            pick: Pick {
                question: 0,
                unique: None,
            },
        }
    }

    #[test]
    fn a_reply_lands_once_and_after_its_time_it_is_late() {
        let mut flights = Flights::new(65_535);
        assert_eq!((flights.id_of(0), flights.id_of(1)), (65_535, 0));
        for sent in 0..3 {
            flights.start(flight(sent));
        }
        assert_eq!(flights.awaited(0), Landing::Awaited(flight(1)));
        flights.land(0);
        assert_eq!(flights.awaited(0), Landing::Unknown);
        assert_eq!(flights.awaited(9), Landing::Unknown);
        let mut lost = vec![];
        flights.lose_before(1, |it| lost.push(it.sent));
        assert_eq!((lost, flights.open()), (vec![0], 1));
        assert_eq!(flights.awaited(65_535), Landing::Late);
        assert_eq!(flights.awaited(1), Landing::Awaited(flight(2)));
    }

    #[test]
    fn ids_are_used_again_when_all_before_them_have_ended() {
        let mut flights = Flights::new(0);
        for sent in 0..65_536 {
            flights.start(flight(sent));
        }
        assert_eq!(flights.room(), 0);
        flights.land(1);
        assert_eq!(flights.room(), 0);
        flights.land(0);
        assert_eq!(flights.room(), 2);
        flights.start(flight(70_000));
        assert_eq!(flights.awaited(0), Landing::Awaited(flight(70_000)));
    }
}
