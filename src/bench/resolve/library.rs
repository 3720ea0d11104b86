//! How C libraries look a name up (getaddrinfo for both families), as far as it shows in queries and waiting. What both have in
//! common is here; the network is given.

mod glibc;
mod musl;
mod pair;
#[cfg(test)]
mod tests;

use super::Conf;
use clap::ValueEnum;
use pair::{Pair, Reply};
use serde::{Deserialize, Serialize};
use std::{fmt, io, net::SocketAddr, ops::Range};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

const SERVFAIL: u16 = 2;
const NXDOMAIN: u16 = 3;

/// Octets of the largest reply over UDP that is read whole; musl has room for as many.
const DATAGRAM_MAX: usize = 4800;

/// Which C library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Library {
    /// Debian, Fedora …: A and AAAA together, one server after the other
    Glibc,
    /// Alpine: A and AAAA together to all servers at once
    Musl,
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Glibc => "glibc",
            Self::Musl => "musl",
        })
    }
}

/// Sockets, so that tests need none.
pub trait Network {
    /// A UDP socket.
    type Socket: Socket;
    /// A TCP connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin;
    /// Opens a UDP socket on a port of its own that can reach such servers.
    fn open(&self, server: SocketAddr) -> impl Future<Output = io::Result<Self::Socket>> + Send;
    /// The same for this server only: such a socket is told when nobody listens there.
    fn connect(&self, server: SocketAddr) -> impl Future<Output = io::Result<Self::Socket>> + Send;
    /// Opens a TCP connection.
    fn dial(&self, server: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// A UDP socket.
pub trait Socket {
    /// Sends a datagram.
    fn send(&self, packet: &[u8], to: SocketAddr) -> impl Future<Output = io::Result<()>> + Send;
    /// Waits for one.
    fn receive(
        &self,
        packet: &mut [u8],
    ) -> impl Future<Output = io::Result<(usize, SocketAddr)>> + Send;
}

/// What the program is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An address.
    Found,
    /// There is no such name, or it has no address.
    NotFound,
    /// Nobody knows: time-outs, SERVFAIL.
    Failed,
}

/// One look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// What the program is told.
    pub outcome: Outcome,
    /// Queries that were sent for it.
    pub queries: u32,
}

/// Looks up both families of a name.
pub async fn look_up(name: &str, conf: &Conf, library: Library, network: &impl Network) -> Lookup {
    match library {
        Library::Glibc => glibc::look_up(name, conf, network).await,
        Library::Musl => musl::look_up(name, conf, network).await,
    }
}

fn dots(name: &str) -> usize {
    name.matches('.').count()
}

/// Asks these of the queries over one TCP connection, and waits for an answer to each.
async fn converse(
    network: &impl Network,
    server: SocketAddr,
    pair: &Pair,
    nth: Range<usize>,
) -> io::Result<Vec<Reply>> {
    let mut stream = network.dial(server).await?;
    let mut framed = vec![];
    for nth in nth.clone() {
        let query = pair.query(nth);
        framed.extend_from_slice(&(query.len() as u16).to_be_bytes());
        framed.extend_from_slice(&query);
    }
    stream.write_all(&framed).await?;
    let mut replies: Vec<Reply> = vec![];
    while replies.len() < nth.len() {
        let mut message = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut message).await?;
        let reply = pair.read(&message);
        replies.extend(reply.filter(|it| replies.iter().all(|had| had.nth != it.nth)));
    }
    Ok(replies)
}
