//! A signal ends the process with everything answered; so a rolling update loses no query.

use crate::{
    asking::{Connection, ask, until},
    process::{Process, serve},
    running::DEMO,
    upstream::{Act, FakeUpstream},
};
use rustix::process::Signal;

const ZONE: &str = "
    one.example.org. 60 IN A 192.0.2.1
    two.example.org. 60 IN A 192.0.2.2";

async fn a_signal_drains(signal: Signal, name: &str) {
    let upstream = FakeUpstream::start(ZONE).await;
    upstream.always(Act::Hold);
    let address = upstream.address.to_string();
    let server = Process::start(serve(&["--manifests", DEMO, "--upstream", &address]));
    let (dns, admin) = (server.dns().await, server.admin().await);
    let mut connection = Connection::to(dns).await;
    connection.send(1, "one.example.org. A").await;
    let held = ask(dns, "two.example.org. A");
    let end = async {
        upstream.until_asked(2).await;
        server.signal(signal);
        server.line(&format!("{name}: draining")).await;
        until(admin, "/readyz", (503, "[-] draining\nnot ready\n")).await;
        upstream.release();
        connection.reply().await
    };
    let (udp, tcp) = tokio::join!(held, end);
    assert_eq!(udp, ["NoError", "two.example.org. 60 IN A 192.0.2.2"]);
    let expected = ["NoError", "one.example.org. 60 IN A 192.0.2.1"];
    assert_eq!(tcp, (1, expected.map(str::to_owned).into()));
    drop(connection);
    let (code, log) = server.end().await;
    assert_eq!(code, Some(0), "{log:#?}");
    let complaints: Vec<_> = log.iter().filter(|line| !line.contains(" INFO ")).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[tokio::test]
async fn sigterm_is_the_end_once_queries_in_flight_are_answered() {
    a_signal_drains(Signal::TERM, "SIGTERM").await;
}

#[tokio::test]
async fn sigint_is_the_end_once_queries_in_flight_are_answered() {
    a_signal_drains(Signal::INT, "SIGINT").await;
}
