//! Every metric family: its name, its labels, its help text, and the handles that the parts count with. Handles exist
//! before the first query; label values are fixed texts, never a client's. It knows no part.

mod age;
mod connections;
mod feed;
mod forward;
mod handover;
mod index;
mod queries;
mod server;
mod source;
mod upstreams;

pub use connections::{Connected, ConnectionEnded, Connections, NotOpened, OpenConnection};
pub use feed::{Feed, Restart};
pub use forward::{Forward, Hedge, Ignored, Limit, Sent};
pub use handover::Handover;
pub use index::Index;
use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
pub use queries::{Origin, Queries, Tally, Transport};
pub use server::{Closed, Refused, Server};
pub use upstreams::Upstream;

/// Every part's handles, registered under the prefix `gapless`.
#[derive(Debug)]
pub struct Metrics {
    /// What the feeds receive.
    pub feed: Feed,
    /// The index of the cluster's names.
    pub index: Index,
    /// Queries answered, by transport, origin and code.
    pub queries: Queries,
    /// Questions to upstreams, and the cache of their answers.
    pub forward: Forward,
    /// What became of hand-overs.
    pub handover: Handover,
    /// What the listeners count.
    pub server: Server,
}

impl Metrics {
    /// Registers every family.
    pub fn new(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("gapless");
        Self {
            feed: Feed::new(registry),
            index: Index::new(registry),
            queries: Queries::new(registry),
            forward: Forward::new(registry),
            handover: Handover::new(registry),
            server: Server::new(registry),
        }
    }
}

/// A family with one label, and a handle for each of its values.
fn counters<const N: usize>(
    registry: &mut Registry,
    (name, label, values): (&'static str, &'static str, [&'static str; N]),
    help: &'static str,
) -> [Counter; N] {
    let family = Family::<[(&str, &str); 1], Counter>::default();
    let handles = values.map(|value| family.get_or_create_owned(&[(label, value)]));
    registry.register(name, help, family);
    handles
}
