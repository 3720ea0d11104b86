//! DNS servers on port 53 of loopback addresses that answer as a scenario says, and note what they were asked. They know no
//! C library.

use std::{
    fmt,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// So many: one more than C libraries use.
pub(super) const SERVERS: u8 = 4;
const SYNC: &str = "sync";

/// What is said to a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Address,
    NoData,
    NxDomain,
    ServFail,
    Refused,
    FormErr,
    /// NOERROR with nothing in it from a server that recurses not.
    Referral,
    /// TC, and no record.
    Truncated,
    Silent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Over {
    Udp,
    Tcp,
}

/// One query, as its server saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The last octet of the server's address.
    pub(super) server: u8,
    pub(super) over: Over,
    pub(super) port: u16,
    /// Without its last dot.
    pub(super) name: String,
    pub(super) qtype: u16,
    pub(super) edns: bool,
}

impl Seen {
    fn malformed(server: u8, over: Over, port: u16) -> Self {
        Self {
            server,
            over,
            port,
            name: "(malformed)".to_owned(),
            qtype: 0,
            edns: false,
        }
    }

    pub(super) fn of(&self) -> &'static str {
        match self.qtype {
            1 => "A",
            28 => "AAAA",
            _ => "?",
        }
    }
}

/// Given a query, and how often the same was asked of the same server before.
pub(super) type Script = fn(&Seen, usize) -> Act;

struct State {
    script: Script,
    seen: Vec<Seen>,
}

#[derive(Clone)]
pub(super) struct Servers(Arc<Mutex<State>>);

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Servers")
    }
}

impl Servers {
    /// Starts them, for as long as the process lives.
    pub(super) fn start() -> Self {
        let state = State {
            script: |_, _| Act::Silent,
            seen: vec![],
        };
        let servers = Self(Arc::new(Mutex::new(state)));
        for server in 1..=SERVERS {
            let socket = UdpSocket::bind(address(server)).unwrap();
            let listener = TcpListener::bind(address(server)).unwrap();
            let (over_udp, over_tcp) = (servers.clone(), servers.clone());
            thread::spawn(move || over_udp.datagrams(server, &socket));
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let servers = over_tcp.clone();
                    thread::spawn(move || servers.connection(server, stream.unwrap()));
                }
            });
        }
        servers
    }

    /// Answers by this script while `client` runs; all that was asked.
    pub(super) fn watch<T>(&self, script: Script, client: impl FnOnce() -> T) -> (T, Vec<Seen>) {
        *self.0.lock().unwrap() = State {
            script,
            seen: vec![],
        };
        let came_to = client();
        // What is asked now is read after all that the client asked.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let patience = Some(Duration::from_secs(10));
        socket.set_read_timeout(patience).unwrap();
        let mut packet = vec![0; 12];
        packet[5] = 1;
        packet.extend_from_slice(b"\x04sync\0\0\x01\0\x01");
        for server in 1..=SERVERS {
            socket.send_to(&packet, address(server)).unwrap();
            socket.recv(&mut [0; 512]).unwrap();
        }
        let seen = std::mem::take(&mut self.0.lock().unwrap().seen);
        (came_to, seen)
    }

    fn datagrams(&self, server: u8, socket: &UdpSocket) {
        let mut packet = [0; 2048];
        loop {
            let (len, client) = socket.recv_from(&mut packet).unwrap();
            if let Some(reply) = self.reply(server, Over::Udp, client.port(), &packet[..len]) {
                drop(socket.send_to(&reply, client));
            }
        }
    }

    fn connection(&self, server: u8, mut stream: TcpStream) {
        let port = stream.peer_addr().unwrap().port();
        let mut len = [0; 2];
        while stream.read_exact(&mut len).is_ok() {
            let mut packet = vec![0; u16::from_be_bytes(len).into()];
            stream.read_exact(&mut packet).unwrap();
            if let Some(reply) = self.reply(server, Over::Tcp, port, &packet) {
                let len = u16::try_from(reply.len()).unwrap().to_be_bytes();
                drop(stream.write_all(&[&len[..], &reply].concat()));
            }
        }
    }

    fn reply(&self, server: u8, over: Over, port: u16, query: &[u8]) -> Option<Vec<u8>> {
        let Some((name, end)) = name(query) else {
            // What a server makes of a name that is none.
            let seen = &mut self.0.lock().unwrap().seen;
            seen.push(Seen::malformed(server, over, port));
            return Some([&query[..2], &[0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]].concat());
        };
        let seen = Seen {
            server,
            over,
            port,
            qtype: u16::from_be_bytes([query[end], query[end + 1]]),
            edns: query[11] > 0,
            name,
        };
        let act = match seen.name == SYNC {
            true => Act::NoData,
            false => {
                let mut state = self.0.lock().unwrap();
                let same = |it: &&Seen| {
                    (it.server, it.over, it.qtype, &it.name)
                        == (server, over, seen.qtype, &seen.name)
                };
                let before = state.seen.iter().filter(same).count();
                let act = (state.script)(&seen, before);
                state.seen.push(seen.clone());
                act
            }
        };
        let (flags, code) = match act {
            Act::Silent => return None,
            Act::Address | Act::NoData => (0x80, 0),
            Act::NxDomain => (0x80, 3),
            Act::ServFail => (0x80, 2),
            Act::Refused => (0x80, 5),
            Act::FormErr => (0x80, 1),
            Act::Referral => (0, 0),
            Act::Truncated => (0x80, 0),
        };
        let mut reply = query[..end + 4].to_vec();
        reply[2] |= if act == Act::Truncated { 0x82 } else { 0x80 };
        reply[3] = flags | code;
        reply[4..12].copy_from_slice(&[0, 1, 0, u8::from(act == Act::Address), 0, 0, 0, 0]);
        if act == Act::Address {
            reply.extend_from_slice(&[0xc0, 12]);
            reply.extend_from_slice(&query[end..end + 4]);
            reply.extend_from_slice(&[0, 0, 0, 5]);
            match seen.qtype {
                1 => reply.extend_from_slice(&[0, 4, 192, 0, 2, 1]),
                _ => reply.extend_from_slice(b"\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"),
            }
        }
        Some(reply)
    }
}

fn address(server: u8) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 0, server), 53).into()
}

/// The name asked for, in lower case, and where it ends; behind it stand type and class.
fn name(query: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut at) = (vec![], 12);
    while let len @ 1.. = usize::from(*query.get(at)?) {
        let label = query.get(at + 1..at + 1 + len)?;
        labels.push(String::from_utf8(label.to_ascii_lowercase()).ok()?);
        at += 1 + len;
    }
    (query.len() >= at + 5).then(|| (labels.join("."), at + 1))
}
