//! Where the hosts of a service stand, by the hash of their labels: one read of memory where a search among them waits for one
//! after the other. It knows hashes and numbers, and neither labels nor addresses.

use std::iter;

/// Services with fewer hosts are searched: all of their labels stand in a few lines of a processor's cache.
const WORTH_IT: usize = 8;
/// A place is a host's number, with eight bits of its label's hash above it.
const NUMBER_BITS: u32 = 24;
const FREE: u32 = u32::MAX;

/// Numbers of hosts, each in the first free place from where its hash points to. A third of the places is free.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places(Box<[u32]>);

impl Places {
    /// Places for hosts whose labels have these hashes; none if there are too few hosts, or more than a place has bits for.
    pub(super) fn of(hashes: impl ExactSizeIterator<Item = u64>) -> Self {
        let count = hashes.len();
        if !(WORTH_IT..1 << NUMBER_BITS).contains(&count) {
            return Self::default();
        }
        let mut places = vec![FREE; count + count / 2];
        for (number, hash) in (0..).zip(hashes) {
            let mut at = first(hash, places.len());
            while places[at] != FREE {
                at = (at + 1) % places.len();
            }
            places[at] = tag(hash) | number;
        }
        Self(places.into())
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the place that this hash points to, for nothing but that it was read.
    pub(super) const fn touch(&self, hash: u64) -> Option<u32> {
        if self.0.is_empty() {
            None
        } else {
            Some(self.0[first(hash, self.0.len())])
        }
    }

    /// The numbers of the hosts whose labels may have this hash: nearly always one, or none.
    pub(super) fn with(&self, hash: u64) -> impl Iterator<Item = usize> {
        let mut at = first(hash, self.0.len());
        iter::from_fn(move || {
            loop {
                let place = *self.0.get(at).filter(|place| **place != FREE)?;
                at = (at + 1) % self.0.len();
                if place >> NUMBER_BITS == tag(hash) >> NUMBER_BITS {
                    return Some((place ^ tag(hash)) as usize);
                }
            }
        })
    }
}

/// Where a hash points to among so many places.
const fn first(hash: u64, count: usize) -> usize {
    (((hash >> 32) * count as u64) >> 32) as usize
}

/// Eight bits that do not decide about the place; never all of [`FREE`]'s.
const fn tag(hash: u64) -> u32 {
    let bits = hash as u32 >> NUMBER_BITS;
    (if bits == FREE >> NUMBER_BITS { 0 } else { bits }) << NUMBER_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_is_found_by_its_hash_whatever_else_has_it() {
        for hashes in [
            (0..1000)
                .map(|n| u64::wrapping_mul(n, 0x9E37_79B9_7F4A_7C15))
                .collect(),
            vec![u64::MAX; 100],
            vec![0; 8],
        ] {
            let places = Places::of(hashes.iter().copied());
            for (number, hash) in hashes.iter().enumerate() {
                assert!(places.with(*hash).any(|it| it == number), "{number}");
            }
            assert_eq!(
                places
                    .with(0x1234_5678_1234_5678)
                    .filter(|it| *it >= hashes.len())
                    .count(),
                0
            );
        }
    }

    #[test]
    fn few_hosts_have_no_places() {
        assert!(Places::of([1; WORTH_IT - 1].into_iter()).is_empty());
        assert_eq!(Places::default().with(7).count(), 0);
    }
}
