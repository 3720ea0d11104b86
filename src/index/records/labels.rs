//! Labels in alphabetical order, one behind the other in one run of octets, and how one is found in such an order. It knows
//! nothing else of them.

use std::cmp::Ordering;

/// Where each ends, so that any one can be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Labels {
    octets: Box<[u8]>,
    ends: Box<[u32]>,
}

/// Which of so many labels in alphabetical order this one is, or the one before which it would stand; `at` gives each.
pub(super) fn search<'l>(
    count: usize,
    at: impl Fn(usize) -> &'l [u8],
    label: &[u8],
) -> Result<usize, usize> {
    let (mut from, mut to) = (0, count);
    while from < to {
        let middle = from.midpoint(to);
        match at(middle).cmp(label) {
            Ordering::Less => from = middle + 1,
            Ordering::Greater => to = middle,
            Ordering::Equal => return Ok(middle),
        }
    }
    Err(from)
}

impl Labels {
    /// Of labels in their order, each once.
    pub(super) fn of(labels: &[&[u8]]) -> Self {
        let mut end = 0;
        let ends = labels.iter().map(|label| {
            end += label.len() as u32;
            end
        });
        Self {
            ends: ends.collect(),
            octets: labels.concat().into(),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The label as it stands here.
    pub(super) fn find(&self, label: &[u8]) -> Option<&[u8]> {
        let found = search(self.ends.len(), |nth| self.get(nth), label).ok()?;
        Some(self.get(found))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).map(|nth| self.get(nth))
    }

    fn get(&self, nth: usize) -> &[u8] {
        let start = nth.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.octets[start as usize..self.ends[nth] as usize]
    }
}
