//! One question to one server, once, over UDP or TCP; and which packet counts as its reply. It chooses no server, repeats
//! nothing and knows no time-out: whoever asks stops waiting by dropping the future.

use crate::{
    metrics::{Forward, Ignored},
    wire::{Flags, HEADER_LEN, Header, MAX_UDP_PAYLOAD, Question, Rcode, Response, rtype},
};
use rand::{Rng, RngExt};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::{TcpStream, UdpSocket},
};

/// Local ports for questions (RFC 5452 §9.2: as many as possible). Lower ones are left to servers on this node and to
/// NodePorts (30000–32767), whose bind must not fail because a question holds their port for a moment.
const LOCAL_PORTS: RangeInclusive<u16> = 32768..=65535;
/// How many ports are tried before the kernel chooses one, from its smaller range.
const PORT_TRIES: usize = 3;
/// Room for a datagram. Longer than the 1232 octets that are announced, because some servers do not care; what is cut off
/// here is malformed.
const DATAGRAM_MAX: usize = 4096;
/// So many datagrams that are not the reply, and the question goes by TCP: somebody is guessing.
const IGNORED_MAX: usize = 32;

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

    /// Sends it by UDP, from a socket of its own that is connected to the server, and waits for its reply; every other
    /// datagram is counted and passed over.
    pub(super) async fn udp(&self, server: SocketAddr, metrics: &Forward) -> Heard {
        self.try_udp(server, metrics)
            .await
            .unwrap_or_else(Heard::Unreachable)
    }

    async fn try_udp(&self, server: SocketAddr, metrics: &Forward) -> io::Result<Heard> {
        let socket = self.socket(server)?;
        metrics.send(false);
        socket.send(&self.message).await?;
        let mut ignored = 0;
        loop {
            // An ICMP error alone does not make the socket readable.
            let ready = socket.ready(Interest::READABLE | Interest::ERROR).await?;
            if ready.is_error() {
                let error = socket.take_error()?;
                return Err(error.unwrap_or_else(|| io::ErrorKind::ConnectionRefused.into()));
            }
            // On the stack and not across an await: a waiting question holds no buffer.
            let mut datagram = [0; DATAGRAM_MAX];
            let (len, from) = match socket.try_recv_from(&mut datagram) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            // Between bind and connect, datagrams from anywhere were let in.
            let judged = match (from.ip(), from.port()) == (server.ip(), server.port()) {
                true => self.judge(&datagram[..len]),
                false => Err(Ignored::WrongSource),
            };
            match judged {
                Ok(heard) => return Ok(heard),
                Err(reason) => {
                    metrics.ignored(reason);
                    ignored += 1;
                    if reason == Ignored::WrongId || ignored >= IGNORED_MAX {
                        return Ok(Heard::Suspicious);
                    }
                }
            }
        }
    }

    fn socket(&self, server: SocketAddr) -> io::Result<UdpSocket> {
        let any: IpAddr = match server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let bind = |port| std::net::UdpSocket::bind((any, port));
        let drawn = self.draw.ports.iter().find_map(|port| bind(*port).ok());
        let socket = drawn.map_or_else(|| bind(0), Ok)?;
        socket.set_nonblocking(true)?;
        socket.connect(server)?;
        UdpSocket::from_std(socket)
    }

    /// Sends it over a connection of its own, and reads one message (RFC 1035 §4.2.2). A connection cannot be guessed into,
    /// so that anything but the reply means a server that cannot be used.
    pub(super) async fn tcp(&self, server: SocketAddr, metrics: &Forward) -> Heard {
        self.try_tcp(server, metrics)
            .await
            .unwrap_or_else(Heard::Unreachable)
    }

    async fn try_tcp(&self, server: SocketAddr, metrics: &Forward) -> io::Result<Heard> {
        metrics.send(true);
        let mut stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let len = u16::try_from(self.message.len()).expect("a query is shorter than 400 octets");
        // Length and message in one segment (RFC 7766 §8).
        let framed = [&len.to_be_bytes()[..], &self.message].concat();
        stream.write_all(&framed).await?;
        let len = usize::from(stream.read_u16().await?);
        // The buffer grows with what has come, not with what was announced.
        let mut reply = Vec::new();
        stream.take(len as u64).read_to_end(&mut reply).await?;
        let not_the_reply = |what| Err(io::Error::new(io::ErrorKind::InvalidData, what));
        match self.judge(&reply) {
            _ if reply.len() < len => not_the_reply("the connection ended within a message"),
            Ok(Heard::Truncated) => not_the_reply("a truncated message over TCP"),
            Ok(heard) => Ok(heard),
            Err(reason) => {
                metrics.ignored(reason);
                not_the_reply("a message that is not the reply")
            }
        }
    }

    /// Is this the reply? It must be a response with the right ID and the very question, byte for byte as it was sent
    /// (RFC 5452 §9.1), and every part of it must be well formed.
    fn judge(&self, reply: &[u8]) -> Result<Heard, Ignored> {
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
