//! Messages to the kernel (netlink(7)) and its answers: lengths, padding, nesting and errors. It knows no kind of message.
//!
//! No crate speaks of nftables without the C library or a licence that is not ours; and what speaks of nftables speaks of
//! links too.

use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind,
    netlink::SocketAddrNetlink,
    recv, send, socket_with,
    sockopt::{Timeout, set_socket_timeout},
};
use std::{io, os::fd::OwnedFd, time::Duration};

/// The kernel answers at once; one that does not is no reason to wait for ever.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Octets of the largest piece of a dump (netlink_dump in the kernel).
const PIECE: usize = 64 << 10;

/// Pieces of a dump: 1000 addresses of an interface come in two.
const PIECES: usize = 1000;

const ERROR: u16 = 2;
const DONE: u16 = 3;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
pub(super) const CREATE: u16 = 0x400;
pub(super) const EXCLUSIVE: u16 = 0x200;
pub(super) const APPEND: u16 = 0x800;
pub(super) const DUMP: u16 = 0x300;
const HEADER: usize = 16;

/// A message under construction.
#[derive(Clone, Debug)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// One of this kind, with the fixed part of its subsystem.
    pub(super) fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut octets = vec![0; 4];
        octets.extend(kind.to_ne_bytes());
        octets.extend((flags | REQUEST).to_ne_bytes());
        octets.extend([0; 8]);
        octets.extend(fixed);
        Self(octets)
    }

    /// Adds an attribute.
    pub(super) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        put(&mut self.0, kind, |out| out.extend(value));
        self
    }

    /// Adds a text as the kernel has it, with a 0 behind it.
    pub(super) fn with_text(self, kind: u16, text: &str) -> Self {
        self.with(kind, &[text.as_bytes(), &[0]].concat())
    }

    fn finish(&mut self, sequence: u32, acknowledge: bool) -> &[u8] {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        if acknowledge {
            let flags = number(&self.0, 6).unwrap_or_default() | ACK;
            self.0[6..8].copy_from_slice(&flags.to_ne_bytes());
        }
        &self.0
    }
}

/// Writes an attribute; padded, so that the next one begins at a multiple of four.
pub(super) fn put(out: &mut Vec<u8>, kind: u16, value: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend([0, 0]);
    out.extend(kind.to_ne_bytes());
    value(out);
    let length = u16::try_from(out.len() - begin).expect("attributes are short");
    out[begin..begin + 2].copy_from_slice(&length.to_ne_bytes());
    out.resize(out.len().next_multiple_of(4), 0);
}

/// The attributes of a message or of another attribute.
pub(super) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (length, kind) = (number(rest, 0)?, number(rest, 2)?);
        let value = rest.get(4..length.into())?;
        rest = rest
            .get(usize::from(length).next_multiple_of(4)..)
            .unwrap_or_default();
        Some((kind & 0x3fff, value)) // two bits are flags
    })
}

fn number(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*octets.get(at..)?.first_chunk()?))
}

/// A conversation with one of the kernel's subsystems.
#[derive(Debug)]
pub(super) struct Socket {
    socket: OwnedFd,
    sequence: u32,
}

impl Socket {
    pub(super) fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_WITHIN))?;
        bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// Has one thing done.
    pub(super) fn request(&mut self, message: Message) -> io::Result<()> {
        self.batch(vec![(message, true)])
    }

    /// Has many things done in one datagram; those that are marked are answered for.
    pub(super) fn batch(&mut self, messages: Vec<(Message, bool)>) -> io::Result<()> {
        let mut octets = vec![];
        let mut due = 0;
        for (mut message, acknowledge) in messages {
            self.sequence += 1;
            due += u32::from(acknowledge);
            octets.extend(message.finish(self.sequence, acknowledge));
        }
        send(&self.socket, &octets, SendFlags::empty())?;
        while due > 0 {
            for (kind, body) in split(&self.receive()?) {
                if kind == ERROR {
                    outcome(body)?;
                    due = due.saturating_sub(1);
                }
            }
        }
        Ok(())
    }

    /// Asks, and collects the bodies of what comes, each with its kind. With [`DUMP`] that is a list, otherwise one.
    pub(super) fn ask(&mut self, mut message: Message) -> io::Result<Vec<(u16, Vec<u8>)>> {
        self.sequence += 1;
        let flags = number(&message.0, 6).unwrap_or_default();
        send(
            &self.socket,
            message.finish(self.sequence, false),
            SendFlags::empty(),
        )?;
        let mut found = vec![];
        for _ in 0..PIECES {
            for (kind, body) in split(&self.receive()?) {
                match kind {
                    DONE => return Ok(found),
                    ERROR => outcome(body)?,
                    _ => found.push((kind, body.to_vec())),
                }
            }
            if flags & DUMP == 0 {
                break;
            }
        }
        Ok(found)
    }

    fn receive(&self) -> io::Result<Vec<u8>> {
        let mut piece = vec![0; PIECE];
        let (length, _) = recv(&self.socket, piece.as_mut_slice(), RecvFlags::empty())?;
        piece.truncate(length);
        Ok(piece)
    }
}

/// The messages of a datagram, as kind and body.
fn split(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*rest.first_chunk()?);
        let length = usize::try_from(length).ok()?;
        let (kind, body) = (number(rest, 4)?, rest.get(HEADER..length)?);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

fn outcome(body: &[u8]) -> io::Result<()> {
    match body.first_chunk().map(|code| i32::from_ne_bytes(*code)) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_they_were_written_with_padding_between() {
        let mut octets = vec![];
        put(&mut octets, 3, |out| out.extend(b"abcde"));
        put(&mut octets, 0x8007, |out| put(out, 1, |out| out.push(9)));
        assert_eq!(octets.len() % 4, 0);
        let read: Vec<_> = attributes(&octets).collect();
        assert_eq!(read[0], (3, b"abcde".as_slice()));
        assert_eq!(
            attributes(read[1].1).collect::<Vec<_>>(),
            [(1, [9].as_slice())]
        );
        assert_eq!(attributes(&octets[..7]).count(), 0);
        assert_eq!(attributes(&[]).count(), 0);
    }

    #[test]
    fn a_refusal_is_the_error_that_it_names() {
        let refused = outcome(&(-17_i32).to_ne_bytes()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert!(outcome(&[0; 4]).is_ok() && outcome(&[]).is_err());
    }
}
