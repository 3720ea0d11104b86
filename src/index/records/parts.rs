//! Runs of octets one behind the other: what answers read together stands in one place of memory, which is waited for once. It knows
//! where each ends, and not what they mean.

use smallvec::SmallVec;

/// As many octets as there is `ROOM` for stand here themselves, more of them elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Parts<const N: usize, const ROOM: usize> {
    octets: SmallVec<[u8; ROOM]>,
    ends: [u32; N],
}

impl<const N: usize, const ROOM: usize> Parts<N, ROOM> {
    pub(super) fn new(parts: [&[u8]; N]) -> Self {
        let mut end = 0;
        let ends = parts.map(|part| {
            end += part.len() as u32;
            end
        });
        Self::of(parts.concat(), ends)
    }

    /// Of octets that stand one behind the other already.
    pub(super) fn of(octets: Vec<u8>, ends: [u32; N]) -> Self {
        Self {
            octets: SmallVec::from_vec(octets),
            ends,
        }
    }

    /// Octets of all of them.
    pub(super) fn len(&self) -> usize {
        self.octets.len()
    }

    pub(super) fn get(&self, part: usize) -> &[u8] {
        &self.octets[self.start(part) as usize..self.ends[part] as usize]
    }

    fn start(&self, part: usize) -> u32 {
        part.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    /// Reads the first and the last of so many octets of a part, or of what stands behind it, for nothing but that they were read: with as few
    /// decisions as possible.
    pub(super) fn touch(&self, part: usize, from: u32, len: u32) -> [u8; 2] {
        let first = self.start(part) + from;
        [first, first + len - 1].map(|at| self.octets.get(at as usize).copied().unwrap_or_default())
    }
}

impl<const N: usize, const ROOM: usize> Default for Parts<N, ROOM> {
    fn default() -> Self {
        Self::new([&[]; N])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_given_back_whether_they_stand_here_or_elsewhere() {
        for (room, is_elsewhere) in [(&b"12345678"[..], false), (b"123456789", true)] {
            let parts = Parts::<3, 8>::new([b"", room, b""]);
            let all = [0, 1, 2].map(|part| parts.get(part));
            assert_eq!(
                (all, parts.octets.spilled()),
                ([b"", room, b""], is_elsewhere)
            );
        }
    }
}
