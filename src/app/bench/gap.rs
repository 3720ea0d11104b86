//! Runs `gapless bench gap`: opens what is to be followed, a cluster's API or a directory of manifests, and writes what came of it.

use super::{on_interrupt, print, put, verdict};
use crate::{
    bench::{
        gap::{self, Create},
        output,
    },
    cli::bench::Gap,
    feed::{
        kube::{Credentials, connect},
        manifests::{self, Manifests},
    },
    forward::Transport,
    lifecycle::Drain,
    metrics::Metrics,
    wire::NameKey,
};
use prometheus_client::registry::Registry;
use std::process::ExitCode;
use tokio::sync::mpsc;

/// Changes on their way from the directory.
const QUEUE: usize = 1024;

pub(super) async fn gap(flags: &Gap) -> anyhow::Result<ExitCode> {
    let servers = flags.server.iter().map(|server| match server.transport {
        Transport::Plain => Ok(server.address),
        _ => anyhow::bail!("--server: {server}: they are asked over UDP"),
    });
    let servers = servers.collect::<anyhow::Result<_>>()?;
    NameKey::from_text(&flags.cluster_domain)?;
    let namespace = match flags.create {
        Some(_) => flags
            .namespace
            .clone()
            .or_else(|| Some("default".to_owned())),
        None => flags.namespace.clone(),
    };
    let name = format!("gapless-bench-{}", std::process::id());
    let selector = match flags.create {
        Some(_) => Some(format!("app.kubernetes.io/name={name}")),
        None => flags.selector.clone(),
    };
    let (events, read) = mpsc::channel(QUEUE);
    let mut feed = None;
    let source = match &flags.manifests {
        Some(directory) => {
            let directory = directory.clone();
            let options = manifests::Options { directory };
            let metrics = Metrics::new(&mut Registry::default()).feed;
            feed = Some(Manifests::open(&options, &metrics)?);
            gap::Source::Manifests {
                directory: options.directory,
                events: read,
            }
        }
        None => gap::Source::Cluster {
            client: connect(&Credentials {
                kubeconfig: flags.kubeconfig.clone(),
                context: flags.context.clone(),
                environment: std::env::vars().collect(),
            })
            .await?,
            selector,
        },
    };
    let following = async {
        if let Some(manifests) = feed {
            manifests.run(events, Drain::new()).await;
        }
        std::future::pending::<()>().await;
    };
    let options = gap::Options {
        source,
        namespace,
        domain: flags.cluster_domain.clone(),
        servers,
        every: flags.every,
        duration: flags.duration,
        create: flags.create.map(|pods| Create {
            name,
            pods,
            image: flags.image.clone(),
        }),
    };
    let interrupt = Drain::new();
    let measured = tokio::select! {
        measured = gap::run(options, interrupt.child_token()) => measured?,
        () = on_interrupt(&interrupt) => unreachable!("it waits for the run's end"),
        () = following => unreachable!("it waits for the run's end, too"),
    };
    print(&output::gap(&measured));
    let picture = || output::gap_picture(&measured);
    put(&flags.json, || output::gap_json(&measured).into())?;
    put(&flags.prometheus, || {
        output::gap_prometheus(&measured).into()
    })?;
    put(&flags.svg, || picture().svg().into())?;
    put(&flags.png, || picture().png())?;
    let interrupted = interrupt.is_cancelled();
    Ok(verdict(&flags.fail, &measured, interrupted))
}
