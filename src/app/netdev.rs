//! `gapless netdev`: its flags made into [`netdev::Options`], and the watchdog's runtime and signals.
#![allow(clippy::print_stdout, reason = "a command speaks to its terminal")]

use crate::{
    cli::netdev::{Netdev, Node},
    netdev::{self, Options, Probes},
    telemetry::{self, Format},
};
use anyhow::{Context as _, ensure};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Addresses of a node: those of both families, and some to go from old to new ones.
const MAX_ADDRESSES: usize = 16;

/// Does what the command says.
pub fn netdev(command: Netdev) -> anyhow::Result<()> {
    match command {
        Netdev::Up(node) => Ok(options(node)?.up()?),
        Netdev::Down(node) => Ok(options(node)?.down()?),
        Netdev::Status(node) => {
            let status = options(node)?.status()?;
            print!("{status}");
            ensure!(status.is_up(), "not everything is there, or more than that");
            Ok(())
        }
        Netdev::Watch(flags) => {
            telemetry::init(Format::Text, "info")?;
            let probes = Probes {
                admin: flags.admin,
                grace: Duration::from_secs(flags.grace),
            };
            watch(options(flags.node)?, &probes)
        }
    }
}

fn options(node: Node) -> anyhow::Result<Options> {
    let options = Options {
        interface: node.interface,
        kind: node.kind,
        own: node.address.into_iter().collect(),
        redirected: node.kube_dns.into_iter().collect(),
        port: node.port,
    };
    let all = options.own.union(&options.redirected).count();
    ensure!(
        all <= MAX_ADDRESSES,
        "expected at most {MAX_ADDRESSES} addresses"
    );
    ensure!(
        options.own.is_disjoint(&options.redirected),
        "an address is either the server's own or the cluster DNS's"
    );
    Ok(options)
}

/// In one thread: it waits, and takes little memory beside the server.
fn watch(options: Options, probes: &Probes) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the asynchronous runtime does not start")?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        Ok(netdev::watch(options, probes, stop).await?)
    })
}
