//! Labels in alphabetical order, one behind the other in one run of octets. It knows nothing else of them.

/// Where each ends, so that any one can be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Labels {
    octets: Box<[u8]>,
    ends: Box<[u32]>,
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
        let (mut from, mut to) = (0, self.ends.len());
        while from < to {
            let middle = from.midpoint(to);
            let found = self.get(middle);
            match found.cmp(label) {
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Greater => to = middle,
                std::cmp::Ordering::Equal => return Some(found),
            }
        }
        None
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).map(|nth| self.get(nth))
    }

    fn get(&self, nth: usize) -> &[u8] {
        let start = nth.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.octets[start as usize..self.ends[nth] as usize]
    }
}
