//! A query in a datagram. It takes nothing for the reply that may be somebody else's.

use crate::{
    forward::query::{Heard, Outgoing},
    metrics::{Forward, Ignored},
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};
use tokio::{io::Interest, net::UdpSocket};

/// Room for a datagram. Longer than the 1232 octets that are announced, because some servers do not care; what is cut off
/// here is malformed.
const DATAGRAM_MAX: usize = 4096;
/// So many datagrams that are not the reply, and the question goes by TCP: somebody is guessing.
const IGNORED_MAX: usize = 32;

/// Sends a query by UDP, from a socket of its own that is connected to the server, and waits for its reply; every other
/// datagram is counted and passed over.
pub(super) async fn ask(
    query: &Outgoing,
    server: SocketAddr,
    metrics: &Forward,
) -> io::Result<Heard> {
    let socket = socket(query, server)?;
    metrics.send(None);
    socket.send(query.message()).await?;
    let mut ignored = 0;
    loop {
        // An ICMP error alone does not make the socket readable.
        let ready = socket.ready(Interest::READABLE | Interest::ERROR).await?;
        if ready.is_error() {
            let error = socket.take_error()?;
            return Err(error.unwrap_or_else(|| io::ErrorKind::ConnectionRefused.into()));
        }
        // On the stack and not across an await: a waiting question holds no buffer.
        let mut datagram = [0; DATAGRAM_MAX];
        let (len, from) = match socket.try_recv_from(&mut datagram) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        // Between bind and connect, datagrams from anywhere were let in.
        let judged = match (from.ip(), from.port()) == (server.ip(), server.port()) {
            true => query.judge(&datagram[..len]),
            false => Err(Ignored::WrongSource),
        };
        match judged {
            Ok(heard) => return Ok(heard),
            Err(reason) => {
                metrics.ignored(reason);
                ignored += 1;
                if reason == Ignored::WrongId || ignored >= IGNORED_MAX {
                    return Ok(Heard::Suspicious);
                }
            }
        }
    }
}

fn socket(query: &Outgoing, server: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let bind = |port| std::net::UdpSocket::bind((any, port));
    let drawn = query.ports().iter().find_map(|port| bind(*port).ok());
    let socket = drawn.map_or_else(|| bind(0), Ok)?;
    socket.set_nonblocking(true)?;
    socket.connect(server)?;
    UdpSocket::from_std(socket)
}
