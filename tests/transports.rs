//! What carries questions to upstreams: connections that are shared, lost, refused and full, over TCP, TLS and HTTPS. The
//! upstreams are in this process, the sockets real; time is tokio's, held, and only who waits moves it.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "askers are the test's own tasks, and a test may panic"
)]

mod support;

use gapless::{
    forward::{Failure, Forwarder, Limits, Options, Roots, Route, Server, Transport},
    lifecycle::Tasks,
    metrics::{Connected, ConnectionEnded, Forward, Ignored, Limit, Metrics, NotOpened},
    wire::{NameKey, Query, Question, ReplyEdns},
};
use prometheus_client::registry::Registry;
use rand::{SeedableRng, rngs::StdRng};
use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};
use support::{
    authority::Authority,
    upstream::{Act, Asked, Connections, FakeUpstream},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

const NAME: &str = "dns.example";
const ZONE: &str = "www.example.org. 60 IN A 192.0.2.1";
/// Octets of the length and the answer for the question of [`Bench::ask`].
const ANSWER_LEN: usize = 2 + 12 + 16 + 4 + 11;

struct Bench {
    forwarder: Forwarder,
    metrics: Forward,
    asked: usize,
}

fn bench(upstreams: Vec<Server>, roots: Roots) -> Bench {
    let options = Options {
        upstreams,
        roots,
        // One client asks for all of them.
        limits: Limits {
            per_client: usize::MAX,
            ..Limits::default()
        },
        ..Options::default()
    };
    let metrics = Metrics::new(&mut Registry::default()).forward;
    let (tasks, _) = Tasks::new();
    let rng = StdRng::from_seed([7; 32]);
    let forwarder = Forwarder::new(&options, tasks, metrics.clone(), rng);
    Bench {
        forwarder,
        metrics,
        asked: 0,
    }
}

const fn tcp(address: SocketAddr) -> Server {
    Server {
        address,
        transport: Transport::Tcp,
    }
}

fn tls(address: SocketAddr) -> Server {
    Server {
        address,
        transport: Transport::Tls(NAME.try_into().unwrap()),
    }
}

fn https(address: SocketAddr) -> Server {
    Server {
        address,
        transport: Transport::Https {
            name: NAME.try_into().unwrap(),
            path: "/dns-query".parse().unwrap(),
        },
    }
}

/// An upstream that is asked over this, and who certifies it.
async fn start(over: Connected) -> (FakeUpstream, Server, Roots) {
    let authority = Authority::new();
    let mut upstream = FakeUpstream::start(ZONE).await;
    let server = match over {
        Connected::Tcp => tcp(upstream.address),
        Connected::Tls => tls(upstream.listen_tls(authority.server(&[NAME])).await),
        Connected::Https => https(upstream.listen_https(authority.server(&[NAME])).await),
    };
    let roots = Roots::from_pem(authority.pem().as_bytes()).unwrap();
    (upstream, server, roots)
}

const EVERY: [Connected; 3] = [Connected::Tcp, Connected::Tls, Connected::Https];

fn question(name: &str) -> Question {
    Question {
        name: NameKey::from_text(name).unwrap(),
        qtype: 1,
        qclass: 1,
        dnssec_ok: false,
        checking_disabled: false,
    }
}

/// The code of the answer.
async fn ask(forwarder: &Forwarder, name: &str) -> Result<u8, Failure> {
    let question = question(name);
    let held = forwarder
        .resolve(&question, Route::Default, [127, 0, 0, 1].into())
        .await?;
    let mut query = vec![0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend_from_slice(question.name.as_bytes());
    query.extend_from_slice(&[0, 1, 0, 1]);
    let (query, mut out) = (Query::parse(&query).unwrap(), [0; 512]);
    let now = Instant::now().into_std();
    held.write(&query, ReplyEdns::default(), &mut out, 512, now);
    Ok(out[3] & 0x0f)
}

const ANSWERED: Result<u8, Failure> = Ok(3);

impl Bench {
    /// Asks for a name that nobody asked for before; it does not exist.
    async fn ask(&mut self) -> Result<u8, Failure> {
        self.asked += 1;
        ask(&self.forwarder, &format!("n{:05}.example.", self.asked)).await
    }

    /// Asks for so many at once; how many were answered.
    async fn ask_at_once(&mut self, names: usize) -> JoinSet<Result<u8, Failure>> {
        let mut askers = JoinSet::new();
        for _ in 0..names {
            self.asked += 1;
            let (forwarder, name) = (
                self.forwarder.clone(),
                format!("n{:05}.example.", self.asked),
            );
            askers.spawn(async move { ask(&forwarder, &name).await });
        }
        askers
    }
}

async fn answered(askers: JoinSet<Result<u8, Failure>>) -> usize {
    let outcomes = askers.join_all().await;
    outcomes.into_iter().filter(|it| *it == ANSWERED).count()
}

#[tokio::test(start_paused = true)]
async fn rfc_7766_6_2_1_a_thousand_questions_share_one_connection() {
    for over in EVERY {
        let (upstream, server, roots) = start(over).await;
        let mut bench = bench(vec![server], roots);
        for _ in 0..5 {
            let askers = bench.ask_at_once(200).await;
            assert_eq!(answered(askers).await, 200, "{over:?}");
        }
        let one = Connections { so_far: 1, open: 1 };
        assert_eq!(upstream.connections(), one, "{over:?}");
        assert_eq!(upstream.asked(), Asked { udp: 0, tcp: 1000 }, "{over:?}");
        let connections = &bench.metrics.connections;
        let counted = (connections.opened_so_far(over), connections.open(over));
        assert_eq!(counted, (1, 1), "{over:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rfc_7766_7_replies_out_of_order_find_their_questions() {
    for over in EVERY {
        let (upstream, server, roots) = start(over).await;
        let mut bench = bench(vec![server], roots);
        upstream.next(Act::Hold);
        let held = tokio::spawn({
            let forwarder = bench.forwarder.clone();
            async move { ask(&forwarder, "www.example.org.").await }
        });
        upstream.until_asked(1).await;
        let askers = bench.ask_at_once(50).await;
        assert_eq!(answered(askers).await, 50, "{over:?}");
        upstream.release();
        assert_eq!(held.await.unwrap(), Ok(0), "{over:?}");
        assert_eq!(upstream.connections().so_far, 1, "{over:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn u11_a_connection_closed_between_questions_loses_none() {
    for over in EVERY {
        let (upstream, server, roots) = start(over).await;
        let mut bench = bench(vec![server], roots);
        for asked in 1..=20 {
            assert_eq!(bench.ask().await, ANSWERED, "{over:?}");
            assert_eq!(upstream.connections().so_far, asked, "{over:?}");
            upstream.close_connections();
        }
        assert_eq!(upstream.asked().tcp, 20);
    }
}

#[tokio::test(start_paused = true)]
async fn u11_a_question_on_a_connection_that_just_closes_is_asked_again_on_another() {
    for over in EVERY {
        let (upstream, server, roots) = start(over).await;
        let mut bench = bench(vec![server], roots);
        assert_eq!(bench.ask().await, ANSWERED);
        let began = Instant::now();
        upstream.next(Act::Close);
        assert_eq!(bench.ask().await, ANSWERED, "{over:?}");
        assert_eq!(began.elapsed(), Duration::ZERO, "{over:?}");
        assert_eq!(bench.metrics.connections.repeated().get(), 1, "{over:?}");
        // On a connection that never brought a reply it is the upstream's failure, and here the last.
        upstream.always(Act::Close);
        assert_eq!(bench.ask().await, Err(Failure::Unreachable), "{over:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn u11_a_reset_after_any_octet_of_a_reply_loses_nothing() {
    for over in [Connected::Tcp, Connected::Tls] {
        let (upstream, server, roots) = start(over).await;
        let mut bench = bench(vec![server], roots);
        for octets in 0..ANSWER_LEN {
            assert_eq!(bench.ask().await, ANSWERED);
            upstream.next(Act::Reset(octets));
            assert_eq!(bench.ask().await, ANSWERED, "{over:?}, {octets} octets");
        }
        assert_eq!(
            bench.metrics.connections.repeated().get(),
            ANSWER_LEN as u64
        );
    }
}

#[tokio::test(start_paused = true)]
async fn u11_a_stuck_connection_costs_no_answer_and_is_given_up() {
    for over in [Connected::Tcp, Connected::Tls] {
        let (upstream, server, roots) = start(over).await;
        let mut bench = bench(vec![server], roots);
        assert_eq!(bench.ask().await, ANSWERED);
        upstream.next(Act::Stick);
        let began = Instant::now();
        assert_eq!(bench.ask().await, ANSWERED, "{over:?}");
        // By the last of three sends: by then another connection is open.
        assert_eq!(began.elapsed().as_secs(), 2, "{over:?}");
        let began = Instant::now();
        let askers = bench.ask_at_once(50).await;
        assert_eq!(answered(askers).await, 50);
        assert_eq!(began.elapsed(), Duration::ZERO, "{over:?}");
        sleep(Duration::from_secs(4)).await;
        let ended = bench.metrics.connections.ended(ConnectionEnded::Silent);
        assert_eq!(ended.get(), 1, "{over:?}");
        assert_eq!(upstream.connections().so_far, 2, "{over:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn u11_a_handshake_that_does_not_go_on_is_given_up_after_3_seconds() {
    // The kernel accepts, and nobody reads.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_upstream, server, roots) = start(Connected::Tls).await;
    let mut bench = bench(vec![tls(deaf.local_addr().unwrap()), server], roots);
    assert_eq!(bench.ask().await, ANSWERED);
    let slow = bench
        .metrics
        .connections
        .not_opened(NotOpened::Slow)
        .clone();
    sleep(Duration::from_millis(2100)).await;
    assert_eq!(slow.get(), 0);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(slow.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn u23_a_server_without_the_right_certificate_is_not_asked_and_the_next_one_is() {
    let (authority, other) = (Authority::new(), Authority::new());
    let roots = || Roots::from_pem(authority.pem().as_bytes()).unwrap();
    let cases = [
        ("another authority", other.server(&[NAME]), roots()),
        (
            "another name",
            authority.server(&["other.example"]),
            roots(),
        ),
        (
            "only the address",
            authority.server(&["127.0.0.1"]),
            roots(),
        ),
        (
            "no longer valid",
            authority.expired_server(&[NAME]),
            roots(),
        ),
        (
            "nobody is trusted",
            authority.server(&[NAME]),
            Roots::default(),
        ),
    ];
    for (case, certified, roots) in cases {
        for over in [Connected::Tls, Connected::Https] {
            let mut wrong = FakeUpstream::start(ZONE).await;
            let server = match over {
                Connected::Https => https(wrong.listen_https(certified.clone()).await),
                _ => tls(wrong.listen_tls(certified.clone()).await),
            };
            let right = FakeUpstream::start(ZONE).await;
            let mut bench = bench(vec![server, right.address.into()], roots.clone());
            for _ in 0..3 {
                assert_eq!(bench.ask().await, ANSWERED, "{case}, {over:?}");
            }
            assert_eq!(wrong.asked().tcp, 0, "{case}, {over:?}");
            let refused = bench.metrics.connections.not_opened(NotOpened::Certificate);
            assert_eq!(refused.get(), 1, "{case}, {over:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn u23_without_another_upstream_nothing_is_answered() {
    let other = Roots::from_pem(Authority::new().pem().as_bytes()).unwrap();
    for over in [Connected::Tls, Connected::Https] {
        let (upstream, server, _) = start(over).await;
        let mut bench = bench(vec![server], other.clone());
        assert_eq!(bench.ask().await, Err(Failure::Unreachable));
        assert_eq!(upstream.asked(), Asked::default());
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_for_the_address_needs_no_name() {
    let authority = Authority::new();
    let mut upstream = FakeUpstream::start(ZONE).await;
    let address = upstream.listen_tls(authority.server(&["127.0.0.1"])).await;
    let server = Server {
        address,
        transport: Transport::Tls(address.ip().into()),
    };
    let roots = Roots::from_pem(authority.pem().as_bytes()).unwrap();
    assert_eq!(bench(vec![server], roots).ask().await, ANSWERED);
}

#[tokio::test(start_paused = true)]
async fn u21_duplicated_and_late_replies_are_ignored_and_counted() {
    let (upstream, server, roots) = start(Connected::Tls).await;
    let other = FakeUpstream::start(ZONE).await;
    let mut bench = bench(vec![server, other.address.into()], roots);
    upstream.next(Act::Twice(Duration::ZERO));
    assert_eq!(bench.ask().await, ANSWERED);
    let late = || bench.metrics.ignored_so_far(Ignored::Late);
    while late() < 1 {
        tokio::task::yield_now().await;
    }
    upstream.always(Act::Hold);
    for _ in 0..4 {
        assert_eq!(bench.ask().await, ANSWERED);
    }
    assert!(other.asked().udp > 0);
    let left = u64::try_from(upstream.asked().tcp - 1).unwrap();
    upstream.always(Act::Answer).release();
    while bench.metrics.ignored_so_far(Ignored::Late) < 1 + left {
        tokio::task::yield_now().await;
    }
    assert_eq!(upstream.connections().open, 1);
}

#[tokio::test(start_paused = true)]
async fn a_reply_to_no_question_ends_the_connection_and_the_next_upstream_is_asked() {
    let (upstream, server, roots) = start(Connected::Tcp).await;
    let other = FakeUpstream::start(ZONE).await;
    let mut bench = bench(vec![server, other.address.into()], roots);
    upstream.always(Act::OtherId);
    assert_eq!(bench.ask().await, ANSWERED);
    assert_eq!(other.asked().udp, 1);
    assert_eq!(bench.metrics.ignored_so_far(Ignored::WrongId), 1);
    let broken = bench.metrics.connections.ended(ConnectionEnded::Broken);
    assert_eq!(broken.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_upstream_has_8_connections_of_256_questions_and_the_others_wait() {
    for over in EVERY {
        let (upstream, server, roots) = start(over).await;
        let mut bench = bench(vec![server], roots);
        upstream.always(Act::Hold);
        let askers = bench.ask_at_once(2100).await;
        upstream.until_asked(2048).await;
        assert_eq!(upstream.asked().tcp, 2048, "{over:?}");
        assert_eq!(upstream.connections().open, 8, "{over:?}");
        upstream.release();
        assert_eq!(answered(askers).await, 2100, "{over:?}");
        assert_eq!(
            bench.metrics.limited_so_far(Limit::Connections),
            52,
            "{over:?}"
        );
        assert_eq!(upstream.connections().so_far, 8, "{over:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_10_seconds() {
    for over in EVERY {
        let (upstream, server, roots) = start(over).await;
        let mut bench = bench(vec![server], roots);
        assert_eq!(bench.ask().await, ANSWERED);
        sleep(Duration::from_millis(9900)).await;
        assert_eq!(bench.metrics.connections.open(over), 1, "{over:?}");
        sleep(Duration::from_millis(200)).await;
        upstream.until_open(0).await;
        let idle = bench.metrics.connections.ended(ConnectionEnded::Idle);
        assert_eq!(idle.get(), 1, "{over:?}");
        assert_eq!(bench.ask().await, ANSWERED);
    }
}

#[tokio::test(start_paused = true)]
async fn connections_end_with_who_has_them() {
    for over in EVERY {
        let (upstream, server, roots) = start(over).await;
        let mut bench = bench(vec![server], roots);
        assert_eq!(bench.ask().await, ANSWERED);
        bench.forwarder.replace_upstreams(&[]);
        upstream.until_open(0).await;
        let left = bench.metrics.connections.ended(ConnectionEnded::Left);
        assert_eq!(left.get(), 1, "{over:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn rfc_8467_encrypted_queries_are_padded_to_128_octets_and_others_are_not() {
    for over in EVERY {
        let (upstream, server, roots) = start(over).await;
        let mut bench = bench(vec![server], roots);
        assert_eq!(bench.ask().await, ANSWERED);
        let (_, query) = upstream.seen()[0].clone();
        let len = query.to_vec().unwrap().len();
        assert_eq!(len == 128, over != Connected::Tcp, "{over:?}: {len}");
        // RFC 8484 §4.1: so that answers can be cached.
        assert_eq!(query.metadata.id == 0, over == Connected::Https);
    }
}

#[tokio::test(start_paused = true)]
async fn rfc_8484_4_2_1_a_status_other_than_200_is_no_answer() {
    let (upstream, server, roots) = start(Connected::Https).await;
    let other = FakeUpstream::start(ZONE).await;
    let mut bench = bench(vec![server, other.address.into()], roots);
    upstream.always(Act::Status(503));
    for _ in 0..3 {
        assert_eq!(bench.ask().await, ANSWERED);
    }
    assert_eq!(
        (upstream.asked().tcp, upstream.connections().so_far),
        (1, 1)
    );
}
