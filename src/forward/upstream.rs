//! One query to one server, once, over UDP or TCP. It chooses no server, repeats nothing and knows no time-out: whoever asks
//! stops waiting by dropping the future.

use crate::{
    forward::query::{Heard, Outgoing},
    metrics::{Forward, Ignored},
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::{TcpStream, UdpSocket},
};

/// Room for a datagram. Longer than the 1232 octets that are announced, because some servers do not care; what is cut off
/// here is malformed.
const DATAGRAM_MAX: usize = 4096;
/// So many datagrams that are not the reply, and the question goes by TCP: somebody is guessing.
const IGNORED_MAX: usize = 32;

/// Sends a query by UDP, from a socket of its own that is connected to the server, and waits for its reply; every other
/// datagram is counted and passed over.
pub(super) async fn udp(query: &Outgoing, server: SocketAddr, metrics: &Forward) -> Heard {
    try_udp(query, server, metrics)
        .await
        .unwrap_or_else(Heard::Unreachable)
}

async fn try_udp(query: &Outgoing, server: SocketAddr, metrics: &Forward) -> io::Result<Heard> {
    let socket = socket(query, server)?;
    metrics.send(false);
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

/// Sends a query over a connection of its own, and reads one message (RFC 1035 §4.2.2). A connection cannot be guessed into,
/// so that anything but the reply means a server that cannot be used.
pub(super) async fn tcp(query: &Outgoing, server: SocketAddr, metrics: &Forward) -> Heard {
    try_tcp(query, server, metrics)
        .await
        .unwrap_or_else(Heard::Unreachable)
}

async fn try_tcp(query: &Outgoing, server: SocketAddr, metrics: &Forward) -> io::Result<Heard> {
    metrics.send(true);
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let len = u16::try_from(query.message().len()).expect("a query is shorter than 400 octets");
    // Length and message in one segment (RFC 7766 §8).
    let framed = [&len.to_be_bytes()[..], query.message()].concat();
    stream.write_all(&framed).await?;
    let len = usize::from(stream.read_u16().await?);
    // The buffer grows with what has come, not with what was announced.
    let mut reply = Vec::new();
    stream.take(len as u64).read_to_end(&mut reply).await?;
    let not_the_reply = |what| Err(io::Error::new(io::ErrorKind::InvalidData, what));
    match query.judge(&reply) {
        _ if reply.len() < len => not_the_reply("the connection ended within a message"),
        Ok(Heard::Truncated) => not_the_reply("a truncated message over TCP"),
        Ok(heard) => Ok(heard),
        Err(reason) => {
            metrics.ignored(reason);
            not_the_reply("a message that is not the reply")
        }
    }
}
