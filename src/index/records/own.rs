//! What a service says of its own name, one behind the other: most answers read this, and what stands in one place of memory is
//! waited for once. It knows octets, and not what they mean.

use std::ops::Range;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Own {
    octets: Box<[u8]>,
    key_end: u32,
    a_end: u32,
    aaaa_end: u32,
}

impl Own {
    /// The key, A and AAAA records (none if they are just all of the hosts'), and an alias's target.
    pub(super) fn new(key: &[u8], a: &[u8], aaaa: &[u8], alias: &[u8]) -> Self {
        let octets = [key, a, aaaa, alias].concat();
        let [key_end, a_end, aaaa_end] = [
            key.len(),
            key.len() + a.len(),
            key.len() + a.len() + aaaa.len(),
        ]
        .map(|end| end as u32);
        Self {
            octets: octets.into(),
            key_end,
            a_end,
            aaaa_end,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.octets.len()
    }

    pub(super) fn key(&self) -> &[u8] {
        self.part(0..self.key_end)
    }

    pub(super) fn a(&self) -> &[u8] {
        self.part(self.key_end..self.a_end)
    }

    pub(super) fn aaaa(&self) -> &[u8] {
        self.part(self.a_end..self.aaaa_end)
    }

    pub(super) fn alias(&self) -> &[u8] {
        self.part(self.aaaa_end..self.octets.len() as u32)
    }

    fn part(&self, range: Range<u32>) -> &[u8] {
        &self.octets[range.start as usize..range.end as usize]
    }
}
