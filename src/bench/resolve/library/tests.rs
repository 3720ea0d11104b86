//! Both libraries on a held clock, in a world that answers by a script.

use super::*;
use crate::wire::{Query, Rcode, rtype};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// Says whether and how the query is answered: its number to this server from 0, the server's last octet, name, type.
type Script = dyn Fn(u32, u8, &str, u16) -> Option<Rcode> + Send + Sync;

/// Servers that answer within 1 ms or not at all.
struct World(Arc<Script>, Arc<Mutex<HashMap<SocketAddr, u32>>>);

struct Port(World, Mutex<Vec<(Instant, SocketAddr, Vec<u8>)>>);

impl World {
    fn new(script: impl Fn(u32, u8, &str, u16) -> Option<Rcode> + Send + Sync + 'static) -> Self {
        Self(Arc::new(script), Arc::default())
    }
}

impl Network for World {
    type Socket = Port;
    type Stream = tokio::io::Empty;

    async fn connect(&self, server: SocketAddr) -> io::Result<Port> {
        self.open(server).await
    }

    async fn dial(&self, _: SocketAddr) -> io::Result<tokio::io::Empty> {
        Err(io::ErrorKind::ConnectionRefused.into())
    }

    async fn open(&self, _: SocketAddr) -> io::Result<Port> {
        let same = Self(Arc::clone(&self.0), Arc::clone(&self.1));
        Ok(Port(same, Mutex::default()))
    }
}

impl Socket for Port {
    async fn send(&self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        let query = Query::parse(packet).unwrap();
        let SocketAddr::V4(server) = to else { panic!() };
        let nth = {
            let mut counts = self.0.1.lock().unwrap();
            let count = counts.entry(to).or_default();
            *count += 1;
            *count - 1
        };
        let name = query.question.name.to_string();
        let qtype = query.question.qtype;
        let Some(code) = (self.0.0)(nth, server.ip().octets()[3], &name, qtype) else {
            return Ok(());
        };
        let mut reply = packet.to_vec();
        (reply[2], reply[3]) = (0x80, 0x80 | code as u8);
        if code == Rcode::NoError && qtype == rtype::A {
            reply[7] = 1;
            reply.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\xc0\0\x02\x01");
        }
        let at = Instant::now() + Duration::from_millis(1);
        self.1.lock().unwrap().push((at, to, reply));
        Ok(())
    }

    async fn receive(&self, packet: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let next = self.1.lock().unwrap().first().cloned();
        let Some((at, from, reply)) = next else {
            return std::future::pending().await;
        };
        sleep_until(at).await;
        self.1.lock().unwrap().remove(0);
        packet[..reply.len()].copy_from_slice(&reply);
        Ok((reply.len(), from))
    }
}

fn conf(servers: u8, ndots: usize) -> Conf {
    Conf {
        servers: (1..=servers).map(|n| ([192, 0, 2, n], 53).into()).collect(),
        search: ["ns.svc.cluster.local", "svc.cluster.local", "cluster.local"]
            .map(str::to_owned)
            .into(),
        ndots,
        timeout: Duration::from_secs(5),
        attempts: 2,
        words: vec![],
    }
}

/// Outcome, queries, and milliseconds.
async fn look(name: &str, conf: &Conf, library: Library, world: World) -> (Outcome, u32, u128) {
    let began = Instant::now();
    let lookup = look_up(name, conf, library, &world).await;
    (lookup.outcome, lookup.queries, began.elapsed().as_millis())
}

fn only(exists: &'static str) -> World {
    World::new(move |_, _, name, _| {
        Some(match name == exists {
            true => Rcode::NoError,
            false => Rcode::NxDomain,
        })
    })
}

#[tokio::test(start_paused = true)]
async fn a_foreign_name_costs_eight_queries_with_ndots_5_and_two_with_a_last_dot() {
    for library in [Library::Glibc, Library::Musl] {
        let conf = conf(1, 5);
        let world = only("example.org.");
        let searched = look("example.org", &conf, library, world).await;
        assert_eq!(searched, (Outcome::Found, 8, 4), "{library:?}");
        let world = only("example.org.");
        let absolute = look("example.org.", &conf, library, world).await;
        assert_eq!(absolute, (Outcome::Found, 2, 1), "{library:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_enough_dots_glibc_goes_on_to_the_search_list_and_musl_does_not() {
    let world = || only("a.b.svc.cluster.local.");
    let conf = conf(1, 1);
    let glibc = look("a.b", &conf, Library::Glibc, world()).await;
    assert_eq!(glibc, (Outcome::Found, 6, 3));
    let musl = look("a.b", &conf, Library::Musl, world()).await;
    assert_eq!(musl, (Outcome::NotFound, 2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_lost_packet_costs_glibc_five_seconds_and_musl_two_and_a_half() {
    let world = || World::new(|nth, _, _, _| (nth > 0).then_some(Rcode::NoError));
    let conf = conf(1, 0);
    let glibc = look("a.b.", &conf, Library::Glibc, world()).await;
    // A was lost: both are asked again, one after the other.
    assert_eq!(glibc, (Outcome::Found, 4, 5002));
    let musl = look("a.b.", &conf, Library::Musl, world()).await;
    assert_eq!(musl, (Outcome::Found, 3, 2501));
}

#[tokio::test(start_paused = true)]
async fn a_dead_first_server_costs_glibc_five_seconds_and_musl_nothing() {
    let world = || World::new(|_, server, _, _| (server == 2).then_some(Rcode::NoError));
    let conf = conf(2, 0);
    let glibc = look("a.b.", &conf, Library::Glibc, world()).await;
    assert_eq!(glibc, (Outcome::Found, 4, 5001));
    let musl = look("a.b.", &conf, Library::Musl, world()).await;
    assert_eq!(musl, (Outcome::Found, 4, 1));
}

#[tokio::test(start_paused = true)]
async fn when_nobody_answers_glibc_asks_once_more_without_the_search_list_and_musl_gives_up() {
    let world = || World::new(|_, _, _, _| None);
    let conf = conf(1, 5);
    let glibc = look("web", &conf, Library::Glibc, world()).await;
    assert_eq!(glibc, (Outcome::Failed, 8, 20_000));
    let absolute = look("web.", &conf, Library::Glibc, world()).await;
    assert_eq!(absolute, (Outcome::Failed, 4, 10_000));
    let musl = look("web", &conf, Library::Musl, world()).await;
    assert_eq!(musl, (Outcome::Failed, 4, 5000));
}

#[tokio::test(start_paused = true)]
async fn if_one_family_is_never_answered_glibc_takes_the_other_after_fifteen_seconds() {
    let world = || World::new(|_, _, _, of| (of == rtype::A).then_some(Rcode::NoError));
    let conf = conf(1, 0);
    let glibc = look("a.b.", &conf, Library::Glibc, world()).await;
    // Both at once, one after the other, and each from a port of its own: the A of each time is answered within 1 ms.
    assert_eq!(glibc, (Outcome::Found, 6, 15_000));
    let musl = look("a.b.", &conf, Library::Musl, world()).await;
    assert_eq!(musl, (Outcome::Failed, 3, 5000));
}

#[tokio::test(start_paused = true)]
async fn servers_behind_the_first_are_waited_for_in_whole_seconds() {
    let conf = conf(3, 0);
    let nobody = look("a.b.", &conf, Library::Glibc, World::new(|_, _, _, _| None)).await;
    // 5, 10 / 3 and 20 / 3 seconds, twice.
    assert_eq!(nobody, (Outcome::Failed, 12, 28_000));
}

#[tokio::test(start_paused = true)]
async fn refusal_ends_glibcs_search_but_for_the_name_as_it_is() {
    let world = World::new(|_, _, _, _| Some(Rcode::Refused));
    let refused = look("web", &conf(1, 5), Library::Glibc, world).await;
    assert_eq!((refused.0, refused.1), (Outcome::Failed, 8));
}

#[tokio::test(start_paused = true)]
async fn servfail_goes_to_the_next_server_at_glibc_and_is_asked_again_at_musl() {
    let world = || World::new(|_, _, _, _| Some(Rcode::ServFail));
    let conf = conf(2, 0);
    let glibc = look("a.b.", &conf, Library::Glibc, world()).await;
    assert_eq!((glibc.0, glibc.1), (Outcome::Failed, 8));
    let musl = look("a.b.", &conf, Library::Musl, world()).await;
    // Two times two queries to two servers, and four of them again each time; no failure ends the wait.
    assert_eq!(musl, (Outcome::Failed, 16, 5000));
}

#[tokio::test(start_paused = true)]
async fn in_single_requests_servfail_for_one_goes_to_the_next_server_at_once() {
    let world = World::new(|_, server, _, _| {
        Some(match server {
            1 => Rcode::ServFail,
            _ => Rcode::NoError,
        })
    });
    let mut conf = conf(2, 0);
    conf.words = vec!["single-request".to_owned()];
    let glibc = look("a.b.", &conf, Library::Glibc, world).await;
    assert_eq!(glibc, (Outcome::Found, 3, 3));
}
