//! What is given for a question: an entry, and whether it is past its time. It does not judge that itself.

use crate::{
    cache::Entry,
    forward::Failure,
    wire::{Ede, Query, ReplyEdns},
};
use std::{borrow::Cow, sync::Arc, time::Instant};

/// An entry to be given away.
#[derive(Clone, Debug)]
pub struct Held<'m> {
    /// The answer, or an upstream's word that it cannot answer; perhaps lent by a thread's own memory, as counting those who
    /// have it is a write to what all threads share.
    pub entry: Cow<'m, Arc<Entry>>,
    /// Is it past its time, and given for want of a newer one?
    pub stale: bool,
}

impl<'m> Held<'m> {
    pub(super) const fn current(entry: Cow<'m, Arc<Entry>>) -> Self {
        let stale = false;
        Self { entry, stale }
    }

    pub(super) const fn stale(entry: Cow<'m, Arc<Entry>>) -> Self {
        let stale = true;
        Self { entry, stale }
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
