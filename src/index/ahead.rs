//! What a batch of questions will read in a snapshot, read for all of them at once, and one question's look-up that begins with what
//! was found on the way. It decides nothing: what was found is given only if its labels are those in the question, and whoever
//! finds nothing looks as if nothing had been read.

use super::{
    records::ServiceRecords,
    snapshot::{Snapshot, shard_of},
};
use crate::wire::Addresses;
use std::{hint::black_box, ops::Deref, sync::Arc};

/// For how many questions is read ahead at the most: one for each datagram of a batch.
pub const AT_ONCE: usize = 64;

/// What is asked for of a service, as far as a name's form says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Below<H> {
    /// The service's own name.
    Nothing,
    /// A host: its label, or the label's hash.
    Host(H),
    /// A port, or something else of more than one label.
    Port,
}

impl<H> Below<H> {
    /// The same with another thing in the host's place.
    pub fn map<T>(self, host: impl FnOnce(H) -> T) -> Below<T> {
        match self {
            Self::Nothing => Below::Nothing,
            Self::Host(it) => Below::Host(host(it)),
            Self::Port => Below::Port,
        }
    }
}

/// What a question seems to be about: the hash of a service's two labels, and what is below them, a host by its label's hash.
type Asked = (u64, Below<u64>);

/// What was found for one question; perhaps nothing, perhaps somebody else's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ahead<'s> {
    service: Option<&'s ServiceRecords>,
    /// The host's number.
    host: Option<usize>,
}

impl Snapshot {
    /// Reads what answers begin with. The reads of one step do not wait for each other, only for those of the step before, and
    /// nothing is decided by what was not read in an earlier one: a decision that a processor guesses wrong would end all
    /// reads that are under way behind it.
    pub fn read_ahead(&self, asked: &[Option<Asked>]) -> [Ahead<'_>; AT_ONCE] {
        let mut found = [Ahead::default(); AT_ONCE];
        let mut places = [None; AT_ONCE];
        for (place, asked) in places.iter_mut().zip(asked) {
            let Some((hash, _)) = asked else { continue };
            // The first of several in one group is as good as the right one: it is right nearly always.
            let services = &self.names[shard_of(*hash)].services;
            *place = services.find(*hash, |_| true);
        }
        for (found, place) in found.iter_mut().zip(places) {
            found.service = place.map(Arc::as_ref);
        }
        for (found, asked) in found.iter().zip(asked) {
            if let (Some(service), Some((_, below))) = (found.service, asked) {
                black_box(service.touch(below));
            }
        }
        for (found, asked) in found.iter().zip(asked) {
            if let (Some(service), Some((_, below))) = (found.service, asked) {
                black_box(service.touch_content(below));
            }
        }
        for (found, asked) in found.iter_mut().zip(asked) {
            if let (Some(service), Some((_, Below::Host(hash)))) = (found.service, asked) {
                found.host = service.hosts().touch_host(*hash);
            }
        }
        for found in &found[..asked.len()] {
            if let (Some(service), Some(host)) = (found.service, found.host) {
                black_box(service.hosts().touch_records(host));
            }
        }
        found
    }
}

/// A snapshot as one question looks into it.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'s> {
    snapshot: &'s Snapshot,
    ahead: Ahead<'s>,
}

impl<'s> Lookup<'s> {
    /// Into this snapshot, in which so much was read ahead.
    pub const fn new(snapshot: &'s Snapshot, ahead: Ahead<'s>) -> Self {
        Self { snapshot, ahead }
    }

    /// As [`Snapshot::service`].
    pub fn service(&self, key: &[u8]) -> Option<&'s ServiceRecords> {
        let ahead = self.ahead.service.filter(|service| service.key() == key);
        ahead.or_else(|| self.snapshot.service(key))
    }

    /// As [`Snapshot::host`].
    #[inline] // as what it calls: what they give is too large for registers, and what was just written is waited for
    pub fn host(
        &self,
        service: &'s ServiceRecords,
        label: &[u8],
    ) -> Option<(Addresses<'s>, Addresses<'s>)> {
        let numbered = |host| service.hosts().numbered(host, label);
        (self.ahead.host.and_then(numbered)).or_else(|| self.snapshot.host(service, label))
    }
}

impl Deref for Lookup<'_> {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        self.snapshot
    }
}
