//! A query over a connection of its own (RFC 1035 §4.2.2).

use crate::{
    forward::query::{Heard, Outgoing},
    metrics::{Forward, SentOver},
};
use std::{io, net::SocketAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Sends a query over a connection of its own, and reads one message (RFC 1035 §4.2.2). A connection cannot be guessed into,
/// so that anything but the reply means a server that cannot be used.
pub(super) async fn ask(
    query: &Outgoing,
    server: SocketAddr,
    metrics: &Forward,
) -> io::Result<Heard> {
    metrics.send(SentOver::Tcp);
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
