//! One query as it is sent: its bytes, what chance gives to it, and which message counts as its reply. It sends nothing.

use crate::{
    metrics::Ignored,
    wire::{
        Flags, HEADER_LEN, Header, MAX_NAME_LEN, MAX_UDP_PAYLOAD, Question, Rcode, Response, rtype,
    },
};
use rand::{Rng, RngExt};
use std::{io, ops::RangeInclusive};

/// Local ports for questions (RFC 5452 §9.2: as many as possible). Lower ones are left to servers on this node and to
/// NodePorts (30000–32767), whose bind must not fail because a question holds their port for a moment.
const LOCAL_PORTS: RangeInclusive<u16> = 32768..=65535;
/// How many ports are tried before the kernel chooses one, from its smaller range.
const PORT_TRIES: usize = 3;
/// A reply with more aliases than this answers nobody: no resolver follows so many. Up to here it is passed on.
const ALIASES_MAX: usize = 64;

/// What came of asking.
#[derive(Debug)]
pub(super) enum Heard {
    /// The reply, taken apart.
    Reply(Response),
    /// An error without a question: a server that did not even read the question; or a reply that is of no use to anybody. It
    /// never reaches a client.
    Bare,
    /// An error without a question, which says that the query is malformed: to an old server, OPT is.
    BareFormErr,
    /// The reply does not fit into a datagram: as much of it as does.
    Truncated(Response),
    /// A reply with the right ID, to the question in other letters than chance gave it: a server that does not repeat them, or
    /// somebody who guesses well. What it says is not to be believed.
    Recased,
    /// Somebody guesses (RFC 5452 §9.1): what else comes to this socket is not to be believed.
    Suspicious,
    /// The network says that there is nobody, or the connection broke.
    Unreachable(io::Error),
}

/// What chance gives to one send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draw {
    id: u16,
    ports: [u16; PORT_TRIES],
    /// Which octets of the name are in upper case, if they are letters, by bits (draft-vixie-dnsext-dns0x20 §2).
    upper_case: Option<[u8; MAX_NAME_LEN.div_ceil(8)]>,
}

impl Draw {
    /// IDs, ports and letters come from one that cannot be predicted.
    pub(super) fn new(rng: &mut impl Rng) -> Self {
        Self {
            id: rng.random(),
            ports: [(); PORT_TRIES].map(|()| rng.random_range(LOCAL_PORTS)),
            upper_case: Some(rng.random()),
        }
    }

    /// The same, and every letter in lower case.
    pub(super) const fn in_lower_case(self) -> Self {
        Self {
            upper_case: None,
            ..self
        }
    }
}

/// A query as it is sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    message: Vec<u8>,
    question_end: usize,
    draw: Draw,
}

impl Outgoing {
    /// The query for a question: RD set, CD and DO as asked, AD clear; with `edns`, an OPT that offers 1232 octets.
    pub(super) fn new(question: &Question, edns: bool, draw: Draw) -> Self {
        const DNSSEC_OK: u8 = 0x80;
        let checking_disabled = if question.checking_disabled {
            Flags::CD
        } else {
            0
        };
        let header = Header {
            id: draw.id,
            flags: Flags(Flags::RD | checking_disabled),
            counts: [1, 0, 0, u16::from(edns)],
        };
        let mut message = vec![0; HEADER_LEN];
        header
            .write(&mut message)
            .expect("twelve octets are a header");
        message.extend_from_slice(question.name.as_bytes());
        if let Some(upper_case) = draw.upper_case {
            // The octet in front of a label is less than any letter.
            for (at, octet) in message[HEADER_LEN..].iter_mut().enumerate() {
                if upper_case[at / 8] >> (at % 8) & 1 == 1 {
                    octet.make_ascii_uppercase();
                }
            }
        }
        message.extend_from_slice(&question.qtype.to_be_bytes());
        message.extend_from_slice(&question.qclass.to_be_bytes());
        let question_end = message.len();
        if edns {
            message.push(0);
            message.extend_from_slice(&rtype::OPT.to_be_bytes());
            message.extend_from_slice(&MAX_UDP_PAYLOAD.to_be_bytes());
            let flags = if question.dnssec_ok { DNSSEC_OK } else { 0 };
            message.extend_from_slice(&[0, 0, flags, 0, 0, 0]);
        }
        Self {
            message,
            question_end,
            draw,
        }
    }

    /// The octets to send; over TCP a length comes before them.
    pub(super) fn message(&self) -> &[u8] {
        &self.message
    }

    /// The same with padding (RFC 7830) up to a multiple of 128 octets (RFC 8467 §4.1). Without OPT there is no place for it.
    pub(super) fn padded(&self) -> Vec<u8> {
        const OPT_LEN: usize = 11;
        const PADDING: u16 = 12;
        const OPTION_HEAD: usize = 4;
        const BLOCK: usize = 128;
        let mut message = self.message.clone();
        if message.len() != self.question_end + OPT_LEN {
            return message;
        }
        let len = (message.len() + OPTION_HEAD).next_multiple_of(BLOCK);
        let padding = len - message.len() - OPTION_HEAD;
        let padding = u16::try_from(padding).expect("shorter than a block");
        message.truncate(message.len() - 2);
        for field in [padding + OPTION_HEAD as u16, PADDING, padding] {
            message.extend_from_slice(&field.to_be_bytes());
        }
        message.resize(len, 0);
        message
    }

    /// Local ports to try, one after the other.
    pub(super) fn ports(&self) -> &[u16] {
        &self.draw.ports
    }

    /// Is this the reply? It must be a response with the right ID and the very question, byte for byte as it was sent
    /// (RFC 5452 §9.1), and every part of it must be well formed. In the reply that is given the question is in lower case.
    pub(super) fn judge(&self, reply: &[u8]) -> Result<Heard, Ignored> {
        let header = Header::read(reply).ok_or(Ignored::Malformed)?;
        if !header.flags.has(Flags::QR) || !header.flags.is_query_opcode() {
            return Err(Ignored::NotReply);
        }
        if header.id != self.draw.id {
            return Err(Ignored::WrongId);
        }
        let [questions, answers, ..] = header.counts;
        if questions == 0 && answers == 0 {
            return match header.flags.0 & Flags::RCODE {
                0 | 3 => Err(Ignored::WrongQuestion),
                code if code == Rcode::FormErr as u16 => Ok(Heard::BareFormErr),
                _ => Ok(Heard::Bare),
            };
        }
        let (name, rest) = self.question();
        let repeated = reply.get(HEADER_LEN..self.question_end);
        let repeated = repeated.and_then(|it| it.split_at_checked(name.len()));
        let (name_again, rest_again) = repeated.ok_or(Ignored::WrongQuestion)?;
        if questions != 1 || !name.eq_ignore_ascii_case(name_again) || rest != rest_again {
            return Err(Ignored::WrongQuestion);
        }
        if name != name_again {
            return match self.draw.upper_case {
                Some(_) => Ok(Heard::Recased),
                None => Err(Ignored::WrongQuestion),
            };
        }
        let whole = Response::parse(reply.to_vec());
        let is_truncated = header.flags.has(Flags::TC);
        let parsed = match whole {
            None if is_truncated => self.without_records(header),
            parsed => parsed,
        };
        let mut response = parsed.ok_or(Ignored::Malformed)?;
        if response.aliases() > ALIASES_MAX {
            return Ok(Heard::Bare);
        }
        response.fold_question();
        Ok(match is_truncated {
            true => Heard::Truncated(response),
            false => Heard::Reply(response),
        })
    }

    /// What is left of a reply that breaks off within a record.
    fn without_records(&self, header: Header) -> Option<Response> {
        let mut message = self.message[..self.question_end].to_vec();
        let counts = [1, 0, 0, 0];
        Header { counts, ..header }.write(&mut message)?;
        Response::parse(message)
    }

    /// The name as it is sent, and QTYPE with QCLASS.
    fn question(&self) -> (&[u8], &[u8]) {
        self.message[HEADER_LEN..self.question_end].split_at(self.question_end - HEADER_LEN - 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::NameKey;
    use hickory_proto::op::Message;
    use rand::{SeedableRng, rngs::StdRng};

    const DRAW: Draw = Draw {
        id: 0x1234,
        ports: [0; PORT_TRIES],
        upper_case: None,
    };

    fn question() -> Question {
        Question {
            name: NameKey::from_text("example.org").unwrap(),
            qtype: 28,
            qclass: 1,
            dnssec_ok: true,
            checking_disabled: true,
        }
    }

    #[test]
    fn a_query_asks_for_recursion_with_cd_and_do_as_asked() {
        let sent = Outgoing::new(&question(), true, DRAW);
        let message = Message::from_vec(&sent.message).unwrap();
        let metadata = message.metadata;
        assert_eq!(metadata.id, 0x1234);
        assert!(metadata.recursion_desired && metadata.checking_disabled);
        assert!(!metadata.authentic_data);
        assert_eq!(message.queries[0].to_string(), "example.org. IN AAAA");
        let edns = message.edns.unwrap();
        assert_eq!((edns.max_payload(), edns.flags().dnssec_ok), (1232, true));
        let bare = Outgoing::new(&question(), false, DRAW);
        assert!(Message::from_vec(&bare.message).unwrap().edns.is_none());
    }

    /// What is made of the true reply after a change to it.
    fn judged(sent: &Outgoing, change: impl FnOnce(&mut Vec<u8>)) -> Result<String, Ignored> {
        let mut reply = sent.message.clone();
        reply[2] |= 0x80;
        change(&mut reply);
        let heard = format!("{:?}", sent.judge(&reply)?);
        Ok(heard.split(['(', ' ']).next().unwrap().to_owned())
    }

    #[test]
    fn only_a_response_with_the_id_and_the_very_question_is_the_reply() {
        let sent = Outgoing::new(&question(), false, DRAW);
        let judge = |change: &dyn Fn(&mut Vec<u8>)| judged(&sent, change);
        assert_eq!(judge(&|_| ()), Ok("Reply".to_owned()));
        let truncated = Ok("Truncated".to_owned());
        assert_eq!(judge(&|it| it[2] |= 0x02), truncated);
        let within_a_record = |it: &mut Vec<u8>| (it[2], it[7]) = (it[2] | 0x02, 1);
        assert_eq!(judge(&within_a_record), truncated);
        assert_eq!(judge(&|it| it[1] ^= 1), Err(Ignored::WrongId));
        assert_eq!(judge(&|it| it[2] &= 0x7f), Err(Ignored::NotReply));
        assert_eq!(judge(&|it| it[2] |= 0x28), Err(Ignored::NotReply));
        assert_eq!(judge(&|it| it[13] = b'f'), Err(Ignored::WrongQuestion));
        assert_eq!(judge(&|it| it[26] = 1), Err(Ignored::WrongQuestion));
        assert_eq!(judge(&|it| it[26] ^= 0x20), Err(Ignored::WrongQuestion));
        assert_eq!(judge(&|it| it[5] = 2), Err(Ignored::WrongQuestion));
        assert_eq!(judge(&|it| it.truncate(28)), Err(Ignored::WrongQuestion));
        assert_eq!(judge(&|it| it[7] = 1), Err(Ignored::Malformed));
        assert_eq!(judge(&|it| it.truncate(11)), Err(Ignored::Malformed));
        let bare = |code: u8| {
            judge(&move |it| {
                it.truncate(12);
                (it[3], it[5]) = (code, 0);
            })
        };
        assert_eq!(bare(0), Err(Ignored::WrongQuestion));
        assert_eq!(bare(3), Err(Ignored::WrongQuestion));
        assert_eq!(bare(1), Ok("BareFormErr".to_owned()));
        assert_eq!(bare(5), Ok("Bare".to_owned()));
    }

    #[test]
    fn dns0x20_a_reply_repeats_the_letters_if_chance_chose_them() {
        let upper_case = Some([0b1010_1010; 32]);
        let random = Draw { upper_case, ..DRAW };
        let sent = Outgoing::new(&question(), false, random);
        assert_eq!(&sent.message[12..25], b"\x07ExAmPlE\x03OrG\0");
        assert_eq!(judged(&sent, |_| ()), Ok("Reply".to_owned()));
        let recased = Ok("Recased".to_owned());
        assert_eq!(judged(&sent, |it| it[13] = b'e'), recased);
        assert_eq!(judged(&sent, |it| it[25..].fill(0x20)), {
            Err(Ignored::WrongQuestion)
        });
        let sent = Outgoing::new(&question(), false, random.in_lower_case());
        assert_eq!(&sent.message[12..25], b"\x07example\x03org\0");
        assert_eq!(judged(&sent, |_| ()), Ok("Reply".to_owned()));
        let other = Err(Ignored::WrongQuestion);
        assert_eq!(judged(&sent, |it| it[13] = b'E'), other);
    }

    #[test]
    fn more_than_64_aliases_answer_nobody() {
        let sent = Outgoing::new(&question(), false, DRAW);
        let alias = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x02\xc0\x0c";
        let with = |aliases: u8| {
            judged(&sent, |it| {
                it[7] = aliases;
                it.extend_from_slice(&alias.repeat(aliases.into()));
            })
        };
        assert_eq!(with(64), Ok("Reply".to_owned()));
        assert_eq!(with(65), Ok("Bare".to_owned()));
    }

    #[test]
    fn a_million_forged_replies_none_is_accepted() {
        let mut rng = StdRng::from_seed([11; 32]);
        let (mut ignored, mut recased) = (0, 0);
        for _ in 0..1000 {
            let sent = Outgoing::new(&question(), true, Draw::new(&mut rng));
            let mut truth = sent.message.clone();
            truth[2] |= 0x80;
            for _ in 0..1000 {
                let mut forged = truth.clone();
                // One to three octets of what a reply has to repeat: ID, QR and opcode, the number of questions, the question.
                let guarded = [0, 1, 2, 4, 5].into_iter().chain(12..sent.question_end);
                let guarded: Vec<_> = guarded.collect();
                for _ in 0..rng.random_range(1..=3) {
                    let at = guarded[rng.random_range(0..guarded.len())];
                    forged[at] = match rng.random() {
                        _ if at == 2 => forged[at] ^ 0x80,
                        true => rng.random(),
                        false => forged[at] ^ 0x20,
                    };
                }
                if forged == truth {
                    continue;
                }
                match sent.judge(&forged) {
                    Err(_) => ignored += 1,
                    Ok(Heard::Recased) => recased += 1,
                    Ok(heard) => panic!("accepted: {heard:?}"),
                }
            }
        }
        assert!(ignored > 700_000 && recased > 50_000, "{ignored} {recased}");
    }

    /// Is so large a χ² over so many cells more than 5 standard deviations away from what chance gives?
    fn is_uniform(counts: &[u32]) -> bool {
        let (cells, sum) = (counts.len() as f64, counts.iter().sum::<u32>());
        let expected = f64::from(sum) / cells;
        let each = counts.iter().map(|it| (f64::from(*it) - expected).powi(2));
        let chi_squared = each.sum::<f64>() / expected;
        (chi_squared - (cells - 1.0)).abs() < 5.0 * (2.0 * (cells - 1.0)).sqrt()
    }

    #[test]
    fn rfc_5452_ids_ports_and_letters_of_a_million_draws_are_spread_evenly() {
        let mut rng = StdRng::from_seed([7; 32]);
        let (mut ids, mut ports) = (vec![0; 65_536], vec![0; 32_768]);
        // Of every eight letters, each choice of their case.
        let mut letters = vec![0; 32 * 256];
        for _ in 0..1_000_000 {
            let draw = Draw::new(&mut rng);
            ids[usize::from(draw.id)] += 1;
            for port in draw.ports {
                ports[usize::from(port) - 32_768] += 1;
            }
            for (eight, choice) in draw.upper_case.unwrap().into_iter().enumerate() {
                letters[256 * eight + usize::from(choice)] += 1;
            }
        }
        assert!(is_uniform(&ids) && is_uniform(&ports) && is_uniform(&letters));
        ids[0] += 200;
        assert!(!is_uniform(&ids));
    }
}
