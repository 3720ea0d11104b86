//! A word of the hand-over as eight octets, with or without descriptors. It knows which words there are, not when they
//! are due.

use super::{Error, VERSION};
use rustix::{
    cmsg_space,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};
use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};
use tokio::{io::Interest, net::UnixStream};

/// Descriptors of one message; Linux takes 253 (SCM_MAX_FD).
pub(super) const DESCRIPTORS: usize = 64;

const MAGIC: [u8; 4] = *b"GAPL";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The successor is there.
    Hello,
    /// It can answer, and wants the sockets.
    Take,
    /// Here are some; so many come after them.
    Sockets { left: u16 },
    /// The successor answers.
    Serving,
}

impl Word {
    fn octets(self) -> [u8; 8] {
        let (kind, left) = match self {
            Self::Hello => (1, 0),
            Self::Take => (2, 0),
            Self::Sockets { left } => (3, left),
            Self::Serving => (4, 0),
        };
        let [high, low] = u16::to_be_bytes(left);
        let [m0, m1, m2, m3] = MAGIC;
        [m0, m1, m2, m3, VERSION, kind, high, low]
    }

    fn read(octets: [u8; 8]) -> Option<Self> {
        let [m0, m1, m2, m3, version, kind, high, low] = octets;
        if ([m0, m1, m2, m3], version) != (MAGIC, VERSION) {
            return None;
        }
        match kind {
            1 => Some(Self::Hello),
            2 => Some(Self::Take),
            3 => Some(Self::Sockets {
                left: u16::from_be_bytes([high, low]),
            }),
            4 => Some(Self::Serving),
            _ => None,
        }
    }
}

/// Sends a word with at most [`DESCRIPTORS`] descriptors.
pub(super) async fn send(
    stream: &UnixStream,
    word: Word,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), Error> {
    let octets = word.octets();
    let sent = stream.async_io(Interest::WRITABLE, || {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::other("too many descriptors for one message"));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        Ok(sendmsg(
            stream.as_fd(),
            &[IoSlice::new(&octets)],
            &mut control,
            flags,
        )?)
    });
    // Eight octets fit, or nothing does: the buffer of a unix socket takes a message whole below its page.
    match sent.await? {
        8 => Ok(()),
        _ => Err(Error::Foreign),
    }
}

/// Waits for a word, and takes what descriptors come with it; `None` is the connection's end.
pub(super) async fn receive(stream: &UnixStream) -> Result<Option<(Word, Vec<OwnedFd>)>, Error> {
    let (mut octets, mut filled, mut descriptors) = ([0; 8], 0, vec![]);
    while filled < octets.len() {
        let room = octets.get_mut(filled..).unwrap_or_default();
        let count = stream.async_io(Interest::READABLE, || {
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
            let pieces = &mut [IoSliceMut::new(room)];
            let received = recvmsg(stream.as_fd(), pieces, &mut control, flags)?;
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(rights) = message {
                    descriptors.extend(rights);
                }
            }
            Ok(received.bytes)
        });
        match count.await? {
            0 if filled == 0 => return Ok(None),
            0 => return Err(Error::Foreign),
            count => filled += count,
        }
    }
    let word = Word::read(octets).ok_or(Error::Foreign)?;
    Ok(Some((word, descriptors)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_as_it_was_written_and_another_version_is_none() {
        let sockets = Word::Sockets { left: 258 };
        for word in [Word::Hello, Word::Take, sockets, Word::Serving] {
            assert_eq!(Word::read(word.octets()), Some(word));
        }
        let mut other = Word::Take.octets();
        other[4] = VERSION + 1;
        assert_eq!(Word::read(other), None);
    }
}
