//! One flight per question: whoever asks what is being asked already waits for that answer. It knows neither cache nor
//! upstreams; an outcome is any value that can be cloned.

use crate::cache::Key;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

type Outcomes<T> = watch::Sender<Option<T>>;

/// The flights under way.
#[derive(Debug)]
pub(super) struct Inflight<T> {
    flights: Mutex<HashMap<Vec<u8>, Outcomes<T>, foldhash::fast::RandomState>>,
    limits: Limits,
}

/// How much may be under way at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Different questions, each with up to 3 sockets.
    pub flights: usize,
    /// Askers waiting for one of them.
    pub waiters: usize,
    /// Of those questions, the ones that one client address asked first.
    pub per_client: usize,
}

impl Default for Limits {
    /// At 4 s for each, 4096 flights are 1000 unanswered questions a second, and up to 12,288 open files. Who waits
    /// for another's question costs memory and nothing else: a crowd of clients that ask for one name is to be answered.
    /// The names that one pod asks for at once are fewer than 256.
    fn default() -> Self {
        Self {
            flights: 4096,
            waiters: 10_000,
            per_client: 256,
        }
    }
}

/// What an asker does now.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "it lives for one match")]
pub(super) enum Seat<T: Clone> {
    /// Sees to it that the flight takes place, and waits like the others.
    Leader(Flight<T>, Waiter<T>),
    /// Waits.
    Waiter(Waiter<T>),
    /// Neither: too many wait for this question.
    TooManyWaiters,
    /// Neither: too many questions are under way.
    TooManyFlights,
}

/// The duty to bring an outcome. Dropping it without one, in a panic or a cancellation, sends the waiters away.
#[derive(Debug)]
pub(super) struct Flight<T: Clone> {
    inflight: Arc<Inflight<T>>,
    key: Key,
    outcome: Option<T>,
}

/// A place in the waiting room; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Waiter<T>(watch::Receiver<Option<T>>);

impl<T: Clone> Inflight<T> {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            flights: Mutex::default(),
            limits,
        })
    }

    /// Gives a seat on the flight of this key; whoever comes first leads it.
    pub(super) fn join(self: &Arc<Self>, key: &Key) -> Seat<T> {
        let mut flights = self.flights();
        if let Some(outcomes) = flights.get(key.as_bytes()) {
            if outcomes.receiver_count() >= self.limits.waiters {
                return Seat::TooManyWaiters;
            }
            return Seat::Waiter(Waiter(outcomes.subscribe()));
        }
        if flights.len() >= self.limits.flights {
            return Seat::TooManyFlights;
        }
        let (outcomes, receiver) = watch::channel(None);
        flights.insert(key.as_bytes().to_vec(), outcomes);
        drop(flights);
        let flight = Flight {
            inflight: Arc::clone(self),
            key: key.clone(),
            outcome: None,
        };
        Seat::Leader(flight, Waiter(receiver))
    }

    fn flights(
        &self,
    ) -> MutexGuard<'_, HashMap<Vec<u8>, Outcomes<T>, foldhash::fast::RandomState>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Flight<T> {
    /// Ends the flight with this outcome. Who asks from now on starts another one: what is to be found in a cache must be
    /// there by now.
    pub(super) fn land(mut self, outcome: T) {
        self.outcome = Some(outcome);
    }
}

impl<T: Clone> Drop for Flight<T> {
    fn drop(&mut self) {
        let outcomes = self.inflight.flights().remove(self.key.as_bytes());
        if let (Some(outcomes), Some(outcome)) = (outcomes, self.outcome.take()) {
            outcomes.send_replace(Some(outcome));
        }
    }
}

impl<T: Clone> Waiter<T> {
    /// The outcome; `None` if the flight ended without one.
    pub(super) async fn outcome(mut self) -> Option<T> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{NameKey, Question};

    fn key(name: &str) -> Key {
        let question = Question {
            name: NameKey::from_text(name).unwrap(),
            qtype: 1,
            qclass: 1,
            dnssec_ok: false,
            checking_disabled: false,
        };
        Key::new(&question, 0)
    }

    fn lead(inflight: &Arc<Inflight<u8>>, name: &str) -> (Flight<u8>, Waiter<u8>) {
        match inflight.join(&key(name)) {
            Seat::Leader(flight, waiter) => (flight, waiter),
            other => panic!("expected to lead: {other:?}"),
        }
    }

    fn wait(inflight: &Arc<Inflight<u8>>, name: &str) -> Waiter<u8> {
        match inflight.join(&key(name)) {
            Seat::Waiter(waiter) => waiter,
            other => panic!("expected to wait: {other:?}"),
        }
    }

    #[tokio::test]
    async fn who_asks_the_same_waits_for_the_same_outcome() {
        let inflight = Inflight::new(Limits::default());
        let (flight, first) = lead(&inflight, "a");
        let (_other, _) = lead(&inflight, "b");
        let second = wait(&inflight, "a");
        flight.land(7);
        assert_eq!(
            (first.outcome().await, second.outcome().await),
            (Some(7), Some(7))
        );
        lead(&inflight, "a");
    }

    #[tokio::test]
    async fn a_leader_that_panics_sends_its_waiters_away_and_frees_the_question() {
        let inflight = Inflight::new(Limits::default());
        let (flight, waiter) = lead(&inflight, "a");
        let task = tokio::task::spawn_blocking(move || {
            let _flight = flight;
            panic!("on purpose");
        });
        assert_eq!(waiter.outcome().await, None);
        assert!(task.await.is_err());
        lead(&inflight, "a");
    }

    #[test]
    fn waiters_and_flights_are_bounded_and_who_leaves_makes_room() {
        let inflight = Inflight::new(Limits {
            flights: 2,
            waiters: 2,
            ..Limits::default()
        });
        let (flight, first) = lead(&inflight, "a");
        let _second = wait(&inflight, "a");
        assert!(matches!(inflight.join(&key("a")), Seat::TooManyWaiters));
        drop(first);
        wait(&inflight, "a");
        let _other = lead(&inflight, "b");
        assert!(matches!(inflight.join(&key("c")), Seat::TooManyFlights));
        drop(flight);
        lead(&inflight, "c");
    }
}
