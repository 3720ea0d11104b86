//! What became of the sockets between this process and the one before it, and the one after it. A process that gave them away
//! is not scraped any more, and so nobody counts that.

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// Handles of the hand-over; without a registry they count for nobody.
#[derive(Clone, Debug, Default)]
pub struct Handover {
    /// This process has the sockets of the one before.
    pub taken: Counter,
    /// The process before ended while this one waited for its turn.
    pub ended: Counter,
    /// The process before could not be asked, or passed nothing that is of use.
    pub not_taken: Counter,
    /// The next process ended before it took anything.
    pub left: Counter,
    /// The next process did not keep to the protocol, or ended with the sockets in its hands.
    pub not_given: Counter,
}

impl Handover {
    /// Registers the family and makes every handle.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let family = Family::<[(&str, &str); 2], Counter>::default();
        let handle =
            |side, outcome| family.get_or_create_owned(&[("side", side), ("outcome", outcome)]);
        let handles = Self {
            taken: handle("former", "taken"),
            ended: handle("former", "ended"),
            not_taken: handle("former", "failed"),
            left: handle("next", "left"),
            not_given: handle("next", "failed"),
        };
        registry.register(
            "handover_outcomes",
            "Processes before and after this one that have to do with its sockets, by what became of that",
            family,
        );
        handles
    }
}
