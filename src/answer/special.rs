//! Names that never leave the node: `localhost`, `invalid` (RFC 6761), `onion` (RFC 7686) and `resolver.arpa` (RFC 9462).

use super::{Found, Records, Zone};
use crate::wire::{NameKey, rtype};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// TTL and SOA minimum of these names, in seconds: what Unbound gives its built-in zones.
pub(super) const TTL: u32 = 10_800;

/// What a name in such a zone has.
pub(super) fn find<'s>(name: &NameKey, zone: Zone, qtype: u16) -> Found<'s> {
    let last = name.label_count().checked_sub(1);
    let last = last.and_then(|last| name.label(last)).unwrap_or_default();
    match (last, qtype) {
        (b"localhost" | b"arpa", rtype::ANY) => Found::Exists(Records::Hinfo),
        (b"localhost", rtype::A) => loopback(Ipv4Addr::LOCALHOST.into()),
        (b"localhost", rtype::AAAA) => loopback(Ipv6Addr::LOCALHOST.into()),
        (b"localhost" | b"arpa", _) => Found::Exists(Records::Negative(zone)),
        _ => Found::Absent(None),
    }
}

const fn loopback<'s>(address: IpAddr) -> Found<'s> {
    Found::Exists(Records::Address(address, TTL))
}

/// The special-use zone of a name.
pub(super) fn zone(name: &NameKey) -> Option<Zone> {
    let labels = name.label_count();
    let last = name.label(labels.checked_sub(1)?)?;
    match last {
        b"localhost" | b"invalid" | b"onion" => Some(Zone::Special(1)),
        b"arpa" if name.label(labels.checked_sub(2)?) == Some(b"resolver") => {
            Some(Zone::Special(2))
        }
        _ => None,
    }
}
