//! A and AAAA records encoded ahead: records of one length in a row, whose owner is a pointer to the question's name, so
//! that a reply takes as many of them as fit, from any first one, by copying.

use super::rtype;
use std::net::IpAddr;

/// Type, class, TTL and RDLENGTH, with the two octets of the owner's pointer in front.
const FIXED_LEN: usize = 12;
/// A whole record of either family.
const V4_LEN: usize = FIXED_LEN + 4;
const V6_LEN: usize = FIXED_LEN + 16;
/// A pointer to offset 12, where the question's name stands.
const QUESTION_POINTER: [u8; 2] = [0xc0, 0x0c];

/// A run of A records, or of AAAA records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses<'a> {
    records: &'a [u8],
    family: Family,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl<'a> Addresses<'a> {
    /// A records, as [`encode_address`] wrote them.
    pub const fn v4(records: &'a [u8]) -> Self {
        Self {
            records,
            family: Family::V4,
        }
    }

    /// AAAA records, as [`encode_address`] wrote them.
    pub const fn v6(records: &'a [u8]) -> Self {
        Self {
            records,
            family: Family::V6,
        }
    }

    /// How many records.
    pub const fn count(&self) -> usize {
        self.count_in(self.records.len())
    }

    /// How many records of this family so many octets hold. Each family has a division of its own: one by a constant is a
    /// multiplication, and this is asked several times an answer.
    pub(super) const fn count_in(&self, octets: usize) -> usize {
        match self.family {
            Family::V4 => octets / V4_LEN,
            Family::V6 => octets / V6_LEN,
        }
    }

    /// Are there none?
    pub const fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Octets of one record.
    pub(super) const fn record_len(&self) -> usize {
        match self.family {
            Family::V4 => V4_LEN,
            Family::V6 => V6_LEN,
        }
    }

    /// `count` records from the `first` on, or less where the run ends before.
    pub(super) fn slice(&self, first: usize, count: usize) -> &'a [u8] {
        let start = first
            .saturating_mul(self.record_len())
            .min(self.records.len());
        let len = count.saturating_mul(self.record_len());
        let end = start.saturating_add(len).min(self.records.len());
        self.records.get(start..end).unwrap_or_default()
    }

    /// The records' RDATA, in order.
    pub fn rdata(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.records
            .chunks_exact(self.record_len())
            .filter_map(|record| record.get(FIXED_LEN..))
    }

    /// The same as addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + use<'a> {
        self.rdata().filter_map(|rdata| {
            let v4 = <[u8; 4]>::try_from(rdata).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(rdata).map(IpAddr::from))
                .ok()
        })
    }

    /// The address of the first record.
    pub fn first(&self) -> Option<IpAddr> {
        self.addresses().next()
    }

    /// The TTL all of them have, in seconds.
    pub fn ttl(&self) -> Option<u32> {
        Some(u32::from_be_bytes(
            self.records.get(6..)?.first_chunk().copied()?,
        ))
    }

    /// The type all of them have.
    pub const fn rtype(&self) -> u16 {
        match self.family {
            Family::V4 => rtype::A,
            Family::V6 => rtype::AAAA,
        }
    }
}

/// Appends an address's record to a run of its family: 16 octets for A, 28 for AAAA.
pub fn encode_address(address: IpAddr, ttl: u32, run: &mut Vec<u8>) {
    let ([c0, c1], [i0, i1]) = (QUESTION_POINTER, super::CLASS_IN.to_be_bytes());
    let [t0, t1, t2, t3] = ttl.to_be_bytes();
    let fixed = |rtype: u16, rdata_len: u8| -> [u8; FIXED_LEN] {
        let [r0, r1] = rtype.to_be_bytes();
        [c0, c1, r0, r1, i0, i1, t0, t1, t2, t3, 0, rdata_len]
    };
    match address {
        IpAddr::V4(v4) => {
            run.extend_from_slice(&fixed(rtype::A, 4));
            run.extend_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            run.extend_from_slice(&fixed(rtype::AAAA, 16));
            run.extend_from_slice(&v6.octets());
        }
    }
}
