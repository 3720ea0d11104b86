//! A client of both servers: DNS over UDP and TCP, HTTP for the admin server. What does not come fails the test.

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query},
    rr::rdata::opt::{EdnsCode, EdnsOption},
};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream, UdpSocket},
    time::{MissedTickBehavior, interval, timeout},
};

/// Long after anything that is waited for should have happened.
const DEADLINE: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(10);

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = timeout(DEADLINE, future).await;
    done.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// A query for `NAME TYPE`, with EDNS.
pub(crate) fn query(id: u16, question: &str) -> Vec<u8> {
    let (name, rtype) = question.split_once(' ').expect("NAME TYPE");
    let mut query = Message::new(id, MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(name.parse().unwrap(), rtype.parse().unwrap()));
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    query.edns = Some(edns);
    query.to_vec().unwrap()
}

/// A reply as lines: the code, with the number of an Extended DNS Error if there is one, then the records of the answer
/// section in their order.
pub(crate) fn lines(reply: &[u8]) -> Vec<String> {
    let message = Message::from_vec(reply).unwrap();
    let mut code = format!("{:?}", message.metadata.response_code);
    let ede = message.edns.as_ref();
    if let Some(EdnsOption::Unknown(_, ede)) = ede.and_then(|it| it.option(EdnsCode::from(15))) {
        code = format!("{code} EDE {}", u16::from_be_bytes([ede[0], ede[1]]));
    }
    let records = message.answers.iter().map(ToString::to_string);
    [code].into_iter().chain(records).collect()
}

/// The reply over UDP, as lines.
pub(crate) async fn ask(server: SocketAddr, question: &str) -> Vec<String> {
    let client = Client::at("127.0.0.1", server).await;
    client.send(7, question).await;
    let (id, lines) = client.reply().await;
    assert_eq!(id, 7);
    lines
}

/// A socket for queries over UDP.
pub(crate) struct Client(UdpSocket);

impl Client {
    /// One with this address.
    pub(crate) async fn at(address: &str, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((address, 0)).await.unwrap();
        socket.connect(server).await.unwrap();
        Self(socket)
    }

    pub(crate) async fn send(&self, id: u16, question: &str) {
        self.0.send(&query(id, question)).await.unwrap();
    }

    /// The next reply's ID and lines.
    pub(crate) async fn reply(&self) -> (u16, Vec<String>) {
        let mut reply = [0; 1232];
        let len = within("a reply", self.0.recv(&mut reply)).await.unwrap();
        let id = u16::from_be_bytes([reply[0], reply[1]]);
        (id, lines(&reply[..len]))
    }
}

/// A connection for queries over TCP.
pub(crate) struct Connection(TcpStream);

impl Connection {
    pub(crate) async fn to(server: SocketAddr) -> Self {
        Self::from("127.0.0.1", server).await
    }

    /// One from this address.
    pub(crate) async fn from(address: &str, server: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        let address = SocketAddr::new(address.parse().unwrap(), 0);
        socket.bind(address).unwrap();
        Self(socket.connect(server).await.unwrap())
    }

    pub(crate) async fn send(&mut self, id: u16, question: &str) {
        let query = query(id, question);
        let len = u16::try_from(query.len()).unwrap();
        let framed = [&len.to_be_bytes()[..], &query].concat();
        self.0.write_all(&framed).await.unwrap();
    }

    /// The next reply's ID and lines.
    pub(crate) async fn reply(&mut self) -> (u16, Vec<String>) {
        let len = within("a reply", self.0.read_u16()).await.unwrap();
        let mut reply = vec![0; len.into()];
        self.0.read_exact(&mut reply).await.unwrap();
        (u16::from_be_bytes([reply[0], reply[1]]), lines(&reply))
    }
}

/// Status and body of a page of the admin server.
pub(crate) async fn get(admin: SocketAddr, path: &str) -> (u16, String) {
    let exchange = async {
        let mut stream = TcpStream::connect(admin).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response
    };
    let response = within(path, exchange).await;
    let (head, body) = response.split_once("\r\n\r\n").expect("a whole response");
    let status = head.split(' ').nth(1).unwrap();
    (status.parse().unwrap(), body.to_owned())
}

/// The metrics, once they are so.
pub(crate) async fn metrics_once(admin: SocketAddr, met: impl Fn(&str) -> bool) -> String {
    let polling = async {
        let mut every = interval(POLL_EVERY);
        loop {
            every.tick().await;
            let (_, page) = get(admin, "/metrics").await;
            if met(&page) {
                return page;
            }
        }
    };
    within("the metrics", polling).await
}

/// Waits until a page reads so.
pub(crate) async fn until(admin: SocketAddr, path: &str, expected: (u16, &str)) {
    let mut every = interval(POLL_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Default::default();
    let polling = async {
        loop {
            every.tick().await;
            last = get(admin, path).await;
            if (last.0, last.1.as_str()) == expected {
                return;
            }
        }
    };
    let done = timeout(DEADLINE, polling).await;
    assert!(
        done.is_ok(),
        "{path}: expected {expected:?}, found {last:?}"
    );
}
