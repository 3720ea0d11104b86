//! The twelve octets in front of every message (RFC 1035 §4.1.1).

/// Length of a header.
pub const HEADER_LEN: usize = 12;

/// The second pair of octets of a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags(pub u16);

impl Flags {
    /// Response.
    pub const QR: u16 = 0x8000;
    /// Authoritative answer.
    pub const AA: u16 = 0x0400;
    /// Truncated.
    pub const TC: u16 = 0x0200;
    /// Recursion desired.
    pub const RD: u16 = 0x0100;
    /// Recursion available.
    pub const RA: u16 = 0x0080;
    /// Authentic data (RFC 4035 §3.2.3).
    pub const AD: u16 = 0x0020;
    /// Checking disabled (RFC 4035 §3.2.2).
    pub const CD: u16 = 0x0010;
    const OPCODE: u16 = 0x7800;
    /// The lower four bits of the response code.
    pub const RCODE: u16 = 0x000f;

    /// Is this bit, or any of these bits, set?
    pub const fn has(self, bits: u16) -> bool {
        self.0 & bits != 0
    }

    /// Is the opcode QUERY (0)?
    pub const fn is_query_opcode(self) -> bool {
        self.0 & Self::OPCODE == 0
    }

    /// What a response takes over from its query: opcode, RD and CD (RFC 1035 §4.1.1, RFC 4035 §3.1.6), with QR and RA set.
    pub const fn for_reply(self) -> Self {
        Self(self.0 & (Self::OPCODE | Self::RD | Self::CD) | Self::QR | Self::RA)
    }
}

/// A header, decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// The message's ID.
    pub id: u16,
    /// Its flags.
    pub flags: Flags,
    /// QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT.
    pub counts: [u16; 4],
}

impl Header {
    /// Reads the header, if there are twelve octets.
    pub fn read(packet: &[u8]) -> Option<Self> {
        let (words, _) = packet.first_chunk::<HEADER_LEN>()?.as_chunks();
        let [id, flags, counts @ ..] = words.first_chunk::<6>()?.map(u16::from_be_bytes);
        Some(Self {
            id,
            flags: Flags(flags),
            counts,
        })
    }

    /// Writes the header; `None` if `out` is shorter than twelve octets.
    pub fn write(&self, out: &mut [u8]) -> Option<()> {
        let words = [self.id, self.flags.0].into_iter().chain(self.counts);
        for (pair, word) in out.get_mut(..HEADER_LEN)?.chunks_exact_mut(2).zip(words) {
            pair.copy_from_slice(&word.to_be_bytes());
        }
        Some(())
    }
}
