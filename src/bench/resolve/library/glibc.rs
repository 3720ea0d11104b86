//! glibc 2.36 (`resolv/res_query.c`, `resolv/res_send.c`): A and AAAA from one port to one server after the other.
//! What its process would remember from one look-up to the next is not kept: each is the first of a program.

use super::{
    Conf, Lookup, NXDOMAIN, Network, Outcome, Pair, Reply, SERVFAIL, Socket, converse, dots,
};
use crate::wire::rtype;
use rand::RngExt as _;
use std::{io, net::SocketAddr, ops::Range, time::Duration};
use tokio::time::{Instant, timeout, timeout_at};

const NOTIMP: u16 = 4;
const REFUSED: u16 = 5;

/// Over TCP glibc waits for ever, and here for as long as the kernel for a connection.
const STREAM_MAX: Duration = Duration::from_secs(127);

/// What was said to one name of the search.
#[derive(Clone, Copy)]
enum Said {
    /// There are records, an address among them or not.
    Records(bool),
    NoData,
    NxDomain,
    /// Nothing of use; was the last of it SERVFAIL?
    Nothing(bool),
    /// Nobody listens at any server.
    Nobody,
    /// A code that no other server is asked for.
    Other,
}

impl Said {
    fn outcome(self) -> Outcome {
        match self {
            Self::Records(true) => Outcome::Found,
            // Of other codes getaddrinfo tells its program no more than of names that are not.
            Self::Records(false) | Self::NoData | Self::NxDomain | Self::Other => Outcome::NotFound,
            Self::Nothing(_) | Self::Nobody => Outcome::Failed,
        }
    }

    /// Of the replies to both queries, in the order in which they came.
    fn of(replies: &[Reply]) -> Self {
        let good = |it: &&Reply| it.rcode == 0 && it.records;
        if replies.iter().any(|it| good(&it)) {
            return Self::Records(replies.iter().any(|it| it.address));
        }
        let first = replies.first().map_or(0, |it| it.rcode);
        let codes = replies.iter().map(|it| it.rcode);
        match codes.clone().find(|code| *code != 0) {
            None => Self::NoData,
            Some(NXDOMAIN) => Self::NxDomain,
            Some(SERVFAIL) => Self::Nothing(first == SERVFAIL),
            Some(_) => Self::Other,
        }
    }
}

/// What one server said.
enum Got {
    Replies(Vec<Reply>),
    Truncated,
    Nothing,
}

struct Resolver<'a, N> {
    conf: &'a Conf,
    network: &'a N,
    queries: u32,
    /// One query after the other, and each from its own port. Once a reply was missed, so is it until the end.
    single: bool,
    reopen: bool,
    /// Which server is first.
    turn: usize,
}

/// One name of the search on its way through the servers.
struct Asking<S> {
    pair: Pair,
    /// One for each server, kept from one attempt to the next.
    sockets: Vec<Option<S>>,
    /// Somebody said something, or nothing at all for too long.
    heard: bool,
    /// Code of the last first reply.
    code: u16,
}

pub(super) async fn look_up(name: &str, conf: &Conf, network: &impl Network) -> Lookup {
    let reopen = conf.has("single-request-reopen");
    let mut resolver = Resolver {
        conf,
        network,
        queries: 0,
        single: reopen || conf.has("single-request"),
        reopen,
        turn: match conf.has("rotate") {
            true => rand::rng().random_range(0..conf.servers.len()),
            false => 0,
        },
    };
    Lookup {
        outcome: resolver.search(name).await,
        queries: resolver.queries,
    }
}

impl<N: Network> Resolver<'_, N> {
    /// First as it is if it has enough dots, then below each domain, and last as it is if that was not tried.
    async fn search(&mut self, name: &str) -> Outcome {
        let absolute = name.ends_with('.');
        let mut as_it_is = None;
        if absolute || dots(name) >= self.conf.ndots {
            let said = self.ask(name).await;
            if absolute || matches!(said, Said::Records(_)) {
                return said.outcome();
            }
            as_it_is = Some(said);
        }
        let (mut last, mut no_data, mut servfail, mut root) = (Said::NxDomain, false, false, false);
        for domain in &self.conf.search {
            let domain = domain.strip_prefix('.').unwrap_or(domain);
            root |= domain.is_empty();
            last = match domain.is_empty() {
                true => self.ask(name).await,
                false => self.ask(&format!("{name}.{domain}")).await,
            };
            match last {
                Said::Records(_) | Said::Nobody => return last.outcome(),
                Said::NoData => no_data = true,
                Said::NxDomain => {}
                Said::Nothing(true) => servfail = true,
                // Other domains are not tried then.
                Said::Nothing(false) | Said::Other => break,
            }
        }
        let searched = !self.conf.search.is_empty();
        let no_tld = self.conf.has("no-tld-query") && searched && dots(name) == 0;
        if as_it_is.is_none() && !root && !no_tld {
            last = self.ask(name).await;
        }
        match (as_it_is, last) {
            (None, Said::Records(_)) => last.outcome(),
            (Some(said), _) => said.outcome(),
            _ if no_data => Outcome::NotFound,
            _ if servfail => Outcome::Failed,
            _ => last.outcome(),
        }
    }

    /// One server after the other, as often as `attempts` says.
    async fn ask(&mut self, name: &str) -> Said {
        let families: &[u16] = match self.conf.has("no-aaaa") {
            true => &[rtype::A],
            false => &[rtype::A, rtype::AAAA],
        };
        let Some(pair) = Pair::new(name, families, self.conf.has("edns0")) else {
            return Said::Other;
        };
        let servers = self.conf.servers.len();
        let mut asking = Asking {
            pair,
            sockets: (0..servers).map(|_| None).collect(),
            heard: false,
            code: 0,
        };
        let turn = self.turn;
        self.turn += usize::from(self.conf.has("rotate"));
        let (mut by_stream, mut refused) = (self.conf.has("use-vc"), false);
        for nth in (0..self.conf.attempts).flat_map(|_| turn..turn + servers) {
            let nth = nth % servers;
            if !by_stream {
                match self.over_udp(&mut asking, nth).await {
                    Got::Replies(replies) => return Said::of(&replies),
                    Got::Nothing => continue,
                    Got::Truncated => by_stream = true,
                }
            }
            let (server, both) = (self.conf.servers[nth], 0..asking.pair.len());
            self.queries += both.len() as u32;
            let conversation = converse(self.network, server, &asking.pair, both);
            match timeout(STREAM_MAX, conversation).await {
                Ok(Ok(replies)) => return Said::of(&replies),
                Ok(Err(error)) => refused = error.kind() == io::ErrorKind::ConnectionRefused,
                Err(_) => refused = false,
            }
        }
        match by_stream {
            true if refused => Said::Nobody,
            false if !asking.heard => Said::Nobody,
            _ => Said::Nothing(asking.code == SERVFAIL),
        }
    }

    /// Both at once, and if only one of them is answered, the same server again: one after the other, and at last each from a
    /// port of its own.
    async fn over_udp(&mut self, asking: &mut Asking<N::Socket>, nth: usize) -> Got {
        let (server, wait) = (self.conf.servers[nth], patience(self.conf, nth));
        let count = asking.pair.len();
        let mut packet = vec![0; super::DATAGRAM_MAX];
        'again: loop {
            let until = Instant::now() + wait;
            let at_once = if self.single { 1 } else { count };
            if !self.send(asking, nth, server, 0..at_once).await {
                return Got::Nothing;
            }
            let (mut said, mut replies) = (vec![false; count], vec![]);
            while let Some(socket) = &asking.sockets[nth] {
                let Ok(received) = timeout_at(until, socket.receive(&mut packet)).await else {
                    match replies.is_empty() {
                        true => {
                            asking.heard = true;
                            return Got::Nothing;
                        }
                        false if !self.single => self.single = true,
                        false if !self.reopen => {
                            self.reopen = true;
                            asking.close();
                        }
                        // What came has to do.
                        false => return Got::Replies(replies),
                    }
                    continue 'again;
                };
                let Ok((len, _)) = received else {
                    asking.close();
                    return Got::Nothing;
                };
                asking.heard = true;
                let reply = asking.pair.read(&packet[..len]);
                let Some(reply) = reply.filter(|it| !said[it.nth]) else {
                    continue;
                };
                let is_first = !said.contains(&true);
                if is_first {
                    asking.code = reply.rcode;
                }
                if matches!(reply.rcode, SERVFAIL | NOTIMP | REFUSED) || reply.referral {
                    match is_first {
                        true if count > 1 && !self.single => said[reply.nth] = true,
                        true => {
                            asking.close();
                            return Got::Nothing;
                        }
                        false if replies.is_empty() => return Got::Nothing,
                        false => return Got::Replies(replies),
                    }
                    continue;
                }
                if reply.truncated {
                    asking.close();
                    return Got::Truncated;
                }
                said[reply.nth] = true;
                replies.push(reply);
                if !said.contains(&false) {
                    return Got::Replies(replies);
                }
                if self.single {
                    if self.reopen {
                        asking.close();
                    }
                    if !self.send(asking, nth, server, 1..count).await {
                        return Got::Nothing;
                    }
                }
            }
        }
    }

    /// False if it cannot be sent.
    async fn send(
        &mut self,
        asking: &mut Asking<N::Socket>,
        nth: usize,
        server: SocketAddr,
        queries: Range<usize>,
    ) -> bool {
        let socket = match &asking.sockets[nth] {
            Some(socket) => socket,
            None => match self.network.connect(server).await {
                Ok(socket) => asking.sockets[nth].insert(socket),
                Err(_) => return false,
            },
        };
        for query in queries {
            self.queries += 1;
            let sent = socket.send(&asking.pair.query(query), server).await;
            if sent.is_err() {
                asking.close();
                return false;
            }
        }
        true
    }
}

impl<S> Asking<S> {
    fn close(&mut self) {
        self.sockets.fill_with(|| None);
    }
}

/// How long a server is waited for, in whole seconds: doubled from one to the next, and divided among all from the second on.
fn patience(conf: &Conf, nth: usize) -> Duration {
    let doubled = conf.timeout.as_secs() << nth;
    let seconds = match nth {
        0 => doubled,
        _ => doubled / conf.servers.len() as u64,
    };
    Duration::from_secs(seconds.max(1))
}
