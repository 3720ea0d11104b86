//! Connections to upstreams: how many there are, how they begin, and how they end.

use super::counters;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connected {
    /// TCP.
    Tcp,
    /// DNS over TLS.
    Tls,
    /// DNS over HTTPS.
    Https,
}

/// Why a connection to an upstream was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOpened {
    /// The network said so.
    Connect,
    /// The server did not prove that it is the one that is configured.
    Certificate,
    /// Anything else in the handshake.
    Handshake,
    /// It took too long.
    Slow,
}

/// Why a connection to an upstream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionEnded {
    /// No question for some time.
    Idle,
    /// The upstream is no longer configured.
    Left,
    /// It carried as many questions as there are IDs.
    UsedUp,
    /// The server closed it.
    ByServer,
    /// Questions got no reply for some time.
    Silent,
    /// The network broke it, or the server sent what cannot be understood.
    Broken,
}

const CONNECTED: [&str; 3] = ["tcp", "tls", "https"];
const NOT_OPENED: [&str; 4] = ["connect", "certificate", "handshake", "slow"];
const ENDED: [&str; 6] = ["idle", "left", "used_up", "by_server", "silent", "broken"];

/// Counters of connections to upstreams.
#[derive(Clone, Debug)]
pub struct Connections {
    open: [Gauge; 3],
    opened: [Counter; 3],
    not_opened: [Counter; 4],
    ended: [Counter; 6],
    repeated: Counter,
}

/// A connection that is open, until it is dropped.
#[derive(Debug)]
pub struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Connections {
    /// Registers the families and makes every handle.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let family = Family::<[(&str, &str); 1], Gauge>::default();
        let open = CONNECTED.map(|over| family.get_or_create_owned(&[("transport", over)]));
        registry.register(
            "upstream_connections",
            "Connections to upstreams open now, by transport",
            family,
        );
        let repeated = Counter::default();
        registry.register(
            "upstream_repeated_questions",
            "Questions sent again because their connection, which had been in use, was closed",
            repeated.clone(),
        );
        Self {
            open,
            opened: counters(
                registry,
                ("upstream_opened_connections", "transport", CONNECTED),
                "Connections to upstreams that were opened, by transport",
            ),
            not_opened: counters(
                registry,
                ("upstream_failed_connections", "reason", NOT_OPENED),
                "Connections to upstreams that could not be opened, by reason",
            ),
            ended: counters(
                registry,
                ("upstream_closed_connections", "reason", ENDED),
                "Connections to upstreams that ended, by reason",
            ),
            repeated,
        }
    }

    /// Counts a connection that is open now.
    pub fn opened(&self, over: Connected) -> OpenConnection {
        self.opened[over as usize].inc();
        let open = self.open[over as usize].clone();
        open.inc();
        OpenConnection(open)
    }

    /// How many were opened so far.
    pub fn opened_so_far(&self, over: Connected) -> u64 {
        self.opened[over as usize].get()
    }

    /// How many are open.
    pub fn open(&self, over: Connected) -> i64 {
        self.open[over as usize].get()
    }

    /// Connections that could not be opened for this reason.
    pub fn not_opened(&self, why: NotOpened) -> &Counter {
        &self.not_opened[why as usize]
    }

    /// Connections that ended for this reason.
    pub fn ended(&self, why: ConnectionEnded) -> &Counter {
        &self.ended[why as usize]
    }

    /// Questions that were sent again.
    pub fn repeated(&self) -> &Counter {
        &self.repeated
    }
}
