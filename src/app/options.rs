//! The configuration as each part wants to be told of it.

use super::certificate;
use crate::{
    answer::{self, Hosts},
    cache::Bounds,
    config::{self, Config, HostsFile},
    engine::{self, Identity},
    forward::{self, Limits, Roots, Server, ZoneRoute},
    index, model,
    server::{self, Https},
};
use anyhow::Context as _;
use std::{
    fs,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

pub(super) fn index(config: &Config, sources: Vec<model::Source>) -> index::Options {
    let cluster = &config.cluster;
    // A directory is followed by notices that do not come while nothing changes.
    let is_confirmed = matches!(config.source, config::Source::Kubernetes { .. });
    index::Options {
        staleness: is_confirmed.then_some(index::Staleness {
            after: cluster.stale_after,
            unsure: cluster.when_stale == config::WhenStale::Forward,
        }),
        zone: cluster.domain.clone(),
        ttl: index::Ttl {
            service: seconds(cluster.ttl.service),
            pod: seconds(cluster.ttl.pod),
            negative: seconds(cluster.ttl.negative),
        },
        endpoint_names: match cluster.endpoint_names {
            config::EndpointNames::Hostname => index::EndpointNames::Hostname,
            config::EndpointNames::Pod => index::EndpointNames::Pod,
        },
        cluster_ip_endpoints: cluster.endpoint_slices == config::EndpointSlices::All,
        sources,
    }
}

fn seconds(ttl: Duration) -> u32 {
    u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX)
}

pub(super) fn engine(config: &Config, hosts: Hosts, listening: &[SocketAddr]) -> engine::Options {
    let cluster = &config.cluster;
    let own = listening.iter().map(SocketAddr::ip);
    let (any, nameservers): (Vec<_>, Vec<_>) = own.partition(IpAddr::is_unspecified);
    engine::Options {
        answers: answer::Options {
            scope: match cluster.scope {
                config::Scope::Cluster => answer::Scope::Cluster,
                config::Scope::Headless => answer::Scope::Headless,
            },
            pods: match cluster.pods {
                config::Pods::Disabled => answer::PodNames::Disabled,
                config::Pods::Insecure => answer::PodNames::Insecure,
                config::Pods::Verified => answer::PodNames::Verified,
            },
            fallthrough: cluster.fallthrough.clone(),
            routes: (0..)
                .zip(&config.forward.routes)
                .flat_map(|(number, route)| route.zones.iter().map(move |zone| (zone, number)))
                .collect(),
            hosts,
            // With a wildcard address, the one that was asked is the one that is known to reach this server.
            nameservers: if any.is_empty() { nameservers } else { vec![] },
        },
        has_cluster_dns: !cluster.dns.is_empty(),
        tcp_idle_timeout: config.tcp.idle_timeout,
        identity: Identity {
            version: config
                .identity
                .version
                .then(|| concat!("gapless ", env!("CARGO_PKG_VERSION")).into()),
            id: config.identity.id.as_deref().map(Into::into),
        },
    }
}

/// The static names; reads their file.
pub(super) fn hosts(config: &Config) -> anyhow::Result<Hosts> {
    let mut hosts = Hosts::new(seconds(config.hosts.ttl));
    for host in &config.hosts.entries {
        hosts.add(&host.names, &host.addresses)?;
    }
    let Some(path) = &config.hosts.file else {
        return Ok(hosts);
    };
    let key = || format!("hosts.file {}", path.display());
    let text = config::read(path).with_context(key)?;
    let text = String::from_utf8_lossy(&text);
    let file = HostsFile::parse(&text, &config.cluster.domain);
    for bad in file.bad.iter().take(MAX_BAD_LINES) {
        tracing::warn!("{}: {bad}", key());
    }
    if let Some(others) = file.bad.len().checked_sub(MAX_BAD_LINES + 1) {
        tracing::warn!("{}: and {} more", key(), others + 1);
    }
    for (names, address) in &file.lines {
        hosts.add(names, &[*address]).with_context(key)?;
    }
    Ok(hosts)
}

/// Bad lines of a hosts file that are named one by one.
const MAX_BAD_LINES: usize = 20;

pub(super) fn server(config: &Config) -> server::Options {
    let cpus = || std::thread::available_parallelism().map_or(1, Into::into);
    server::Options {
        freebind: config.freebind,
        handed_over: config.handover.is_some(),
        udp_workers: config.udp.workers.unwrap_or_else(cpus),
        // As many again wait for a question that somebody else asked, or hear that there are too many: neither limit of
        // the forwarder is to be met in a queue.
        udp_in_flight: 2 * config.forward.max_in_flight + config.forward.max_waiters,
        tcp_connections: config.tcp.max_connections,
        tcp_connections_per_client: config.tcp.max_connections_per_client,
        tcp_queries_per_connection: config.tcp.max_queries_per_connection,
        tcp_idle: config.tcp.idle_timeout,
        ..server::Options::default()
    }
}

/// DNS over HTTPS, if it is configured; reads its two files.
pub(super) fn https(config: &Config) -> anyhow::Result<Option<Https>> {
    let https = config.https.as_ref();
    let https = https.map(|https| {
        Ok(Https {
            listen: https.listen.clone(),
            tls: certificate::read(https)?,
            path: https.path.clone(),
        })
    });
    https.transpose()
}

/// Who may certify upstreams, if one has to be certified; reads the file, or those of the system.
pub(super) fn roots(config: &Config) -> anyhow::Result<Roots> {
    let routes = config.forward.routes.iter();
    let servers = (config.forward.upstreams.iter().chain(&config.cluster.dns))
        .chain(routes.flat_map(|route| &route.upstreams));
    let mut encrypted = servers.filter(|it| it.transport.is_encrypted());
    let Some(server) = encrypted.next() else {
        return Ok(Roots::default());
    };
    if let Some(path) = &config.forward.tls_ca {
        let file = || format!("forward.tls_ca {}", path.display());
        let text = fs::read(path).with_context(file)?;
        return Roots::from_pem(&text).with_context(file);
    }
    let system = rustls_native_certs::load_native_certs();
    let roots = Roots::from_system(system.certs);
    anyhow::ensure!(
        !roots.is_empty(),
        "{server}: the system trusts nobody who could certify it; forward.tls_ca names a file of those who may {:?}",
        system.errors,
    );
    Ok(roots)
}

/// What the forwarder is told, with these upstreams for everything that has no route.
pub(super) fn forward(config: &Config, roots: Roots, upstreams: &[Server]) -> forward::Options {
    forward::Options {
        upstreams: upstreams.to_vec(),
        cluster_dns: config.cluster.dns.clone(),
        routes: (config.forward.routes.iter())
            .map(|route| ZoneRoute {
                upstreams: route.upstreams.clone(),
                trust_ad: route.trust_ad,
            })
            .collect(),
        cache_bytes: config.cache.size,
        cache_message_max: usize::try_from(config.cache.max_answer).unwrap_or(usize::MAX),
        bounds: Bounds {
            positive: seconds(config.cache.max_ttl),
            negative: seconds(config.cache.max_negative_ttl),
            stale: seconds(config.cache.max_stale),
        },
        prefetch: config.cache.prefetch,
        trust_ad: config.forward.trust_ad,
        case_randomization: config.forward.case_randomization,
        roots,
        limits: Limits {
            flights: config.forward.max_in_flight,
            waiters: config.forward.max_waiters,
            per_client: config
                .forward
                .max_in_flight_per_client
                .unwrap_or(usize::MAX),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(address: &str) -> Server {
        address.parse::<SocketAddr>().unwrap().into()
    }

    #[test]
    fn what_bounds_the_cache_and_the_connections_is_passed_on() {
        let text = "tcp: {max_connections: 1, max_connections_per_client: 2, max_queries_per_connection: 3, idle_timeout: 4s}\n\
                    udp: {workers: 5}\n\
                    forward: {upstreams: [192.0.2.1], max_in_flight: 6, max_waiters: 7, max_in_flight_per_client: 13, trust_ad: true, case_randomization: false,\n\
                    \x20 routes: [{zones: [a.example], upstreams: [192.0.2.3], trust_ad: true}]}\n\
                    cluster: {dns: [192.0.2.2]}\n\
                    cache: {size: 8MiB, max_ttl: 9s, max_negative_ttl: 10s, max_stale: 12s, prefetch: false, max_answer: 11KiB}\n";
        let (config, _) = Config::parse(text.as_bytes(), &<_>::default()).unwrap();
        let expected = server::Options {
            udp_workers: 5,
            udp_in_flight: 19,
            tcp_connections: 1,
            tcp_connections_per_client: 2,
            tcp_queries_per_connection: 3,
            tcp_idle: Duration::from_secs(4),
            ..server::Options::default()
        };
        assert_eq!(server(&config), expected);
        let expected = forward::Options {
            upstreams: vec![upstream("192.0.2.1:53")],
            cluster_dns: vec![upstream("192.0.2.2:53")],
            routes: vec![ZoneRoute {
                upstreams: vec![upstream("192.0.2.3:53")],
                trust_ad: true,
            }],
            cache_bytes: 8 << 20,
            cache_message_max: 11 << 10,
            bounds: Bounds {
                positive: 9,
                negative: 10,
                stale: 12,
            },
            prefetch: false,
            trust_ad: true,
            case_randomization: false,
            roots: Roots::default(),
            limits: Limits {
                flights: 6,
                waiters: 7,
                per_client: 13,
            },
        };
        let upstreams = &config.forward.upstreams;
        assert_eq!(forward(&config, Roots::default(), upstreams), expected);
    }
}
