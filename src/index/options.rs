//! What the index is told: how names are made from objects, and when a source is stale. It does nothing with it.

use crate::{model::Source, wire::NameKey};
use std::time::Duration;

/// How names are made from objects.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cluster domain.
    pub zone: NameKey,
    /// TTLs of the records.
    pub ttl: Ttl,
    /// How endpoints without a hostname are called.
    pub endpoint_names: EndpointNames,
    /// Do endpoints of services with a cluster IP have names too?
    pub cluster_ip_endpoints: bool,
    /// The sources that are fed; the index is synced when each has been listed.
    pub sources: Vec<Source>,
    /// When a source that is not confirmed any more is stale, and what becomes of its names; `None` if nobody confirms it.
    pub staleness: Option<Staleness>,
}

/// What is done when nothing is heard of a source for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Staleness {
    /// How long after the last event, bookmark or list.
    pub after: Duration,
    /// Are its names unsure then? Otherwise they are answered with a remark (RFC 8914 §4.4).
    pub unsure: bool,
}

/// TTLs by kind of record, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl {
    /// Cluster IPs, aliases, the zone's own records.
    pub service: u32,
    /// What follows pods: headless names, endpoints, their SRV and PTR records.
    pub pod: u32,
    /// Negative answers (RFC 2308).
    pub negative: u32,
}

impl Default for Ttl {
    fn default() -> Self {
        Self {
            service: 5,
            pod: 1,
            negative: 0,
        }
    }
}

/// How endpoints without a hostname are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointNames {
    /// By their address.
    Hostname,
    /// By their pod's name where that is a DNS label, else by their address.
    Pod,
}
