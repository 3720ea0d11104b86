//! Runs of octets one behind the other: what answers read together stands in one place of memory, which is waited for once. It knows
//! where each ends, and not what they mean.

#[derive(Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Parts<const N: usize> {
    octets: Box<[u8]>,
    ends: [u32; N],
}

impl<const N: usize> Parts<N> {
    pub(super) fn new(parts: [&[u8]; N]) -> Self {
        let mut end = 0;
        let ends = parts.map(|part| {
            end += part.len() as u32;
            end
        });
        Self {
            octets: parts.concat().into(),
            ends,
        }
    }

    /// Octets of all of them.
    pub(super) const fn len(&self) -> usize {
        self.octets.len()
    }

    pub(super) fn get(&self, part: usize) -> &[u8] {
        let start = part.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.octets[start as usize..self.ends[part] as usize]
    }
}

impl<const N: usize> Default for Parts<N> {
    fn default() -> Self {
        Self::new([&[]; N])
    }
}
