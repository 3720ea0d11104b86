//! An upstream's reply, taken apart as far as a cache needs it: where each record stands, its TTL, and what OPT said.
//! One pass, linear in the packet; no RDATA is read apart from OPT's and the last number of a SOA.

use super::{
    Flags, HEADER_LEN, Header, NameKey, Section,
    query::{Record, read_u16},
    rtype,
};

/// Where one record stands in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its section.
    pub section: Section,
    /// Its type.
    pub rtype: u16,
    /// Its class.
    pub class: u16,
    /// Its TTL as it came, in seconds.
    pub ttl: u32,
    /// Offset of its first octet.
    pub start: u16,
    /// Offset of its TTL.
    pub ttl_at: u16,
    /// Offset behind its last octet.
    pub end: u16,
}

/// What the reply's OPT record said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyOpt {
    /// The upper eight bits of the response code (RFC 6891 §6.1.3).
    pub extended_rcode: u8,
    /// INFO-CODE and EXTRA-TEXT of the first Extended DNS Error (RFC 8914).
    pub ede: Option<(u16, Box<[u8]>)>,
}

/// The SOA record of a negative answer (RFC 2308 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NegativeSoa {
    /// The record's TTL, as it came.
    pub ttl: u32,
    /// MINIMUM, its last field.
    pub minimum: u32,
}

/// A reply with one question, and records of which everything can be stepped over.
#[derive(Clone, Debug)]
pub struct Response {
    /// ID, flags and counts as they came.
    pub header: Header,
    /// QTYPE of its question.
    pub qtype: u16,
    /// The OPT record.
    pub opt: Option<ReplyOpt>,
    message: Vec<u8>,
    question_end: usize,
    marks: Vec<Mark>,
}

impl Response {
    /// Takes a reply apart; `None` if any part of it is malformed, or if it does not have exactly one question. A compression
    /// pointer must point to before its name (RFC 1035 §4.1.4), so that what stands in front of any record is all that it
    /// needs. OPT and the records after it (TSIG and SIG(0), which speak about this hop) are not kept.
    pub fn parse(mut packet: Vec<u8>) -> Option<Self> {
        let header = Header::read(&packet)?;
        let [1, answer, authority, additional] = header.counts else {
            return None;
        };
        let (_, name_end) = NameKey::read(&packet, HEADER_LEN)?;
        let qtype = read_u16(&packet, name_end)?;
        let question_end = name_end.checked_add(4)?;
        let sections = [
            (Section::Answer, answer),
            (Section::Authority, authority),
            (Section::Additional, additional),
        ];
        let (mut marks, mut opt) = (Vec::new(), None);
        let (mut at, mut kept) = (question_end, question_end);
        for (section, count) in sections {
            for _ in 0..count {
                let record = Record::read(&packet, at)?;
                if record.rtype == rtype::OPT {
                    if section != Section::Additional || opt.is_some() {
                        return None; // RFC 6891 §6.1.1
                    }
                    opt = Some(ReplyOpt::from_record(&packet, &record)?);
                } else if opt.is_none() {
                    marks.push(Mark::new(section, at, &record)?);
                    kept = record.end;
                }
                at = record.end;
            }
        }
        (question_end <= packet.len()).then_some(())?;
        packet.truncate(kept);
        Some(Self {
            header,
            qtype,
            opt,
            message: packet,
            question_end,
            marks,
        })
    }

    /// The message up to the end of its last kept record.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The question section, byte for byte.
    pub fn question_wire(&self) -> &[u8] {
        let range = HEADER_LEN..self.question_end;
        self.message.get(range).unwrap_or_default()
    }

    /// Its records in order, one behind the other from the question on.
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// Where its records begin, behind header and question.
    pub const fn records_at(&self) -> usize {
        self.question_end
    }

    /// The octets of its records.
    pub fn records(&self) -> &[u8] {
        self.message.get(self.question_end..).unwrap_or_default()
    }

    /// How many aliases its answer section has.
    pub fn aliases(&self) -> usize {
        let is_alias = |mark: &&Mark| mark.section == Section::Answer && mark.rtype == rtype::CNAME;
        self.marks.iter().filter(is_alias).count()
    }

    /// Writes the question's name in lower case, and every owner's labels that were copied from it octet for octet: chance chose
    /// those letters. Names that point into the question follow it by themselves.
    pub fn fold_question(&mut self) {
        let name_end = self.question_end.saturating_sub(4);
        let name = self.message.get_mut(HEADER_LEN..name_end);
        let Some(name) = name else { return };
        let asked = name.to_vec();
        name.make_ascii_lowercase(); // no letter is as small as the octet in front of a label
        if asked == name {
            return;
        }
        for mark in &self.marks {
            let owner = self
                .message
                .get_mut(mark.start.into()..)
                .unwrap_or_default();
            let labels_len = labels_len(owner);
            let labels = owner.get_mut(..labels_len).unwrap_or_default();
            if !labels.is_empty() && asked.windows(labels_len).any(|part| part == labels) {
                labels.make_ascii_lowercase();
            }
        }
    }

    /// The whole response code, OPT's bits included.
    pub fn rcode(&self) -> u16 {
        let upper = self.opt.as_ref().map_or(0, |opt| opt.extended_rcode);
        u16::from(upper) << 4 | self.header.flags.0 & Flags::RCODE
    }

    /// The first SOA of the authority section.
    pub fn negative_soa(&self) -> Option<NegativeSoa> {
        /// Two names of one octet, and five numbers (RFC 1035 §3.3.13).
        const SHORTEST_RDATA: usize = 22;
        let mark = self
            .marks
            .iter()
            .find(|mark| mark.section == Section::Authority && mark.rtype == rtype::SOA)?;
        let rdata_at = usize::from(mark.ttl_at).checked_add(6)?;
        let rdata = self.message.get(rdata_at..usize::from(mark.end))?;
        (rdata.len() >= SHORTEST_RDATA).then_some(())?;
        Some(NegativeSoa {
            ttl: mark.ttl,
            minimum: u32::from_be_bytes(*rdata.last_chunk()?),
        })
    }
}

/// How long the labels are with which a name begins, up to its end or to a pointer.
fn labels_len(name: &[u8]) -> usize {
    let mut at: usize = 0;
    while let Some(len @ 1..=63) = name.get(at) {
        at = at.saturating_add(1).saturating_add((*len).into());
    }
    at
}

impl Mark {
    fn new(section: Section, start: usize, record: &Record) -> Option<Self> {
        Some(Self {
            section,
            rtype: record.rtype,
            class: record.class,
            ttl: record.ttl,
            start: u16::try_from(start).ok()?,
            ttl_at: u16::try_from(record.rdata.checked_sub(6)?).ok()?,
            end: u16::try_from(record.end).ok()?,
        })
    }
}

impl ReplyOpt {
    fn from_record(packet: &[u8], record: &Record) -> Option<Self> {
        const EXTENDED_ERROR: u16 = 15;
        let [extended_rcode, ..] = record.ttl.to_be_bytes();
        let mut options = packet.get(record.rdata..record.end)?;
        let mut ede = None;
        while !options.is_empty() {
            let code = read_u16(options, 0)?;
            let end = usize::from(read_u16(options, 2)?).checked_add(4)?;
            let (option, rest) = options.split_at_checked(end)?;
            if code == EXTENDED_ERROR && ede.is_none() {
                ede = Some((read_u16(option, 4)?, option.get(6..)?.into()));
            }
            options = rest;
        }
        Some(Self {
            extended_rcode,
            ede,
        })
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A question for `a.` A, and whatever follows it.
    fn message(counts: [u16; 3], records: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; HEADER_LEN];
        let header = Header {
            id: 7,
            flags: Flags(Flags::QR),
            counts: [1, counts[0], counts[1], counts[2]],
        };
        header.write(&mut packet).unwrap();
        packet.extend_from_slice(b"\x01a\x00\x00\x01\x00\x01");
        packet.extend_from_slice(records);
        packet
    }

    const ANSWER: &[u8] = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x01";
    const OPT: &[u8] = b"\x00\x00\x29\x04\xd0\x01\x00\x00\x00\x00\x08\x00\x0f\x00\x04\x00\x16up";

    #[test]
    fn records_are_marked_and_opt_ends_what_is_kept() {
        let packet = message([1, 0, 3], &[ANSWER, ANSWER, OPT, ANSWER].concat());
        let response = Response::parse(packet.clone()).unwrap();
        let answer = Mark {
            section: Section::Answer,
            rtype: rtype::A,
            class: 1,
            ttl: 60,
            start: 19,
            ttl_at: 25,
            end: 35,
        };
        let additional = Mark {
            section: Section::Additional,
            start: 35,
            ttl_at: 41,
            end: 51,
            ..answer
        };
        assert_eq!(response.marks(), [answer, additional]);
        assert_eq!(response.message(), &packet[..51]);
        assert_eq!(response.question_wire(), &packet[12..19]);
        assert_eq!(response.rcode(), 16);
        let ede = Some((22, Box::from(&b"up"[..])));
        assert_eq!(response.opt.unwrap().ede, ede);
    }

    #[test]
    fn malformed_replies_are_no_replies() {
        let forward = [b"\xc0\x20", &ANSWER[2..]].concat();
        let itself = [b"\xc0\x13", &ANSWER[2..]].concat();
        let header = [b"\xc0\x0b", &ANSWER[2..]].concat();
        for (why, packet) in [
            ("no question", {
                let mut packet = message([0; 3], b"");
                packet[5] = 0;
                packet
            }),
            ("cut in the question", message([0; 3], b"")[..18].to_vec()),
            ("fewer records than counted", message([2, 0, 0], ANSWER)),
            ("cut in a record", message([1, 0, 0], &ANSWER[..15])),
            ("pointer forward", message([1, 0, 0], &forward)),
            ("pointer to itself", message([1, 0, 0], &itself)),
            ("pointer into the header", message([1, 0, 0], &header)),
            ("OPT in the answer", message([1, 0, 0], OPT)),
            ("two OPT", message([0, 0, 2], &[OPT, OPT].concat())),
        ] {
            assert!(Response::parse(packet).is_none(), "{why}");
        }
    }

    #[test]
    fn letters_that_were_copied_from_the_question_are_folded_with_it_and_others_are_kept() {
        let record = b"\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01";
        let parse = |question: &[u8], owners: &[&[u8]]| {
            let mut packet = b"\0\x07\x80\0\0\x01\0\0\0\0\0\0".to_vec();
            packet[7] = u8::try_from(owners.len()).unwrap();
            packet.extend_from_slice(&[question, b"\0\x01\0\x01"].concat());
            for owner in owners {
                packet.extend_from_slice(&[owner, &record[..]].concat());
            }
            let mut response = Response::parse(packet).unwrap();
            response.fold_question();
            let marks = response.marks().iter();
            let owners = marks.map(|it| usize::from(it.start)..usize::from(it.ttl_at) - 4);
            let owners = owners.map(|it| response.message()[it].to_vec());
            (
                response.question_wire().to_vec(),
                owners.collect::<Vec<_>>(),
            )
        };
        let copied: [&[u8]; 4] = [b"\xc0\x0c", b"\x02wW\x01X\0", b"\x02wW\xc0\x0f", b"\x01X\0"];
        let (question, owners) = parse(b"\x02wW\x01X\0", &copied);
        assert_eq!(question, b"\x02ww\x01x\0\0\x01\0\x01");
        let folded: [&[u8]; 4] = [b"\xc0\x0c", b"\x02ww\x01x\0", b"\x02ww\xc0\x0f", b"\x01x\0"];
        assert_eq!(owners, folded);
        let own: [&[u8]; 2] = [b"\x02WW\x01X\0", b"\x02Ww\xc0\x0f"];
        assert_eq!(parse(b"\x02wW\x01X\0", &own).1, own);
        let own: [&[u8]; 1] = [b"\x02WW\x01X\0"];
        assert_eq!(parse(b"\x02ww\x01x\0", &own).1, own);
    }

    #[test]
    fn octets_behind_the_last_record_are_cut_off() {
        let packet = message([1, 0, 0], &[ANSWER, b"rest"].concat());
        let response = Response::parse(packet.clone()).unwrap();
        assert_eq!(response.message(), &packet[..35]);
    }

    #[test]
    fn the_soa_of_a_negative_answer_is_found_in_the_authority_section() {
        let soa = [
            &b"\xc0\x0c\x00\x06\x00\x01\x00\x00\x0e\x10\x00\x16\x00\x00"[..],
            &[0; 16],
            b"\x00\x00\x00\x1e",
        ]
        .concat();
        let parse = |counts| Response::parse(message(counts, &soa)).unwrap();
        let expected = NegativeSoa {
            ttl: 3600,
            minimum: 30,
        };
        assert_eq!(parse([0, 1, 0]).negative_soa(), Some(expected));
        assert_eq!(parse([1, 0, 0]).negative_soa(), None);
        let short = b"\xc0\x0c\x00\x06\x00\x01\x00\x00\x0e\x10\x00\x04\x00\x00\x00\x1e";
        let short = Response::parse(message([0, 1, 0], short)).unwrap();
        assert_eq!(short.negative_soa(), None);
    }

    proptest! {
        #[test]
        fn any_octets_are_taken_apart_without_harm(
            counts in any::<[u8; 3]>(),
            records in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let packet = message(counts.map(|count| u16::from(count % 4)), &records);
            if let Some(response) = Response::parse(packet.clone()) {
                let mut at = 12 + response.question_wire().len();
                for mark in response.marks() {
                    prop_assert_eq!(usize::from(mark.start), at);
                    at = mark.end.into();
                }
                prop_assert_eq!(response.message(), &packet[..at]);
            }
        }
    }
}
