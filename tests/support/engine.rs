//! An engine without names and without upstreams, for tests of listeners: special-use names are answered at once, all
//! others wait for a failure.

use gapless::{
    answer::{self, PodNames, Scope},
    engine::{Engine, Identity, Options},
    forward::Forwarder,
    index::{self, EndpointNames, Index, Ttl},
    lifecycle::Tasks,
    metrics::Metrics,
    wire::NameKey,
};
use prometheus_client::registry::Registry;
use rand::{SeedableRng, rngs::StdRng};
use std::time::Duration;

/// The index's defaults for the zone `cluster.local`.
pub fn index_options() -> index::Options {
    index::Options {
        zone: NameKey::from_text("cluster.local").unwrap(),
        ttl: Ttl::default(),
        endpoint_names: EndpointNames::Hostname,
        cluster_ip_endpoints: false,
        sources: vec![],
    }
}

/// The rules' defaults.
pub fn answer_options() -> answer::Options {
    answer::Options {
        scope: Scope::Cluster,
        pods: PodNames::Insecure,
        fallthrough: vec![],
        nameservers: vec![],
    }
}

/// The engine.
pub fn idle() -> Engine {
    let metrics = Metrics::new(&mut Registry::default());
    let rng = StdRng::seed_from_u64(1);
    let forward = Forwarder::new(&<_>::default(), Tasks::new().0, metrics.forward, rng);
    let options = Options {
        answers: answer_options(),
        has_cluster_dns: false,
        tcp_idle_timeout: Duration::from_secs(10),
        identity: Identity::default(),
    };
    Engine::new(
        Index::new(index_options()).1,
        forward,
        metrics.queries,
        options,
    )
}
