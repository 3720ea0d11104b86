//! The parts put together: what the configuration promises is what the sockets show.

use crate::{
    asking::{Client, Connection, ask, get, metrics_once, until},
    process::{Process, failure, serve},
    running::{DEMO, Running, config, demo, directory, text},
    upstream::{Act, FakeUpstream},
};
use gapless::{
    config::{Route, Source},
    wire::NameKey,
};
use std::time::Duration;

const ZONE: &str = "
    example.org. 300 IN SOA ns.example.org. admin.example.org. 1 2 3 4 60
    www.example.org. 60 IN A 192.0.2.1
    long.example.org. 60 IN TXT \"0123456789012345678901234567890123456789\"";
const WWW: &str = "www.example.org. A";
const WEB_0: &str = "web-0.nginx.default.svc.cluster.local. A";

#[tokio::test]
async fn each_configured_route_has_the_questions_of_its_zones() {
    let (corp, lab) = (
        FakeUpstream::start("www.corp.example. 60 IN A 192.0.2.2").await,
        FakeUpstream::start("www.lab.corp.example. 60 IN A 192.0.2.3").await,
    );
    let route = |zones: &[&str], upstream: &FakeUpstream| Route {
        zones: (zones.iter())
            .map(|zone| NameKey::from_text(zone).unwrap())
            .collect(),
        upstreams: vec![upstream.address.into()],
        trust_ad: false,
    };
    let mut config = demo();
    config.forward.routes = vec![
        route(&["corp.test", "corp.example"], &corp),
        route(&["lab.corp.example"], &lab),
    ];
    let server = Running::start(config).await;
    until(server.admin, "/readyz", (200, "ok\n")).await;
    assert_eq!(
        ask(server.dns, "www.corp.example. A").await,
        ["NoError", "www.corp.example. 60 IN A 192.0.2.2"]
    );
    assert_eq!(
        ask(server.dns, "www.lab.corp.example. A").await,
        ["NoError", "www.lab.corp.example. 60 IN A 192.0.2.3"]
    );
    assert_eq!((corp.asked().udp, lab.asked().udp), (1, 1));
    server.end().await;
}

#[tokio::test]
async fn static_names_come_from_entries_and_from_a_file_whose_bad_lines_are_named() {
    let bad = "192.0.2.300 x.example\n".repeat(22);
    let directory = directory(&[(
        "hosts",
        &format!("192.0.2.11 db.example a.example # both\n{bad}"),
    )]);
    let file = directory.path().join("hosts");
    let config = format!(
        "hosts: {{entries: [{{names: [db.example], addresses: [192.0.2.10]}}], file: {}, ttl: 7s}}",
        file.display()
    );
    let path = directory.path().join("config");
    std::fs::write(&path, config).unwrap();
    let arguments = ["--manifests", DEMO, "--config", text(&path)];
    let server = Process::start(serve(&arguments));
    let dns = server.dns().await;
    let mut both = ask(dns, "db.example. A").await;
    both.sort();
    let expected = [
        "NoError",
        "db.example. 7 IN A 192.0.2.10",
        "db.example. 7 IN A 192.0.2.11",
    ];
    assert_eq!(both, expected);
    let pointer = ask(dns, "11.2.0.192.in-addr.arpa. PTR").await;
    assert_eq!(
        pointer[1..],
        ["11.2.0.192.in-addr.arpa. 7 IN PTR db.example."]
    );
    server
        .line("line 2: expected an address; found `192.0.2.300`")
        .await;
    server.line("and 2 more").await;

    std::fs::write(&file, "#".repeat((1 << 20) + 1)).unwrap();
    let said = failure(serve(&arguments)).await;
    assert!(said.contains("hosts: it is longer than 1 MiB"), "{said}");
}

#[tokio::test]
async fn over_tcp_a_held_answer_holds_up_no_other() {
    let upstream = FakeUpstream::start(ZONE).await;
    upstream.always(Act::Hold);
    let mut config = demo();
    config.forward.upstreams = vec![upstream.address.into()];
    let server = Running::start(config).await;
    until(server.admin, "/readyz", (200, "ok\n")).await;
    let mut connection = Connection::to(server.dns).await;
    connection.send(1, WWW).await;
    upstream.until_asked(1).await;
    connection.send(2, WEB_0).await;
    let (first, _) = connection.reply().await;
    upstream.release();
    let (second, answer) = connection.reply().await;
    assert_eq!((first, second), (2, 1));
    assert_eq!(answer, ["NoError", "www.example.org. 60 IN A 192.0.2.1"]);
    drop(connection);
    server.end().await;
}

#[tokio::test]
async fn a_connection_with_as_many_queries_under_way_as_it_may_have_is_not_read() {
    let upstream = FakeUpstream::start(ZONE).await;
    upstream.always(Act::Hold);
    let mut config = demo();
    config.forward.upstreams = vec![upstream.address.into()];
    config.tcp.max_queries_per_connection = 1;
    let server = Running::start(config).await;
    until(server.admin, "/readyz", (200, "ok\n")).await;
    let (mut full, mut other) = (
        Connection::to(server.dns).await,
        Connection::to(server.dns).await,
    );
    full.send(1, WWW).await;
    full.send(2, WEB_0).await;
    upstream.until_asked(1).await;
    other.send(3, WEB_0).await;
    assert_eq!(other.reply().await.0, 3);
    upstream.release();
    assert_eq!([full.reply().await.0, full.reply().await.0], [1, 2]);
    drop((full, other));
    server.end().await;
}

#[tokio::test]
async fn more_questions_or_waiters_than_there_may_be_are_servfail_at_once() {
    let upstream = FakeUpstream::start(ZONE).await;
    upstream.always(Act::Hold);
    let mut config = demo();
    config.forward.upstreams = vec![upstream.address.into()];
    config.forward.max_in_flight = 1;
    config.forward.max_waiters = 1;
    let server = Running::start(config).await;
    let others = async {
        upstream.until_asked(1).await;
        for question in ["none.example.org. A", WWW] {
            assert_eq!(
                ask(server.dns, question).await,
                ["ServFail EDE 0"],
                "{question}"
            );
        }
        upstream.release();
    };
    let (answer, ()) = tokio::join!(ask(server.dns, WWW), others);
    assert_eq!(answer, ["NoError", "www.example.org. 60 IN A 192.0.2.1"]);
    let (_, page) = get(server.admin, "/metrics").await;
    for limit in ["flights", "waiters"] {
        let line = format!("gapless_forward_limited_total{{limit=\"{limit}\"}} 1\n");
        assert!(page.contains(&line), "{line} in {page}");
    }
    server.end().await;
}

/// Fault B9.18, water torture: names without end, of which each is asked upstream.
#[tokio::test]
async fn b9_18_one_clients_flood_leaves_the_others_their_answers() {
    let (silent, upstream) = (
        FakeUpstream::start(ZONE).await,
        FakeUpstream::start(ZONE).await,
    );
    silent.always(Act::Hold);
    let mut config = demo();
    config.forward.upstreams = vec![upstream.address.into()];
    config.forward.routes = vec![Route {
        zones: vec![NameKey::from_text("flood.example").unwrap()],
        upstreams: vec![silent.address.into()],
        trust_ad: false,
    }];
    config.forward.max_in_flight = 5;
    config.forward.max_in_flight_per_client = Some(4);
    let server = Running::start(config).await;
    until(server.admin, "/readyz", (200, "ok\n")).await;
    let flooder = Client::at("127.0.0.9", server.dns).await;
    let refused = vec!["ServFail EDE 0".to_owned()];
    for n in 0..10 {
        flooder.send(n, &format!("{n}.flood.example. A")).await;
    }
    for _ in 4..10 {
        assert_eq!(flooder.reply().await.1, refused);
    }
    let mut connection = Connection::from("127.0.0.9", server.dns).await;
    connection.send(1, "tcp.flood.example. A").await;
    assert_eq!(connection.reply().await, (1, refused));
    assert_eq!(
        ask(server.dns, WWW).await,
        ["NoError", "www.example.org. 60 IN A 192.0.2.1"]
    );
    let (_, page) = get(server.admin, "/metrics").await;
    for (limit, count) in [("client", 7), ("flights", 0)] {
        let line = format!("gapless_forward_limited_total{{limit=\"{limit}\"}} {count}\n");
        assert!(page.contains(&line), "{line} in {page}");
    }
    silent.release();
    drop(connection);
    server.end().await;
}

#[tokio::test]
async fn the_bounds_of_the_cache_are_the_configured_ones() {
    let upstream = FakeUpstream::start(ZONE).await;
    let mut config = demo();
    config.forward.upstreams = vec![upstream.address.into()];
    config.cache.max_ttl = Duration::from_secs(20);
    config.cache.max_negative_ttl = Duration::ZERO;
    config.cache.max_answer = 64;
    let server = Running::start(config).await;
    let asked_after = async |question: &str| {
        ask(server.dns, question).await;
        let answer = ask(server.dns, question).await;
        (upstream.asked().udp, answer)
    };
    let (asked, answer) = asked_after(WWW).await;
    let ttl: u32 = answer[1].split(' ').nth(1).unwrap().parse().unwrap();
    assert_eq!(asked, 1, "the second one comes from the cache");
    assert!(ttl <= 20, "{answer:?}");
    assert_eq!(
        asked_after("none.example.org. A").await.0,
        3,
        "negative answers are not kept"
    );
    assert_eq!(
        asked_after("long.example.org. TXT").await.0,
        5,
        "long answers are not kept"
    );
    server.end().await;
}

#[tokio::test]
async fn without_upstreams_the_file_names_them() {
    let files = directory(&[(
        "resolv.conf",
        "search a.b\nnameserver 192.0.2.1\nnameserver nobody\nnameserver 2001:db8::1\n",
    )]);
    let resolv_conf = files.path().join("resolv.conf");
    let config = format!("forward: {{resolv_conf: {}}}\n", resolv_conf.display());
    let files = directory(&[("config.yaml", &config)]);
    let config = files.path().join("config.yaml");
    let server = Process::start(serve(&["--config", text(&config), "--manifests", DEMO]));
    let path = resolv_conf.display();
    server
        .line(&format!("{path}: line 3: expected an IPv4 or IPv6 address"))
        .await;
    let asked =
        "names outside the cluster are asked there upstreams=[192.0.2.1:53, [2001:db8::1]:53]";
    server.line(&format!("{path}: {asked}")).await;
}

#[tokio::test]
async fn without_any_upstream_only_the_clusters_names_are_answered() {
    let server = Running::start(demo()).await;
    until(server.admin, "/readyz", (200, "ok\n")).await;
    assert_eq!(ask(server.dns, WWW).await, ["ServFail EDE 0"]);
    assert_eq!(ask(server.dns, WEB_0).await.len(), 2);
    server.end().await;
}

#[tokio::test]
async fn what_was_asked_stands_in_the_metrics() {
    let upstream = FakeUpstream::start(ZONE).await;
    let mut config = demo();
    config.forward.upstreams = vec![upstream.address.into()];
    let server = Running::start(config).await;
    until(server.admin, "/readyz", (200, "ok\n")).await;
    for question in [WEB_0, WWW, WWW, "none.example.org. A", "localhost. A"] {
        ask(server.dns, question).await;
    }
    let mut connection = Connection::to(server.dns).await;
    connection
        .send(1, "nothing.default.svc.cluster.local. A")
        .await;
    connection.reply().await;
    // Two questions, and the one at the start that looks for loops.
    let answered = "gapless_upstream_outcomes_total{outcome=\"answered\"} 3\n";
    let page = metrics_once(server.admin, |page| page.contains(answered)).await;
    let answers = |transport, origin, rcode| {
        format!(
            "gapless_dns_answers_total{{transport=\"{transport}\",origin=\"{origin}\",rcode=\"{rcode}\"}} 1"
        )
    };
    for line in [
        answers("udp", "cluster", "NOERROR").as_str(),
        &answers("udp", "upstream", "NOERROR"),
        &answers("udp", "cache", "NOERROR"),
        &answers("udp", "upstream", "NXDOMAIN"),
        &answers("udp", "local", "NOERROR"),
        &answers("tcp", "cluster", "NXDOMAIN"),
        "gapless_upstream_questions_total{transport=\"udp\"} 3",
        "gapless_server_tcp_connections 1",
        "gapless_feed_lists_total{source=\"services\"} 1",
        "gapless_index_synced{source=\"endpointslices\"} 1",
        "gapless_index_objects{source=\"services\"} 6",
    ] {
        assert!(page.lines().any(|it| it == line), "{line} in {page}");
    }
    let unwatched = "gapless_index_synced{source=\"foreign-endpointslices\"}";
    assert!(!page.contains(unwatched), "nobody feeds it");
    drop(connection);
    server.end().await;
}

#[tokio::test]
async fn what_a_worker_remembers_is_counted_and_follows_the_cluster() {
    let nginx = std::fs::read_to_string(format!("{DEMO}/20-nginx.yaml")).unwrap();
    let files = directory(&[("nginx.yaml", nginx.as_str())]);
    let mut config = config(Source::Manifests(files.path().into()));
    config.udp.workers = Some(1);
    let server = Running::start(config).await;
    until(server.admin, "/readyz", (200, "ok\n")).await;
    let address = |it: &str| {
        let record = format!("web-0.nginx.default.svc.cluster.local. 1 IN A {it}");
        ["NoError".to_owned(), record]
    };
    for _ in 0..3 {
        assert_eq!(ask(server.dns, WEB_0).await, address("10.1.0.4"));
    }
    let counted = "gapless_dns_remembered_answers_total 2\n";
    metrics_once(server.admin, |page| page.contains(counted)).await;
    let moved = nginx.replace("10.1.0.4", "10.1.0.44");
    std::fs::write(files.path().join("nginx.yaml"), moved).unwrap();
    let has_moved = async {
        while ask(server.dns, WEB_0).await != address("10.1.0.44") {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), has_moved).await;
    in_time.expect("a change is followed");
    server.end().await;
}

#[tokio::test]
async fn a_manifest_that_is_no_yaml_is_named_and_the_others_are_served() {
    let nginx = std::fs::read_to_string(format!("{DEMO}/20-nginx.yaml")).unwrap();
    let files = directory(&[
        ("good.yaml", nginx.as_str()),
        ("bad.yaml", "kind: [Service\nspec: {}\n"),
    ]);
    let server = Process::start(serve(&[
        "--manifests",
        text(files.path()),
        "--upstream",
        "192.0.2.1",
    ]));
    let bad = files.path().join("bad.yaml");
    let line = server
        .line(&format!("manifest {} cannot be used: ", bad.display()))
        .await;
    assert!(line.contains("WARN"), "{line}");
    let (dns, admin) = (server.dns().await, server.admin().await);
    until(admin, "/readyz", (200, "ok\n")).await;
    let expected = "web-0.nginx.default.svc.cluster.local. 1 IN A 10.1.0.4";
    assert_eq!(ask(dns, WEB_0).await, ["NoError", expected]);
    let (_, page) = get(admin, "/metrics").await;
    assert!(
        page.contains("gapless_feed_unreadable_files_total 1\n"),
        "{page}"
    );
}
