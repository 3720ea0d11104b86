//! The upstreams of the system: those of resolv.conf at the start, and those of every later version of it. It knows the file,
//! what leads to it, and which addresses are this server's own; what a line means is said elsewhere.

use crate::{
    forward::{Forwarder, ResolvConf, Server},
    lifecycle::Drain,
    metrics, notices,
};
use std::{
    fs::{self, File},
    io::{self, Read as _},
    mem,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

/// What is read of the file. A longer one is cut here, and is none that a resolver has use for.
const READ_MAX: u64 = 64 << 10;

/// The file, and what was made of its last version.
#[derive(Debug)]
pub(super) struct SystemUpstreams {
    path: PathBuf,
    /// Where this server answers.
    listening: Vec<SocketAddr>,
    /// The text that was read last, or why there was none.
    last: Result<String, String>,
    servers: Vec<Server>,
}

impl SystemUpstreams {
    /// Reads the file for the first time.
    pub(super) fn of(path: &Path, listening: &[SocketAddr]) -> Self {
        let mut new = Self {
            path: path.to_owned(),
            listening: listening.to_vec(),
            last: Err(String::new()),
            servers: Vec::new(),
        };
        new.take(read(path));
        new
    }

    /// The servers that its last usable version names, without this server itself.
    pub(super) fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// Gives the forwarder the servers of every version to come, until the drain.
    pub(super) async fn follow(
        mut self,
        forward: Forwarder,
        metrics: metrics::Forward,
        drain: Drain,
    ) {
        let path = self.path.clone();
        let take = |read| {
            if let Some(usable) = self.take(read) {
                metrics.resolv_conf(usable);
                forward.replace_upstreams(&self.servers);
            }
        };
        let follow = notices::follow(vec![path.clone()], move || read(&path), take);
        drain.run_until_cancelled(follow).await;
    }

    /// Takes what was read: `None` if it is what was read before, otherwise whether there is somebody to ask in it. If there
    /// is not, whoever was asked before is asked on: the file may be about to be written, and a dead server is no worse than
    /// none.
    fn take(&mut self, read: io::Result<String>) -> Option<bool> {
        let read = read.map_err(|error| error.to_string());
        if mem::replace(&mut self.last, read.clone()) == read {
            return None;
        }
        let path = self.path.display();
        let text = read.unwrap_or_else(|error| {
            tracing::warn!("{path}: {error}");
            String::new()
        });
        let conf = ResolvConf::parse(&text, interface_index);
        for bad in &conf.bad {
            tracing::warn!("{path}: {bad}");
        }
        let (own, upstreams): (Vec<_>, Vec<_>) = conf
            .servers
            .into_iter()
            .partition(|server| leads_back(*server, &self.listening));
        if !own.is_empty() {
            tracing::warn!(
                ?own,
                "{path}: these are addresses of this server, and would be asked in a circle; left out"
            );
        }
        let usable = !upstreams.is_empty();
        if usable {
            tracing::info!(
                ?upstreams,
                "{path}: names outside the cluster are asked there"
            );
            self.servers = upstreams.into_iter().map(Server::from).collect();
        } else if self.servers.is_empty() {
            tracing::warn!(
                "{path}: no upstream; only names of the cluster are answered (see forward.upstreams)"
            );
        } else {
            let upstreams: Vec<_> = self.servers.iter().map(Server::to_string).collect();
            tracing::warn!(?upstreams, "{path}: no upstream; the former ones stay");
        }
        Some(usable)
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(READ_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Would a question sent to this address come back to a listener?
fn leads_back(server: SocketAddr, listening: &[SocketAddr]) -> bool {
    let any = |address: IpAddr| match address {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let wildcard = SocketAddr::new(any(server.ip()), server.port());
    listening.contains(&server) || (listening.contains(&wildcard) && server.ip().is_loopback())
}

fn interface_index(name: &str) -> Option<u32> {
    let safe = !name.contains('/') && name != "..";
    let path = safe.then(|| format!("/sys/class/net/{name}/ifindex"))?;
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening_on(address: &str) -> SystemUpstreams {
        SystemUpstreams {
            path: "/etc/resolv.conf".into(),
            listening: vec![address.parse().unwrap()],
            last: Err(String::new()),
            servers: Vec::new(),
        }
    }

    fn servers(upstreams: &SystemUpstreams) -> Vec<String> {
        let servers = upstreams.servers.iter();
        servers.map(ToString::to_string).collect()
    }

    #[test]
    fn the_upstreams_of_resolv_conf_are_asked_without_this_server_itself() {
        let of = |listening| {
            let text =
                "search a.b\nnameserver 127.0.0.1\nnameserver 192.0.2.1\nnameserver 2001:db8::1\n";
            let mut upstreams = listening_on(listening);
            assert_eq!(upstreams.take(Ok(text.to_owned())), Some(true));
            servers(&upstreams)
        };
        let others = ["192.0.2.1:53", "[2001:db8::1]:53"];
        assert_eq!(of("127.0.0.1:53"), others);
        assert_eq!(of("0.0.0.0:53"), others);
        let all = ["127.0.0.1:53", "192.0.2.1:53", "[2001:db8::1]:53"];
        assert_eq!(of("127.0.0.1:5300"), all);
    }

    #[test]
    fn u20_a_version_that_names_nobody_leaves_the_former_upstreams() {
        let mut upstreams = listening_on("127.0.0.1:53");
        let gone = || Err(io::ErrorKind::NotFound.into());
        let text = |text: &str| Ok(text.to_owned());
        assert_eq!(upstreams.take(gone()), Some(false));
        assert_eq!(servers(&upstreams), [""; 0]);
        assert_eq!(upstreams.take(text("nameserver 192.0.2.1\n")), Some(true));
        assert_eq!(upstreams.take(text("nameserver 192.0.2.1\n")), None);
        for nobody in [gone(), text(""), text("nameserver 127.0.0.1\n")] {
            assert_eq!(upstreams.take(nobody), Some(false));
            assert_eq!(servers(&upstreams), ["192.0.2.1:53"]);
        }
        let other = text("nameserver 127.0.0.1\nnameserver 192.0.2.2\n");
        assert_eq!(upstreams.take(other), Some(true));
        assert_eq!(servers(&upstreams), ["192.0.2.2:53"]);
    }

    #[test]
    fn an_upstream_that_is_this_server_is_recognised() {
        let own = |server: &str, listening: &[&str]| {
            let listening: Vec<_> = listening.iter().map(|it| it.parse().unwrap()).collect();
            leads_back(server.parse().unwrap(), &listening)
        };
        assert!(own("127.0.0.1:53", &["127.0.0.1:53"]));
        assert!(own("127.0.0.53:53", &["0.0.0.0:53"]));
        assert!(own("[::1]:53", &["[::]:53"]));
        assert!(!own("127.0.0.1:53", &["127.0.0.1:5300"]));
        assert!(!own("192.0.2.1:53", &["0.0.0.0:53"]));
        assert!(!own("127.0.0.53:53", &["169.254.20.10:53"]));
    }
}
