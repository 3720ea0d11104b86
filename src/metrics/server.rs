//! What the listeners count beside the queries themselves: connections, and what the sockets lost.

use super::counters;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// Why a TCP connection was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Every place is taken by a connection at work.
    Full,
    /// The client has as many connections as one client may have.
    Client,
}

/// Why a TCP connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The client sent its last message and has its answers.
    Finished,
    /// Nothing was asked for the idle time.
    Idle,
    /// A message was begun and not completed in time.
    SlowMessage,
    /// The client did not take its answers in time.
    SlowReader,
    /// Its place went to a new connection.
    Evicted,
    /// The server drains.
    Drained,
    /// The connection broke.
    Broken,
}

const REFUSED: [&str; 2] = ["full", "client"];
const CLOSED: [&str; 7] = [
    "finished",
    "idle",
    "slow_message",
    "slow_reader",
    "evicted",
    "drained",
    "broken",
];

/// Handles of the listeners.
#[derive(Clone, Debug)]
pub struct Server {
    /// TCP connections open now.
    pub tcp_connections: Gauge,
    /// Failures to accept a connection, such as too many open files.
    pub tcp_accept_errors: Counter,
    /// UDP queries dropped because too many already wait for an upstream.
    pub udp_queue_full: Counter,
    /// UDP queries dropped because they are longer than what this server announces.
    pub udp_oversized: Counter,
    /// UDP replies that the kernel did not take.
    pub udp_send_errors: Counter,
    /// Failures to receive from a UDP socket.
    pub udp_receive_errors: Counter,
    refused: [Counter; 2],
    closed: [Counter; 7],
    certificates: [Counter; 2],
}

impl Server {
    /// Registers the families and makes every handle.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("server");
        let tcp_connections = Gauge::default();
        registry.register(
            "tcp_connections",
            "TCP connections open now",
            tcp_connections.clone(),
        );
        let mut counter = |name, help| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let tcp_accept_errors = counter(
            "tcp_accept_errors",
            "Failures to accept a TCP connection, such as too many open files",
        );
        let udp_queue_full = counter(
            "udp_queue_full",
            "UDP queries dropped because too many already waited for an upstream",
        );
        let udp_oversized = counter(
            "udp_oversized_datagrams",
            "UDP queries dropped because they are longer than the announced payload size",
        );
        let udp_send_errors = counter(
            "udp_send_errors",
            "UDP replies that the kernel did not take",
        );
        let udp_receive_errors = counter(
            "udp_receive_errors",
            "Failures to receive from a UDP socket",
        );
        let refused = counters(
            registry,
            ("tcp_refused_connections", "reason", REFUSED),
            "TCP connections closed at once, by the limit they met",
        );
        let closed = counters(
            registry,
            ("tcp_closed_connections", "reason", CLOSED),
            "TCP connections that ended, by reason",
        );
        Self {
            tcp_connections,
            tcp_accept_errors,
            udp_queue_full,
            udp_oversized,
            udp_send_errors,
            udp_receive_errors,
            refused,
            closed,
            certificates: counters(
                registry,
                (
                    "https_certificate_changes",
                    "outcome",
                    ["unusable", "taken"],
                ),
                "Versions of the certificate of DNS over HTTPS after the one at the start, by whether they can be served",
            ),
        }
    }

    /// Connections refused for this reason.
    pub fn refused(&self, why: Refused) -> &Counter {
        &self.refused[why as usize]
    }

    /// Counts a new version of the certificate.
    pub fn certificate(&self, usable: bool) {
        self.certificates[usize::from(usable)].inc();
    }

    /// Connections ended for this reason.
    pub fn closed(&self, why: Closed) -> &Counter {
        &self.closed[why as usize]
    }
}
