//! `forward`: who is asked for what, and which of it is the cluster's own DNS.

use super::{CLUSTER_DOMAIN, Forwarded, Found, is_reverse, zone_name};
use crate::convert::{corefile::Directive, document::Document};
use std::net::{IpAddr, SocketAddr};

/// The largest that `forward.max_in_flight` takes.
const MAX_IN_FLIGHT: u64 = 65_536;
/// The key's own default, which a smaller number does not lower.
const DEFAULT_IN_FLIGHT: u64 = 4096;

pub(super) fn read(found: &mut Found, it: &Directive, zones: &[String]) {
    let Some((from, to)) = it.arguments.split_first() else {
        found.left_out(it, "not carried over; it names no server");
        return;
    };
    let option = |name: &str| it.body.iter().find(|it| it.name == name);
    let name = option("tls_servername").and_then(|it| it.arguments.first());
    let mut servers = Vec::new();
    for server in to {
        if server.starts_with("__PILLAR__") {
            let instead = match server.as_str() {
                "__PILLAR__CLUSTER__DNS__" => {
                    "`GAPLESS_CLUSTER_DNS` of deploy/ gives it, or `cluster.dns`"
                }
                _ => "`forward.resolv_conf` gives them, or `forward.upstreams`",
            };
            found.remark(
                it.line,
                format!("`{server}`: not known before it runs; {instead}"),
            );
        } else if server.starts_with('/') {
            if server != "/etc/resolv.conf" {
                found.keys.resolv_conf = Some(server.clone());
            }
        } else {
            match self::server(
                server,
                name.map(String::as_str),
                option("force_tcp").is_some(),
            ) {
                Some(server) => servers.push(server),
                None => found.remark(
                    it.line,
                    format!("`{server}`: not carried over; not an address"),
                ),
            }
        }
    }
    for option in &it.body {
        self::option(found, option);
    }
    let from = zone_name(from);
    let zones = if from == "." {
        zones
    } else {
        std::slice::from_ref(&from)
    };
    for zone in zones {
        let (zone, servers) = (zone.clone(), servers.clone());
        found.forwards.push(Forwarded {
            zone,
            line: it.line,
            servers,
        });
    }
}

/// A server as we write it.
fn server(text: &str, name: Option<&str>, force_tcp: bool) -> Option<String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("dns", text));
    let rest = rest.trim_start_matches('[').replace(']', "");
    let address = match text.contains('[') {
        false if rest.parse::<IpAddr>().is_ok() => rest.parse::<IpAddr>().ok()?.to_string(),
        false => rest.parse::<SocketAddr>().ok()?.to_string(),
        true => {
            let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
            let bare = || {
                rest.trim_matches(['[', ']'])
                    .parse::<IpAddr>()
                    .ok()
                    .map(|ip| ip.to_string())
            };
            rest.parse::<SocketAddr>()
                .ok()
                .map(|it| it.to_string())
                .or_else(bare)?
        }
    };
    let name = name.map(|name| format!("#{name}")).unwrap_or_default();
    match (scheme, force_tcp) {
        ("dns", false) => Some(address),
        ("dns", true) => Some(format!("tcp://{address}")),
        ("tls", _) => Some(format!("tls://{address}{name}")),
        _ => None,
    }
}

fn option(found: &mut Found, it: &Directive) {
    match (it.name.as_str(), it.arguments.as_slice()) {
        ("force_tcp" | "tls_servername", _) | ("tls", []) => {}
        // Ours asks by UDP unless it is told otherwise.
        ("prefer_udp", _) => {}
        ("max_concurrent", [number]) => match number.parse::<u64>() {
            Ok(number) if number > DEFAULT_IN_FLIGHT => {
                let number = number.min(MAX_IN_FLIGHT).to_string();
                found.keys.max_in_flight = Some(number);
            }
            _ => found.left_out(it, "not carried over; `forward.max_in_flight` is 4096"),
        },
        ("tls", [.., ca]) if it.arguments.len() != 2 => {
            found.keys.tls_ca = Some(ca.clone());
            if it.arguments.len() == 3 {
                found.left_out(
                    it,
                    "the authority only; a certificate of the client's own is not sent",
                );
            }
        }
        ("policy" | "health_check" | "max_fails" | "expire" | "max_age", _) => {
            found.left_out(it, "not carried over; the fastest is asked, silence is noticed and connections are kept by measure");
        }
        ("except", _) => found.left_out(
            it,
            "not carried over; give those zones a route (`forward.routes`)",
        ),
        _ => found.left_out(it, "not carried over; there is no such thing here"),
    }
}

/// Puts what was found where it belongs. Without the plugin `kubernetes` the file is a node's cache, and one zone is the
/// cluster's.
pub(super) fn place(found: &mut Found, has_cluster: bool, document: &Document) {
    let mut forwards = std::mem::take(&mut found.forwards);
    if !has_cluster {
        let reverse = forwards
            .iter()
            .find(|it| it.zone == "in-addr.arpa")
            .map(|it| it.servers.clone());
        let is_cluster = |it: &Forwarded| {
            it.zone == CLUSTER_DOMAIN
                || (it.zone != "."
                    && !is_reverse(&it.zone)
                    && Some(&it.servers) == reverse.as_ref())
        };
        if let Some(at) = forwards.iter().position(is_cluster) {
            let cluster = forwards.remove(at);
            found.keys.domain = Some(cluster.zone);
            found.keys.dns = cluster.servers;
        }
    }
    for it in forwards {
        let is_domain = found.keys.domain.as_ref() == Some(&it.zone);
        match it.servers.as_slice() {
            // Of resolv.conf, or not known: said already where that matters.
            [] => {}
            _ if is_domain => found.remark(
                it.line,
                format!(
                    "`{}`: not carried over; the cluster's names are answered here",
                    it.zone
                ),
            ),
            servers if it.zone == "." => found.keys.upstreams = servers.to_vec(),
            servers => route(found, it.zone, servers),
        }
    }
    for (domain, servers) in &document.stub_domains {
        let servers: Vec<_> = servers
            .iter()
            .filter_map(|it| server(it, None, false))
            .collect();
        if servers.is_empty() {
            found.remark(
                0,
                format!(
                    "stub domain `{domain}`: not carried over; none of its servers is an address"
                ),
            );
        } else {
            route(found, zone_name(domain), &servers);
        }
    }
    let upstreams = document
        .upstreams
        .iter()
        .filter_map(|it| server(it, None, false));
    let upstreams: Vec<_> = upstreams.collect();
    if !upstreams.is_empty() {
        found.keys.upstreams = upstreams;
    }
}

/// A zone with servers of its own, beside others with the same.
fn route(found: &mut Found, zone: String, servers: &[String]) {
    let routes = &mut found.keys.routes;
    if routes.iter().any(|(zones, _)| zones.contains(&zone)) {
        return;
    }
    match routes.iter_mut().find(|(_, its)| its == servers) {
        Some((zones, _)) => zones.push(zone),
        None => routes.push((vec![zone], servers.to_vec())),
    }
}
