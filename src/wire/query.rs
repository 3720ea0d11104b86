//! A client's query: header, the one question, and OPT if there is one. Everything else in it is stepped over, and a
//! message that cannot be stepped over is malformed.

use super::{Flags, HEADER_LEN, Header, MIN_UDP_PAYLOAD, NameKey, Rcode, rtype};

/// What is asked: all that separates one answer from another, but for the route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Question {
    /// QNAME, lower-cased.
    pub name: NameKey,
    /// QTYPE.
    pub qtype: u16,
    /// QCLASS.
    pub qclass: u16,
    /// The DO bit of the query's OPT (RFC 3225).
    pub dnssec_ok: bool,
    /// The CD bit (RFC 4035 §3.2.2).
    pub checking_disabled: bool,
}

/// What a query's OPT record says (RFC 6891 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// The sender's UDP payload size; less than 512 counts as 512 (§6.2.3).
    pub payload: u16,
    /// The version; only 0 is known.
    pub version: u8,
    /// The DO bit.
    pub dnssec_ok: bool,
    /// Is there an edns-tcp-keepalive option (RFC 7828)?
    pub keepalive: bool,
}

/// A query, borrowed from its packet.
#[derive(Clone, Debug, Default)]
pub struct Query<'p> {
    /// ID, flags and counts.
    pub header: Header,
    /// The question.
    pub question: Question,
    /// The question section as it was asked, byte for byte: the name in the client's spelling, QTYPE, QCLASS.
    pub question_wire: &'p [u8],
    /// The OPT record.
    pub edns: Option<Edns>,
}

/// A packet that is no query to be answered on its merits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswerable {
    /// Shorter than a header, or itself a response: any reply could feed a loop (RFC 8906 §8, CVE-2024-2169).
    Silence,
    /// Answered by a header with this code and nothing else, because the rest cannot be trusted.
    HeaderOnly(Header, Rcode),
}

impl<'p> Query<'p> {
    /// Parses a packet in one pass, linear in its length.
    pub fn parse(packet: &'p [u8]) -> Result<Self, Unanswerable> {
        let mut query = Self::default();
        query.read(packet).map(|()| query)
    }

    /// The same into this query, of which nothing is left: where each is parsed, a whole query is too large to be handed over.
    pub fn read(&mut self, packet: &'p [u8]) -> Result<(), Unanswerable> {
        self.header = Header::read(packet).ok_or(Unanswerable::Silence)?;
        let flags = self.header.flags;
        if flags.has(Flags::QR) {
            return Err(Unanswerable::Silence);
        }
        if !flags.is_query_opcode() {
            return Err(Unanswerable::HeaderOnly(self.header, Rcode::NotImp));
        }
        let one = self.header.counts[0] == 1; // RFC 9619
        let read = one.then(|| self.read_sections(packet)).flatten();
        read.ok_or(Unanswerable::HeaderOnly(self.header, Rcode::FormErr))
    }

    fn read_sections(&mut self, packet: &'p [u8]) -> Option<()> {
        let (header, question) = (&self.header, &mut self.question);
        let name_end = question.name.read_again(packet, HEADER_LEN)?;
        question.qtype = read_u16(packet, name_end)?;
        question.qclass = read_u16(packet, name_end.checked_add(2)?)?;
        let question_end = name_end.checked_add(4)?;
        if question.qtype == 0 || question.qtype == rtype::OPT {
            return None;
        }
        let mut at = question_end;
        for _ in 0..u32::from(header.counts[1]).checked_add(u32::from(header.counts[2]))? {
            let record = Record::read(packet, at)?;
            if record.rtype == rtype::OPT {
                return None; // RFC 6891 §6.1.1: additional section only
            }
            at = record.end;
        }
        self.edns = None;
        for _ in 0..header.counts[3] {
            let record = Record::read(packet, at)?;
            if record.rtype == rtype::OPT {
                if self.edns.is_some() || record.name_len != 1 {
                    return None; // RFC 6891 §6.1.1: at most one, owned by the root
                }
                self.edns = Some(Edns::from_record(packet, &record)?);
            }
            at = record.end;
        }
        question.dnssec_ok = self.edns.is_some_and(|edns| edns.dnssec_ok);
        question.checking_disabled = header.flags.has(Flags::CD);
        self.question_wire = packet.get(HEADER_LEN..question_end)?;
        Some(())
    }
}

impl Edns {
    fn from_record(packet: &[u8], record: &Record) -> Option<Self> {
        const DNSSEC_OK: u32 = 0x8000;
        const KEEPALIVE: u16 = 11;
        let [_, version, _, _] = record.ttl.to_be_bytes();
        let mut options = packet.get(record.rdata..record.end)?;
        let mut keepalive = false;
        while !options.is_empty() {
            let code = read_u16(options, 0)?;
            let len = usize::from(read_u16(options, 2)?);
            options = options.get(len.checked_add(4)?..)?;
            keepalive |= code == KEEPALIVE;
        }
        Some(Self {
            payload: record.class.max(MIN_UDP_PAYLOAD),
            version,
            dnssec_ok: record.ttl & DNSSEC_OK != 0,
            keepalive,
        })
    }
}

/// The fixed part of a resource record (RFC 1035 §4.1.3), and where its parts stand.
pub(super) struct Record {
    /// Octets of the owner name where it stands: 1 for the root.
    name_len: usize,
    pub(super) rtype: u16,
    pub(super) class: u16,
    pub(super) ttl: u32,
    pub(super) rdata: usize,
    pub(super) end: usize,
}

impl Record {
    pub(super) fn read(packet: &[u8], at: usize) -> Option<Self> {
        let fixed = skip_name(packet, at)?;
        let rdata = fixed.checked_add(10)?;
        let ttl = packet
            .get(fixed.checked_add(4)?..)?
            .first_chunk()
            .copied()?;
        let end = rdata.checked_add(usize::from(read_u16(packet, fixed.checked_add(8)?)?))?;
        (end <= packet.len()).then_some(())?;
        Some(Self {
            name_len: fixed.checked_sub(at)?,
            rtype: read_u16(packet, fixed)?,
            class: read_u16(packet, fixed.checked_add(2)?)?,
            ttl: u32::from_be_bytes(ttl),
            rdata,
            end,
        })
    }
}

/// Where the name at `at` ends in the packet; a pointer ends it, and is not followed, but must point to before the name,
/// and not into the header, which is another one in what is made of the packet.
fn skip_name(packet: &[u8], mut at: usize) -> Option<usize> {
    let start = at;
    loop {
        let len = *packet.get(at)?;
        at = match len {
            0 => return at.checked_add(1),
            1..=63 => at.checked_add(1)?.checked_add(usize::from(len))?,
            0xc0..=0xff => {
                let target = usize::from(read_u16(packet, at)? & 0x3fff);
                let earlier = (HEADER_LEN..start).contains(&target);
                return at.checked_add(2).filter(|_| earlier);
            }
            _ => return None,
        };
    }
}

pub(super) fn read_u16(packet: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(
        packet.get(at..)?.first_chunk().copied()?,
    ))
}
