//! What is given for a question: an entry, and whether it is past its time. It does not judge that itself.

use crate::{
    cache::Entry,
    forward::Failure,
    wire::{Ede, Query, ReplyEdns},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// An entry to be given away.
#[derive(Clone, Debug)]
pub struct Held {
    /// The answer, or an upstream's word that it cannot answer.
    pub entry: Arc<Entry>,
    /// Is it past its time, and given for want of a newer one?
    pub stale: bool,
    /// For how long it need not be asked for again: it is popular, and its TTLs and where it stands are the same.
    pub same_for: Duration,
}

impl Held {
    pub(super) const fn current(entry: Arc<Entry>) -> Self {
        Self {
            entry,
            stale: false,
            same_for: Duration::ZERO,
        }
    }

    pub(super) fn stale(entry: Arc<Entry>) -> Self {
        Self {
            stale: true,
            ..Self::current(entry)
        }
    }

    /// Writes it as [`Entry::write`] or [`Entry::write_stale`] does.
    pub fn write(
        &self,
        query: &Query<'_>,
        edns: ReplyEdns<'_>,
        out: &mut [u8],
        limit: usize,
        now: Instant,
    ) -> Option<usize> {
        match self.stale {
            false => self.entry.write(query, edns, out, limit, now),
            true => self.entry.write_stale(query, edns, out, limit),
        }
    }

    /// The Extended DNS Error that says that it is stale, or a part only, if it is.
    pub fn ede(&self) -> Option<Ede<'static>> {
        match self.stale {
            true => Some(self.entry.stale_ede()),
            false => (self.entry.is_truncated()).then(|| Failure::Truncated.ede()),
        }
    }
}
