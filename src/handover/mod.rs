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
use std::time::Duration;

/// The words' version. One that changes them in any way gets another number, and passes no sockets to this one.
const VERSION: u8 = 1;

/// How long the other side may take for a word that is due. Nothing is computed for one; a process that has not said it
/// by then will not.
const WORD_WITHIN: Duration = Duration::from_secs(5);

/// Sockets passed in all: 16 addresses with 64 UDP sockets and one for TCP, 16 for HTTPS, the admin server's.
const MAX_SOCKETS: usize = 16 * 65 + 16 + 1;

/// What goes wrong between two processes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The other side does not keep to the protocol.
    #[error("the other process does not speak version {VERSION} of the hand-over")]
    Foreign,
    /// It said nothing.
    #[error("the other process said nothing for {WORD_WITHIN:?}")]
    Silent,
    /// The connection failed, or ended.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

#[cfg(test)]
mod tests;
