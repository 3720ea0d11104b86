//! The flags of `gapless netdev`. It knows how they are spelt; what is done with them is `app::netdev`'s.

use clap::{Args, Subcommand};
use std::net::{IpAddr, SocketAddr};

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
