//! A question over a socket, its reply as sets of records, and what a reply that came through must have in common with
//! those of the server.

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query},
    rr::{Record, RecordType},
};
use std::{
    collections::BTreeMap,
    fmt,
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

/// Longer than gapless takes to give up on an upstream (4 s), on a machine with other work.
const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Udp,
    Tcp,
}

/// A question and what is sent along.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    text: String,
    packet: Vec<u8>,
}

/// Records without their TTLs, each with its TTL.
type Records = BTreeMap<String, u32>;

#[derive(Clone, Debug)]
pub(crate) struct Reply {
    message: Message,
    sections: [Records; 3],
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Asked {
    /// Reads `NAME TYPE [do] [noedns]`.
    pub(crate) fn parse(text: &str) -> Self {
        let words: Vec<_> = text.split(' ').collect();
        let (name, rtype) = (words[0], words[1]);
        let rtype = match rtype.strip_prefix("TYPE") {
            Some(number) => RecordType::from(number.parse::<u16>().unwrap()),
            None => rtype.parse().unwrap(),
        };
        let mut query = Message::new(4711, MessageType::Query, OpCode::Query);
        query.metadata.recursion_desired = true;
        query.add_query(Query::query(name.parse().unwrap(), rtype));
        if !words.contains(&"noedns") {
            let mut edns = Edns::new();
            edns.set_max_payload(1232);
            edns.set_dnssec_ok(words.contains(&"do"));
            query.edns = Some(edns);
        }
        Self {
            text: text.to_owned(),
            packet: query.to_vec().unwrap(),
        }
    }

    /// The server's reply, if it gives one in time.
    pub(crate) fn of(&self, server: SocketAddr, over: Over) -> Option<Reply> {
        self.within(DEADLINE, server, over)
    }

    pub(crate) fn within(&self, time: Duration, server: SocketAddr, over: Over) -> Option<Reply> {
        let bytes = match over {
            Over::Udp => self.by_udp(time, server),
            Over::Tcp => self.by_tcp(time, server).ok(),
        };
        let message = Message::from_vec(&bytes?).expect("a message");
        assert_eq!(message.metadata.id, 4711);
        let sections = [&message.answers, &message.authorities, &message.additionals];
        Some(Reply {
            sections: sections.map(|records| records.iter().map(record).collect()),
            message,
        })
    }

    fn by_udp(&self, time: Duration, server: SocketAddr) -> Option<Vec<u8>> {
        let socket = UdpSocket::bind((server.ip(), 0)).unwrap();
        socket.set_read_timeout(Some(time)).unwrap();
        socket.send_to(&self.packet, server).unwrap();
        let mut reply = vec![0; 65_535];
        let (len, from) = socket.recv_from(&mut reply).ok()?;
        assert_eq!(from, server);
        reply.truncate(len);
        Some(reply)
    }

    fn by_tcp(&self, time: Duration, server: SocketAddr) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&server, time)?;
        stream.set_read_timeout(Some(time))?;
        let len = u16::try_from(self.packet.len()).unwrap();
        stream.write_all(&[&len.to_be_bytes()[..], &self.packet].concat())?;
        let mut len = [0; 2];
        stream.read_exact(&mut len)?;
        let mut reply = vec![0; u16::from_be_bytes(len).into()];
        stream.read_exact(&mut reply)?;
        Ok(reply)
    }
}

/// A record without its TTL, in lower case, and its TTL. `Debug`, because types that hickory-proto does not know have no
/// other form.
fn record(record: &Record) -> (String, u32) {
    let text = format!("{} {} {:?}", record.name, record.record_type(), record.data);
    (text.to_lowercase(), record.ttl)
}

impl Reply {
    /// Does it hold something that a cache keeps for the time of a test: records, or an SOA, with a TTL?
    pub(crate) fn may_be_held(&self) -> bool {
        let [answer, authority, _] = &self.sections;
        let asked = format!(" {} ", self.message.queries[0].query_type()).to_lowercase();
        // An alias alone is a negative answer without an SOA.
        let positive = answer.keys().any(|record| record.contains(&asked));
        let negative = authority.keys().any(|record| record.contains(" soa "));
        let ttls = || self.sections.iter().flat_map(Records::values);
        (positive || negative) && ttls().all(|ttl| *ttl >= 60)
    }

    /// Asserts that this reply, which came through over this transport, says what the server said over both.
    pub(crate) fn assert_says(&self, udp: &Self, tcp: &Self, over: Over, what: &str) {
        let said = match over {
            Over::Udp => udp,
            Over::Tcp => tcp,
        };
        let (through, direct) = (&self.message.metadata, &said.message.metadata);
        assert_eq!(
            through.response_code, direct.response_code,
            "{what}: {self:#?}\n{said:#?}"
        );
        assert_eq!(through.truncation, direct.truncation, "{what}: TC");
        assert!(
            through.recursion_available && through.recursion_desired,
            "{what}: RA, RD"
        );
        // It is not this server's data, and the upstream is not trusted to have validated it.
        assert!(
            !through.authoritative && !through.authentic_data,
            "{what}: AA, AD"
        );
        assert_eq!(
            self.message.edns.is_some(),
            said.message.edns.is_some(),
            "{what}: OPT"
        );
        for (nth, section) in ["answer", "authority", "additional"].iter().enumerate() {
            let records = &self.sections[nth];
            let (udp, tcp) = (&udp.sections[nth], &tcp.sections[nth]);
            let keys = |records: &Records| records.keys().cloned().collect::<Vec<_>>();
            if through.truncation {
                let known = records.keys().all(|record| tcp.contains_key(record));
                assert!(known, "{what}: {section}: {records:#?}\n{tcp:#?}");
            } else if keys(records) != keys(udp) {
                // A server may leave out of a datagram what it gives over TCP, where truncated answers are fetched.
                assert_eq!(keys(records), keys(tcp), "{what}: {section}");
            }
            for (record, ttl) in records {
                let most = tcp.get(record).or_else(|| udp.get(record));
                assert!(
                    most.is_some_and(|most| ttl <= most),
                    "{what}: {record}: {ttl} of {most:?}"
                );
            }
        }
    }
}
