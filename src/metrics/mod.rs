//! Every metric family: its name, its labels, its help text, and the handles that the parts count with. Handles exist
//! before the first query; label values are fixed texts, never a client's. It knows no part.

mod feed;
mod queries;

pub use feed::{Feed, Restart};
use prometheus_client::registry::Registry;
pub use queries::{Origin, Queries, Transport};

/// Every part's handles, registered under the prefix `gapless`.
#[derive(Debug)]
pub struct Metrics {
    /// What the feeds receive.
    pub feed: Feed,
    /// Queries answered, by transport, origin and code.
    pub queries: Queries,
}

impl Metrics {
    /// Registers every family.
    pub fn new(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("gapless");
        Self {
            feed: Feed::new(registry),
            queries: Queries::new(registry),
        }
    }
}
