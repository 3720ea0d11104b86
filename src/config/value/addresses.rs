//! Addresses and domain names.

use super::{Word, quoted_if_needed};
use crate::wire::NameKey;
use std::net::{IpAddr, SocketAddr};

/// An address to listen at; port 0 lets the system choose.
pub(crate) struct Listener;

impl Word for Listener {
    type Value = SocketAddr;

    fn expected(&self) -> String {
        "an address `IP:PORT`, IPv6 as `\"[IP]:PORT\"`".to_owned()
    }

    fn parse(&self, text: &str) -> Option<SocketAddr> {
        text.parse().ok()
    }

    fn show(&self, value: &SocketAddr) -> String {
        quoted_if_needed(&value.to_string())
    }
}

/// An address without a port.
pub(crate) struct Address;

impl Word for Address {
    type Value = IpAddr;

    fn expected(&self) -> String {
        "an address `IP`".to_owned()
    }

    fn parse(&self, text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    fn show(&self, value: &IpAddr) -> String {
        quoted_if_needed(&value.to_string())
    }
}

/// Longest cluster domain, in octets of its wire form. A name holds 255: what is left takes the longest service,
/// namespace and `svc`, or the SOA's `hostmaster`, beside it.
const MAX_CLUSTER_DOMAIN: usize = 180;

/// The domain that a cluster's names stand below.
pub(crate) struct ClusterDomain;

impl Word for ClusterDomain {
    type Value = NameKey;

    fn expected(&self) -> String {
        format!(
            "a domain name such as `cluster.local`: labels of letters, digits and `-`, at most {MAX_CLUSTER_DOMAIN} octets"
        )
    }

    fn parse(&self, text: &str) -> Option<NameKey> {
        HostName
            .parse(text)
            .filter(|name| name.as_bytes().len() <= MAX_CLUSTER_DOMAIN)
    }

    fn show(&self, value: &NameKey) -> String {
        quoted_if_needed(value.to_string().trim_end_matches('.'))
    }
}

/// The name of a host.
pub(crate) struct HostName;

impl Word for HostName {
    type Value = NameKey;

    fn expected(&self) -> String {
        "a name such as `db.corp.example`: labels of letters, digits, `-` and `_`".to_owned()
    }

    fn parse(&self, text: &str) -> Option<NameKey> {
        let legal = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
        let name = NameKey::from_text(text).ok()?;
        (text.bytes().all(legal) && name.label_count() > 0).then_some(name)
    }

    fn show(&self, value: &NameKey) -> String {
        quoted_if_needed(value.to_string().trim_end_matches('.'))
    }
}

/// Any zone, the root included.
pub(crate) struct Zone;

impl Word for Zone {
    type Value = NameKey;

    fn expected(&self) -> String {
        "a zone such as `corp.cluster.local`, or `.`".to_owned()
    }

    /// Only what is printed as it is written.
    fn parse(&self, text: &str) -> Option<NameKey> {
        let plain = |octet: u8| octet.is_ascii_graphic() && octet != b'\\';
        let name = NameKey::from_text(text).ok()?;
        text.bytes().all(plain).then_some(name)
    }

    fn show(&self, value: &NameKey) -> String {
        quoted_if_needed(&value.to_string())
    }
}
