//! One query to one server, once, over what the server is asked by. It chooses no server and knows no time-out: whoever asks
//! stops waiting by dropping the future.

mod tcp;
mod udp;

use crate::{
    forward::{
        query::{Heard, Outgoing},
        server::{Server, Transport},
    },
    metrics::Forward,
};
use std::fmt;

/// A server, and the ways to it.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) server: Server,
}

impl Upstream {
    pub(super) fn new(server: &Server) -> Self {
        Self {
            server: server.clone(),
        }
    }

    /// Is it ever sent a datagram?
    pub(super) const fn takes_datagrams(&self) -> bool {
        matches!(self.server.transport, Transport::Plain)
    }

    /// Sends a query and waits for its reply. `by_tcp` says that a datagram did not do; to servers that are never sent any it
    /// is nothing.
    pub(super) async fn ask(&self, query: &Outgoing, by_tcp: bool, metrics: &Forward) -> Heard {
        let address = self.server.address;
        let heard = match &self.server.transport {
            Transport::Plain if !by_tcp => udp::ask(query, address, metrics).await,
            Transport::Plain | Transport::Tcp => tcp::ask(query, address, metrics).await,
        };
        heard.unwrap_or_else(Heard::Unreachable)
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.server.fmt(f)
    }
}
