//! A resolv.conf as the C library reads it: the servers, search list and options. It opens no file.

use super::Library;
use crate::wire::NameKey;
use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// Servers that the C libraries use (resolv.conf(5), MAXNS).
pub const SERVERS_MAX: usize = 3;

/// What a C library is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conf {
    /// In the order in which they are asked.
    pub servers: Vec<SocketAddr>,
    /// What is put behind names.
    pub search: Vec<String>,
    /// A name with so many dots is first looked up as it is.
    pub ndots: usize,
    /// How long one server is waited for.
    pub timeout: Duration,
    /// How often all of them are asked.
    pub attempts: u32,
    /// Options without a value, as they are written.
    pub words: Vec<String>,
}

/// Why names cannot be looked up by it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadConf {
    /// No `nameserver` line.
    #[error("expected a `nameserver` line with an address")]
    NoServer,
    /// A search list with something else in it.
    #[error("line {0}: {1}")]
    Search(usize, String),
}

impl Conf {
    /// Reads it. As the libraries do, it passes over what it does not know, takes the last search list, and bounds `ndots`,
    /// `timeout` and `attempts`.
    pub fn parse(text: &str, library: Library) -> Result<Self, BadConf> {
        let mut conf = Self {
            servers: vec![],
            search: vec![],
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            words: vec![],
        };
        for (n, line) in text.lines().enumerate() {
            if line.starts_with(['#', ';']) {
                continue;
            }
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") if conf.servers.len() < SERVERS_MAX => {
                    let address = words.next().and_then(|it| it.parse::<IpAddr>().ok());
                    let server = address.map(|ip| SocketAddr::new(ip, 53));
                    conf.servers.extend(server);
                }
                Some("search" | "domain") => {
                    conf.search = words.map(str::to_owned).collect();
                    for name in &conf.search {
                        let known = NameKey::from_text(name);
                        known.map_err(|error| BadConf::Search(n + 1, error.to_string()))?;
                    }
                }
                Some("options") => words.for_each(|word| conf.option(word, library)),
                _ => {}
            }
        }
        match conf.servers.is_empty() {
            true => Err(BadConf::NoServer),
            false => Ok(conf),
        }
    }

    /// Is there this option without a value?
    pub fn has(&self, option: &str) -> bool {
        self.words.iter().any(|word| word == option)
    }

    fn option(&mut self, word: &str, library: Library) {
        let (timeout_max, attempts_max) = match library {
            Library::Glibc => (30, 5),
            Library::Musl => (60, 10),
        };
        let Some((key, value)) = word.split_once(':') else {
            self.words.push(word.to_owned());
            return;
        };
        let Ok(value) = value.parse::<u32>() else {
            return;
        };
        match key {
            "ndots" => self.ndots = value.min(15) as usize,
            "timeout" => self.timeout = Duration::from_secs(value.clamp(1, timeout_max).into()),
            "attempts" => self.attempts = value.clamp(1, attempts_max),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_file_is_read_as_the_library_reads_it() {
        let conf = Conf::parse(
            "nameserver 10.96.0.10\nsearch old.example\nsearch default.svc.cluster.local svc.cluster.local cluster.local\n\
             options ndots:5 timeout:2 edns0 attempts:99\nnameserver x\n",
            Library::Glibc,
        )
        .unwrap();
        assert_eq!(conf.servers, ["10.96.0.10:53".parse().unwrap()]);
        assert_eq!((conf.search.len(), conf.ndots, conf.attempts), (3, 5, 5));
        assert!(conf.has("edns0"));
        assert_eq!(conf.timeout, Duration::from_secs(2));
        assert_eq!(
            Conf::parse("search a\n", Library::Glibc),
            Err(BadConf::NoServer)
        );
        let error = Conf::parse("nameserver ::1\nsearch a..b\n", Library::Musl).unwrap_err();
        assert!(error.to_string().starts_with("line 2: `a..b`"), "{error}");
    }
}
