//! 10,000 clients that ask for one name which nobody has asked for before, all at once, with the limits as they are by default.

use crate::{
    asking::{lines, query, until},
    running::{Running, demo},
    upstream::{Act, FakeUpstream},
};
use gapless::forward::SENDS;
use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::Duration,
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};

const CLIENTS: u16 = 10_000;
const WWW: &str = "www.example.org. A";
/// From a client's first question to its second.
const PATIENCE: Duration = Duration::from_secs(2);
const POLL_EVERY: Duration = Duration::from_millis(10);

/// A client with an address of its own.
fn client(n: u16, server: SocketAddr) -> UdpSocket {
    let [high, low] = n.to_be_bytes();
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 1, high, low), 0));
    let socket = socket.expect("10,000 open files, and every loopback address");
    socket.connect(server).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// What each client gets, who asks again if nothing comes: the answers of this code, and how many clients asked again.
async fn answered(clients: Vec<UdpSocket>, upstream: &FakeUpstream) -> (usize, usize) {
    let (mut answered, mut again) = (0, 0);
    let mut waiting: Vec<_> = (0..).zip(clients).collect();
    for _ in 0..10 {
        let asked = spawn_blocking(move || {
            for (id, client) in &waiting {
                client.send(&query(*id, WWW)).unwrap();
            }
            waiting
        });
        waiting = asked.await.unwrap();
        upstream.release();
        let begun = Instant::now();
        while !waiting.is_empty() && begun.elapsed() < PATIENCE {
            let mut reply = [0; 1232];
            waiting.retain(|(_, client)| match client.recv(&mut reply) {
                Ok(len) => {
                    let lines = lines(&reply[..len]);
                    answered += usize::from(lines[0] == "NoError" && lines.len() == 2);
                    false
                }
                Err(_) => true,
            });
            sleep(POLL_EVERY).await;
        }
        again += waiting.len();
    }
    (answered, again)
}

#[tokio::test]
async fn ten_thousand_clients_that_ask_for_one_name_are_one_question_and_all_are_answered() {
    let upstream = FakeUpstream::start("www.example.org. 60 IN A 192.0.2.1").await;
    upstream.always(Act::Hold);
    let mut config = demo();
    config.forward.upstreams = vec![upstream.address.into()];
    let server = Running::start(config).await;
    until(server.admin, "/readyz", (200, "ok\n")).await;
    let clients = (0..CLIENTS).map(|n| client(n, server.dns)).collect();
    let (answered, again) = answered(clients, &upstream).await;
    println!("{again} of {CLIENTS} clients asked again");
    assert_eq!(answered, usize::from(CLIENTS));
    // One question. It may have been sent again while the clients took their time to ask.
    let asked = upstream.asked();
    assert!(
        (1..=SENDS).contains(&asked.udp) && asked.tcp == 0,
        "{asked:?}"
    );
    server.end().await;
}
