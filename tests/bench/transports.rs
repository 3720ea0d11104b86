//! The same figures over TCP, TLS and HTTPS.

use crate::{
    accuracy::{options, run},
    support::{
        authority::Authority,
        upstream::{Act, FakeUpstream},
    },
};
use gapless::{
    bench::load::{Options, Pace},
    forward::{Roots, Server, Transport},
};
use std::{net::SocketAddr, time::Duration};

const NAME: &str = "dns.example";
const ZONE: &str = "www.example.org. 60 IN A 192.0.2.1\nx.example.org. 60 IN A 192.0.2.7";

async fn all(upstream: &mut FakeUpstream) -> (Authority, Vec<Server>) {
    let authority = Authority::new();
    let name = || NAME.try_into().unwrap();
    let tls = upstream.listen_tls(authority.server(&[NAME])).await;
    let https = upstream.listen_https(authority.server(&[NAME])).await;
    let server = |address: SocketAddr, transport| Server { address, transport };
    let path = "/dns-query".parse().unwrap();
    let servers = vec![
        server(upstream.address, Transport::Plain),
        server(upstream.address, Transport::Tcp),
        server(tls, Transport::Tls(name())),
        server(https, Transport::Https { name: name(), path }),
    ];
    (authority, servers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_transport_is_asked_at_the_rate_and_its_answers_are_judged() {
    let mut upstream = FakeUpstream::start(ZONE).await;
    let (authority, servers) = all(&mut upstream).await;
    let options = Options {
        servers,
        roots: Roots::from_pem(authority.pem().as_bytes()).unwrap(),
        timeout: Duration::from_secs(20),
        ..options(&[], 100.0, Duration::from_secs(1))
    };
    let report = run(options.clone()).await;
    for server in &report.servers {
        let counts = (server.sent, server.answered, server.wrong, server.errors);
        assert_eq!(counts, (100, 100, 0, 0), "{}", server.server);
    }
    upstream.zone("www.example.org. 60 IN A 192.0.2.9\nx.example.org. 60 IN A 192.0.2.7");
    let closed = Options {
        pace: Pace::Closed(4),
        duration: Duration::from_millis(200),
        ..options
    };
    for server in &run(closed).await.servers {
        assert_eq!(server.answered, server.sent, "{}", server.server);
        assert!(server.wrong > 0 && server.wrong < server.sent, "{server:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_lost_is_opened_again_and_counted() {
    let upstream = FakeUpstream::start(ZONE).await;
    upstream.next(Act::Answer).next(Act::Close);
    let tcp = Server {
        address: upstream.address,
        transport: Transport::Tcp,
    };
    let options = Options {
        servers: vec![tcp],
        clients: 1,
        timeout: Duration::from_secs(20),
        ..options(&[], 50.0, Duration::from_secs(1))
    };
    let report = run(options).await;
    let server = &report.servers[0];
    assert_eq!((server.sent, server.errors), (50, 1));
    assert_eq!(server.answered + server.lost, 50);
    assert!(server.lost >= 1 && server.answered > 1, "{server:?}");
}
