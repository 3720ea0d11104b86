//! The command line. It knows how flags are spelt; what they mean, and in which range, is [`crate::config`]'s.

pub mod bench;
pub mod netdev;

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
use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

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
    Netdev(netdev::Netdev),
    /// Convert a Corefile, or a ConfigMap of CoreDNS or NodeLocal DNSCache, and say what could not be carried over
    Convert(Convert),
    /// Measure DNS servers as their clients feel them
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Write the man pages, one for each command
    Manual {
        /// Where to
        directory: PathBuf,
    },
    /// Print what a shell needs to complete commands and flags
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Flags of `gapless convert`.
#[derive(Clone, Debug, Args)]
pub struct Convert {
    /// The Corefile, or manifests with the ConfigMap
    pub file: PathBuf,
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
