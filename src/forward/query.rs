//! One query as it is sent: its bytes, what chance gives to it, and which message counts as its reply. It sends nothing.

use crate::{
    metrics::Ignored,
    wire::{Flags, HEADER_LEN, Header, MAX_UDP_PAYLOAD, Question, Rcode, Response, rtype},
};
use rand::{Rng, RngExt};
use std::{io, ops::RangeInclusive};

/// Local ports for questions (RFC 5452 §9.2: as many as possible). Lower ones are left to servers on this node and to
/// NodePorts (30000–32767), whose bind must not fail because a question holds their port for a moment.
const LOCAL_PORTS: RangeInclusive<u16> = 32768..=65535;
/// How many ports are tried before the kernel chooses one, from its smaller range.
const PORT_TRIES: usize = 3;
/// What came of asking.
#[derive(Debug)]
pub(super) enum Heard {
    /// The reply, taken apart.
    Reply(Response),
    /// An error without a question: a server that did not even read the question. It never reaches a client.
    Bare,
    /// An error without a question, which says that the query is malformed: to an old server, OPT is.
    BareFormErr,
    /// The reply does not fit into a datagram.
    Truncated,
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
}

impl Draw {
    /// IDs and ports come from one that cannot be predicted.
    pub(super) fn new(rng: &mut impl Rng) -> Self {
        Self {
            id: rng.random(),
            ports: [(); PORT_TRIES].map(|()| rng.random_range(LOCAL_PORTS)),
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
    /// (RFC 5452 §9.1), and every part of it must be well formed.
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
        let asked = HEADER_LEN..self.question_end;
        if questions != 1 || reply.get(asked.clone()) != self.message.get(asked) {
            return Err(Ignored::WrongQuestion);
        }
        if header.flags.has(Flags::TC) {
            return Ok(Heard::Truncated);
        }
        let response = Response::parse(reply.to_vec()).ok_or(Ignored::Malformed)?;
        Ok(Heard::Reply(response))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::NameKey;
    use hickory_proto::op::Message;

    const DRAW: Draw = Draw {
        id: 0x1234,
        ports: [0; PORT_TRIES],
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

    #[test]
    fn only_a_response_with_the_id_and_the_very_question_is_the_reply() {
        let sent = Outgoing::new(&question(), false, DRAW);
        let judge = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut reply = sent.message.clone();
            reply[2] |= 0x80;
            change(&mut reply);
            match sent.judge(&reply) {
                Ok(heard) => Ok(format!("{heard:?}")
                    .split(['(', ' '])
                    .next()
                    .unwrap()
                    .to_owned()),
                Err(reason) => Err(reason),
            }
        };
        assert_eq!(judge(&|_| ()), Ok("Reply".to_owned()));
        assert_eq!(judge(&|it| it[2] |= 0x02), Ok("Truncated".to_owned()));
        assert_eq!(judge(&|it| it[1] ^= 1), Err(Ignored::WrongId));
        assert_eq!(judge(&|it| it[2] &= 0x7f), Err(Ignored::NotReply));
        assert_eq!(judge(&|it| it[2] |= 0x28), Err(Ignored::NotReply));
        assert_eq!(judge(&|it| it[13] = b'E'), Err(Ignored::WrongQuestion));
        assert_eq!(judge(&|it| it[26] = 1), Err(Ignored::WrongQuestion));
        assert_eq!(judge(&|it| it[5] = 2), Err(Ignored::WrongQuestion));
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
    fn ids_and_ports_are_drawn_over_their_whole_ranges() {
        use rand::{SeedableRng, rngs::StdRng};
        let mut rng = StdRng::from_seed([7; 32]);
        let draws: Vec<_> = (0..2000).map(|_| Draw::new(&mut rng)).collect();
        assert!(
            draws
                .iter()
                .all(|draw| draw.ports.iter().all(|port| *port >= 32768))
        );
        let mut ids: Vec<_> = draws.iter().map(|draw| draw.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert!(ids.len() > 1900 && ids[0] < 1000 && ids[ids.len() - 1] > 64_000);
    }
}
