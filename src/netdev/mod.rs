//! Node-local mode: addresses on an interface of our own and rules that keep their traffic out of connection tracking, put
//! there, taken away, and watched over. It knows the kernel's netlink, and of the server only what a client sees.
//!
//! ```text
//! own addresses (169.254.20.10)      there from `up` to `down`
//! the cluster DNS's (10.96.0.10)     there while somebody answers: without them, kube-proxy takes its questions
//! ```

mod link;
mod netlink;
mod notrack;
mod watch;

use link::Links;
use notrack::Notrack;
use std::{
    collections::BTreeSet,
    fmt, io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};
pub use watch::watch;

/// What is wanted on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The interface's name, of at most 15 octets.
    pub interface: String,
    /// Its kind, such as `dummy`.
    pub kind: String,
    /// Addresses that nobody else answers at.
    pub own: BTreeSet<IpAddr>,
    /// The cluster DNS's addresses, redirected to this node.
    pub redirected: BTreeSet<IpAddr>,
    /// The port of the server and of the rules.
    pub port: u16,
}

/// How the watchdog finds out whether somebody answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probes {
    /// Where the server's `/readyz` is.
    pub admin: SocketAddr,
    /// How long to go on after the signal to end, until nobody answers.
    pub grace: Duration,
}

/// The node as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    interface: String,
    /// Its kind, and whether it is up.
    link: Option<(String, bool)>,
    addresses: BTreeSet<IpAddr>,
    rules: usize,
    wanted: (BTreeSet<IpAddr>, usize),
}

impl Options {
    fn all(&self) -> BTreeSet<IpAddr> {
        self.own.union(&self.redirected).copied().collect()
    }

    /// Has the node as it is wanted, whatever is there; again, it changes nothing.
    pub fn up(&self) -> io::Result<()> {
        self.set(&self.all())
    }

    /// Leaves the own addresses only: the cluster DNS's go where kube-proxy sends them.
    pub fn release(&self) -> io::Result<()> {
        self.set(&self.own)
    }

    /// In such an order that questions to the cluster DNS's addresses always find somebody: a rule without its address
    /// would keep kube-proxy from them.
    fn set(&self, addresses: &BTreeSet<IpAddr>) -> io::Result<()> {
        let mut links = Links::open()?;
        let mut rules = open_rules()?;
        let link = links.ensure(&self.interface, &self.kind)?;
        let there = links.addresses(&link)?;
        let kept: BTreeSet<_> = addresses.intersection(&there).copied().collect();
        if kept != there {
            rules.replace(&kept, self.port).map_err(of_rules)?;
        }
        links.set_addresses(&link, addresses)?;
        rules.replace(addresses, self.port).map_err(of_rules)
    }

    /// Leaves nothing.
    pub fn down(&self) -> io::Result<()> {
        open_rules()?.remove().map_err(of_rules)?;
        Links::open()?.remove(&self.interface)
    }

    /// What is there.
    pub fn status(&self) -> io::Result<Status> {
        let mut links = Links::open()?;
        let link = links.find(&self.interface)?;
        let addresses = match &link {
            Some(link) => links.addresses(link)?,
            None => BTreeSet::new(),
        };
        let all = self.all();
        let rules = notrack::rules_for(all.len());
        Ok(Status {
            interface: self.interface.clone(),
            link: link.map(|link| (link.kind, link.up)),
            addresses,
            rules: open_rules()?.count()?,
            wanted: (all, rules),
        })
    }
}

/// A kernel without netfilter says so here, and of no table.
fn open_rules() -> io::Result<Notrack> {
    Notrack::open().map_err(of_rules)
}

fn of_rules(error: io::Error) -> io::Error {
    io::Error::other(format!("nftables table {}: {error}", notrack::TABLE))
}

impl Status {
    /// Is everything there that is wanted, the redirect included?
    pub fn is_up(&self) -> bool {
        let up = self.link.as_ref().is_some_and(|(_, up)| *up);
        up && (&self.addresses, self.rules) == (&self.wanted.0, self.wanted.1)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.link {
            Some((kind, up)) => {
                let state = if *up { "up" } else { "down" };
                writeln!(f, "interface {} ({kind}): {state}", self.interface)?;
            }
            None => writeln!(f, "interface {}: none", self.interface)?,
        }
        for address in &self.addresses {
            writeln!(f, "address {address}")?;
        }
        for address in self.wanted.0.difference(&self.addresses) {
            writeln!(f, "missing {address}")?;
        }
        writeln!(f, "rules {} of {}", self.rules, self.wanted.1)
    }
}
