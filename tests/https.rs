//! DNS over HTTPS as a client sees it: a real HTTP/2 client, over TLS, over real sockets on loopback. What an answer says is
//! tested elsewhere; here it is the same as over UDP and TCP.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where it stopped"
)]

mod support;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use gapless::{
    app::Bound,
    config::{self, Config, Source},
    forward,
    lifecycle::{Drain, Tasks},
    metrics::{Closed, Metrics, Refused},
    model::{Endpoint, EndpointSlice, Label, Object, ObjectKey},
    server::{Https, Inherited, Listeners, Options, Tls, TlsError},
};
use hickory_proto::{
    op::{Edns, Message, Query, ResponseCode},
    rr::{Name, RecordType},
};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Bytes, Frame},
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prometheus_client::registry::Registry;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use std::{convert::Infallible, fs, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use support::{
    engine, objects, tls,
    upstream::{Act, FakeUpstream},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    task::JoinSet,
};
use tokio_rustls::{
    TlsConnector,
    rustls::pki_types::{CertificateDer, pem::PemObject as _},
};

/// Gives up on what was lost, so that the test fails and does not hang.
const LOST_AFTER: Duration = Duration::from_secs(20);

/// What a client takes unread: less than the longest answers.
const STREAM_WINDOW: u32 = 16 << 10;

const PATH: &str = "/dns-query";
const MESSAGE: &str = "application/dns-message";

/// The TTL is 0: no answer comes from the cache, and none is a second older than another.
const ZONE: &str = "
    www.example.org. 0 IN A 192.0.2.1
    other.example.org. 0 IN A 192.0.2.2";

struct Server {
    https: SocketAddr,
    plain: SocketAddr,
    certificate: String,
    upstream: FakeUpstream,
    tasks: Tasks,
    drain: Drain,
    metrics: Metrics,
    connections: JoinSet<hyper::Result<()>>,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A response: status, content type, body.
type Response = (StatusCode, String, Vec<u8>);

fn self_signed() -> (String, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    (cert.pem(), signing_key.serialize_pem())
}

async fn serve(objects: &[Object], options: Options) -> Server {
    let (certificate, key) = self_signed();
    let upstream = FakeUpstream::start(ZONE).await;
    let upstreams = forward::Options {
        upstreams: vec![upstream.address.into()],
        ..forward::Options::default()
    };
    let any = "127.0.0.1:0".parse().unwrap();
    let mut listeners = Listeners::bind(&[any], &options).unwrap();
    let https = Https {
        listen: vec![any],
        tls: Tls::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap(),
        path: PATH.to_owned(),
    };
    listeners
        .open_https(https, &mut Inherited::default())
        .unwrap();
    let (plain, https) = (listeners.local_addrs()[0], listeners.https_addrs()[0]);
    let (tasks, _ended) = Tasks::new();
    let (drain, metrics) = (Drain::new(), Metrics::new(&mut Registry::default()));
    let engine = Arc::new(engine::synced(objects, &upstreams));
    listeners
        .serve(engine, &tasks, drain.clone(), &metrics)
        .unwrap();
    Server {
        https,
        plain,
        certificate,
        upstream,
        tasks,
        drain,
        metrics,
        connections: JoinSet::new(),
    }
}

impl Server {
    /// A connection of HTTP/2, or none if the server takes none.
    async fn try_connect(&mut self) -> Option<Client> {
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes());
        let mut config = tls::trusting(certificate.unwrap());
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = TcpStream::connect(self.https).await.unwrap();
        stream.set_nodelay(true).unwrap(); // header and body are two writes
        let connector = TlsConnector::from(Arc::new(config));
        let name = "localhost".try_into().unwrap();
        let stream = within(connector.connect(name, stream)).await.ok()?;
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.initial_stream_window_size(STREAM_WINDOW);
        let handshake = Box::pin(http.handshake(TokioIo::new(stream)));
        let (requests, connection) = within(handshake).await.ok()?;
        self.connections.spawn(connection);
        Some(Client(requests))
    }

    async fn connect(&mut self) -> Client {
        self.try_connect().await.expect("a connection")
    }

    /// What plain DNS over UDP answers.
    async fn udp(&self, query: &[u8]) -> Vec<u8> {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(self.plain).await.unwrap();
        socket.send(query).await.unwrap();
        let mut reply = vec![0; 2048];
        let len = within(socket.recv(&mut reply)).await.unwrap();
        reply.truncate(len);
        reply
    }

    /// What plain DNS over TCP answers.
    async fn tcp(&self, query: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.plain).await.unwrap();
        let length = u16::try_from(query.len()).unwrap();
        stream.write_u16(length).await.unwrap();
        stream.write_all(query).await.unwrap();
        let mut reply = vec![0; within(stream.read_u16()).await.unwrap().into()];
        within(stream.read_exact(&mut reply)).await.unwrap();
        reply
    }
}

#[derive(Clone)]
struct Client(SendRequest<Body>);

impl Client {
    async fn send(&self, request: Request<Body>) -> Response {
        within(async {
            let response = self.0.clone().send_request(request).await.unwrap();
            let (head, body) = response.into_parts();
            let kind = head.headers.get(header::CONTENT_TYPE);
            let kind = kind.map_or("", |kind| kind.to_str().unwrap()).to_owned();
            let body = body.collect().await.unwrap().to_bytes().to_vec();
            (head.status, kind, body)
        })
        .await
    }

    /// Sends a body of this type.
    async fn post(&self, kind: &str, body: &[u8]) -> Response {
        self.send(request(Method::POST, PATH, kind, body)).await
    }

    /// Sends a query as the URI's variable.
    async fn get(&self, variables: &str) -> Response {
        let target = format!("{PATH}?{variables}");
        self.send(request(Method::GET, &target, "", b"")).await
    }

    /// What is answered to a message that is a query.
    async fn ask(&self, query: &[u8]) -> Vec<u8> {
        let (status, kind, body) = self.post(MESSAGE, query).await;
        assert_eq!((status, &*kind), (StatusCode::OK, MESSAGE));
        body
    }
}

fn request(method: Method, target: &str, kind: &str, body: &[u8]) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("https://localhost{target}"));
    if !kind.is_empty() {
        request = request.header(header::CONTENT_TYPE, kind);
    }
    let body = Full::from(body.to_vec());
    request.body(body.boxed_unsync()).unwrap()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(LOST_AFTER, future).await;
    result.expect("what is waited for happens")
}

/// A query with the ID 0, as clients of HTTPS send it.
fn query(name: &str, edns: bool) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = 0;
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    message.edns = edns.then(|| {
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        edns
    });
    message.to_vec().unwrap()
}

fn decode(reply: &[u8]) -> Message {
    Message::from_vec(reply).unwrap()
}

fn web() -> Vec<Object> {
    vec![objects::cluster_ip("web", &["10.96.0.80"])]
}

/// A headless service with so many ready endpoints.
fn big(endpoints: u32) -> Vec<Object> {
    let label = |text: &str| Label::new(text).unwrap();
    let endpoint = |n: u32| Endpoint {
        addresses: [std::net::Ipv4Addr::from(0x0a01_0000 + n).into()].into(),
        hostname: None,
        pod: None,
        ready: true,
    };
    let slice = EndpointSlice {
        key: ObjectKey::new("default", "big-1"),
        service: label("big"),
        endpoints: (0..endpoints).map(endpoint).collect(),
        ports: [].into(),
    };
    vec![objects::headless("big"), Object::EndpointSlice(slice)]
}

#[tokio::test]
async fn an_answer_has_the_bytes_of_the_one_over_udp() {
    let mut server = serve(&web(), Options::default()).await;
    let client = server.connect().await;
    for (name, code, answers) in [
        ("web.default.svc.cluster.local.", ResponseCode::NoError, 1),
        ("no.default.svc.cluster.local.", ResponseCode::NXDomain, 0),
        ("WWW.example.org.", ResponseCode::NoError, 1),
        ("nobody.example.org.", ResponseCode::NXDomain, 0),
        ("name.invalid.", ResponseCode::NXDomain, 0),
    ] {
        for edns in [false, true] {
            let query = query(name, edns);
            let reply = server.udp(&query).await;
            let message = decode(&reply);
            assert_eq!(
                (message.metadata.response_code, message.answers.len()),
                (code, answers),
                "{name}"
            );
            let expected = (StatusCode::OK, MESSAGE.to_owned(), reply);
            assert_eq!(client.post(MESSAGE, &query).await, expected, "{name}");
            let encoded = BASE64_URL_SAFE_NO_PAD.encode(&query);
            let got = client.get(&format!("dns={encoded}")).await;
            assert_eq!(got, expected, "{name}");
        }
    }
}

#[tokio::test]
async fn an_answer_may_be_as_long_as_a_message_can_be() {
    let question = query("big.default.svc.cluster.local.", true);
    for (endpoints, answers, truncated) in [(4_000, 4_000, false), (10_000, 4_092, true)] {
        let mut server = serve(&big(endpoints), Options::default()).await;
        let reply = server.connect().await.ask(&question).await;
        let message = decode(&reply);
        assert_eq!(
            (message.answers.len(), message.metadata.truncation),
            (answers, truncated)
        );
        assert_eq!(reply.len(), server.tcp(&question).await.len());
    }
}

#[tokio::test]
async fn addresses_take_turns_though_the_id_is_always_the_same() {
    let mut server = serve(&big(3), Options::default()).await;
    let client = server.connect().await;
    let mut first = vec![];
    for _ in 0..3 {
        let reply = client
            .ask(&query("big.default.svc.cluster.local.", false))
            .await;
        first.push(decode(&reply).answers[0].data.to_string());
    }
    first.sort();
    assert_eq!(first, ["10.1.0.0", "10.1.0.1", "10.1.0.2"]);
}

#[tokio::test]
async fn http_caches_are_told_to_keep_nothing() {
    let mut server = serve(&web(), Options::default()).await;
    let mut client = server.connect().await;
    let query = query("web.default.svc.cluster.local.", false);
    let request = request(Method::POST, PATH, MESSAGE, &query);
    let response = within(client.0.send_request(request)).await.unwrap();
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn what_brings_no_query_is_refused_by_a_status_and_the_connection_goes_on() {
    let mut server = serve(&web(), Options::default()).await;
    let client = server.connect().await;
    let good = query("web.default.svc.cluster.local.", true);
    let encoded = BASE64_URL_SAFE_NO_PAD.encode(&good);
    let response = server.udp(&good).await;
    let post = |target, kind, body| request(Method::POST, target, kind, body);
    let get = |target: &str| request(Method::GET, target, "", b"");
    let long = vec![0; 65_536];
    let cases = [
        (post("/", MESSAGE, &good), 404),
        (post("/dns-query/", MESSAGE, &good), 404),
        (get(&format!("/?dns={encoded}")), 404),
        (request(Method::PUT, PATH, MESSAGE, &good), 405),
        (request(Method::HEAD, PATH, "", b""), 405),
        (post(PATH, "", &good), 415),
        (post(PATH, "text/plain", &good), 415),
        (post(PATH, "application/dns-json", &good), 415),
        (post(PATH, MESSAGE, &long), 413),
        (post(PATH, MESSAGE, &vec![0; 1 << 20]), 413),
        (post(PATH, MESSAGE, b""), 400),
        (post(PATH, MESSAGE, &good[..11]), 400),
        (post(PATH, MESSAGE, &response), 400),
        (get(PATH), 400),
        (get(&format!("{PATH}?dns")), 400),
        (get(&format!("{PATH}?dns=")), 400),
        (get(&format!("{PATH}?dns=AAAA")), 400),
        (get(&format!("{PATH}?dns={encoded}!")), 400),
        (get(&format!("{PATH}?dns=AA==")), 400),
        (get(&format!("{PATH}?dns={}", "A".repeat(9_000))), 431),
    ];
    for (request, status) in cases {
        let case = format!("{} {}", request.method(), request.uri());
        let (refused, _, _) = client.send(request).await;
        assert_eq!(refused.as_u16(), status, "{case}");
        assert_eq!(client.ask(&good).await, response, "{case}");
    }
    let parameter = "Application/DNS-Message; charset=utf-8";
    assert_eq!(client.post(parameter, &good).await.0, StatusCode::OK);
}

#[tokio::test]
async fn random_bodies_do_no_harm() {
    let mut server = serve(&web(), Options::default()).await;
    let client = server.connect().await;
    let mut random = SmallRng::seed_from_u64(1);
    let good = query("web.default.svc.cluster.local.", true);
    for _ in 0..1000 {
        // Half of them noise, half a query with noise in it.
        let mut body = if random.random() {
            vec![0; random.random_range(0..1500)]
        } else {
            good.clone()
        };
        let noisy = random.random_range(0..=body.len());
        random.fill(&mut body[noisy..]);
        let (status, kind, reply) = client.post(MESSAGE, &body).await;
        match status {
            StatusCode::OK => assert_eq!((&*kind, &reply[..2]), (MESSAGE, &body[..2])),
            other => assert_eq!(other, StatusCode::BAD_REQUEST),
        }
    }
    assert_eq!(client.ask(&good).await, server.udp(&good).await);
}

#[tokio::test]
async fn answers_of_one_connection_leave_as_they_are_ready() {
    let mut server = serve(&web(), Options::default()).await;
    let client = server.connect().await;
    server.upstream.next(Act::Hold);
    let (slow, quick) = (
        query("www.example.org.", false),
        query("web.default.svc.cluster.local.", false),
    );
    let held = {
        let client = client.clone();
        async move { client.ask(&slow).await }
    };
    let others = async {
        server.upstream.until_asked(1).await;
        for _ in 0..40 {
            client.ask(&quick).await;
        }
        server.upstream.release();
    };
    let (reply, ()) = tokio::join!(held, others);
    assert_eq!(decode(&reply).answers.len(), 1);
}

#[tokio::test]
async fn what_is_under_way_is_answered_on_drain() {
    let mut server = serve(&web(), Options::default()).await;
    let client = server.connect().await;
    server.upstream.next(Act::Hold);
    let query = query("www.example.org.", false);
    let drain = async {
        server.upstream.until_asked(1).await;
        server.drain.cancel();
        server.upstream.release();
    };
    let (reply, ()) = tokio::join!(client.ask(&query), drain);
    assert_eq!(decode(&reply).answers.len(), 1);
    assert!(within(server.connections.join_next()).await.is_some());
    within(server.tasks.finished()).await;
    assert_eq!(server.metrics.server.closed(Closed::Drained).get(), 1);
    assert!(TcpStream::connect(server.https).await.is_err());
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let mut server = serve(&web(), Options::default()).await;
    let client = server.connect().await;
    tokio::time::pause(); // from here on, what is waited for is a timer
    let never = futures::stream::pending::<Result<Frame<Bytes>, Infallible>>();
    let slow = request(Method::POST, PATH, MESSAGE, b"");
    let slow = slow.map(|_| StreamBody::new(never).boxed_unsync());
    assert_eq!(client.send(slow).await.0, StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn a_client_that_takes_no_answers_loses_its_connection() {
    let mut server = serve(&big(4_000), Options::default()).await;
    let mut client = server.connect().await;
    let query = query("big.default.svc.cluster.local.", false);
    let request = request(Method::POST, PATH, MESSAGE, &query);
    let untaken = within(client.0.send_request(request)).await.unwrap();
    tokio::time::pause();
    within(server.connections.join_next())
        .await
        .unwrap()
        .unwrap()
        .ok();
    assert_eq!(server.metrics.server.closed(Closed::SlowReader).get(), 1);
    drop(untaken);
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let options = Options {
        tcp_idle: Duration::from_millis(50),
        ..Options::default()
    };
    let mut server = serve(&web(), options).await;
    let client = server.connect().await;
    client.ask(&query("name.invalid.", false)).await;
    let ended = within(server.connections.join_next()).await.unwrap();
    assert!(ended.unwrap().is_ok());
    server.drain.cancel();
    within(server.tasks.finished()).await;
    assert_eq!(server.metrics.server.closed(Closed::Idle).get(), 1);
}

#[tokio::test]
async fn connections_have_the_limits_of_tcp() {
    let options = Options {
        tcp_connections: 2,
        tcp_connections_per_client: 3,
        ..Options::default()
    };
    let mut server = serve(&web(), options).await;
    let query = query("web.default.svc.cluster.local.", false);
    let mut clients = vec![];
    for _ in 0..3 {
        let client = server.connect().await;
        client.ask(&query).await;
        clients.push(client);
    }
    // The one that was idle the longest made room.
    within(server.connections.join_next())
        .await
        .unwrap()
        .unwrap()
        .ok();
    assert_eq!(server.metrics.server.tcp_connections.get(), 2);

    let options = Options {
        tcp_connections_per_client: 1,
        ..Options::default()
    };
    let mut server = serve(&web(), options).await;
    let client = server.connect().await;
    client.ask(&query).await;
    assert!(server.try_connect().await.is_none());
    client.ask(&query).await;
    assert_eq!(server.metrics.server.refused(Refused::Client).get(), 1);
}

#[tokio::test]
async fn a_client_that_speaks_no_tls_or_no_http_does_no_harm() {
    let mut server = serve(&web(), Options::default()).await;
    let mut plain = TcpStream::connect(server.https).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    within(plain.read_to_end(&mut vec![])).await.ok();
    let client = server.connect().await;
    client
        .ask(&query("web.default.svc.cluster.local.", false))
        .await;
    server.drain.cancel();
    within(server.tasks.finished()).await;
    let closed = |why| server.metrics.server.closed(why).get();
    assert_eq!((closed(Closed::Broken), closed(Closed::Drained)), (1, 1));
}

#[test]
fn what_is_no_certificate_or_no_key_of_it_is_refused() {
    let (certificate, key) = self_signed();
    let other = KeyPair::generate().unwrap().serialize_pem();
    let refused = |certificate: &str, key: &str| {
        let refused = Tls::from_pem(certificate.as_bytes(), key.as_bytes());
        refused.expect_err("a refusal")
    };
    let none = "there is none".to_owned();
    assert_eq!(
        refused("", &key),
        TlsError::Certificate(none.clone()),
        "empty"
    );
    assert_eq!(refused(&key, &key), TlsError::Certificate(none.clone()));
    assert_eq!(refused(&certificate, &certificate), TlsError::Key(none));
    assert_eq!(refused(&certificate, &other), TlsError::Pair);
    let cut = &certificate[..certificate.len() / 2];
    assert!(matches!(refused(cut, &key), TlsError::Certificate(_)));
    let noise = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(refused(noise, &key), TlsError::Certificate(_)));
    let noise = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(matches!(refused(&certificate, noise), TlsError::Key(_)));
}

struct Files {
    directory: TempDir,
    config: Config,
}

/// A configuration of an empty directory of manifests, with a certificate and its key in files.
fn files() -> Files {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = self_signed();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let https = config::Https {
        listen: vec![any],
        certificate: file("tls.crt", &certificate),
        key: file("tls.key", &key),
        path: PATH.to_owned(),
    };
    let manifests: PathBuf = directory.path().join("manifests");
    fs::create_dir(&manifests).unwrap();
    let config = Config {
        listen: vec![any],
        admin: None,
        https: Some(https),
        source: Source::Manifests(manifests),
        ..Config::default()
    };
    Files { directory, config }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_served_stops_the_start_and_is_named() {
    let refusal = async |name: &str, text: Option<&str>| {
        let files = files();
        let path = files.directory.path().join(name);
        match text {
            Some(text) => fs::write(&path, text).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let refused = Bound::new(files.config).await.unwrap_err();
        format!("{refused:#}").replace(&path.display().to_string(), "FILE")
    };
    let missing = "No such file or directory (os error 2)";
    assert_eq!(
        refusal("tls.crt", None).await,
        format!("https.certificate FILE: {missing}")
    );
    assert_eq!(
        refusal("tls.key", None).await,
        format!("https.key FILE: {missing}")
    );
    assert_eq!(
        refusal("tls.crt", Some("no certificate")).await,
        "https.certificate FILE: expected certificates in PEM (`BEGIN CERTIFICATE`), the server's own first; there is none"
    );
    assert_eq!(
        refusal("tls.key", Some("no key")).await,
        "https.key FILE: expected a private key in PEM (`BEGIN PRIVATE KEY`), without a passphrase; there is none"
    );
    assert_eq!(
        refusal("tls.key", Some(&self_signed().1)).await,
        "https.key FILE: expected the private key of the certificate; it is another's"
    );
}

#[tokio::test]
async fn it_is_bound_before_the_process_runs_and_an_address_in_use_stops_the_start() {
    let files = files();
    let bound = Bound::new(files.config.clone()).await.unwrap();
    let address = bound.https_addresses()[0];
    assert!(TcpStream::connect(address).await.is_ok());

    let mut config = files.config;
    if let Some(https) = &mut config.https {
        https.listen = vec![address];
    }
    let refused = Bound::new(config).await.unwrap_err();
    let port = address.port();
    assert_eq!(
        format!("{refused:#}"),
        format!("cannot listen on 127.0.0.1:{port} (HTTPS): port {port} is already in use")
    );
}
