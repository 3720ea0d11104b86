//! The only way from a query's bytes to a response's bytes, for every listener. It knows the order in which answers are
//! looked for, and neither sockets nor clocks.

use crate::{metrics::Transport, wire};
use std::{
    net::{IpAddr, SocketAddr},
    time::Instant,
};

/// A query as a listener hands it over.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'p> {
    /// The message, without framing.
    pub packet: &'p [u8],
    /// Who asks.
    pub client: SocketAddr,
    /// The address that was asked.
    pub local: IpAddr,
    /// How it came.
    pub transport: Transport,
    /// Which of several addresses comes first in the answer; listeners count it up.
    pub rotation: usize,
}

/// What became of a query without waiting for anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Now {
    /// The reply is in the buffer and has this length.
    Reply(usize),
    /// Not to be answered at all.
    Drop,
    /// [`Engine::answer`] will know.
    NeedsAsync,
}

/// The engine.
#[derive(Debug, Default)]
pub struct Engine {}

/// The engine over one snapshot, for a batch of queries.
#[derive(Debug)]
pub struct View<'e> {
    _engine: &'e Engine,
}

impl Engine {
    /// Loads the snapshot; a listener does so once a batch.
    pub fn view(&self) -> View<'_> {
        View { _engine: self }
    }

    /// Answers with whatever it takes, upstreams included; `None` if there is to be no answer. `out` holds the longest
    /// message of the transport.
    pub async fn answer(&self, asked: Asked<'_>, out: &mut [u8]) -> Option<usize> {
        let query = wire::Query::parse(asked.packet).ok()?;
        let mut reply = wire::Reply::new(&query, wire::ReplyEdns::default(), out, 512)?;
        reply.set_rcode(wire::Rcode::ServFail);
        Some(reply.finish())
    }
}

impl View<'_> {
    /// Answers without waiting, allocating or locking, if that can be done.
    pub fn answer_now(&self, asked: &Asked<'_>, _now: Instant, out: &mut [u8]) -> Now {
        let Ok(query) = wire::Query::parse(asked.packet) else {
            return Now::Drop;
        };
        if query.question.name.label(0) == Some(b"async") {
            return Now::NeedsAsync;
        }
        let Some(mut reply) = wire::Reply::new(&query, wire::ReplyEdns::default(), out, 512) else {
            return Now::Drop;
        };
        reply.set_rcode(wire::Rcode::Refused);
        Now::Reply(reply.finish())
    }
}
