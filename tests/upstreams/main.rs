//! Real servers as upstreams: Unbound, dnsmasq and CoreDNS on loopback, asked the same questions directly and through the
//! built binary, over every transport that they have. What comes through is what they say.
//!
//! `COREDNS` names CoreDNS's program, which `tests/control-plane/build-coredns` makes; the others are Debian's packages.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it compared"
)]

mod data;
mod programs;
mod reply;
mod servers;

use programs::Gapless;
use reply::{Asked, Over};
use servers::Server;

/// What every server is asked, as `NAME TYPE [do] [noedns]`.
const QUESTIONS: [&str; 30] = [
    "www.up.example. A",
    "WwW.Up.Example. AAAA",
    "www.up.example. A noedns",
    "www.up.example. MX",
    "four.up.example. AAAA",
    "alias.up.example. A",
    "alias.up.example. CNAME",
    "alias.up.example. TXT",
    "chain.up.example. AAAA",
    "dangling.up.example. A",
    "outside.up.example. A",
    "nothing.up.example. A",
    "nothing.up.example. TXT noedns",
    "b.c.up.example. A",
    "a.b.c.up.example. A",
    "x.y.wild.up.example. A",
    "x.wild.up.example. TXT",
    "_sip._tcp.up.example. SRV",
    "up.example. MX",
    "up.example. SOA",
    "up.example. NS",
    "raw.up.example. TYPE65280",
    "raw.up.example. A",
    "zero.up.example. A",
    "wide.up.example. A",
    "wide.up.example. A noedns",
    "big.up.example. TXT",
    "big.up.example. TXT do",
    "www.up.example. A do",
    "www.elsewhere.example. A",
];

/// The same for the zone that CoreDNS signs.
const SIGNED: [&str; 8] = [
    "www.signed.example. A do",
    "www.signed.example. A",
    "alias.signed.example. AAAA do",
    "nothing.signed.example. A do",
    "four.signed.example. AAAA do",
    "signed.example. DNSKEY do",
    "big.signed.example. TXT do",
    "x.wild.signed.example. A do",
];

/// Asks through one gapless for each of the server's transports, twice over UDP and once over TCP, and compares with what
/// the server says; then ends the server, and asks once more for what is to be held.
fn answers_are_equal(server: Server, questions: &[&str]) {
    let direct: Vec<_> = questions
        .iter()
        .map(|question| {
            let asked = Asked::parse(question);
            let said = |over| {
                let reply = asked.of(server.address, over);
                reply.unwrap_or_else(|| {
                    panic!("{question} over {over:?}: {} is silent", server.name)
                })
            };
            (asked.clone(), said(Over::Udp), said(Over::Tcp))
        })
        .collect();
    let running: Vec<_> = server
        .upstreams
        .iter()
        .zip(0..)
        .map(|(upstream, nth)| Gapless::start(upstream, &server, nth))
        .collect();
    for gapless in &running {
        let mut held = 0;
        for (asked, udp, tcp) in &direct {
            for (time, over) in [
                ("first", Over::Udp),
                ("again", Over::Udp),
                ("by TCP", Over::Tcp),
            ] {
                let what = format!("{} by {}, {asked}, {time}", server.name, gapless.upstream);
                let through = asked.of(gapless.address, over).expect(&what);
                through.assert_says(udp, tcp, over, &what);
            }
            held += usize::from(tcp.may_be_held());
        }
        println!(
            "{} by {}: {} questions, {held} to be held",
            server.name,
            gapless.upstream,
            direct.len()
        );
    }
    drop(server);
    for gapless in &running {
        for (asked, udp, tcp) in direct.iter().filter(|(_, _, tcp)| tcp.may_be_held()) {
            let what = format!(
                "by {}, {asked}, of a server that has ended",
                gapless.upstream
            );
            let through = asked.of(gapless.address, Over::Tcp).expect(&what);
            through.assert_says(udp, tcp, Over::Tcp, &what);
        }
    }
}

#[test]
#[ignore = "needs unbound"]
fn unbound_by_udp_tcp_and_tls() {
    answers_are_equal(Server::unbound(), &QUESTIONS);
}

#[test]
#[ignore = "needs dnsmasq"]
fn dnsmasq_by_udp_and_tcp() {
    answers_are_equal(Server::dnsmasq(), &QUESTIONS);
}

#[test]
#[ignore = "needs COREDNS"]
fn coredns_by_udp_tcp_tls_and_https() {
    answers_are_equal(Server::coredns(), &QUESTIONS);
}

#[test]
#[ignore = "needs COREDNS"]
fn signed_answers_of_coredns_by_udp_and_tcp() {
    answers_are_equal(Server::signing_coredns(), &SIGNED);
}
