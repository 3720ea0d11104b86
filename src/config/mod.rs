//! One [`Config`] of a file and flags: typed, bounded, complete. It knows every key and what may stand there, and nothing
//! of what a part does with it.
//!
//! ```text
//! file ─▶ tree (YAML with places) ─▶ section (walk) ─▶ Config | Errors
//!                     flags ─▶ schema (keys) ──┘  └─▶ keys: documentation, `check --print`
//! ```

mod error;
mod hosts_file;
mod print;
mod schema;
mod section;
mod tree;
mod value;

use crate::{
    cli::{AdminAddress, Serve},
    forward::Server,
    telemetry::Format,
    wire::NameKey,
};
pub use error::{Errors, Problem};
pub(crate) use hosts_file::HostsFile;
pub use print::print;
pub use section::Key;
use std::{
    fs::File,
    io::{self, Read},
    net::{IpAddr, SocketAddr},
    path::{self, PathBuf},
    time::Duration,
};
pub use tree::Place;
// A flag is written as its key is.
pub(crate) use schema::{ADMIN, CONTEXT, FORMATS, SCOPES, SLICES};
pub(crate) use value::{ClusterDomain, Listener, LogFilter, Path, Span, Upstream, Word};

/// Everything that can be chosen. `docs/configuration.md` says what each key is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Addresses answered at, by UDP and TCP; at least one. Port 0 is for tests.
    pub listen: Vec<SocketAddr>,
    /// Where the admin server listens, if anywhere.
    pub admin: Option<SocketAddr>,
    /// The UDP listeners.
    pub udp: Udp,
    /// The TCP listeners.
    pub tcp: Tcp,
    /// DNS over HTTPS, if it is answered.
    pub https: Option<Https>,
    /// Where the cluster's objects come from.
    pub source: Source,
    /// The cluster's names.
    pub cluster: Cluster,
    /// Names with addresses of their own.
    pub hosts: Hosts,
    /// Everything that is asked elsewhere.
    pub forward: Forward,
    /// The cache of forwarded answers.
    pub cache: Cache,
    /// What the server says about itself.
    pub identity: Identity,
    /// What it logs.
    pub log: Log,
}

/// The UDP listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Udp {
    /// Threads; `None` is one for each CPU that the process may use.
    pub workers: Option<usize>,
}

/// The TCP listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Connections of all clients.
    pub max_connections: usize,
    /// Connections of one client's address.
    pub max_connections_per_client: usize,
    /// Queries of one connection that are under way.
    pub max_queries_per_connection: usize,
    /// How long a connection may be without a query.
    pub idle_timeout: Duration,
}

/// DNS over HTTPS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Https {
    /// Addresses answered at, at least one.
    pub listen: Vec<SocketAddr>,
    /// A file of PEM certificates, the server's own first.
    pub certificate: PathBuf,
    /// A file with its key in PEM.
    pub key: PathBuf,
    /// The path of the URI.
    pub path: String,
}

/// Where the cluster's objects come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A directory of manifests.
    Manifests(PathBuf),
    /// A Kubernetes API server.
    Kubernetes {
        /// `None`: in-cluster credentials, else `KUBECONFIG` or `~/.kube/config`.
        kubeconfig: Option<PathBuf>,
        /// `None`: the current one. With a context and no `kubeconfig`, `KUBECONFIG` names the file.
        context: Option<String>,
    },
}

/// The cluster's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// What they stand below; at most 180 octets in wire form.
    pub domain: NameKey,
    /// Which of them are answered here.
    pub scope: Scope,
    /// The cluster's own DNS; not empty in [`Scope::Headless`].
    pub dns: Vec<Server>,
    /// Which slices are watched.
    pub endpoint_slices: EndpointSlices,
    /// How endpoints without a hostname are called.
    pub endpoint_names: EndpointNames,
    /// Names made of pods' addresses.
    pub pods: Pods,
    /// Zones below which unknown names are forwarded.
    pub fallthrough: Vec<NameKey>,
    /// What becomes of answers from an index that is stale.
    pub when_stale: WhenStale,
    /// How long after its last confirmation a source is stale.
    pub stale_after: Duration,
    /// TTLs of answers about the cluster, in whole seconds.
    pub ttl: Ttl,
}

/// Names with addresses of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// Names, each in one entry only, and their addresses.
    pub entries: Vec<Host>,
    /// A file of more of them, in the format of /etc/hosts.
    pub file: Option<PathBuf>,
    /// TTL of answers about them, in whole seconds.
    pub ttl: Duration,
}

/// Names that share their addresses; at least one of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The first is what reverse answers give.
    pub names: Vec<NameKey>,
    /// Of either family.
    pub addresses: Vec<IpAddr>,
}

/// Which of the cluster's names are answered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All.
    Cluster,
    /// Those of headless services; the others are forwarded to the cluster's own DNS.
    Headless,
}

/// Which EndpointSlices are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointSlices {
    /// Those of headless services, and those that somebody else than the EndpointSlice controller manages.
    Headless,
    /// All.
    All,
}

/// How an endpoint without a hostname is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointNames {
    /// By its address.
    Hostname,
    /// By its pod's name.
    Pod,
}

/// Names made of pods' addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pods {
    /// NXDOMAIN.
    Disabled,
    /// Answered whether there is such a pod or not.
    Insecure,
    /// Answered if there is such a pod.
    Verified,
}

/// What becomes of answers from an index that is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenStale {
    /// They are given, with a remark.
    Answer,
    /// The cluster's own DNS is asked instead.
    Forward,
}

/// TTLs by kind of record, in whole seconds, 0 to 3600.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ttl {
    /// Names of services with an address of their own.
    pub service: Duration,
    /// Names that follow pods.
    pub pod: Duration,
    /// NXDOMAIN and NODATA.
    pub negative: Duration,
}

/// Everything that is asked elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Servers; if empty, those of `resolv_conf`.
    pub upstreams: Vec<Server>,
    /// Zones with upstreams of their own; none stands in two routes.
    pub routes: Vec<Route>,
    /// Read, and followed, when there are no `upstreams`.
    pub resolv_conf: PathBuf,
    /// Authorities for encrypted servers; `None`: the system's.
    pub tls_ca: Option<PathBuf>,
    /// Questions under way.
    pub max_in_flight: usize,
    /// Questions asked upstream for one client address; `None` for no bound of its own.
    pub max_in_flight_per_client: Option<usize>,
    /// Clients that wait for one question.
    pub max_waiters: usize,
    /// Whether an upstream's AD flag is passed on.
    pub trust_ad: bool,
    /// Whether letters get random case by UDP.
    pub case_randomization: bool,
}

/// Zones with upstreams of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// At least one; none is the cluster domain.
    pub zones: Vec<NameKey>,
    /// At least one.
    pub upstreams: Vec<Server>,
    /// Whether their AD flag is passed on.
    pub trust_ad: bool,
}

/// The cache of forwarded answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Octets of keys and answers.
    pub size: u64,
    /// Upper bound of TTLs, in whole seconds.
    pub max_ttl: Duration,
    /// The same for NXDOMAIN and NODATA.
    pub max_negative_ttl: Duration,
    /// For how long an answer may be given after its time while no upstream answers, in whole seconds.
    pub max_stale: Duration,
    /// Whether popular answers are refreshed before their time ends.
    pub prefetch: bool,
    /// Octets of the longest answer that is kept.
    pub max_answer: u64,
}

/// What the server says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Whether `version.bind` is answered.
    pub version: bool,
    /// What `id.server` answers.
    pub id: Option<String>,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// How a line is written.
    pub format: Format,
    /// A filter in tracing's syntax.
    pub level: String,
}

/// Octets of the longest file that is read, of static names too: 100 for each of as many as there may be.
const MAX_FILE: u64 = 1 << 20;

impl Default for Config {
    fn default() -> Self {
        let flags = Serve::default();
        let (config, found) = section::walk(None, |root| schema::declare(root, &flags));
        debug_assert_eq!(found.problems, [], "the defaults are valid");
        config
    }
}

impl Config {
    /// Reads `file`, if there is one, and puts the flags that are given over it.
    pub fn load(file: Option<&path::Path>, flags: &Serve) -> Result<Self, Errors> {
        Ok(Self::read(file, flags)?.0)
    }

    /// The same, with the keys and what stands in the file, in the order of the documentation.
    pub fn read(file: Option<&path::Path>, flags: &Serve) -> Result<(Self, Vec<Key>), Errors> {
        let text = file.map_or_else(|| Ok(Vec::new()), read);
        let unreadable = |error| Errors::one(None, format!("cannot be read: {error}"), "");
        let config = text
            .map_err(unreadable)
            .and_then(|text| Self::parse(&text, flags));
        config.map_err(|errors| Errors {
            file: file.map(Into::into),
            ..errors
        })
    }

    /// Reads a document.
    pub fn parse(text: &[u8], flags: &Serve) -> Result<(Self, Vec<Key>), Errors> {
        let text = utf8(text)?;
        let document =
            tree::parse(text).map_err(|(place, message)| Errors::one(place, message, text))?;
        let (config, found) = section::walk(Some(&document), |root| schema::declare(root, flags));
        if found.problems.is_empty() {
            return Ok((config, found.keys));
        }
        Err(Errors {
            file: None,
            problems: found.problems,
            text: text.to_owned(),
        })
    }
}

/// Every key with its default, range and reason, in the order of the documentation.
pub fn keys() -> Vec<Key> {
    section::walk(None, |root| schema::declare(root, &Serve::default()))
        .1
        .keys
}

/// Reads a file of at most 1 MiB.
pub(crate) fn read(file: &path::Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(file)?
        .take(MAX_FILE + 1)
        .read_to_end(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::other("it is longer than 1 MiB"));
    }
    Ok(text)
}

fn utf8(text: &[u8]) -> Result<&str, Errors> {
    std::str::from_utf8(text).map_err(|error| {
        let valid = String::from_utf8_lossy(&text[..error.valid_up_to()]);
        let last = valid.rsplit('\n').next().unwrap_or_default();
        let place = Place {
            line: 1 + valid.matches('\n').count() as u64,
            column: 1 + last.chars().count() as u64,
        };
        let octet = text[error.valid_up_to()];
        let message = format!("not UTF-8: the octet 0x{octet:02x} stands here");
        Errors::one(Some(place), message, &valid)
    })
}
