//! An upstream in this process: it answers over UDP and TCP, and TLS and HTTPS if it is told to, from zone-file lines,
//! misbehaves as it is told, and counts.

use hickory_proto::{
    op::{Message, MessageType, OpCode, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::NULL},
    serialize::txt::Parser,
};
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use socket2::{SockRef, Socket};
use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    fmt, future,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{Notify, mpsc, watch},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};

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
    /// TC and the first record.
    Part,
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
    /// Answers with these lines in the answer, the authority and the additional section.
    Says([String; 3]),
    /// TCP and TLS: so many octets of the framed answer, then a reset.
    Reset(usize),
    /// The answer, and the same after this time once more.
    Twice(Duration),
    /// TCP and TLS: the answer under another ID.
    OtherId,
    /// TCP and TLS: nothing, and nothing more is read from the connection.
    Stick,
    /// HTTPS: this status, with the answer.
    Status(u16),
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
    /// Cut to this many octets.
    Cut(usize),
    /// The right ID, and octets by chance from this seed.
    Noise(u64),
}

/// How often it was asked; over TLS and HTTPS counts as TCP.
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
    tasks: JoinSet<()>,
}

/// Its connections, over whatever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    pub so_far: usize,
    pub open: usize,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    asked: watch::Sender<Asked>,
    released: watch::Sender<bool>,
    connections: watch::Sender<Connections>,
    /// Changes when all connections are to be closed.
    cut: watch::Sender<()>,
}

#[derive(Debug)]
struct State {
    zone: HashMap<Name, Vec<Record>>,
    next: VecDeque<Act>,
    always: Script,
    round_trip: Duration,
    seen: Vec<(SocketAddr, Message)>,
}

/// Chooses what is done with a query that came over TCP or not.
struct Script(Box<Choose>);
type Choose = dyn FnMut(&Message, bool) -> Act + Send;

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

/// What a forger says in place of the truth.
pub const FORGED: [u8; 4] = [203, 0, 113, 66];

impl FakeUpstream {
    /// Starts it on a free port of the loopback address, with a zone of lines such as
    /// `example.org. 60 IN A 192.0.2.1`. A name without a line does not exist; the SOA, if there is one, says so. A line with
    /// RRSIG has hexadecimal digits for its data, and is given with DO only.
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
                always: Script(Box::new(|_, _| Act::Answer)),
                round_trip: Duration::ZERO,
                seen: Vec::new(),
            }),
            asked: watch::Sender::new(Asked::default()),
            released: watch::Sender::new(false),
            connections: watch::Sender::default(),
            cut: watch::Sender::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, Arc::clone(&shared)));
        tasks.spawn(serve(tcp, Over::Tcp, Arc::clone(&shared)));
        Self {
            address,
            shared,
            tasks,
        }
    }

    /// Answers over TLS as well, on a port of its own.
    pub async fn listen_tls(&mut self, tls: ServerConfig) -> SocketAddr {
        self.listen(Over::Tls(Arc::new(tls).into())).await
    }

    /// Answers over HTTPS as well, on a port of its own.
    pub async fn listen_https(&mut self, mut tls: ServerConfig) -> SocketAddr {
        tls.alpn_protocols = vec![b"h2".to_vec()];
        self.listen(Over::Https(Arc::new(tls).into())).await
    }

    async fn listen(&mut self, over: Over) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        self.tasks
            .spawn(serve(listener, over, Arc::clone(&self.shared)));
        address
    }

    /// Its connections now.
    pub fn connections(&self) -> Connections {
        *self.shared.connections.borrow()
    }

    /// Waits until so many connections are open.
    pub async fn until_open(&self, open: usize) {
        let mut connections = self.shared.connections.subscribe();
        connections.wait_for(|it| it.open == open).await.unwrap();
    }

    /// Closes every connection, as an idle one is closed.
    pub fn close_connections(&self) {
        self.shared.cut.send_replace(());
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
        self.by(move |_, _| act.clone())
    }

    /// Chooses what it does with every query that has no act of its own; the query may have come over TCP.
    pub fn by(&self, script: impl FnMut(&Message, bool) -> Act + Send + 'static) -> &Self {
        self.shared.state().always = Script(Box::new(script));
        self
    }

    /// How long every answer takes that takes no other time.
    pub fn round_trip(&self, round_trip: Duration) -> &Self {
        self.shared.state().round_trip = round_trip;
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
                for same in lies.chunk_by(|a, b| a == b) {
                    send_lie(same[0], same.len(), &query, &socket, client).await;
                }
            }
            if let Some(reply) = shared.reply(&act, &query, false).await {
                socket.send_to(&reply, client).await.unwrap();
                if let Act::Twice(after) = act {
                    tokio::time::sleep(after).await;
                    socket.send_to(&reply, client).await.unwrap();
                }
            }
        });
    }
}

/// What its connections speak.
#[derive(Clone)]
enum Over {
    Tcp,
    Tls(TlsAcceptor),
    Https(TlsAcceptor),
}

async fn serve(listener: TcpListener, over: Over, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, client)) = listener.accept().await else {
            continue;
        };
        let (over, shared) = (over.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            let _open = shared.connected();
            let mut cut = shared.cut.subscribe();
            tokio::select! {
                _ = cut.changed() => {}
                () = serve_connection(stream, client, over, &shared) => {}
            }
        });
    }
}

async fn serve_connection(stream: TcpStream, client: SocketAddr, over: Over, shared: &Arc<Shared>) {
    stream.set_nodelay(true).unwrap();
    let socket = SockRef::from(&stream).try_clone().unwrap();
    match over {
        Over::Tcp => exchange_messages(stream, socket, client, shared).await,
        Over::Tls(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                exchange_messages(stream, socket, client, shared).await;
            }
        }
        Over::Https(acceptor) => {
            drop(socket);
            if let Ok(stream) = acceptor.accept(stream).await {
                respond_to_requests(stream, client, shared).await;
            }
        }
    }
}

/// Each reply leaves when it is ready.
async fn exchange_messages(
    stream: impl AsyncRead + AsyncWrite,
    socket: Socket,
    client: SocketAddr,
    shared: &Arc<Shared>,
) {
    let (mut reader, mut writer) = split(stream);
    let (replies, mut ready) = mpsc::channel(1024);
    let mut held = JoinSet::new();
    let read = async {
        while let Ok(len) = reader.read_u16().await {
            let mut query = vec![0; len.into()];
            reader.read_exact(&mut query).await.unwrap();
            let query = Message::from_vec(&query).unwrap();
            let act = shared.note(client, &query, true);
            match act {
                Act::Close | Act::LowerCaseWithoutTcp => return,
                Act::Stick => future::pending().await,
                _ => {}
            }
            let (shared, replies) = (Arc::clone(shared), replies.clone());
            held.spawn(async move {
                let Some(reply) = shared.reply(&act, &query, true).await else {
                    return;
                };
                replies.send((act.clone(), reply.clone())).await.unwrap();
                if let Act::Twice(after) = act {
                    tokio::time::sleep(after).await;
                    replies.send((act, reply)).await.unwrap();
                }
            });
        }
    };
    let write = async {
        while let Some((act, mut reply)) = ready.recv().await {
            if act == Act::OtherId {
                reply[0] ^= 0x80;
            }
            let len = u16::try_from(reply.len()).unwrap();
            let mut framed = [&len.to_be_bytes()[..], &reply].concat();
            if let Act::Reset(octets) = act {
                framed.truncate(octets);
            }
            if writer.write_all(&framed).await.is_err() || writer.flush().await.is_err() {
                return;
            }
            if let Act::Reset(_) = act {
                return socket.set_linger(Some(Duration::ZERO)).unwrap();
            }
        }
    };
    tokio::select! {
        () = read => {}
        () = write => {}
    }
}

/// RFC 8484: each request is answered by itself.
async fn respond_to_requests(
    stream: TlsStream<TcpStream>,
    client: SocketAddr,
    shared: &Arc<Shared>,
) {
    let close = Arc::new(Notify::new());
    let exchange = service_fn(|request: Request<Incoming>| {
        let (shared, close) = (Arc::clone(shared), Arc::clone(&close));
        async move {
            assert_eq!(request.method(), Method::POST);
            assert_eq!(request.uri().path(), "/dns-query");
            let kind = "application/dns-message";
            assert_eq!(request.headers()[header::CONTENT_TYPE], kind);
            let query = request.into_body().collect().await.unwrap().to_bytes();
            let query = Message::from_vec(&query).unwrap();
            let act = shared.note(client, &query, true);
            if matches!(act, Act::Close | Act::LowerCaseWithoutTcp) {
                close.notify_one();
            }
            let Some(reply) = shared.reply(&act, &query, true).await else {
                return future::pending().await;
            };
            let status = match act {
                Act::Status(status) => status,
                _ => 200,
            };
            let response = Response::builder()
                .status(status)
                .header(header::CONTENT_TYPE, kind)
                .body(Full::<Bytes>::from(reply));
            Ok::<_, Infallible>(response.unwrap())
        }
    });
    let mut connection = http2::Builder::new(TokioExecutor::new());
    connection.max_concurrent_streams(256);
    tokio::select! {
        _ = connection.serve_connection(TokioIo::new(stream), exchange) => {}
        () = close.notified() => {}
    }
}

/// A connection that is counted as open until it is dropped.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.send_modify(|it| it.open -= 1);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn connected(self: &Arc<Self>) -> Open {
        self.connections.send_modify(|it| {
            it.so_far += 1;
            it.open += 1;
        });
        Open(Arc::clone(self))
    }

    /// Counts a query and says what to do with it. The question for loops that comes at the start is answered and no more.
    fn note(&self, client: SocketAddr, query: &Message, tcp: bool) -> Act {
        let name = query.queries[0].name().to_string();
        if name.ends_with(".gapless-probe.") {
            return Act::Answer;
        }
        let mut state = self.state();
        state.seen.push((client, query.clone()));
        let next = state.next.pop_front();
        let act = next.unwrap_or_else(|| (state.always.0)(query, tcp));
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
        let round_trip = self.state().round_trip;
        match act {
            Act::Late(after) => tokio::time::sleep(*after).await,
            _ if !round_trip.is_zero() => tokio::time::sleep(round_trip).await,
            _ => {}
        }
        Some(match act {
            Act::Silent | Act::Close | Act::Stick => return None,
            Act::TcpOnly if !tcp => return None,
            Act::Hold => {
                let mut released = self.released.subscribe();
                released.wait_for(|released| *released).await.ok()?;
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
            Act::Part => {
                let mut part = self.answer(query);
                part.metadata.truncation = true;
                part.answers.truncate(1);
                encode(&part)
            }
            Act::Cut(len) => answer()[..*len].to_vec(),
            Act::LowerCase | Act::LowerCaseWithoutTcp => {
                let name = query.queries[0].name().to_lowercase();
                let mut query = query.clone();
                query.queries[0].set_name(name);
                encode(&self.answer(&query))
            }
            Act::Says(sections) => {
                let [answers, authorities, additionals] = sections
                    .each_ref()
                    .map(|it| records(it).into_values().flatten());
                let mut reply = with_code(query, 0);
                reply.answers.extend(answers);
                reply.authorities.extend(authorities);
                reply.additionals.extend(additionals);
                encode(&reply)
            }
            Act::Answer
            | Act::Late(_)
            | Act::FormErrToEdns
            | Act::Truncate
            | Act::TcpOnly
            | Act::Lie(_)
            | Act::Reset(_)
            | Act::Twice(_)
            | Act::OtherId
            | Act::Status(_) => answer(),
        })
    }

    /// The answer from the zone; a CNAME is followed.
    fn answer(&self, query: &Message) -> Message {
        let asked = &query.queries[0];
        let dnssec_ok = (query.edns.as_ref()).is_some_and(|edns| edns.flags().dnssec_ok);
        let zone = &self.state().zone;
        let mut reply = with_code(query, 0);
        let mut name = asked.name().clone();
        while reply.answers.len() < 1000 {
            let here = zone.get(&name).map_or(&[][..], Vec::as_slice);
            let fits = |record: &&Record| record.record_type() == asked.query_type();
            let mut found: Vec<_> = here.iter().filter(fits).cloned().collect();
            let alias = here.iter().find(|it| it.record_type() == RecordType::CNAME);
            if let (true, Some(RData::CNAME(target))) = (found.is_empty(), alias.map(|it| &it.data))
            {
                name = target.0.clone();
                reply.answers.extend(alias.cloned());
                continue;
            }
            if found.is_empty() {
                let all = zone.values().flatten();
                let soa = all.filter(|it| it.record_type() == RecordType::SOA);
                reply.authorities.extend(soa.cloned());
                let exists = !here.is_empty();
                reply.metadata.response_code = ResponseCode::from(0, if exists { 0 } else { 3 });
            }
            if dnssec_ok {
                let signature = |it: &&Record| it.record_type() == RecordType::RRSIG;
                found.extend(here.iter().filter(signature).cloned());
            }
            reply.answers.extend(found);
            break;
        }
        // As servers do, whose owners point to the question.
        for record in &mut reply.answers {
            if record.name == *asked.name() {
                record.name = asked.name().clone();
            }
        }
        reply
    }
}

async fn send_lie(lie: Lie, times: usize, query: &Message, socket: &UdpSocket, client: SocketAddr) {
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
        Lie::Source | Lie::Malformed | Lie::Cut(_) | Lie::Noise(_) => {}
    }
    let mut bytes = encode(&forged);
    match lie {
        Lie::Malformed => bytes.truncate(bytes.len() - 1),
        Lie::Cut(len) => bytes.truncate(len),
        Lie::Noise(seed) => StdRng::seed_from_u64(seed).fill(&mut bytes[2..]),
        _ => {}
    }
    let elsewhere = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let from = if lie == Lie::Source {
        &elsewhere
    } else {
        socket
    };
    for _ in 0..times {
        from.send_to(&bytes, client).await.unwrap();
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

/// Records of zone-file lines by their owners, those of one in their order.
fn records(zone: &str) -> HashMap<Name, Vec<Record>> {
    let mut records = HashMap::<_, Vec<_>>::new();
    let lines = zone.lines().map(str::trim).filter(|line| !line.is_empty());
    for record in lines.map(|line| signature(line).unwrap_or_else(|| record(line))) {
        records.entry(record.name.clone()).or_default().push(record);
    }
    records
}

fn record(line: &str) -> Record {
    let parser = Parser::new(line, None, Some(Name::root()));
    let (_, sets) = parser
        .parse()
        .unwrap_or_else(|error| panic!("`{line}`: {error}"));
    let set = sets.into_values().next().expect("a line has a record");
    let mut records = set.records_without_rrsigs();
    records.next().expect("a set has a record").clone()
}

/// hickory-proto reads no RRSIG without its DNSSEC.
fn signature(line: &str) -> Option<Record> {
    let (owner, digits) = line.split_once(" IN RRSIG ")?;
    let (name, ttl) = owner.split_once(' ').expect("a name and a TTL");
    let octet = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("two digits");
    let rdata = NULL::with((0..digits.len()).step_by(2).map(octet).collect());
    let code = RecordType::RRSIG;
    let name = Name::from_ascii(name).expect("a name");
    let ttl = ttl.parse().expect("a TTL");
    Some(Record::from_rdata(
        name,
        ttl,
        RData::Unknown { code, rdata },
    ))
}
