//! Open sockets passed from one process to the next, over a unix socket: who may ask, in which words, and how long each
//! word may take. It does not know what the sockets are for.
//!
//! ```text
//! successor ── hello ─▶ holder          once it runs; it waits, as long as it likes, until it can answer
//!           ── take ──▶
//!           ◀─ sockets ─                with as many descriptors (SCM_RIGHTS) as fit; again until 0 are left
//!           ── serving ▶                it has the path too, and the holder ends what it has begun
//! ```
//! Between `sockets` and the end both read the same sockets, and each datagram and connection has one of them as its reader.
//! A connection that ends before `serving` changes nothing for the holder, which never stopped.

mod holder;
mod message;
mod predecessor;

pub use holder::Holder;
pub use predecessor::{Find, Predecessor};
use std::{borrow::Cow, ffi::OsStr, io, os::unix::ffi::OsStrExt as _, path::Path, time::Duration};

/// The words' version. One that changes them in any way gets another number, and passes no sockets to this one.
const VERSION: u8 = 1;

/// How long the other side may take for a word that is due. Nothing is computed for one; a process that has not said it
/// by then will not.
const WORD_WITHIN: Duration = Duration::from_secs(5);

/// Sockets passed in all: 16 addresses with 64 UDP sockets and one for TCP, 16 for HTTPS, the admin server's.
const MAX_SOCKETS: usize = 16 * 65 + 16 + 1;

/// Where the socket is: a file, or after `@` a name in the network namespace (abstract, unix(7)), which needs no directory
/// that both processes have, and ends with the process. std, socket2 and tokio all take a leading NUL for one.
fn address(path: &Path) -> Cow<'_, Path> {
    match path.as_os_str().as_bytes() {
        [b'@', name @ ..] => Path::new(OsStr::from_bytes(&[b"\0", name].concat()))
            .to_owned()
            .into(),
        _ => path.into(),
    }
}

/// What goes wrong between two processes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The other side does not keep to the protocol.
    #[error("the other process does not speak version {VERSION} of the hand-over")]
    Foreign,
    /// It said nothing.
    #[error("the other process said nothing for {WORD_WITHIN:?}")]
    Silent,
    /// It has ended: with the connection, or, if it never read what it was told, with a reset of it (unix(7)).
    #[error("the other process has ended")]
    Ended,
    /// The connection failed.
    #[error("{0}")]
    Io(io::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Ended,
            _ => Self::Io(error),
        }
    }
}

#[cfg(test)]
mod tests;
