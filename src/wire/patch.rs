//! A stored answer made into the reply to one client's query: the client's ID, flags and spelling, TTLs aged, as many
//! whole records as fit, the server's own OPT. It knows no clock and does not judge whether the answer may still be given.

use super::{Flags, HEADER_LEN, Mark, Query, Reply, ReplyEdns};

/// A whole answer as it is stored, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'m> {
    /// Its records, one behind the other, without OPT. Header and question are the query's.
    pub records: &'m [u8],
    /// Where in the message they stood.
    pub records_at: usize,
    /// What they are.
    pub marks: &'m [Mark],
    /// Its response code, 0..=15.
    pub rcode: u8,
    /// Is it a part of a longer one, and every reply truncated (TC)?
    pub truncated: bool,
    /// May the reply say that the data is authentic (AD)?
    pub authentic: bool,
    /// What TTLs its records get.
    pub ttls: Ttls,
}

/// What TTLs the records of a stored answer get, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttls {
    /// Each its own, but no more than `max`, less the seconds since it came.
    Aged {
        /// Seconds since it came.
        age: u32,
        /// More than this is given to none.
        max: u32,
    },
    /// All of them this one: their own time is over.
    Fixed(u32),
}

impl Stored<'_> {
    /// Writes the reply to `query` into `out`, of at most `limit` octets, and says how long it is. The question must be the
    /// one that the answer is stored under; pointers into it hold because its spelling has no influence on its length.
    /// `None` if not even the question fits, or if it is another one's length.
    pub fn write(
        &self,
        query: &Query<'_>,
        edns: ReplyEdns<'_>,
        out: &mut [u8],
        limit: usize,
    ) -> Option<usize> {
        let question_end = HEADER_LEN.checked_add(query.question_wire.len())?;
        (question_end == self.records_at).then_some(())?;
        let mut reply = Reply::new(query, edns, out, limit, false);
        reply.set_upstream_rcode(self.rcode);
        // RFC 6840 §5.7: AD is for those who showed that they understand it.
        if self.authentic && (query.question.dnssec_ok || query.header.flags.has(Flags::AD)) {
            reply.set_flags(Flags::AD);
        }
        if self.truncated {
            reply.set_flags(Flags::TC);
        }
        for mark in self.marks {
            reply.copy(self.records, mark, self.ttls.of(mark));
        }
        reply.finish()
    }
}

impl Ttls {
    fn of(self, mark: &Mark) -> u32 {
        match self {
            Self::Aged { age, max } => effective_ttl(mark.ttl).min(max).saturating_sub(age),
            Self::Fixed(ttl) => ttl,
        }
    }
}

/// A TTL as it counts: one with the highest bit set is 0 (RFC 2181 §8).
pub const fn effective_ttl(ttl: u32) -> u32 {
    if ttl > i32::MAX.cast_unsigned() {
        0
    } else {
        ttl
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::wire::{Response, Section};
    use hickory_proto::{
        op::{Edns, Message, MessageType, OpCode, Query as HickoryQuery, ResponseCode},
        rr::{
            Name, RData, Record, RecordType,
            rdata::{A, AAAA, CNAME, SOA, TXT},
        },
    };
    use proptest::prelude::*;

    /// The plain twin: decoded, changed field by field, and cut to the records that the fast one says it had room for.
    fn rebuilt(whole: &[u8], stored: &Stored<'_>, query: &Query<'_>, kept: usize) -> Message {
        let asked = Message::from_vec(&[&query_header(query)[..], query.question_wire].concat());
        let asked = asked.unwrap();
        let mut message = Message::from_vec(whole).unwrap();
        message.metadata.id = asked.metadata.id;
        message.metadata.recursion_desired = asked.metadata.recursion_desired;
        message.metadata.checking_disabled = asked.metadata.checking_disabled;
        message.metadata.recursion_available = true;
        message.metadata.authoritative = false;
        message.metadata.authentic_data =
            stored.authentic && (asked.metadata.authentic_data || query.question.dnssec_ok);
        message.metadata.response_code = ResponseCode::from(0, stored.rcode);
        message.queries = asked.queries;
        let mut left = kept;
        let mut truncated = false;
        for (records, counts) in [
            (&mut message.answers, true),
            (&mut message.authorities, true),
            (&mut message.additionals, false),
        ] {
            truncated |= counts && left < records.len();
            records.truncate(left);
            left -= records.len();
            for record in records {
                let ttl = if record.ttl >> 31 == 1 { 0 } else { record.ttl };
                record.ttl = match stored.ttls {
                    Ttls::Aged { age, max } => ttl.min(max).saturating_sub(age),
                    Ttls::Fixed(ttl) => ttl,
                };
            }
        }
        message.metadata.truncation = truncated || stored.truncated;
        message.edns = query.edns.map(|edns| {
            let mut ours = Edns::new();
            ours.set_max_payload(1232).set_dnssec_ok(edns.dnssec_ok);
            ours
        });
        message
    }

    fn query_header(query: &Query<'_>) -> [u8; 12] {
        let mut header = [0; 12];
        let plain = crate::wire::Header {
            counts: [1, 0, 0, 0],
            ..query.header
        };
        plain.write(&mut header).unwrap();
        header
    }

    fn name() -> impl Strategy<Value = Name> {
        let labels = proptest::collection::vec("[a-cA-C]{1,3}", 1..4);
        labels.prop_map(|labels| Name::from_labels(labels.iter().map(String::as_bytes)).unwrap())
    }

    fn record() -> impl Strategy<Value = Record> {
        let rdata = prop_oneof![
            any::<[u8; 4]>().prop_map(|ip| RData::A(A(ip.into()))),
            any::<[u8; 16]>().prop_map(|ip| RData::AAAA(AAAA(ip.into()))),
            name().prop_map(|name| RData::CNAME(CNAME(name))),
            "[a-z]{1,200}".prop_map(|text| RData::TXT(TXT::new(vec![text]))),
            (name(), name()).prop_map(|(m, r)| RData::SOA(SOA::new(m, r, 1, 2, 3, 4, 5))),
        ];
        // Beyond 31 bits hickory-proto does not pass a TTL through; `effective_ttl` has its own test.
        (name(), 0..=i32::MAX.cast_unsigned(), rdata)
            .prop_map(|(name, ttl, rdata)| Record::from_rdata(name, ttl, rdata))
    }

    prop_compose! {
        fn answer()(
            name in name(),
            sections in proptest::array::uniform3(proptest::collection::vec(record(), 0..5)),
            opt in any::<bool>(),
        ) -> Message {
            let mut message = Message::new(1, MessageType::Response, OpCode::Query);
            message.add_query(HickoryQuery::query(name, RecordType::A));
            [message.answers, message.authorities, message.additionals] = sections;
            message.edns = opt.then(Edns::new);
            message
        }
    }

    proptest! {
        #[test]
        fn a_patched_answer_equals_one_decoded_and_rebuilt(
            answer in answer(),
            id in any::<u16>(),
            flag_bits in any::<u16>(),
            edns in proptest::option::of(any::<bool>()),
            (rcode, truncated, authentic) in (0..=10_u8, any::<bool>(), any::<bool>()),
            ttls in prop_oneof![
                (0..5000_u32, 0..5000_u32).prop_map(|(age, max)| Ttls::Aged { age, max }),
                (0..5000_u32).prop_map(Ttls::Fixed),
            ],
            limit in 40..1300_usize,
        ) {
            let mut asked = Message::new(id, MessageType::Query, OpCode::Query);
            let name = answer.queries[0].name().to_string().to_uppercase();
            asked.add_query(HickoryQuery::query(Name::from_ascii(name).unwrap(), RecordType::A));
            asked.edns = edns.map(|dnssec_ok| {
                let mut edns = Edns::new();
                edns.set_dnssec_ok(dnssec_ok);
                edns
            });
            let mut packet = asked.to_vec().unwrap();
            let bits = flag_bits & (Flags::RD | Flags::CD | Flags::AD);
            packet[2..4].copy_from_slice(&bits.to_be_bytes());
            let query = Query::parse(&packet).unwrap();
            let response = Response::parse(answer.to_vec().unwrap()).unwrap();
            let (records, records_at) = (response.records(), response.records_at());
            let marks = response.marks();
            let stored = Stored { records, records_at, marks, rcode, truncated, authentic, ttls };

            let mut out = [0; 1300];
            let written = stored.write(&query, ReplyEdns::default(), &mut out, limit);
            let opt_len = if query.edns.is_some() { 11 } else { 0 };
            let room = limit.checked_sub(opt_len);
            let question_end = 12 + query.question_wire.len();
            let Some(room) = room.filter(|room| *room >= question_end) else {
                prop_assert_eq!(written, None);
                return Ok(());
            };
            let written = &out[..written.unwrap()];
            prop_assert!(written.len() <= limit);
            let kept = marks.iter().filter(|mark| usize::from(mark.end) <= room).count();
            // Records in a stored message lie at the offsets at which they are written, so the header's counts say what
            // is missing; hickory-proto would refuse to decode the stored message with counts that are too high.
            let mut whole = response.message().to_vec();
            for section in [Section::Answer, Section::Authority, Section::Additional] {
                let count = marks.iter().filter(|mark| mark.section == section).count();
                let at = 4 + 2 * section as usize;
                whole[at..at + 2].copy_from_slice(&u16::try_from(count).unwrap().to_be_bytes());
            }
            let expected = rebuilt(&whole, &stored, &query, kept);
            prop_assert_eq!(Message::from_vec(written).unwrap(), expected);
        }
    }

    #[test]
    fn a_ttl_with_the_highest_bit_is_zero() {
        let ttls = [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX];
        assert_eq!(ttls.map(effective_ttl), [0, 1, 0x7fff_ffff, 0, 0]);
    }

    #[test]
    fn an_answer_to_another_question_is_not_written() {
        let response = b"\0\x07\x80\0\0\x01\0\0\0\0\0\0\x01a\0\0\x01\0\x01".to_vec();
        let response = Response::parse(response).unwrap();
        let stored = Stored {
            records: response.records(),
            records_at: response.records_at(),
            marks: response.marks(),
            rcode: 0,
            truncated: false,
            authentic: false,
            ttls: Ttls::Fixed(9),
        };
        let query = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x02ab\0\0\x01\0\x01";
        let query = Query::parse(query).unwrap();
        let mut out = [0; 512];
        assert_eq!(
            stored.write(&query, ReplyEdns::default(), &mut out, 512),
            None
        );
    }
}
