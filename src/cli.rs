//! The command line. It knows how flags are spelt; what they mean, and in which range, is [`crate::config`]'s.

use crate::{
    config::{
        ADMIN, CONTEXT, ClusterDomain, EndpointSlices, FORMATS, Listener, LogFilter, Path, SCOPES,
        SLICES, Scope, Upstream, Word,
    },
    forward::Server,
    telemetry,
    wire::NameKey,
};
use clap::{Args, Parser, Subcommand};
use std::{
    ffi::OsString,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

/// A caching DNS proxy that knows a Kubernetes cluster's names.
#[derive(Clone, Debug, Parser)]
#[command(name = "gapless", version, about, arg_required_else_help = true)]
pub struct Cli {
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

/// What is to be done.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Answer queries
    Serve(Box<Serve>),
    /// Validate a configuration file
    Check(Check),
    /// Set up a node's addresses and rules, take them away, or watch over them (Linux)
    #[command(subcommand)]
    Netdev(Netdev),
}

/// What is to be done with a node's addresses and rules.
#[derive(Clone, Debug, Subcommand)]
pub enum Netdev {
    /// Put the interface, its addresses and the rules there; what is there already stays
    Up(Node),
    /// Take all of it away
    Down(Node),
    /// Show what is there; fails if something is missing
    Status(Node),
    /// Redirect the cluster DNS's addresses while the server answers and is ready, and only then
    Watch(Watch),
}

/// Flags of `gapless netdev`.
#[derive(Clone, Debug, Args)]
pub struct Node {
    /// Name of the interface
    #[arg(long, env = "GAPLESS_NETDEV_INTERFACE", value_name = "NAME", default_value = "gapless0", value_parser = interface)]
    pub interface: String,

    /// Kind of the interface, such as dummy or bridge
    #[arg(
        long,
        env = "GAPLESS_NETDEV_KIND",
        value_name = "KIND",
        default_value = "dummy"
    )]
    pub kind: String,

    /// Address of the server's own; repeatable
    #[arg(
        long,
        env = "GAPLESS_NETDEV_ADDRESS",
        value_name = "IP",
        value_delimiter = ',',
        default_value = "169.254.20.10"
    )]
    pub address: Vec<IpAddr>,

    /// Address of the cluster's DNS service, redirected to this node; repeatable
    #[arg(
        long,
        env = "GAPLESS_NETDEV_KUBE_DNS",
        value_name = "IP",
        value_delimiter = ','
    )]
    pub kube_dns: Vec<IpAddr>,

    /// Port of the server
    #[arg(long, env = "GAPLESS_NETDEV_PORT", default_value_t = 53)]
    pub port: u16,
}

/// Flags of `gapless netdev watch`.
#[derive(Clone, Debug, Args)]
pub struct Watch {
    /// See [`Node`].
    #[command(flatten)]
    pub node: Node,

    /// Address of the server's admin server
    #[arg(
        long,
        env = "GAPLESS_ADMIN",
        value_name = "ADDR",
        default_value = "127.0.0.1:9533"
    )]
    pub admin: SocketAddr,

    /// Seconds to go on after SIGTERM while the server, or the next one, answers
    #[arg(long, env = "GAPLESS_NETDEV_GRACE", value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub grace: u64,
}

/// A name as the kernel takes it (IFNAMSIZ).
fn interface(text: &str) -> Result<String, String> {
    let bad = |c: char| c.is_whitespace() || c == '/' || c == '\0';
    match text {
        "" | "." | ".." => Err("expected a name".to_owned()),
        _ if text.len() > 15 || text.contains(bad) => {
            Err("expected at most 15 octets without space and slash".to_owned())
        }
        _ => Ok(text.to_owned()),
    }
}

/// Flags of `gapless check`.
#[derive(Clone, Debug, Args)]
pub struct Check {
    /// The configuration file
    pub file: PathBuf,
    /// Print it with every key that it leaves to its default
    #[arg(long)]
    pub print: bool,
    /// See [`Environment`].
    #[command(flatten)]
    pub environment: Environment,
}

/// Flags of `gapless serve`; each takes the place of its key in the configuration file.
// Kubernetes puts variables such as GAPLESS_PORT and GAPLESS_SERVICE_HOST into pods beside a service named gapless: no
// variable of ours may be called so.
#[derive(Clone, Debug, Default, Args)]
pub struct Serve {
    /// Configuration file (YAML)
    #[arg(long, env = "GAPLESS_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Serve the names of the manifests in this directory
    #[arg(long, env = "GAPLESS_MANIFESTS", value_name = "DIR", value_parser = |text: &str| Path.flag(text))]
    pub manifests: Option<PathBuf>,

    /// Serve the names of this kubeconfig's cluster; without it and --manifests: in-cluster credentials, else KUBECONFIG or
    /// ~/.kube/config
    #[arg(long, env = "GAPLESS_KUBECONFIG", value_name = "FILE", value_parser = |text: &str| Path.flag(text))]
    pub kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig
    #[arg(long, env = "GAPLESS_CONTEXT", value_name = "NAME", value_parser = |text: &str| CONTEXT.flag(text))]
    pub context: Option<String>,

    /// Address to answer at by UDP and TCP; repeatable [default: 127.0.0.1:5300]
    #[arg(long, env = "GAPLESS_LISTEN", value_name = "ADDR", value_delimiter = ',', value_parser = |text: &str| Listener.flag(text))]
    pub listen: Vec<SocketAddr>,

    /// Server for names outside the cluster; repeatable [default: the system's resolv.conf]
    #[arg(long, env = "GAPLESS_UPSTREAM", value_name = "ADDR", value_delimiter = ',', value_parser = |text: &str| Upstream.flag(text))]
    pub upstream: Vec<Server>,

    /// The cluster's own DNS, for cluster names that cannot be answered here yet or at all; repeatable
    #[arg(long, env = "GAPLESS_CLUSTER_DNS", value_name = "ADDR", value_delimiter = ',', value_parser = |text: &str| Upstream.flag(text))]
    pub cluster_dns: Vec<Server>,

    /// Address of the admin server, or off [default: 127.0.0.1:9533]
    #[arg(long, env = "GAPLESS_ADMIN", value_name = "ADDR", value_parser = |text: &str| ADMIN.flag(text).map(AdminAddress))]
    pub admin: Option<AdminAddress>,

    /// Unix socket by which the sockets of a running process are taken over, and passed to the next one
    #[arg(long, env = "GAPLESS_HANDOVER", value_name = "FILE", value_parser = |text: &str| Path.flag(text))]
    pub handover: Option<PathBuf>,

    /// Listen at addresses that no interface has yet
    #[arg(long, env = "GAPLESS_FREEBIND")]
    pub freebind: bool,

    /// What the cluster's names stand below [default: cluster.local]
    #[arg(long, env = "GAPLESS_CLUSTER_DOMAIN", value_name = "NAME", value_parser = |text: &str| ClusterDomain.flag(text))]
    pub cluster_domain: Option<NameKey>,

    /// Which cluster names are answered here: cluster or headless [default: cluster]
    #[arg(long, env = "GAPLESS_SCOPE", value_parser = |text: &str| SCOPES.flag(text))]
    pub scope: Option<Scope>,

    /// Which EndpointSlices are watched: headless or all [default: headless]
    #[arg(long, env = "GAPLESS_ENDPOINT_SLICES", value_name = "WHICH", value_parser = |text: &str| SLICES.flag(text))]
    pub endpoint_slices: Option<EndpointSlices>,

    /// How logs are written: text or json [default: text]
    #[arg(long, env = "GAPLESS_LOG_FORMAT", value_name = "FORMAT", value_parser = |text: &str| FORMATS.flag(text))]
    pub log_format: Option<telemetry::Format>,

    /// What is logged, such as warn or info,gapless::feed=debug [default: info]
    #[arg(long, env = "GAPLESS_LOG_LEVEL", value_name = "FILTER", value_parser = |text: &str| LogFilter.flag(text))]
    pub log_level: Option<String>,

    /// See [`Environment`].
    #[command(flatten)]
    pub environment: Environment,
}

/// What is not ours in the environment, and matters.
#[derive(Clone, Debug, Default, Args)]
pub struct Environment {
    /// `KUBECONFIG`: where the Kubernetes client looks by itself.
    #[arg(
        id = "KUBECONFIG",
        long = "kubeconfig-of-environment",
        env = "KUBECONFIG",
        hide = true
    )]
    pub kubeconfig: Option<OsString>,
}

/// `--admin`: an address, or `None` for `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminAddress(pub Option<SocketAddr>);
