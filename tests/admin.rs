//! The admin server as probes, scrapers and strangers see it, through sockets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use gapless::{
    admin,
    lifecycle::{Drain, Readiness, Tasks},
    metrics::{Metrics, Origin, Transport, Upstream},
};
use prometheus_client::registry::Registry;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::Instant,
};

struct Running {
    address: SocketAddr,
    readiness: Readiness,
    metrics: Metrics,
    drain: Drain,
    task: JoinHandle<()>,
}

async fn running() -> Running {
    let admin = admin::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let mut registry = Registry::default();
    let (metrics, address) = (Metrics::new(&mut registry), admin.local_addr());
    let (readiness, drain) = (Readiness::default(), Drain::new());
    let run = admin.run(readiness.clone(), Arc::new(registry), drain.clone());
    let task = Tasks::new().0.brief(run);
    Running {
        address,
        readiness,
        metrics,
        drain,
        task,
    }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn send(&self, request: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Status, content type and body of the response.
    async fn get(&self, path: &str) -> (u16, String, String) {
        answer(
            self.send(&format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n"))
                .await,
        )
        .await
    }
}

async fn answer(mut stream: TcpStream) -> (u16, String, String) {
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").expect("a whole response");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let kind = head
        .lines()
        .find_map(|line| line.strip_prefix("content-type: "));
    (status, kind.unwrap_or_default().to_owned(), body.to_owned())
}

fn text(status: u16, body: &str) -> (u16, String, String) {
    (
        status,
        "text/plain; charset=utf-8".to_owned(),
        body.to_owned(),
    )
}

#[tokio::test]
async fn alive_is_when_it_answers_and_ready_is_when_nothing_is_awaited() {
    let server = running().await;
    let services = server.readiness.wait_for("index: services");
    let listeners = server.readiness.wait_for("listeners");
    assert_eq!(server.get("/livez").await, text(200, "ok\n"));
    let both = text(503, "[-] index: services\n[-] listeners\nnot ready\n");
    assert_eq!(server.get("/readyz").await, both);
    assert_eq!(server.get("/readyz?verbose").await, both);
    drop(services);
    let one = text(503, "[-] listeners\nnot ready\n");
    assert_eq!(server.get("/readyz").await, one);
    let one = text(503, "[+] index: services\n[-] listeners\nnot ready\n");
    assert_eq!(server.get("/readyz?verbose=1").await, one);
    drop(listeners);
    assert_eq!(server.get("/readyz").await, text(200, "ok\n"));
    let none = text(200, "[+] index: services\n[+] listeners\nok\n");
    assert_eq!(server.get("/readyz?verbose").await, none);
}

#[tokio::test]
async fn other_paths_are_not_found_and_say_what_there_is() {
    let server = running().await;
    let expected = "not found; there is:\n/livez\n/readyz\n/readyz?verbose\n/metrics\n";
    assert_eq!(server.get("/").await, text(404, expected));
    assert_eq!(server.get("/metrics/").await, text(404, expected));
}

#[tokio::test]
async fn metrics_are_openmetrics_and_encoded_at_each_scrape() {
    let server = running().await;
    let line = "gapless_dns_answers_total{transport=\"udp\",origin=\"cache\",rcode=\"NXDOMAIN\"}";
    for count in ["0", "1"] {
        let (status, kind, body) = server.get("/metrics").await;
        assert_eq!(status, 200);
        assert_eq!(
            kind,
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        );
        assert!(body.ends_with("# EOF\n"), "{body}");
        assert!(body.contains(&format!("{line} {count}\n")), "{body}");
        server
            .metrics
            .queries
            .answered(Transport::Udp, Origin::Cache, 3);
    }
}

#[tokio::test]
async fn the_document_lists_every_family_and_no_other() {
    let server = running().await;
    server.metrics.forward.upstreams_from(|| {
        let upstream = |name: &str| Upstream {
            name: name.to_owned(),
            round_trip: Some(Duration::from_millis(1)),
            down: false,
            looping: false,
        };
        ["192.0.2.53:53", "tcp://192.0.2.53:53"]
            .map(upstream)
            .into()
    });
    let (_, _, body) = server.get("/metrics").await;
    // The labels' names and values, by family.
    let mut labels = BTreeMap::<_, Vec<(String, BTreeSet<String>)>>::new();
    for (name, rest) in body.lines().filter_map(|line| line.split_once('{')) {
        let (pairs, _) = rest.split_once('}').expect("labels end");
        let family = name.trim_end_matches("_total");
        for pair in pairs.split(',').filter(|pair| !pair.starts_with("le=")) {
            let (label, value) = pair.split_once('=').expect("a label has a value");
            let of_family = labels.entry(family).or_default();
            let at = of_family.iter().position(|(known, _)| known == label);
            let at = at.unwrap_or_else(|| {
                of_family.push((label.to_owned(), BTreeSet::new()));
                of_family.len() - 1
            });
            of_family[at].1.insert(value.trim_matches('"').to_owned());
        }
    }
    let of = |kind: &str| -> Vec<(String, String)> {
        let lines = body.lines().filter_map(|line| line.strip_prefix(kind));
        let pairs = lines.map(|line| line.split_once(' ').expect("a name and a text"));
        pairs
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .collect()
    };
    let scraped: BTreeSet<_> = of("# HELP ")
        .into_iter()
        .zip(of("# TYPE "))
        .map(|((name, help), (_, kind))| {
            let labels = labels.get(name.as_str()).into_iter().flatten();
            let names: Vec<_> = labels.map(|(label, _)| format!("`{label}`")).collect();
            format!("| `{name}` | {kind} | {} | {help} |", names.join(", "))
        })
        .collect();
    let document = include_str!("../docs/metrics.md");
    let rows = document
        .lines()
        .filter(|line| line.starts_with("| `gapless_"));
    let documented: BTreeSet<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            format!(
                "| {} | {} | {} | {} |",
                cells[1], cells[2], cells[3], cells[4]
            )
        })
        .collect();
    assert_eq!(documented, scraped, "docs/metrics.md");
    for (family, (label, values)) in labels
        .iter()
        .flat_map(|(it, all)| all.iter().map(move |one| (it, one)))
    {
        // One row for a label, or one for each family in which it has values of its own.
        let own = format!("| `{label}` of `{family}` |");
        let row = document.lines().find(|line| line.starts_with(&own));
        let common = format!("| `{label}` |");
        let row = row.or_else(|| document.lines().find(|line| line.starts_with(&common)));
        let row = row.unwrap_or_else(|| panic!("docs/metrics.md: no row starts with {own}"));
        let listed = row
            .split('`')
            .skip(if row.starts_with(&own) { 5 } else { 3 })
            .step_by(2);
        assert_eq!(
            listed.map(str::to_owned).collect::<BTreeSet<_>>(),
            *values,
            "{row}"
        );
    }
}

#[tokio::test]
async fn methods_and_bodies_that_nobody_needs_are_refused() {
    let server = running().await;
    let post = "POST /livez HTTP/1.1\r\nHost: here\r\n\r\n";
    assert_eq!(answer(server.send(post).await).await.0, 405);
    let refused = text(413, "no request body is read here\n");
    for body in [
        "Content-Length: 9999999999\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n",
    ] {
        let request = format!("GET /livez HTTP/1.1\r\nHost: here\r\n{body}");
        assert_eq!(answer(server.send(&request).await).await, refused);
    }
    let head = "HEAD /livez HTTP/1.1\r\nHost: here\r\n\r\n";
    assert_eq!(answer(server.send(head).await).await, text(200, ""));
}

#[tokio::test]
async fn garbage_and_endless_headers_end_the_connection_and_nothing_else() {
    let server = running().await;
    let endless = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(16 << 10));
    for (request, status) in [
        ("\0\x01\x02 nonsense\r\n\r\n", 400),
        (endless.as_str(), 431),
    ] {
        let mut stream = server.send(request).await;
        let mut response = Vec::new();
        // The rest of an endless header is answered by a reset.
        if let Err(error) = stream.read_to_end(&mut response).await {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
        let expected = format!("HTTP/1.1 {status} ");
        assert!(response.is_empty() || response.starts_with(expected.as_bytes()));
    }
    assert_eq!(server.get("/livez").await, text(200, "ok\n"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_no_header_is_cut_off_after_two_seconds() {
    let server = running().await;
    let start = Instant::now();
    let mut slow = server.send("GET /livez HTTP/1.1\r\n").await;
    assert_eq!(slow.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    assert_eq!(start.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_connection_over_the_limit_waits_for_a_place() {
    let server = running().await;
    let mut idle = Vec::new();
    for _ in 0..32 {
        idle.push(server.connect().await);
    }
    let start = Instant::now();
    assert_eq!(server.get("/livez").await, text(200, "ok\n"));
    assert!(
        start.elapsed() >= Duration::from_secs(2),
        "the idle ones were cut off first"
    );
}

#[tokio::test]
async fn draining_ends_it_and_closes_the_port() {
    let server = running().await;
    assert_eq!(server.get("/livez").await, text(200, "ok\n"));
    server.drain.cancel();
    server.task.await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}
