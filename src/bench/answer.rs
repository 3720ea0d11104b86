//! What was answered, in a form in which two servers' answers can be compared: code and records of the answer section,
//! without owners, TTLs and order. It judges; it asks nobody.

use crate::wire::{Flags, Header, NameKey, Response, Section, rtype};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

const SERVFAIL: u16 = 2;
const NXDOMAIN: u16 = 3;
const REFUSED: u16 = 5;

/// Code and records of an answer; names in the data are whole, and in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The whole response code.
    pub rcode: u16,
    /// Type and data of the answer section's records, sorted.
    pub records: Vec<(u16, Vec<u8>)>,
}

/// What an answer has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// This code, whatever the records.
    Rcode(u16),
    /// NOERROR, and no record of the type that was asked for.
    NoData,
    /// NOERROR, and these records of the type that was asked for; sorted.
    Records(Vec<Vec<u8>>),
    /// What the reference said.
    Same(Answer),
}

/// Of what kind an answer is, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// NOERROR with a record in the answer section.
    Positive,
    /// NOERROR without one.
    NoData,
    /// The name does not exist.
    NxDomain,
    /// The server failed.
    ServFail,
    /// The server does not want to.
    Refused,
    /// Any other code.
    Other,
}

impl Kind {
    /// Every kind, in the order of counters.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Positive, "positive"),
        (Self::NoData, "nodata"),
        (Self::NxDomain, "nxdomain"),
        (Self::ServFail, "servfail"),
        (Self::Refused, "refused"),
        (Self::Other, "other"),
    ];

    /// By the header alone.
    pub fn of(header: &Header) -> Self {
        match header.flags.0 & Flags::RCODE {
            0 if header.counts[1] == 0 => Self::NoData,
            0 => Self::Positive,
            SERVFAIL => Self::ServFail,
            NXDOMAIN => Self::NxDomain,
            REFUSED => Self::Refused,
            _ => Self::Other,
        }
    }
}

impl Answer {
    /// Takes a reply apart; `None` if it is malformed.
    pub fn read(reply: &[u8]) -> Option<Self> {
        let whole = reply.to_vec();
        let response = Response::parse(whole)?;
        let marks = response.marks().iter();
        let answers = marks.filter(|mark| mark.section == Section::Answer);
        let records = answers.map(|mark| {
            let rdata = usize::from(mark.ttl_at) + 6..usize::from(mark.end);
            let data = canonical(response.message(), mark.rtype, rdata)?;
            Some((mark.rtype, data))
        });
        let mut records: Vec<_> = records.collect::<Option<_>>()?;
        records.sort();
        Some(Self {
            rcode: response.rcode(),
            records,
        })
    }

    fn of_type(&self, qtype: u16) -> impl Iterator<Item = &Vec<u8>> {
        let records = self.records.iter();
        records.filter_map(move |(rtype, data)| (*rtype == qtype).then_some(data))
    }

    /// The addresses in it.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let records = self.records.iter();
        records.filter_map(|(rtype, data)| address(*rtype, data))
    }
}

/// RDATA with its names whole and in lower case (RFC 3597 §4 lists the types in which they may be compressed; SRV is one
/// in practice).
fn canonical(message: &[u8], rtype: u16, rdata: std::ops::Range<usize>) -> Option<Vec<u8>> {
    const MX: u16 = 15;
    const DNAME: u16 = 39;
    let octets = message.get(rdata.clone())?;
    let fixed = match rtype {
        rtype::CNAME | rtype::NS | rtype::PTR | rtype::SOA | DNAME => 0,
        MX => 2,
        rtype::SRV => 6,
        _ => return Some(octets.to_vec()),
    };
    let mut data = octets.get(..fixed)?.to_vec();
    let mut at = rdata.start + fixed;
    for _ in 0..if rtype == rtype::SOA { 2 } else { 1 } {
        at = whole_name(message, at, &mut data)?;
    }
    data.extend_from_slice(message.get(at..rdata.end)?);
    Some(data)
}

/// Appends the name at `at`, its pointers followed; where it ends in place.
fn whole_name(message: &[u8], mut at: usize, out: &mut Vec<u8>) -> Option<usize> {
    let mut end = None;
    // No name has more labels, and each pointer leads to a label or to the root.
    for _ in 0..256 {
        match usize::from(*message.get(at)?) {
            0 => {
                out.push(0);
                return Some(end.unwrap_or(at + 1));
            }
            len @ 1..=63 => {
                out.extend(message.get(at..=at + len)?.to_ascii_lowercase());
                at += 1 + len;
            }
            pointer @ 192.. => {
                end.get_or_insert(at + 2);
                at = (pointer & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
            }
            _ => return None,
        }
    }
    None
}

fn address(rtype: u16, data: &[u8]) -> Option<IpAddr> {
    match rtype {
        rtype::A => <[u8; 4]>::try_from(data)
            .ok()
            .map(|octets| Ipv4Addr::from(octets).into()),
        rtype::AAAA => <[u8; 16]>::try_from(data)
            .ok()
            .map(|octets| Ipv6Addr::from(octets).into()),
        _ => None,
    }
}

impl Expected {
    /// Reads what stands behind the type in a file of questions: nothing; a code such as `NXDOMAIN`, or `NODATA`; or for A and
    /// AAAA the addresses.
    pub fn from_words(qtype: u16, words: &[&str]) -> Result<Option<Self>, String> {
        let code = match words {
            [] => return Ok(None),
            [word] => match word.to_ascii_uppercase().as_str() {
                "NODATA" => return Ok(Some(Self::NoData)),
                "NOERROR" => Some(0),
                "SERVFAIL" => Some(SERVFAIL),
                "NXDOMAIN" => Some(NXDOMAIN),
                "REFUSED" => Some(REFUSED),
                _ => None,
            },
            _ => None,
        };
        if let Some(code) = code {
            return Ok(Some(Self::Rcode(code)));
        }
        let addresses = words.iter().map(|word| {
            let data = match (qtype, word.parse()) {
                (rtype::A, Ok(IpAddr::V4(address))) => address.octets().to_vec(),
                (rtype::AAAA, Ok(IpAddr::V6(address))) => address.octets().to_vec(),
                _ => return Err(format!(
                    "`{word}`: expected NOERROR, NODATA, NXDOMAIN, SERVFAIL, REFUSED or addresses of the type"
                )),
            };
            Ok(data)
        });
        let mut data = addresses.collect::<Result<Vec<_>, _>>()?;
        data.sort();
        Ok(Some(Self::Records(data)))
    }

    /// Is this answer what it has to be?
    pub fn allows(&self, qtype: u16, answer: &Answer) -> bool {
        match self {
            Self::Rcode(code) => answer.rcode == *code,
            Self::NoData => answer.rcode == 0 && answer.of_type(qtype).next().is_none(),
            Self::Records(data) => answer.rcode == 0 && answer.of_type(qtype).eq(data),
            Self::Same(same) => same == answer,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rcode {
            0 if self.records.is_empty() => return f.write_str("NODATA"),
            0 => {}
            SERVFAIL => return f.write_str("SERVFAIL"),
            NXDOMAIN => return f.write_str("NXDOMAIN"),
            REFUSED => return f.write_str("REFUSED"),
            other => return write!(f, "RCODE{other}"),
        }
        for (n, (rtype, data)) in self.records.iter().enumerate() {
            let between = if n == 0 { "" } else { " " };
            match (address(*rtype, data), NameKey::read(data, 0)) {
                (Some(address), _) => write!(f, "{between}{address}")?,
                (None, Some((name, end))) if end == data.len() => write!(f, "{between}{name}")?,
                _ => {
                    write!(f, "{between}TYPE{rtype}:")?;
                    data.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rcode(0) => f.write_str("NOERROR"),
            Self::Rcode(code) => Answer {
                rcode: *code,
                records: vec![],
            }
            .fmt(f),
            Self::NoData => f.write_str("NODATA"),
            Self::Records(data) => {
                let of = |data: &Vec<u8>| {
                    let rtype = if data.len() == 4 {
                        rtype::A
                    } else {
                        rtype::AAAA
                    };
                    (rtype, data.clone())
                };
                let records = data.iter().map(of).collect();
                Answer { rcode: 0, records }.fmt(f)
            }
            Self::Same(answer) => answer.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::{
        op::{Message, MessageType, OpCode, Query, ResponseCode},
        rr::{Name, RData, Record, RecordType, rdata},
    };

    fn reply(records: &[RData], code: ResponseCode) -> Vec<u8> {
        let name = Name::from_ascii("Www.example.org.").unwrap();
        let mut message = Message::new(7, MessageType::Response, OpCode::Query);
        message.add_query(Query::query(name.clone(), RecordType::A));
        message.metadata.response_code = code;
        for data in records {
            message.add_answer(Record::from_rdata(name.clone(), 5, data.clone()));
        }
        message.to_vec().unwrap()
    }

    fn a(last: u8) -> RData {
        RData::A(rdata::A::new(192, 0, 2, last))
    }

    fn alias(to: &str) -> RData {
        RData::CNAME(rdata::CNAME(Name::from_ascii(to).unwrap()))
    }

    fn read(records: &[RData]) -> Answer {
        Answer::read(&reply(records, ResponseCode::NoError)).unwrap()
    }

    #[test]
    fn order_letters_and_compression_make_no_difference() {
        assert_eq!(read(&[a(1), a(2)]), read(&[a(2), a(1)]));
        assert_ne!(read(&[a(1), a(2)]), read(&[a(1)]));
        let compressed = read(&[alias("A.EXAMPLE.ORG."), a(1)]);
        assert_eq!(compressed, read(&[a(1), alias("a.example.org.")]));
        assert_eq!(compressed.to_string(), "192.0.2.1 a.example.org.");
        assert!(Answer::read(b"short").is_none());
    }

    #[test]
    fn expectations_are_codes_or_addresses() {
        let expected = |words: &[&str]| Expected::from_words(1, words).unwrap().unwrap();
        let two = expected(&["192.0.2.2", "192.0.2.1"]);
        assert!(two.allows(1, &read(&[alias("b."), a(1), a(2)])));
        assert!(!two.allows(1, &read(&[a(1)])));
        assert_eq!(two.to_string(), "192.0.2.1 192.0.2.2");
        let none = Answer::read(&reply(&[], ResponseCode::NXDomain)).unwrap();
        assert!(expected(&["nxdomain"]).allows(1, &none) && !two.allows(1, &none));
        assert!(expected(&["NODATA"]).allows(1, &read(&[alias("b.")])));
        assert_eq!(Expected::from_words(1, &[]), Ok(None));
        assert!(Expected::from_words(1, &["::1"]).is_err());
    }

    #[test]
    fn kinds_are_read_from_the_header() {
        let kind =
            |records: &[RData], code| Kind::of(&Header::read(&reply(records, code)).unwrap());
        assert_eq!(kind(&[a(1)], ResponseCode::NoError), Kind::Positive);
        assert_eq!(kind(&[], ResponseCode::NoError), Kind::NoData);
        assert_eq!(kind(&[], ResponseCode::NXDomain), Kind::NxDomain);
        assert_eq!(kind(&[], ResponseCode::NotImp), Kind::Other);
    }
}
