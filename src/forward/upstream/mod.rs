//! One query to one server, over what the server is asked by. It chooses no server and knows no time-out: whoever asks
//! stops waiting by dropping the future.
//!
//! ```text
//! ask ─┬─ udp: a socket of its own
//!      └─ connections: one that is open ─▶ connection ─ queue ─▶ stream │ https      (a task for each, of dialer's)
//! ```

mod connection;
mod connections;
mod dialer;
mod https;
mod stream;
mod tls;
mod udp;

pub(super) use dialer::Dialer;
pub use tls::{BadRoots, Roots};

use crate::{
    forward::{
        loops::Standing,
        query::{Heard, Outgoing},
        server::{Server, Transport},
    },
    metrics::Forward,
};
use connections::Connections;
use dialer::{Carrier, Destination};
use std::{fmt, io};

/// A server, and the ways to it.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) server: Server,
    pub(super) standing: Standing,
    connections: Connections,
}

impl Upstream {
    pub(super) fn new(server: &Server, dialer: &Dialer) -> Self {
        let carrier = match &server.transport {
            Transport::Plain | Transport::Tcp => Carrier::Tcp,
            Transport::Tls(name) => Carrier::Tls(dialer.tls(b"dot"), name.clone()),
            Transport::Https { name, path } => {
                let uri = https::uri(name, server.address.port(), path.clone());
                Carrier::Https(dialer.tls(b"h2"), name.clone(), uri)
            }
        };
        Self {
            server: server.clone(),
            standing: Standing::default(),
            connections: Connections::new(dialer, Destination::new(server.address, carrier)),
        }
    }

    /// Is it ever sent a datagram?
    pub(super) const fn takes_datagrams(&self) -> bool {
        matches!(self.server.transport, Transport::Plain)
    }

    /// Sends a query and waits for its reply. `by_tcp` says that a datagram did not do; to servers that are never sent any it
    /// is nothing.
    pub(super) async fn ask(&self, query: &Outgoing, by_tcp: bool, metrics: &Forward) -> Heard {
        let heard = match self.server.transport {
            Transport::Plain if !by_tcp => udp::ask(query, self.server.address, metrics).await,
            Transport::Plain | Transport::Tcp => {
                self.connect(query, query.message().to_vec(), metrics).await
            }
            // What others can see is the length.
            Transport::Tls(_) | Transport::Https { .. } => {
                self.connect(query, query.padded(), metrics).await
            }
        };
        heard.unwrap_or_else(Heard::Unreachable)
    }

    /// Over a connection, which cannot be guessed into: anything but the reply means a server that cannot be used.
    async fn connect(
        &self,
        query: &Outgoing,
        message: Vec<u8>,
        metrics: &Forward,
    ) -> io::Result<Heard> {
        let mut reply = self.connections.ask(&message).await?;
        let unusable = |what| Err(io::Error::new(io::ErrorKind::InvalidData, what));
        // Connections have IDs of their own.
        if let (Some(id), Some(own)) = (reply.get_mut(..2), query.message().get(..2)) {
            id.copy_from_slice(own);
        }
        match query.judge(&reply) {
            Ok(Heard::Truncated(_)) => unusable("a truncated message over a connection"),
            Ok(heard) => Ok(heard),
            Err(reason) => {
                metrics.ignored(reason);
                unusable("a message that is not the reply")
            }
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.server.fmt(f)
    }
}
