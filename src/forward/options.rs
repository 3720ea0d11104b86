//! What the forwarder is told: routes, upstreams, bounds. It does nothing with it.

use super::{Limits, Roots, Server};
use crate::cache::{self, Bounds};

/// Where a question goes. An answer learnt on one route never serves another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// The upstreams for everything that has no other route.
    Default,
    /// The cluster's own DNS: for the cluster's names while the index cannot answer. No negative answer of it is kept.
    ClusterDns,
    /// The one with this index in [`Options::routes`].
    Zone(u16),
}

impl Route {
    /// The number in keys, and the place in the table of routes.
    pub(super) const fn number(self) -> u16 {
        match self {
            Self::Default => 0,
            Self::ClusterDns => 1,
            Self::Zone(index) => index.saturating_add(2),
        }
    }
}

/// A route of its own for some zones; which names take it is for the asker to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneRoute {
    /// Its upstreams.
    pub upstreams: Vec<Server>,
    /// As [`Options::trust_ad`].
    pub trust_ad: bool,
}

/// What the forwarder is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Upstreams of [`Route::Default`].
    pub upstreams: Vec<Server>,
    /// Upstreams of [`Route::ClusterDns`].
    pub cluster_dns: Vec<Server>,
    /// The routes [`Route::Zone`].
    pub routes: Vec<ZoneRoute>,
    /// Octets of memory for answers.
    pub cache_bytes: u64,
    /// Octets of the longest message that is kept.
    pub cache_message_max: usize,
    /// For how long answers are kept. Of [`Route::ClusterDns`] no negative one is, whatever this says.
    pub bounds: Bounds,
    /// Are popular answers refreshed before their time ends?
    pub prefetch: bool,
    /// Is the AD bit of an upstream of the first two routes believed, and the way to it (RFC 6840 §5.8)?
    pub trust_ad: bool,
    /// Does chance choose the case of a question's letters, which its reply by UDP is to repeat?
    pub case_randomization: bool,
    /// Who may certify encrypted upstreams.
    pub roots: Roots,
    /// How much may be under way.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            upstreams: Vec::new(),
            cluster_dns: Vec::new(),
            routes: Vec::new(),
            cache_bytes: cache::DEFAULT_BYTES,
            cache_message_max: cache::MESSAGE_MAX,
            bounds: Bounds::default(),
            prefetch: true,
            trust_ad: false,
            case_randomization: true,
            roots: Roots::default(),
            limits: Limits::default(),
        }
    }
}
