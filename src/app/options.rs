//! The configuration as each part wants to be told of it.

use crate::{
    answer,
    cache::Bounds,
    config::{self, Config},
    engine::{self, Identity},
    forward::{self, Limits, ResolvConf},
    index, model, server,
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

pub(super) fn index(config: &Config, sources: Vec<model::Source>) -> index::Options {
    let cluster = &config.cluster;
    index::Options {
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

pub(super) fn engine(config: &Config, listening: &[SocketAddr]) -> engine::Options {
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

pub(super) fn server(config: &Config) -> server::Options {
    let cpus = || std::thread::available_parallelism().map_or(1, Into::into);
    server::Options {
        udp_workers: config.udp.workers.unwrap_or_else(cpus),
        udp_in_flight: config.forward.max_in_flight,
        tcp_connections: config.tcp.max_connections,
        tcp_connections_per_client: config.tcp.max_connections_per_client,
        tcp_idle: config.tcp.idle_timeout,
        ..server::Options::default()
    }
}

pub(super) fn forward(config: &Config, listening: &[SocketAddr]) -> forward::Options {
    forward::Options {
        upstreams: if config.forward.upstreams.is_empty() {
            from_resolv_conf(config, listening)
        } else {
            config.forward.upstreams.clone()
        },
        cluster_dns: config.cluster.dns.clone(),
        cache_bytes: config.cache.size,
        bounds: Bounds {
            positive: seconds(config.cache.max_ttl),
            negative: seconds(config.cache.max_negative_ttl),
            stale: seconds(config.cache.max_stale),
        },
        prefetch: config.cache.prefetch,
        trust_ad: config.forward.trust_ad,
        limits: Limits {
            flights: config.forward.max_in_flight,
            waiters: config.forward.max_waiters,
        },
    }
}

/// The system's upstreams, without this server itself.
fn from_resolv_conf(config: &Config, listening: &[SocketAddr]) -> Vec<SocketAddr> {
    let path = config.forward.resolv_conf.display();
    let text = std::fs::read_to_string(&config.forward.resolv_conf).unwrap_or_else(|error| {
        tracing::warn!("{path}: {error}");
        String::new()
    });
    let conf = ResolvConf::parse(&text, interface_index);
    for bad in &conf.bad {
        tracing::warn!("{path}: {bad}");
    }
    let (own, upstreams): (Vec<_>, Vec<_>) = conf
        .servers
        .into_iter()
        .partition(|server| leads_back(*server, listening));
    if !own.is_empty() {
        tracing::warn!(
            ?own,
            "{path}: these are addresses of this server, and would be asked in a circle; left out"
        );
    }
    if upstreams.is_empty() {
        tracing::warn!(
            "{path}: no upstream; only names of the cluster are answered (see forward.upstreams)"
        );
    }
    upstreams
}

/// Would a question sent to this address come back to a listener?
fn leads_back(server: SocketAddr, listening: &[SocketAddr]) -> bool {
    let any = |address: IpAddr| match address {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let wildcard = SocketAddr::new(any(server.ip()), server.port());
    listening.contains(&server) || (listening.contains(&wildcard) && server.ip().is_loopback())
}

fn interface_index(name: &str) -> Option<u32> {
    let safe = !name.contains('/') && name != "..";
    let path = safe.then(|| format!("/sys/class/net/{name}/ifindex"))?;
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_that_is_this_server_is_recognised() {
        let own = |server: &str, listening: &[&str]| {
            let listening: Vec<_> = listening.iter().map(|it| it.parse().unwrap()).collect();
            leads_back(server.parse().unwrap(), &listening)
        };
        assert!(own("127.0.0.1:53", &["127.0.0.1:53"]));
        assert!(own("127.0.0.53:53", &["0.0.0.0:53"]));
        assert!(own("[::1]:53", &["[::]:53"]));
        assert!(!own("127.0.0.1:53", &["127.0.0.1:5300"]));
        assert!(!own("192.0.2.1:53", &["0.0.0.0:53"]));
        assert!(!own("127.0.0.53:53", &["169.254.20.10:53"]));
    }
}
