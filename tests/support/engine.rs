//! Engines without feeds and listeners: over no names, over given objects, with or without upstreams.

use gapless::{
    answer::{self, Hosts, PodNames, Scope},
    engine::{Engine, Identity, Options},
    forward::{self, Forwarder},
    index::{self, EndpointNames, Index, Ttl},
    lifecycle::Tasks,
    metrics::Metrics,
    model::{Change, Object, Source},
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
        staleness: None,
    }
}

/// The rules' defaults; and a route and a static name that no other test asks for, so that looking for one is measured too.
pub fn answer_options() -> answer::Options {
    let routed = NameKey::from_text("routed.cluster.local").unwrap();
    let mut hosts = Hosts::new(30);
    let addresses = ["192.0.2.10", "2001:db8::10"].map(|it| it.parse().unwrap());
    let name = NameKey::from_text("static.example").unwrap();
    hosts.add(&[name], &addresses).unwrap();
    answer::Options {
        scope: Scope::Cluster,
        pods: PodNames::Insecure,
        fallthrough: vec![],
        routes: [(&routed, 0)].into_iter().collect(),
        hosts,
        nameservers: vec![],
    }
}

/// The engine.
pub fn idle() -> Engine {
    let (_, reader) = Index::new(index_options());
    over(reader, &<_>::default(), &mut Registry::default())
}

/// One that knows these objects, and nothing else.
pub fn with_objects(objects: &[Object]) -> Engine {
    synced(objects, &<_>::default())
}

/// One that knows these objects, and asks these upstreams about all others.
pub fn synced(objects: &[Object], upstreams: &forward::Options) -> Engine {
    over(index_of(objects), upstreams, &mut Registry::default())
}

/// A synced index of these objects.
pub fn index_of(objects: &[Object]) -> index::Reader {
    let sources = vec![Source::Services, Source::EndpointSlices, Source::Namespaces];
    let (mut index, reader) = Index::new(index::Options {
        sources: sources.clone(),
        ..index_options()
    });
    for source in sources {
        index.apply(Change::ListStarted(source));
        let of_source = objects.iter().filter(|object| source == source_of(object));
        for object in of_source {
            index.apply(Change::Apply(source, object.clone()));
        }
        index.apply(Change::ListDone(source));
    }
    index.publish(42);
    reader
}

fn source_of(object: &Object) -> Source {
    match object {
        Object::Service(_) => Source::Services,
        Object::EndpointSlice(_) => Source::EndpointSlices,
        Object::Namespace(_) => Source::Namespaces,
        Object::Pod(_) => Source::Pods,
        Object::Unreadable(_) => panic!("it may be of any source"),
    }
}

/// One over this index and these upstreams, counted in this registry.
pub fn over(
    reader: index::Reader,
    upstreams: &forward::Options,
    registry: &mut Registry,
) -> Engine {
    under(answer_options(), reader, upstreams, registry)
}

/// One under these rules, over this index and these upstreams, counted in this registry.
pub fn under(
    answers: answer::Options,
    reader: index::Reader,
    upstreams: &forward::Options,
    registry: &mut Registry,
) -> Engine {
    let metrics = Metrics::new(registry);
    let rng = StdRng::seed_from_u64(1);
    let forward = Forwarder::new(upstreams, Tasks::new().0, metrics.forward, rng);
    let options = Options {
        answers,
        has_cluster_dns: !upstreams.cluster_dns.is_empty(),
        tcp_idle_timeout: Duration::from_secs(10),
        identity: Identity::default(),
    };
    Engine::new(reader, forward, metrics.queries, options)
}
