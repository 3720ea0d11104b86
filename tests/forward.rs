//! The forwarder against upstreams in this process, through real sockets. Time is tokio's, held; only who waits moves it.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "askers are the test's own tasks, and a test may panic"
)]

mod support;

use gapless::{
    forward::{Failure, Forwarder, Held, Limits, Options, Route, Server, Transport, ZoneRoute},
    lifecycle::{Drain, Tasks},
    metrics::{Forward, Ignored, Metrics},
    wire::{NameKey, Query, Question, ReplyEdns},
};
use hickory_proto::op::Message;
use prometheus_client::registry::Registry;
use rand::{SeedableRng, rngs::StdRng};
use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use support::upstream::{Act, Asked, FakeUpstream, Lie};
use tokio::{
    net::UdpSocket,
    sync::watch,
    task::JoinSet,
    time::{Instant, advance, sleep},
};

const ZONE: &str = "
    example.org. 300 IN SOA ns.example.org. admin.example.org. 1 2 3 4 60
    www.example.org. 60 IN A 192.0.2.1
    once.example.org. 0 IN A 192.0.2.2
    alias.example.org. 60 IN CNAME www.example.org.";

/// Who asks, where it does not matter.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

const WWW: &str = "www.example.org. 60 IN A 192.0.2.1";

struct Bench {
    forwarder: Forwarder,
    metrics: Forward,
    registry: Registry,
}

fn bench(change: impl FnOnce(&mut Options)) -> Bench {
    let mut options = Options::default();
    options.limits.per_client = usize::MAX; // all ask from one address
    change(&mut options);
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry).forward;
    let (tasks, _) = Tasks::new();
    let rng = StdRng::from_seed([7; 32]);
    let forwarder = Forwarder::new(&options, tasks, metrics.clone(), rng);
    Bench {
        forwarder,
        metrics,
        registry,
    }
}

/// A forwarder to these upstreams.
fn over(upstreams: &[&FakeUpstream]) -> Bench {
    bench(|options| options.upstreams = upstreams.iter().map(|it| it.address.into()).collect())
}

fn a(name: &str) -> Question {
    Question {
        name: NameKey::from_text(name).unwrap(),
        qtype: 1,
        qclass: 1,
        dnssec_ok: false,
        checking_disabled: false,
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// An entry as a client sees it, in lines: the code and flags, then the records.
fn lines(held: &Held, spelling: &str) -> Vec<String> {
    let mut packet = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in spelling.split_terminator('.') {
        packet.push(u8::try_from(label.len()).unwrap());
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend_from_slice(&[0, 0, 1, 0, 1]);
    let query = Query::parse(&packet).unwrap();
    let mut out = vec![0; 65535];
    let len = held.write(&query, ReplyEdns::default(), &mut out, 65535, now());
    let reply = Message::from_vec(&out[..len.unwrap()]).unwrap();
    assert_eq!(reply.metadata.id, 0xabcd);
    let mut lines = vec![format!("{:?}", reply.metadata.response_code)];
    lines.extend(
        reply
            .answers
            .iter()
            .chain(&reply.authorities)
            .map(ToString::to_string),
    );
    lines
}

impl Bench {
    /// The metrics as they are scraped.
    fn page(&self) -> String {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry).unwrap();
        page
    }

    async fn ask(&self, name: &str) -> Result<Vec<String>, Failure> {
        let outcome = self
            .forwarder
            .resolve(&a(name), Route::Default, CLIENT)
            .await;
        outcome.map(|held| lines(&held, name))
    }

    fn held(&self, name: &str) -> Option<Vec<String>> {
        let held = self.forwarder.held(&a(name), Route::Default, now());
        held.map(|held| lines(&held, name))
    }
}

/// An address where nobody listens, for as long as the socket is kept: it is connected to itself, so that nobody else's
/// datagrams reach it and nobody else gets its port.
fn nobody() -> (std::net::UdpSocket, SocketAddr) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    socket.connect(address).unwrap();
    (socket, address)
}

fn ok(records: &[&str]) -> Result<Vec<String>, Failure> {
    let lines = [&["NoError"], records].concat();
    Ok(lines.into_iter().map(str::to_owned).collect())
}

fn code(code: &str) -> Result<Vec<String>, Failure> {
    Ok(vec![code.to_owned()])
}

const fn udp(udp: usize) -> Asked {
    Asked { udp, tcp: 0 }
}

#[tokio::test(start_paused = true)]
async fn an_answer_ages_in_the_cache_and_is_asked_for_again_when_its_time_is_over() {
    let upstream = FakeUpstream::start(ZONE).await;
    let bench = over(&[&upstream]);
    assert_eq!(bench.held("www.example.org."), None);
    assert_eq!(bench.ask("www.example.org.").await, ok(&[WWW]));
    advance(Duration::from_secs(59)).await;
    let aged = ok(&["WWW.example.ORG. 1 IN A 192.0.2.1"]);
    assert_eq!(bench.held("WWW.example.ORG."), aged.clone().ok());
    assert_eq!(bench.ask("WWW.example.ORG.").await, aged);
    assert_eq!(upstream.asked(), udp(1));
    advance(Duration::from_secs(1)).await;
    assert_eq!(bench.held("www.example.org."), None);
    assert_eq!(bench.ask("www.example.org.").await, ok(&[WWW]));
    assert_eq!(upstream.asked(), udp(2));
}

#[tokio::test(start_paused = true)]
async fn a_chain_is_kept_whole_and_its_other_names_are_not_known_by_it() {
    let upstream = FakeUpstream::start(ZONE).await;
    let bench = over(&[&upstream]);
    let chain = ["alias.example.org. 60 IN CNAME www.example.org.", WWW];
    assert_eq!(bench.ask("alias.example.org.").await, ok(&chain));
    assert_eq!(bench.held("www.example.org."), None);
}

#[tokio::test(start_paused = true)]
async fn rfc_2308_a_negative_answer_is_kept_for_the_soas_minimum() {
    let upstream = FakeUpstream::start(ZONE).await;
    let bench = over(&[&upstream]);
    let gone = |ttl| {
        let soa =
            format!("example.org. {ttl} IN SOA ns.example.org. admin.example.org. 1 2 3 4 60");
        vec!["NXDomain".to_owned(), soa]
    };
    assert_eq!(bench.ask("gone.example.org.").await, Ok(gone(60)));
    advance(Duration::from_secs(59)).await;
    assert_eq!(bench.held("gone.example.org."), Some(gone(1)));
    advance(Duration::from_secs(1)).await;
    assert_eq!(bench.held("gone.example.org."), None);
}

#[tokio::test(start_paused = true)]
async fn a_negative_answer_of_the_clusters_dns_is_not_kept_and_has_a_ttl_of_zero() {
    let upstream = FakeUpstream::start(ZONE).await;
    let bench = bench(|options| options.cluster_dns = vec![upstream.address.into()]);
    for asked in 1..=2 {
        let question = a("gone.example.org.");
        let outcome = bench
            .forwarder
            .resolve(&question, Route::ClusterDns, CLIENT)
            .await;
        let soa = "example.org. 0 IN SOA ns.example.org. admin.example.org. 1 2 3 4 60";
        assert_eq!(
            lines(&outcome.unwrap(), "gone.example.org."),
            ["NXDomain", soa]
        );
        assert_eq!(upstream.asked(), udp(asked));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_ttl_0_is_for_those_who_wait_and_nobody_else() {
    let upstream = FakeUpstream::start(ZONE).await;
    let bench = over(&[&upstream]);
    for asked in 1..=2 {
        let once = ok(&["once.example.org. 0 IN A 192.0.2.2"]);
        assert_eq!(bench.ask("once.example.org.").await, once);
        assert_eq!(bench.held("once.example.org."), None);
        assert_eq!(upstream.asked(), udp(asked));
    }
}

/// Asks the same 10,000 times at once; how many were answered, and how many met the limit.
async fn ask_10_000_times(waiters: usize) -> (usize, usize) {
    let upstream = FakeUpstream::start(ZONE).await;
    upstream.always(Act::Hold);
    let bench = bench(|options| {
        options.upstreams = vec![upstream.address.into()];
        options.limits.waiters = waiters;
    });
    let mut askers = JoinSet::new();
    for _ in 0..10_000 {
        let forwarder = bench.forwarder.clone();
        askers.spawn(async move {
            forwarder
                .resolve(&a("www.example.org"), Route::Default, CLIENT)
                .await
        });
    }
    upstream.until_asked(1).await;
    upstream.release();
    let outcomes = askers.join_all().await;
    assert_eq!(upstream.asked(), udp(1));
    let answered = outcomes.iter().filter(|it| it.is_ok()).count();
    let overloaded = outcomes
        .iter()
        .filter(|it| matches!(it, Err(Failure::Overloaded)));
    (answered, overloaded.count())
}

#[tokio::test]
async fn ten_thousand_askers_are_one_question() {
    assert_eq!(
        ask_10_000_times(Limits::default().waiters).await,
        (10_000, 0)
    );
}

#[tokio::test]
async fn over_the_limit_of_waiters_a_question_is_refused() {
    assert_eq!(ask_10_000_times(256).await, (256, 9744));
}

#[tokio::test]
async fn over_the_limit_of_flights_another_question_is_refused() {
    let upstream = FakeUpstream::start(ZONE).await;
    upstream.next(Act::Hold);
    let bench = bench(|options| {
        options.upstreams = vec![upstream.address.into()];
        options.limits.flights = 1;
    });
    let forwarder = bench.forwarder.clone();
    let first = tokio::spawn(async move {
        forwarder
            .resolve(&a("www.example.org"), Route::Default, CLIENT)
            .await
    });
    upstream.until_asked(1).await;
    assert_eq!(
        bench.ask("once.example.org.").await,
        Err(Failure::Overloaded)
    );
    upstream.release();
    assert!(first.await.unwrap().is_ok());
    assert!(bench.ask("once.example.org.").await.is_ok());
}

#[tokio::test]
async fn an_asker_that_goes_away_does_not_take_the_answer_with_it() {
    let upstream = FakeUpstream::start(ZONE).await;
    upstream.next(Act::Hold);
    let bench = over(&[&upstream]);
    let forwarder = bench.forwarder.clone();
    let first = tokio::spawn(async move {
        forwarder
            .resolve(&a("www.example.org"), Route::Default, CLIENT)
            .await
    });
    upstream.until_asked(1).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    upstream.release();
    assert_eq!(bench.ask("www.example.org.").await, ok(&[WWW]));
    assert_eq!(upstream.asked(), udp(1));
}

#[tokio::test(start_paused = true)]
async fn a_truncated_answer_is_fetched_by_tcp_and_kept() {
    let upstream = FakeUpstream::start(ZONE).await;
    upstream.always(Act::Truncate);
    let bench = over(&[&upstream]);
    assert_eq!(bench.ask("www.example.org.").await, ok(&[WWW]));
    assert_eq!(upstream.asked(), Asked { udp: 1, tcp: 1 });
    assert!(bench.held("www.example.org.").is_some());
}

#[tokio::test(start_paused = true)]
async fn an_answer_too_long_for_a_datagram_comes_whole_and_is_cut_for_who_cannot_take_it() {
    let upstream = FakeUpstream::start("").await;
    let zone: String = (0..200)
        .map(|n| format!("big.example.org. 60 IN A 192.0.2.{n}\n"))
        .collect();
    upstream.zone(&zone);
    let bench = over(&[&upstream]);
    assert_eq!(bench.ask("big.example.org.").await.unwrap().len(), 201);
    assert_eq!(upstream.asked(), Asked { udp: 1, tcp: 1 });
    let entry = bench
        .forwarder
        .held(&a("big.example.org"), Route::Default, now())
        .unwrap();
    let packet = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x03big\x07example\x03org\0\0\x01\0\x01";
    let query = Query::parse(packet).unwrap();
    let mut out = [0; 512];
    let len = entry
        .write(&query, ReplyEdns::default(), &mut out, 512, now())
        .unwrap();
    let reply = Message::from_vec(&out[..len]).unwrap();
    assert!(reply.metadata.truncation);
    assert_eq!(reply.answers.len(), 29);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_answer_is_passed_over_at_once() {
    for act in [
        Act::Rcode(2),
        Act::Rcode(5),
        Act::Rcode(4),
        Act::Bare(2),
        Act::Bare(5),
    ] {
        let (first, second) = (
            FakeUpstream::start(ZONE).await,
            FakeUpstream::start(ZONE).await,
        );
        first.always(act.clone());
        let bench = over(&[&first, &second]);
        let begun = Instant::now();
        assert_eq!(bench.ask("www.example.org.").await, ok(&[WWW]), "{act:?}");
        assert_eq!((first.asked(), second.asked()), (udp(1), udp(1)), "{act:?}");
        assert_eq!(begun.elapsed(), Duration::ZERO, "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_nobody_can_answer_the_last_ones_word_is_passed_on_and_remembered_for_a_second() {
    let (first, second) = (
        FakeUpstream::start(ZONE).await,
        FakeUpstream::start(ZONE).await,
    );
    first.always(Act::Rcode(2));
    second.always(Act::Rcode(5));
    let bench = over(&[&first, &second]);
    assert_eq!(bench.ask("www.example.org.").await, code("Refused"));
    assert_eq!(bench.ask("www.example.org.").await, code("Refused"));
    assert_eq!(bench.held("www.example.org."), code("Refused").ok());
    assert_eq!((first.asked(), second.asked()), (udp(1), udp(1)));
    advance(Duration::from_secs(1)).await;
    second.always(Act::Answer);
    assert_eq!(bench.ask("www.example.org.").await, ok(&[WWW]));
}

#[tokio::test(start_paused = true)]
async fn a_word_of_one_upstream_is_passed_on_without_waiting_for_one_that_is_not_there() {
    let upstream = FakeUpstream::start(ZONE).await;
    upstream.always(Act::Rcode(2));
    let (_kept, gone) = nobody();
    for gone_first in [true, false] {
        let bench = bench(|options| {
            options.upstreams = vec![upstream.address.into(), gone.into()];
            options.upstreams.rotate_left(usize::from(gone_first));
        });
        let begun = Instant::now();
        assert_eq!(bench.ask("www.example.org.").await, code("ServFail"));
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_upstream_that_cannot_answer_is_asked_once() {
    let upstream = FakeUpstream::start(ZONE).await;
    upstream.always(Act::Rcode(2));
    let bench = over(&[&upstream]);
    assert_eq!(bench.ask("www.example.org.").await, code("ServFail"));
    assert_eq!(upstream.asked(), udp(1));
}

#[tokio::test(start_paused = true)]
async fn formerr_to_opt_is_asked_again_without_it() {
    for act in [Act::FormErrToEdns, Act::Bare(1)] {
        let upstream = FakeUpstream::start(ZONE).await;
        upstream.next(act);
        let bench = over(&[&upstream]);
        assert_eq!(bench.ask("www.example.org.").await, ok(&[WWW]));
        let edns: Vec<_> = upstream
            .seen()
            .iter()
            .map(|(_, query)| query.edns.is_some())
            .collect();
        assert_eq!(edns, [true, false]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_upstream_is_passed_over_and_no_longer_asked_first() {
    let (silent, second) = (
        FakeUpstream::start(ZONE).await,
        FakeUpstream::start(ZONE).await,
    );
    silent.always(Act::Silent);
    let bench = over(&[&silent, &second]);
    assert_eq!(bench.ask("www.example.org.").await, ok(&[WWW]));
    assert!(bench.ask("once.example.org.").await.is_ok());
    assert_eq!((silent.asked(), second.asked()), (udp(1), udp(2)));
}

/// Asks names that nobody asked before, one each 100 ms; how many were not answered at once.
async fn slow_of(bench: &Bench, names: std::ops::Range<usize>) -> usize {
    let mut slow = 0;
    for n in names {
        let begun = Instant::now();
        assert!(bench.ask(&format!("n{n}.example.org.")).await.is_ok());
        let taken = begun.elapsed();
        assert!(taken <= Duration::from_millis(801), "{n}: {taken:?}");
        slow += usize::from(taken > Duration::ZERO);
        sleep(Duration::from_millis(100)).await;
    }
    slow
}

#[tokio::test(start_paused = true)]
async fn a_dead_upstream_costs_one_slow_question_in_each_probe_interval_and_is_used_again_when_it_is_back()
 {
    let (dying, well) = (
        FakeUpstream::start(ZONE).await,
        FakeUpstream::start(ZONE).await,
    );
    let bench = over(&[&dying, &well]);
    assert_eq!(slow_of(&bench, 0..20).await, 0);
    assert_eq!(dying.asked().udp, 10);
    dying.always(Act::Silent);
    // 10 s: the question that finds out, and probes after 1, 2 and 4 s.
    assert_eq!(slow_of(&bench, 20..120).await, 4);
    assert_eq!((dying.asked(), well.asked()), (udp(14), udp(110)));
    dying.always(Act::Answer);
    sleep(Duration::from_secs(30)).await;
    assert_eq!(slow_of(&bench, 120..140).await, 0);
    assert_eq!((dying.asked().udp, well.asked().udp), (25, 119));
}

#[tokio::test(start_paused = true)]
async fn a_slow_upstream_is_passed_over() {
    let (slow, well) = (
        FakeUpstream::start(ZONE).await,
        FakeUpstream::start(ZONE).await,
    );
    slow.always(Act::Late(Duration::from_secs(2)));
    let bench = over(&[&slow, &well]);
    // 10 s: the first one, and probes after 1, 2 and 4 s.
    assert_eq!(slow_of(&bench, 0..80).await, 4);
    assert_eq!((slow.asked(), well.asked()), (udp(4), udp(80)));
    well.always(Act::Silent);
    sleep(Duration::from_secs(60)).await;
    assert!(bench.ask("www.example.org.").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_lost_question_is_asked_again_after_the_time_that_answers_take_and_a_last_time_after_2_seconds()
 {
    let upstream = FakeUpstream::start(ZONE).await;
    let bench = over(&[&upstream]);
    assert_eq!(slow_of(&bench, 0..5).await, 0);
    for (lost, after) in [(1, 50), (2, 2000)] {
        for _ in 0..lost {
            upstream.next(Act::Silent);
        }
        let begun = Instant::now();
        assert!(bench.ask("once.example.org.").await.is_ok());
        assert_eq!(begun.elapsed().as_millis() / 10 * 10, after);
    }
}

#[tokio::test(start_paused = true)]
async fn the_state_of_the_upstreams_is_read_at_the_scrape() {
    let upstream = FakeUpstream::start(ZONE).await;
    upstream.always(Act::Silent);
    let bench = over(&[&upstream]);
    for down in [0, 1] {
        let page = bench.page();
        let address = upstream.address;
        let line = format!("gapless_upstream_down{{upstream=\"{address}\"}} {down}\n");
        assert!(page.contains(&line), "{line} in {page}");
        assert!(bench.ask("www.example.org.").await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn servfail_of_one_name_does_not_set_an_upstream_aside() {
    let (first, second) = (
        FakeUpstream::start(ZONE).await,
        FakeUpstream::start(ZONE).await,
    );
    let bench = over(&[&first, &second]);
    assert_eq!(slow_of(&bench, 0..2).await, 0);
    first.next(Act::Rcode(2));
    assert_eq!(slow_of(&bench, 2..12).await, 0);
    assert_eq!((first.asked().udp, second.asked().udp), (6, 7));
}

#[tokio::test(start_paused = true)]
async fn an_upstream_of_tcp_alone_gets_no_datagram() {
    let upstream = FakeUpstream::start(ZONE).await;
    let server = Server {
        address: upstream.address,
        transport: Transport::Tcp,
    };
    let bench = bench(|options| options.upstreams = vec![server]);
    assert_eq!(bench.ask("www.example.org.").await, ok(&[WWW]));
    assert_eq!(upstream.asked(), Asked { udp: 0, tcp: 1 });
}

#[tokio::test(start_paused = true)]
async fn when_nobody_says_anything_three_questions_go_out_in_four_seconds() {
    let (first, second) = (
        FakeUpstream::start(ZONE).await,
        FakeUpstream::start(ZONE).await,
    );
    first.always(Act::Silent);
    second.always(Act::Silent);
    let bench = over(&[&first, &second]);
    let begun = Instant::now();
    assert_eq!(bench.ask("www.example.org.").await, Err(Failure::NoAnswer));
    assert_eq!(begun.elapsed().as_secs(), 4);
    // Remembered: nobody waits again, and nobody is asked.
    assert_eq!(bench.ask("www.example.org.").await, Err(Failure::NoAnswer));
    assert_eq!(begun.elapsed().as_secs(), 4);
    let both = Asked { udp: 1, tcp: 1 };
    assert_eq!((first.asked(), second.asked()), (both, udp(1)));
}

#[tokio::test(start_paused = true)]
async fn upstreams_that_are_not_there_are_unreachable() {
    let (_kept, gone) = nobody();
    let bench = bench(|options| options.upstreams = vec![gone.into()]);
    assert_eq!(
        bench.ask("www.example.org.").await,
        Err(Failure::Unreachable)
    );
    assert_eq!(
        bench.ask("www.example.org.").await,
        Err(Failure::Unreachable)
    );
    let nobody = over(&[]);
    assert_eq!(
        nobody.ask("www.example.org.").await,
        Err(Failure::NoUpstreams)
    );
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_moves_the_question_to_the_next_upstream() {
    for act in [Act::Close, Act::Cut(20), Act::Cut(0)] {
        let (first, second) = (
            FakeUpstream::start(ZONE).await,
            FakeUpstream::start(ZONE).await,
        );
        first.next(Act::Truncate).always(act.clone());
        let bench = over(&[&first, &second]);
        assert_eq!(bench.ask("www.example.org.").await, ok(&[WWW]), "{act:?}");
        assert_eq!(
            (first.asked(), second.asked()),
            (Asked { udp: 1, tcp: 1 }, udp(1))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn forged_datagrams_are_counted_and_the_true_reply_is_awaited() {
    for (lie, reason) in [
        (Lie::Question, Some(Ignored::WrongQuestion)),
        (Lie::Query, Some(Ignored::NotReply)),
        (Lie::Malformed, Some(Ignored::Malformed)),
        // The kernel sorts it out: the socket is connected.
        (Lie::Source, None),
    ] {
        let upstream = FakeUpstream::start(ZONE).await;
        upstream.always(Act::Lie(vec![lie; 20]));
        let bench = over(&[&upstream]);
        assert_eq!(bench.ask("www.example.org.").await, ok(&[WWW]), "{lie:?}");
        assert_eq!(upstream.asked(), udp(1), "{lie:?}");
        if let Some(reason) = reason {
            assert_eq!(bench.metrics.ignored_so_far(reason), 20, "{lie:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_cut_anywhere_is_no_reply() {
    // Header, question, one address, OPT.
    const WHOLE: usize = 12 + 21 + 16 + 11;
    let (cut, second) = (
        FakeUpstream::start(ZONE).await,
        FakeUpstream::start(ZONE).await,
    );
    for len in 0..WHOLE {
        cut.always(Act::Cut(len));
        let bench = over(&[&cut, &second]);
        assert_eq!(bench.ask("www.example.org.").await, ok(&[WWW]), "{len}");
        assert_eq!(second.asked(), udp(len + 1), "{len}");
    }
    cut.always(Act::Cut(WHOLE));
    assert_eq!(over(&[&cut]).ask("www.example.org.").await, ok(&[WWW]));
}

#[tokio::test(start_paused = true)]
async fn the_first_wrong_id_moves_the_question_to_tcp() {
    let upstream = FakeUpstream::start(ZONE).await;
    upstream.always(Act::Lie(vec![Lie::Id; 1000]));
    let bench = over(&[&upstream]);
    assert_eq!(bench.ask("www.example.org.").await, ok(&[WWW]));
    assert_eq!(upstream.asked(), Asked { udp: 1, tcp: 1 });
    assert_eq!(bench.metrics.ignored_so_far(Ignored::WrongId), 1);
}

#[tokio::test(start_paused = true)]
async fn too_many_wrong_datagrams_move_the_question_to_tcp() {
    let upstream = FakeUpstream::start(ZONE).await;
    upstream.always(Act::Lie(vec![Lie::Question; 1000]));
    let bench = over(&[&upstream]);
    assert_eq!(bench.ask("www.example.org.").await, ok(&[WWW]));
    assert_eq!(upstream.asked(), Asked { udp: 1, tcp: 1 });
}

#[tokio::test(start_paused = true)]
async fn routes_do_not_share_answers() {
    let first = FakeUpstream::start(ZONE).await;
    let cluster = FakeUpstream::start("www.example.org. 30 IN A 10.0.0.1").await;
    let zone = FakeUpstream::start("www.example.org. 30 IN A 10.0.0.2").await;
    let bench = bench(|options| {
        options.upstreams = vec![first.address.into()];
        options.cluster_dns = vec![cluster.address.into()];
        let (upstreams, trust_ad) = (vec![zone.address.into()], false);
        options.routes = vec![ZoneRoute {
            upstreams,
            trust_ad,
        }];
    });
    assert_eq!(bench.ask("www.example.org.").await, ok(&[WWW]));
    let question = a("www.example.org");
    for (route, address) in [
        (Route::ClusterDns, "10.0.0.1"),
        (Route::Zone(0), "10.0.0.2"),
    ] {
        let held = bench.forwarder.held(&question, route, now());
        assert!(held.is_none(), "{route:?}");
        let entry = bench
            .forwarder
            .resolve(&question, route, CLIENT)
            .await
            .unwrap();
        let answer = format!("www.example.org. 30 IN A {address}");
        assert_eq!(lines(&entry, "www.example.org."), ["NoError", &answer]);
    }
    let nobody = bench
        .forwarder
        .resolve(&question, Route::Zone(1), CLIENT)
        .await;
    assert_eq!(nobody.err(), Some(Failure::NoUpstreams));
    assert_eq!(bench.held("www.example.org."), ok(&[WWW]).ok());
}

#[tokio::test(start_paused = true)]
async fn do_and_cd_are_asked_and_kept_apart() {
    let upstream = FakeUpstream::start(ZONE).await;
    let bench = over(&[&upstream]);
    let mut expected = Vec::new();
    for (dnssec_ok, checking_disabled) in
        [(false, false), (true, false), (false, true), (true, true)]
    {
        let question = Question {
            dnssec_ok,
            checking_disabled,
            ..a("www.example.org")
        };
        assert!(
            bench
                .forwarder
                .held(&question, Route::Default, now())
                .is_none()
        );
        bench
            .forwarder
            .resolve(&question, Route::Default, CLIENT)
            .await
            .unwrap();
        expected.push((dnssec_ok, checking_disabled));
    }
    let bits = |query: Message| {
        let dnssec_ok = query.edns.unwrap().flags().dnssec_ok;
        (dnssec_ok, query.metadata.checking_disabled)
    };
    let seen: Vec<_> = upstream
        .seen()
        .into_iter()
        .map(|(_, query)| bits(query))
        .collect();
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn every_question_has_a_port_and_an_id_of_its_own() {
    let upstream = FakeUpstream::start(ZONE).await;
    let bench = over(&[&upstream]);
    for n in 0..200 {
        bench.ask(&format!("n{n}.example.org.")).await.unwrap();
    }
    let seen = upstream.seen();
    let ports: HashSet<_> = seen.iter().map(|(client, _)| client.port()).collect();
    let ids: HashSet<_> = seen.iter().map(|(_, query)| query.metadata.id).collect();
    assert!(
        ports.len() > 190 && ids.len() > 190,
        "{} {}",
        ports.len(),
        ids.len()
    );
    assert!(ports.iter().all(|port| *port >= 32768));
}

#[tokio::test(start_paused = true)]
async fn all_upstreams_dead_for_ten_minutes_every_held_name_is_answered() {
    const NAMES: usize = 200;
    let zone: String = (1..=NAMES)
        .map(|n| format!("n{n}.example.org. {n} IN A 192.0.2.{n}\n"))
        .collect();
    let upstreams = [
        FakeUpstream::start(&zone).await,
        FakeUpstream::start(&zone).await,
    ];
    let bench = over(&[&upstreams[0], &upstreams[1]]);
    for n in 1..=NAMES {
        bench.ask(&format!("n{n}.example.org.")).await.unwrap();
    }
    for upstream in &upstreams {
        upstream.always(Act::Silent);
    }
    let asked_before = upstreams[0].asked().udp + upstreams[1].asked().udp;
    let died = Instant::now();
    while died.elapsed() < Duration::from_secs(600) {
        let mut askers = JoinSet::new();
        for n in 1..=NAMES {
            let (forwarder, asked_at) = (bench.forwarder.clone(), Instant::now());
            askers.spawn(async move {
                let question = a(&format!("n{n}.example.org"));
                let held = match forwarder.held(&question, Route::Default, now()) {
                    Some(held) => Ok(held),
                    None => forwarder.resolve(&question, Route::Default, CLIENT).await,
                };
                assert!(asked_at.elapsed() <= Duration::from_millis(1810));
                held.map(|held| held.entry.rcode())
            });
        }
        assert_eq!(askers.join_all().await, [Ok(0); NAMES]);
        sleep(Duration::from_secs(3)).await;
    }
    // Each name is asked for at most once in 34 s: the 4 s of a question, and 30 s without another one.
    let asked = upstreams[0].asked().udp + upstreams[1].asked().udp - asked_before;
    assert!(asked <= NAMES * 3 * (600 / 34 + 1), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn askers_of_a_stale_answer_are_one_question_and_wait_together() {
    let upstream = FakeUpstream::start(ZONE).await;
    let bench = bench(|options| {
        options.upstreams = vec![upstream.address.into()];
        options.limits.waiters = 256;
    });
    bench.ask("www.example.org.").await.unwrap();
    advance(Duration::from_secs(60)).await;
    upstream.always(Act::Silent);
    let begun = Instant::now();
    let mut askers = JoinSet::new();
    for _ in 0..1000 {
        let forwarder = bench.forwarder.clone();
        askers.spawn(async move {
            let question = a("www.example.org");
            let held = forwarder
                .resolve(&question, Route::Default, CLIENT)
                .await
                .unwrap();
            (held.stale, begun.elapsed().as_millis() / 10 * 10)
        });
    }
    let given = askers.join_all().await;
    // Those beyond the limit of waiters do not wait.
    let waited = given.iter().filter(|it| **it == (true, 1800)).count();
    let at_once = given.iter().filter(|it| **it == (true, 0)).count();
    assert_eq!((waited, at_once), (256, 744));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(upstream.asked(), Asked { udp: 3, tcp: 1 });
}

#[tokio::test(start_paused = true)]
async fn over_the_limit_of_flights_a_stale_answer_is_given_at_once() {
    let upstream = FakeUpstream::start(ZONE).await;
    let bench = bench(|options| {
        options.upstreams = vec![upstream.address.into()];
        options.limits.flights = 1;
    });
    bench.ask("www.example.org.").await.unwrap();
    advance(Duration::from_secs(60)).await;
    upstream.always(Act::Silent);
    let forwarder = bench.forwarder.clone();
    let other =
        tokio::spawn(async move { forwarder.resolve(&a("other"), Route::Default, CLIENT).await });
    upstream.until_asked(2).await;
    let begun = Instant::now();
    let stale = ok(&["www.example.org. 30 IN A 192.0.2.1"]);
    assert_eq!(bench.ask("www.example.org.").await, stale);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(other.await.unwrap().err(), Some(Failure::NoAnswer));
}

#[tokio::test(start_paused = true)]
async fn a_hit_on_a_thread_without_a_runtime_starts_the_refresh() {
    let upstream = FakeUpstream::start(ZONE).await;
    let bench = over(&[&upstream]);
    bench.ask("www.example.org.").await.unwrap();
    advance(Duration::from_secs(55)).await;
    let (forwarder, now) = (bench.forwarder.clone(), now());
    let hits = std::thread::spawn(move || {
        let hit = |_| forwarder.held(&a("www.example.org"), Route::Default, now);
        (0..10).filter_map(hit).count()
    });
    assert_eq!(hits.join().unwrap(), 10);
    upstream.until_asked(2).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.held("www.example.org."), {
        ok(&["www.example.org. 59 IN A 192.0.2.1"]).ok()
    });
    assert_eq!(upstream.asked(), udp(2));
}

#[tokio::test(start_paused = true)]
async fn u20_other_upstreams_take_over_between_two_questions_and_those_that_stay_stay_known() {
    let (former, stays) = (
        FakeUpstream::start(ZONE).await,
        FakeUpstream::start(ZONE).await,
    );
    let bench = over(&[&former, &stays]);
    former.always(Act::Hold);
    stays.always(Act::Late(Duration::from_millis(600)));
    let forwarder = bench.forwarder.clone();
    let mut under_way = JoinSet::new();
    under_way.spawn(async move {
        let question = a("www.example.org.");
        forwarder.resolve(&question, Route::Default, CLIENT).await
    });
    former.until_asked(1).await;
    bench.forwarder.replace_upstreams(&[stays.address.into()]);
    former.release();
    let outcome = under_way.join_next().await.unwrap().unwrap();
    assert_eq!(lines(&outcome.unwrap(), "www.example.org.")[1..], [WWW]);
    assert_eq!((former.asked(), stays.asked()), (udp(1), udp(0)));
    // Its answer stays in the cache, and the next question goes to those that are there now.
    assert!(bench.held("www.example.org.").is_some());
    bench.ask("gone.example.org.").await.unwrap();
    assert_eq!((former.asked(), stays.asked()), (udp(1), udp(1)));
    let measured = || {
        let page = bench.page();
        let lines = page.lines().filter(|line| line.contains("srtt_seconds{"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = measured();
    assert_eq!(before.len(), 1, "{before:?}");
    let (another, stays) = (FakeUpstream::start(ZONE).await.address, stays.address);
    bench
        .forwarder
        .replace_upstreams(&[another.into(), stays.into()]);
    assert_eq!(measured(), before);
    bench.forwarder.replace_upstreams(&[]);
    let nobody = bench.ask("other.example.org.").await;
    assert_eq!(nobody, Err(Failure::NoUpstreams));
}

/// Question `n` of a client that asks for names without end.
fn random(n: usize) -> Question {
    a(&format!("{n:08x}.example.org."))
}

#[tokio::test(start_paused = true)]
async fn b9_18_a_client_that_floods_has_its_share_and_the_others_are_answered() {
    let upstream = FakeUpstream::start(ZONE).await;
    let bench = bench(|options| {
        options.upstreams = vec![upstream.address.into()];
        options.limits = Limits::default();
    });
    upstream.always(Act::Silent);
    let (flooder, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
    let mut flood = JoinSet::new();
    for n in 0..10_000 {
        let forwarder = bench.forwarder.clone();
        flood.spawn(async move { forwarder.resolve(&random(n), Route::Default, flooder).await });
    }
    for _ in 256..10_000 {
        let refused = flood.join_next().await.unwrap().unwrap();
        assert_eq!(refused.unwrap_err(), Failure::ShareUsedUp);
    }
    let page = bench.page();
    let refused = "gapless_forward_limited_total{limit=\"client\"} 9744\n";
    assert!(page.contains(refused), "{page}");
    upstream.until_asked(256).await;
    upstream.always(Act::Answer);
    let question = a("www.example.org.");
    let answer = bench.forwarder.resolve(&question, Route::Default, other);
    assert_eq!(
        lines(&answer.await.unwrap(), "www.example.org.")[1..],
        [WWW]
    );
    // What is held is given to it all the same, and past its time too.
    let resolve = || bench.forwarder.resolve(&question, Route::Default, flooder);
    assert!(!resolve().await.unwrap().stale);
    upstream.always(Act::Silent);
    advance(Duration::from_secs(61)).await;
    while flood.join_next().await.is_some() {}
    let asked = upstream.asked().udp;
    for n in 0..256 {
        let forwarder = bench.forwarder.clone();
        let name = random(20_000 + n);
        flood.spawn(async move { forwarder.resolve(&name, Route::Default, flooder).await });
    }
    upstream.until_asked(asked + 256).await;
    let begun = Instant::now();
    assert!(resolve().await.unwrap().stale);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_its_asker_has_left_is_in_his_share_until_it_ends() {
    let upstream = FakeUpstream::start(ZONE).await;
    upstream.always(Act::Hold);
    let bench = bench(|options| {
        options.upstreams = vec![upstream.address.into()];
        options.limits.per_client = 1;
    });
    let forwarder = bench.forwarder.clone();
    let mut left = JoinSet::new();
    left.spawn(async move { forwarder.resolve(&random(1), Route::Default, CLIENT).await });
    upstream.until_asked(1).await;
    left.shutdown().await;
    let refused = bench.ask("www.example.org.").await;
    assert_eq!(refused, Err(Failure::ShareUsedUp));
    upstream.release();
    while bench.held("00000001.example.org.").is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.ask("www.example.org.").await, ok(&[WWW]));
}

/// A resolver that answers NXDOMAIN itself, or asks the forwarder that asks it.
async fn second_resolver(socket: UdpSocket, first: Forwarder, circle: watch::Receiver<bool>) {
    let (socket, mut under_way) = (Arc::new(socket), JoinSet::new());
    let mut packet = [0; 1232];
    while let Ok((len, client)) = socket.recv_from(&mut packet).await {
        let (socket, first, in_circle) = (Arc::clone(&socket), first.clone(), *circle.borrow());
        let mut reply = packet[..len].to_vec();
        under_way.spawn(async move {
            let question = Query::parse(&reply).unwrap().question;
            reply[2] |= 0x80;
            reply[3] = 3;
            if in_circle {
                // As the engine does with every question.
                let refused = first.refused(&question, Route::Default, CLIENT, now());
                let outcome = match refused {
                    Some(outcome) => outcome,
                    None => first.resolve(&question, Route::Default, CLIENT).await,
                };
                assert!(outcome.is_err());
                reply[3] = 2;
            }
            drop(socket.send_to(&reply, client).await);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn u19_a_loop_costs_three_packets_a_name_until_it_is_found_and_ends_by_itself() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let upstream = Server::from(socket.local_addr().unwrap());
    let bench = bench(|options| options.upstreams = vec![upstream.clone()]);
    let (circle, in_circle) = watch::channel(false);
    let mut tasks = JoinSet::new();
    tasks.spawn(second_resolver(socket, bench.forwarder.clone(), in_circle));
    tasks.spawn(bench.forwarder.clone().find_loops(Drain::new()));
    let sent = || {
        let page = bench.page();
        let sent = page.split_once("gapless_upstream_questions_total{transport=\"udp\"} ");
        let (sent, _) = sent.unwrap().1.split_once('\n').unwrap();
        sent.parse::<usize>().unwrap()
    };
    let loops = |loops: u8| {
        let line = format!("gapless_upstream_looping{{upstream=\"{upstream}\"}} {loops}\n");
        bench.page().contains(&line)
    };
    // At the start there is no loop.
    sleep(Duration::from_millis(100)).await;
    assert_eq!((sent(), loops(0)), (1, true));
    // Then there is one. Nobody knows yet.
    circle.send_replace(true);
    let began = Instant::now();
    assert_eq!(bench.ask("a.example.org.").await, Err(Failure::NoAnswer));
    // The third one went by TCP, where nobody listens.
    assert_eq!((began.elapsed().as_secs(), sent()), (4, 3));
    // It is found half a minute after the last probe, and no question is sent into it any more.
    sleep(Duration::from_secs(26)).await;
    assert_eq!((sent(), loops(1)), (4, true));
    let began = Instant::now();
    assert_eq!(bench.ask("b.example.org.").await, Err(Failure::Loop));
    assert_eq!((began.elapsed(), sent()), (Duration::ZERO, 4));
    sleep(Duration::from_secs(60)).await;
    assert_eq!((sent(), loops(1)), (6, true));
    // It is gone, and so is the upstream's bad name.
    circle.send_replace(false);
    sleep(Duration::from_secs(30)).await;
    assert_eq!((sent(), loops(0)), (7, true));
    assert_eq!(bench.ask("b.example.org.").await, code("NXDomain"));
}
