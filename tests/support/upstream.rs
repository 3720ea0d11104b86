//! An upstream in this process: it answers over UDP and TCP from zone-file lines, misbehaves as it is told, and counts.

use hickory_proto::{
    op::{Message, MessageType, OpCode, ResponseCode},
    rr::{Name, RData, Record, RecordType},
    serialize::txt::Parser,
};
use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::watch,
    task::JoinSet,
};

/// What it does with one query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Answers from its zone. What does not fit into the datagram is truncated.
    Answer,
    /// Says nothing; a connection stays open.
    Silent,
    /// Answers when [`FakeUpstream::release`] is called.
    Hold,
    /// Answers after this time.
    Late(Duration),
    /// Answers with this code and no record.
    Rcode(u8),
    /// Answers with this code in a header and nothing else.
    Bare(u8),
    /// FORMERR if there is an OPT record, an answer without one otherwise.
    FormErrToEdns,
    /// UDP: TC and no record. TCP: answers.
    Truncate,
    /// UDP: these before the true answer. TCP: answers.
    Lie(Vec<Lie>),
    /// TCP: closes the connection. UDP: says nothing.
    Close,
    /// UDP: says nothing. TCP: answers.
    TcpOnly,
    /// Answers, and repeats the question in lower case.
    LowerCase,
    /// As [`Act::LowerCase`] over UDP; TCP: closes the connection.
    LowerCaseWithoutTcp,
    /// The answer, cut to this many octets.
    Cut(usize),
}

/// A datagram that is not the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    Id,
    Question,
    /// The question in another case.
    Spelling,
    Source,
    Query,
    Malformed,
}

/// How often it was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub udp: usize,
    pub tcp: usize,
}

/// The upstream; dropping it ends it.
#[derive(Debug)]
pub struct FakeUpstream {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    asked: watch::Sender<Asked>,
    released: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    zone: Vec<Record>,
    next: VecDeque<Act>,
    always: Act,
    seen: Vec<(SocketAddr, Message)>,
}

/// What a forger says in place of the truth.
pub const FORGED: [u8; 4] = [203, 0, 113, 66];

impl FakeUpstream {
    /// Starts it on a free port of the loopback address, with a zone of lines such as
    /// `example.org. 60 IN A 192.0.2.1`. A name without a line does not exist; the SOA, if there is one, says so.
    pub async fn start(zone: &str) -> Self {
        // A port that is free for TCP may be taken for UDP.
        let (tcp, udp, address) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = tcp.local_addr().unwrap();
            if let Ok(udp) = UdpSocket::bind(address).await {
                break (tcp, Arc::new(udp), address);
            }
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                zone: records(zone),
                next: VecDeque::new(),
                always: Act::Answer,
                seen: Vec::new(),
            }),
            asked: watch::Sender::new(Asked::default()),
            released: watch::Sender::new(false),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, Arc::clone(&shared)));
        tasks.spawn(serve_tcp(tcp, Arc::clone(&shared)));
        Self {
            address,
            shared,
            _tasks: tasks,
        }
    }

    /// Replaces its zone.
    pub fn zone(&self, zone: &str) {
        self.shared.state().zone = records(zone);
    }

    /// What it does with the next query that has no act yet.
    pub fn next(&self, act: Act) -> &Self {
        self.shared.state().next.push_back(act);
        self
    }

    /// What it does with every query that has no act of its own.
    pub fn always(&self, act: Act) -> &Self {
        self.shared.state().always = act;
        self
    }

    /// Lets it answer what it holds, and whatever it would hold from now on.
    pub fn release(&self) {
        self.shared.released.send_replace(true);
    }

    /// How often it was asked so far.
    pub fn asked(&self) -> Asked {
        *self.shared.asked.borrow()
    }

    /// Waits until it was asked so often, over both transports.
    pub async fn until_asked(&self, times: usize) {
        let mut asked = self.shared.asked.subscribe();
        asked.wait_for(|it| it.udp + it.tcp >= times).await.unwrap();
    }

    /// The queries, and where they came from.
    pub fn seen(&self) -> Vec<(SocketAddr, Message)> {
        self.shared.state().seen.clone()
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let mut held = JoinSet::new();
    let mut buffer = [0; 4096];
    loop {
        let Ok((len, client)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let Ok(query) = Message::from_vec(&buffer[..len]) else {
            continue;
        };
        let act = shared.note(client, &query, false);
        let (socket, shared) = (Arc::clone(&socket), Arc::clone(&shared));
        held.spawn(async move {
            if let Act::Lie(lies) = &act {
                for lie in lies {
                    send_lie(*lie, &query, &socket, client).await;
                }
            }
            if let Some(reply) = shared.reply(&act, &query, false).await {
                socket.send_to(&reply, client).await.unwrap();
            }
        });
    }
}

async fn serve_tcp(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, client)) = listener.accept().await else {
            continue;
        };
        connections.spawn(serve_connection(stream, client, Arc::clone(&shared)));
    }
}

async fn serve_connection(mut stream: TcpStream, client: SocketAddr, shared: Arc<Shared>) {
    while let Ok(len) = stream.read_u16().await {
        let mut query = vec![0; len.into()];
        stream.read_exact(&mut query).await.unwrap();
        let query = Message::from_vec(&query).unwrap();
        let act = shared.note(client, &query, true);
        if matches!(act, Act::Close | Act::LowerCaseWithoutTcp) {
            return;
        }
        if let Some(reply) = shared.reply(&act, &query, true).await {
            let len = u16::try_from(reply.len()).unwrap();
            let framed = [&len.to_be_bytes()[..], &reply].concat();
            if stream.write_all(&framed).await.is_err() {
                return;
            }
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Counts a query and says what to do with it.
    fn note(&self, client: SocketAddr, query: &Message, tcp: bool) -> Act {
        let mut state = self.state();
        state.seen.push((client, query.clone()));
        let act = state
            .next
            .pop_front()
            .unwrap_or_else(|| state.always.clone());
        drop(state);
        self.asked.send_modify(|asked| match tcp {
            true => asked.tcp += 1,
            false => asked.udp += 1,
        });
        act
    }

    async fn reply(&self, act: &Act, query: &Message, tcp: bool) -> Option<Vec<u8>> {
        let code = |rcode| encode(&with_code(query, rcode));
        let answer = || {
            let answer = encode(&self.answer(query));
            if tcp || answer.len() <= usize::from(query.max_payload()) {
                answer
            } else {
                truncated(query)
            }
        };
        Some(match act {
            Act::Silent | Act::Close => return None,
            Act::TcpOnly if !tcp => return None,
            Act::Hold => {
                let mut released = self.released.subscribe();
                released.wait_for(|released| *released).await.ok()?;
                answer()
            }
            Act::Late(after) => {
                tokio::time::sleep(*after).await;
                answer()
            }
            Act::Rcode(rcode) => code(*rcode),
            Act::Bare(rcode) => {
                let mut bare = code(*rcode)[..12].to_vec();
                bare[4..].fill(0);
                bare
            }
            Act::FormErrToEdns if query.edns.is_some() => code(1),
            Act::Truncate if !tcp => truncated(query),
            Act::Cut(len) => answer()[..*len].to_vec(),
            Act::LowerCase | Act::LowerCaseWithoutTcp => {
                let name = query.queries[0].name().to_lowercase();
                let mut query = query.clone();
                query.queries[0].set_name(name);
                encode(&self.answer(&query))
            }
            Act::Answer | Act::FormErrToEdns | Act::Truncate | Act::TcpOnly | Act::Lie(_) => {
                answer()
            }
        })
    }

    /// The answer from the zone; a CNAME is followed.
    fn answer(&self, query: &Message) -> Message {
        let asked = &query.queries[0];
        let mut zone = self.state().zone.clone();
        for record in &mut zone {
            if record.name.to_lowercase() == asked.name().to_lowercase() {
                record.name = asked.name().clone(); // as servers do, whose owner points to the question
            }
        }
        let mut reply = with_code(query, 0);
        let mut name = asked.name().clone();
        while reply.answers.len() < 1000 {
            let owned = |record: &&Record| record.name.to_lowercase() == name.to_lowercase();
            let here: Vec<_> = zone.iter().filter(owned).cloned().collect();
            let fits = |record: &&Record| record.record_type() == asked.query_type();
            let found: Vec<_> = here.iter().filter(fits).cloned().collect();
            let alias = here.iter().find(|it| it.record_type() == RecordType::CNAME);
            if let (true, Some(RData::CNAME(target))) = (found.is_empty(), alias.map(|it| &it.data))
            {
                name = target.0.clone();
                reply.answers.extend(alias.cloned());
                continue;
            }
            if found.is_empty() {
                let soa = zone.iter().filter(|it| it.record_type() == RecordType::SOA);
                reply.authorities.extend(soa.cloned());
                let exists = !here.is_empty();
                reply.metadata.response_code = ResponseCode::from(0, if exists { 0 } else { 3 });
            }
            reply.answers.extend(found);
            break;
        }
        reply
    }
}

async fn send_lie(lie: Lie, query: &Message, socket: &UdpSocket, client: SocketAddr) {
    let mut forged = with_code(query, 0);
    let name = query.queries[0].name().clone();
    let forged_address = RData::A(std::net::Ipv4Addr::from(FORGED).into());
    forged.add_answer(Record::from_rdata(name, 3600, forged_address));
    match lie {
        Lie::Id => forged.metadata.id ^= 1,
        Lie::Question => {
            forged.queries[0].set_name(Name::from_ascii("other.example.").unwrap());
        }
        Lie::Spelling => {
            let name = forged.queries[0].name().to_string().to_uppercase();
            forged.queries[0].set_name(Name::from_ascii(name).unwrap());
        }
        Lie::Query => forged.metadata.message_type = MessageType::Query,
        Lie::Source | Lie::Malformed => {}
    }
    let mut bytes = encode(&forged);
    if lie == Lie::Malformed {
        bytes.pop();
    }
    if lie == Lie::Source {
        let elsewhere = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        elsewhere.send_to(&bytes, client).await.unwrap();
    } else {
        socket.send_to(&bytes, client).await.unwrap();
    }
}

fn with_code(query: &Message, rcode: u8) -> Message {
    let mut reply = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
    reply.metadata.recursion_desired = query.metadata.recursion_desired;
    reply.metadata.checking_disabled = query.metadata.checking_disabled;
    reply.metadata.recursion_available = true;
    reply.metadata.response_code = ResponseCode::from(0, rcode);
    reply.queries.clone_from(&query.queries);
    reply.edns.clone_from(&query.edns);
    reply
}

fn truncated(query: &Message) -> Vec<u8> {
    let mut reply = with_code(query, 0);
    reply.metadata.truncation = true;
    encode(&reply)
}

fn encode(message: &Message) -> Vec<u8> {
    message.to_vec().unwrap()
}

/// Records of zone-file lines, in their order.
fn records(zone: &str) -> Vec<Record> {
    let lines = zone.lines().map(str::trim).filter(|line| !line.is_empty());
    let parsed = lines.map(|line| {
        let parser = Parser::new(line, None, Some(Name::root()));
        let (_, sets) = parser
            .parse()
            .unwrap_or_else(|error| panic!("`{line}`: {error}"));
        let set = sets.into_values().next().expect("a line has a record");
        set.records_without_rrsigs()
            .next()
            .expect("a set has a record")
            .clone()
    });
    parsed.collect()
}
