//! `kubernetes`: the cluster's names.

use super::{Found, is_reverse, seconds, zone_name};
use crate::convert::corefile::Directive;

/// The longest that `cluster.ttl` takes.
const MAX_TTL: u64 = 3600;

pub(super) fn read(found: &mut Found, it: &Directive, zones: &[String]) {
    let named: Vec<_> = it.arguments.iter().map(|zone| zone_name(zone)).collect();
    let named = if named.is_empty() {
        zones.to_vec()
    } else {
        named
    };
    let mut domains = named
        .into_iter()
        .filter(|zone| !is_reverse(zone) && zone != ".");
    if let Some(domain) = domains.next() {
        match &found.keys.domain {
            Some(first) if *first != domain => {
                found.left_out(
                    it,
                    &format!("not carried over; the cluster domain is `{first}`"),
                );
                return;
            }
            _ => found.keys.domain = Some(domain),
        }
    }
    for domain in domains {
        found.remark(
            it.line,
            format!("`{domain}`: not carried over; there is one cluster domain"),
        );
    }
    // As CoreDNS has them for every service; and its own default for pods.
    found
        .keys
        .cluster
        .insert("endpoint_slices", "all".to_owned());
    found.keys.cluster.insert("pods", "disabled".to_owned());
    for option in &it.body {
        self::option(found, option);
    }
}

fn option(found: &mut Found, it: &Directive) {
    match (it.name.as_str(), it.arguments.as_slice()) {
        ("pods", [mode]) if ["disabled", "insecure", "verified"].contains(&mode.as_str()) => {
            found.keys.cluster.insert("pods", mode.clone());
            if mode == "verified" {
                found.remark(
                    it.line,
                    "`pods verified`: needs the ClusterRole gapless-pods, too",
                );
            }
        }
        ("endpoint_pod_names", _) => {
            found
                .keys
                .cluster
                .insert("endpoint_names", "pod".to_owned());
        }
        ("ttl", [ttl]) => match seconds(ttl) {
            Some(ttl) if ttl <= MAX_TTL => {
                found.keys.service_ttl = Some(format!("{ttl}s"));
                found.left_out(it, "for services; names that follow pods keep `cluster.ttl.pod`, and what does not exist keeps 0");
            }
            _ => found.left_out(it, "not carried over; not a time of at most an hour"),
        },
        ("fallthrough", []) => found.keys.fallthrough.push(".".to_owned()),
        ("fallthrough", zones) => {
            // Reverse names that are nobody's in the cluster are forwarded anyway.
            let zones = zones.iter().map(|zone| zone_name(zone));
            found
                .keys
                .fallthrough
                .extend(zones.filter(|zone| !is_reverse(zone)));
        }
        ("kubeconfig", [file, context @ ..]) => {
            found.keys.kubeconfig = Some(file.clone());
            found.keys.context = context.first().cloned();
        }
        ("endpoint" | "tls", _) => found.left_out(
            it,
            "not carried over; a kubeconfig says it (`source.kubeconfig`)",
        ),
        ("namespaces" | "namespace_labels" | "labels", _) => {
            found.left_out(
                it,
                "not carried over; every namespace and service has its names",
            );
        }
        ("ignore", _) => found.left_out(
            it,
            "not carried over; names of services without endpoints do not exist, or have no data",
        ),
        _ => found.left_out(it, "not carried over; there is no such thing here"),
    }
}
