//! Reverse names (RFC 1035 §3.5, RFC 3596 §2.5): those of cluster IPs and of ready endpoints are ours, all others somebody
//! else's.

use super::{Elsewhere, Found, Options, Records, Scope, Zone};
use crate::{
    index::{Kind, ServiceRecords, Snapshot},
    model::Source,
    wire::{NameKey, rtype},
};
use std::net::IpAddr;

/// The address whose reverse name this is; `None` for names above and below those of whole addresses.
pub(super) fn address(name: &NameKey) -> Option<IpAddr> {
    let labels = name.label_count();
    if labels < 3 || name.label(labels - 1)? != b"arpa" {
        return None;
    }
    match (name.label(labels - 2)?, labels) {
        (b"in-addr", 6) => {
            let mut octets = [0; 4];
            for (octet, n) in octets.iter_mut().rev().zip(0..) {
                let text = str::from_utf8(name.label(n)?).ok()?;
                let canonical = text == "0" || !text.starts_with(['0', '+']);
                *octet = text.parse().ok().filter(|_| canonical)?;
            }
            Some(octets.into())
        }
        (b"ip6", 34) => {
            let mut octets = [0; 16];
            for (octet, n) in octets.iter_mut().rev().zip((0..).step_by(2)) {
                *octet = nibble(name.label(n)?)? | nibble(name.label(n + 1)?)? << 4;
            }
            Some(octets.into())
        }
        _ => None,
    }
}

/// The reverse name of an address.
pub(super) fn name(address: IpAddr) -> NameKey {
    let text = match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let octets = v6.octets();
            let nibbles = octets.iter().rev().flat_map(|it| [it & 15, it >> 4]);
            nibbles.map(|it| format!("{it:x}.")).collect::<String>() + "ip6.arpa"
        }
    };
    NameKey::from_text(&text).expect("a reverse name is a name")
}

fn nibble(label: &[u8]) -> Option<u8> {
    match label {
        [digit @ b'0'..=b'9'] => Some(digit - b'0'),
        [digit @ b'a'..=b'f'] => Some(digit - b'a' + 10),
        _ => None,
    }
}

pub(super) fn find<'s>(
    address: IpAddr,
    qtype: u16,
    snapshot: &Snapshot,
    options: &Options,
) -> Found<'s> {
    if !snapshot.knows(Source::Services) || !snapshot.knows_endpoints() {
        return Found::Unsure;
    }
    let ours = pointers(snapshot, address, options.scope).next().is_some();
    match qtype {
        _ if !ours => Found::Elsewhere(match options.scope {
            Scope::Cluster => Elsewhere::Upstream,
            // The other cluster addresses are names of the cluster's own DNS.
            Scope::Headless => Elsewhere::ClusterDns,
        }),
        rtype::PTR => Found::Exists(Records::Pointers(address)),
        rtype::ANY => Found::Exists(Records::Hinfo),
        _ => Found::Exists(Records::Negative(Zone::Name)),
    }
}

/// The services with a name for this address, each with the host's label, or without one for the service's own name.
pub(super) fn pointers(
    snapshot: &Snapshot,
    address: IpAddr,
    scope: Scope,
) -> impl Iterator<Item = (&ServiceRecords, Option<&[u8]>)> {
    let services = snapshot.services_at(address);
    let in_scope = move |service: &&ServiceRecords| {
        scope == Scope::Cluster || service.kind() == Kind::Headless
    };
    services.filter(in_scope).flat_map(move |service| {
        let own = service.has_cluster_ip(address).then_some((service, None));
        own.into_iter().chain(
            service
                .hosts_at(address)
                .map(move |host| (service, Some(host))),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(name: &str) -> Option<String> {
        address(&NameKey::from_text(name).unwrap()).map(|address| address.to_string())
    }

    #[test]
    fn the_reverse_name_of_an_address_reads_back() {
        for text in ["192.0.2.10", "2001:db8::10", "::", "fe80::a:b0c"] {
            let parsed = text.parse().unwrap();
            assert_eq!(address(&name(parsed)), Some(parsed), "{text}");
        }
    }

    #[test]
    fn reverse_names_of_whole_addresses_only() {
        assert_eq!(
            spelled("4.3.2.10.in-addr.arpa").as_deref(),
            Some("10.2.3.4")
        );
        assert_eq!(spelled("0.0.0.0.in-addr.arpa").as_deref(), Some("0.0.0.0"));
        let v6 = format!("1.{}0.0.d.f.IP6.arpa", "0.".repeat(27));
        assert_eq!(spelled(&v6).as_deref(), Some("fd00::1"));
        for other in [
            "3.2.10.in-addr.arpa",
            "5.4.3.2.10.in-addr.arpa",
            "04.3.2.10.in-addr.arpa",
            "256.3.2.10.in-addr.arpa",
        ] {
            assert_eq!(spelled(other), None, "{other}");
        }
    }
}
