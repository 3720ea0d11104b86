//! How C libraries look a name up (getaddrinfo for both families), as far as it shows in queries and waiting: glibc 2.3x
//! (`resolv/res_query.c`, `resolv/res_send.c`) and musl 1.2 (`src/network/lookup_name.c`, `res_msend.c`). The network is given.

use super::Conf;
use crate::{
    bench::{answer::Answer, questions::Question},
    wire::{NameKey, rtype},
};
use clap::ValueEnum;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use std::{io, net::SocketAddr, time::Duration};
use tokio::time::{Instant, timeout_at};

const SERVFAIL: u16 = 2;
const NXDOMAIN: u16 = 3;

/// Which C library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Library {
    /// Debian, Fedora …: A and AAAA together, one server after the other
    Glibc,
    /// Alpine: A and AAAA together to all servers at once
    Musl,
}

/// Sockets, so that tests need none.
pub trait Network {
    /// One of them.
    type Socket: Socket;
    /// Opens one that can reach such servers, on a port of its own.
    fn open(&self, server: SocketAddr) -> impl Future<Output = io::Result<Self::Socket>> + Send;
}

/// A UDP socket.
pub trait Socket {
    /// Sends a datagram.
    fn send(&self, packet: &[u8], to: SocketAddr) -> impl Future<Output = io::Result<()>> + Send;
    /// Waits for one.
    fn receive(
        &self,
        packet: &mut [u8],
    ) -> impl Future<Output = io::Result<(usize, SocketAddr)>> + Send;
}

/// What the program is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An address.
    Found,
    /// There is no such name, or it has no address.
    NotFound,
    /// Nobody knows: time-outs, SERVFAIL.
    Failed,
}

/// One look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// What the program is told.
    pub outcome: Outcome,
    /// Datagrams that were sent for it.
    pub queries: u32,
}

/// What was said of one name of the search.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Address,
    NoData,
    NxDomain,
    ServFail,
    Nothing,
}

/// Looks up both families of a name.
pub async fn look_up(name: &str, conf: &Conf, library: Library, network: &impl Network) -> Lookup {
    let mut queries = 0;
    let outcome = match library {
        Library::Glibc => glibc(name, conf, network, &mut queries).await,
        Library::Musl => musl(name, conf, network, &mut queries).await,
    };
    Lookup { outcome, queries }
}

fn dots(name: &str) -> usize {
    name.matches('.').count()
}

fn with_search(name: &str, conf: &Conf) -> impl Iterator<Item = String> {
    let search = conf.search.iter();
    search.map(move |domain| format!("{name}.{domain}"))
}

/// First as it is if it has enough dots, then below each domain, and last as it is if that was not tried.
async fn glibc(name: &str, conf: &Conf, network: &impl Network, queries: &mut u32) -> Outcome {
    let mut candidates: Vec<_> = match name.ends_with('.') {
        true => vec![],
        false => with_search(name, conf).collect(),
    };
    match dots(name) >= conf.ndots || candidates.is_empty() {
        true => candidates.insert(0, name.to_owned()),
        false => candidates.push(name.to_owned()),
    }
    let mut failed = false;
    for candidate in candidates {
        match ask_in_turn(&candidate, conf, network, queries).await {
            Said::Address => return Outcome::Found,
            Said::NoData | Said::NxDomain => {}
            Said::ServFail => failed = true,
            Said::Nothing => return Outcome::Failed,
        }
    }
    match failed {
        true => Outcome::Failed,
        false => Outcome::NotFound,
    }
}

/// With enough dots as it is and nothing else; otherwise below each domain, and then as it is. NODATA ends the search.
async fn musl(name: &str, conf: &Conf, network: &impl Network, queries: &mut u32) -> Outcome {
    let mut candidates = vec![];
    if dots(name) < conf.ndots && !name.ends_with('.') {
        candidates.extend(with_search(name, conf));
    }
    candidates.push(name.to_owned());
    for candidate in candidates {
        match ask_all(&candidate, conf, network, queries).await {
            Said::Address => return Outcome::Found,
            Said::NoData => return Outcome::NotFound,
            Said::NxDomain => {}
            Said::ServFail | Said::Nothing => return Outcome::Failed,
        }
    }
    Outcome::NotFound
}

/// The two queries for one name, and what was said to each.
struct Pair {
    questions: [Question; 2],
    ids: [u16; 2],
    said: [Option<Said>; 2],
}

impl Pair {
    /// A name that is none does not exist, to the libraries.
    fn new(name: &str) -> Option<Self> {
        let name = NameKey::from_text(name).ok()?;
        let question = |qtype| Question::new(&name, qtype, false);
        let first: u16 = rand::rng().random();
        Some(Self {
            questions: [question(rtype::A), question(rtype::AAAA)],
            ids: [first, first ^ 0x5555],
            said: [None; 2],
        })
    }

    /// Sends what is not answered yet to these servers.
    async fn send(
        &self,
        nth: impl Iterator<Item = usize>,
        socket: &impl Socket,
        to: &[SocketAddr],
        queries: &mut u32,
    ) {
        let mut packet = vec![];
        for nth in nth.filter(|nth| self.said[*nth].is_none()) {
            self.questions[nth].write(self.ids[nth], None, &mut packet);
            for server in to {
                *queries += 1;
                // What is not sent is not answered.
                drop(socket.send(&packet, *server).await);
            }
        }
    }

    /// Waits until the `wanted` are answered; false if that takes too long. With `again`, failures are no answers, and so many
    /// of them are asked for again at once.
    async fn receive(
        &mut self,
        wanted: &[usize],
        socket: &impl Socket,
        until: Instant,
        mut again: Option<&mut u32>,
        queries: &mut u32,
    ) -> bool {
        let mut packet = [0; 1500];
        while wanted.iter().any(|nth| self.said[*nth].is_none()) {
            let Ok(received) = timeout_at(until, socket.receive(&mut packet)).await else {
                return false;
            };
            // An error is about an earlier datagram: nobody listens there.
            let Ok((len, from)) = received else { continue };
            let id = u16::from_be_bytes([packet[0], packet[1]]);
            let Some(nth) = self.ids.iter().position(|it| *it == id && len >= 12) else {
                continue;
            };
            let (question, reply) = (&self.questions[nth], &packet[..len]);
            if self.said[nth].is_some() || !question.is_repeated_by(None, reply) {
                continue;
            }
            let Some(answer) = Answer::read(reply) else {
                continue;
            };
            let said = match answer.rcode {
                0 if answer.addresses().next().is_some() => Said::Address,
                0 => Said::NoData,
                NXDOMAIN => Said::NxDomain,
                code => match &mut again {
                    None => Said::ServFail,
                    Some(left) => {
                        if code == SERVFAIL && **left > 0 {
                            **left -= 1;
                            self.send([nth].into_iter(), socket, &[from], queries).await;
                        }
                        continue;
                    }
                },
            };
            self.said[nth] = Some(said);
        }
        true
    }

    /// The best of both.
    fn verdict(&self) -> Said {
        let has = |said| self.said.contains(&Some(said));
        let in_order = [Said::Address, Said::ServFail, Said::NxDomain, Said::NoData];
        let found = in_order.into_iter().find(|said| has(*said));
        match self.said.contains(&None) && !has(Said::Address) {
            true => Said::Nothing,
            false => found.unwrap_or(Said::Nothing),
        }
    }
}

/// glibc: both queries from one port to the first server, then to the next, as often as `attempts` says. If only one of them was
/// answered, the same server is asked again, one query after the other.
async fn ask_in_turn(name: &str, conf: &Conf, network: &impl Network, queries: &mut u32) -> Said {
    let Some(mut pair) = Pair::new(name) else {
        return Said::NxDomain;
    };
    let mut last = Said::Nothing;
    for _ in 0..conf.attempts {
        for (nth, server) in conf.servers.iter().enumerate() {
            let Ok(socket) = network.open(*server).await else {
                continue;
            };
            pair.said = [None; 2];
            // `retrans << ns`, divided among the servers from the second one on.
            let wait = match nth {
                0 => conf.timeout,
                _ => (conf.timeout * (1 << nth) / conf.servers.len() as u32)
                    .max(Duration::from_secs(1)),
            };
            let to = std::slice::from_ref(server);
            pair.send(0..2, &socket, to, queries).await;
            let until = Instant::now() + wait;
            let mut whole = pair.receive(&[0, 1], &socket, until, None, queries).await;
            if !whole && pair.said != [None; 2] {
                pair.said = [None; 2];
                for one in 0..2 {
                    pair.send([one].into_iter(), &socket, to, queries).await;
                    let until = Instant::now() + wait;
                    whole = pair.receive(&[one], &socket, until, None, queries).await;
                    if !whole {
                        break;
                    }
                }
            }
            if whole {
                last = pair.verdict();
                if last != Said::ServFail {
                    return last;
                }
            }
        }
    }
    last
}

/// musl: both queries from one port to every server, and what is not answered again after `timeout` / `attempts`. The first answer
/// counts.
async fn ask_all(name: &str, conf: &Conf, network: &impl Network, queries: &mut u32) -> Said {
    let Some(mut pair) = Pair::new(name) else {
        return Said::NxDomain;
    };
    let Ok(socket) = network.open(conf.servers[0]).await else {
        return Said::Nothing;
    };
    let began = Instant::now();
    for attempt in 1..=conf.attempts {
        pair.send(0..2, &socket, &conf.servers, queries).await;
        let mut again = 4; // twice the queries
        let until = began + conf.timeout * attempt / conf.attempts;
        let whole = pair.receive(&[0, 1], &socket, until, Some(&mut again), queries);
        if whole.await {
            break;
        }
    }
    pair.verdict()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Query, Rcode};
    use std::{
        collections::HashMap,
        sync::{Arc, Mutex},
    };
    use tokio::time::sleep_until;

    /// Says whether and how the query is answered: its number to this server from 0, the server's last octet, name, type.
    type Script = dyn Fn(u32, u8, &str, u16) -> Option<Rcode> + Send + Sync;

    /// Servers that answer within 1 ms or not at all.
    struct World(Arc<Script>, Arc<Mutex<HashMap<SocketAddr, u32>>>);

    struct Port(World, Mutex<Vec<(Instant, SocketAddr, Vec<u8>)>>);

    impl World {
        fn new(
            script: impl Fn(u32, u8, &str, u16) -> Option<Rcode> + Send + Sync + 'static,
        ) -> Self {
            Self(Arc::new(script), Arc::default())
        }
    }

    impl Network for World {
        type Socket = Port;

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
            (reply[2], reply[3]) = (0x80, code as u8);
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
    async fn when_nobody_answers_glibc_gives_up_after_ten_seconds_and_musl_after_five() {
        let world = || World::new(|_, _, _, _| None);
        let conf = conf(1, 5);
        let glibc = look("web", &conf, Library::Glibc, world()).await;
        assert_eq!(glibc, (Outcome::Failed, 4, 10_000));
        let musl = look("web", &conf, Library::Musl, world()).await;
        assert_eq!(musl, (Outcome::Failed, 4, 5000));
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
}
