//! The composition root: a [`Config`] made into running parts, and the parts into a process that starts, becomes ready,
//! drains and ends. What parts need from the world (clock, chance, environment, signals) enters here.

pub mod bench;
mod certificate;
mod descriptors;
mod netdev;
mod options;
mod resolv_conf;
mod sockets;
mod source;
mod synced;

use crate::{
    answer::Hosts,
    config::Config,
    engine::Engine,
    forward::{Forwarder, Roots},
    handover::Holder,
    index::{self, Index},
    lifecycle::{Drain, Ended, Readiness, Tasks},
    metrics::Metrics,
    server::Inherited,
};
use anyhow::Context as _;
pub use netdev::netdev;
use prometheus_client::registry::Registry;
use rand::rngs::StdRng;
use resolv_conf::SystemUpstreams;
use sockets::{Opening, Sockets};
use source::Feed;
use std::{
    net::SocketAddr,
    os::fd::OwnedFd,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use synced::Synced;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

/// Events between the feeds and the index: a burst does not hold up a watch, and slices of 100 endpoints, 15 KiB each before
/// the index packs them, take 4 MiB.
const EVENTS: usize = 256;

/// How long parts may take to end after the signal; Kubernetes kills after 30 s.
const DRAIN: Duration = Duration::from_secs(10);

/// How long after the signal a successor that is there may take to be able to answer; with [`DRAIN`], less than 30 s.
const SUCCESSOR: Duration = Duration::from_secs(15);

/// Threads of the asynchronous side, which does what needs waiting; UDP workers have threads of their own.
const ASYNC_THREADS: usize = 2;

/// Everything opened and bound, or with another process until this one can answer, and nothing running yet.
#[derive(Debug)]
pub struct Bound {
    opening: Opening,
    feed: Feed,
    hosts: Hosts,
    config: Config,
    roots: Roots,
    registry: Registry,
    metrics: Metrics,
    readiness: Readiness,
    tasks: Tasks,
    ended: Ended,
}

/// Runs the server, at the sockets that are given where there are such, until a signal tells it to stop, or a part fails.
pub fn run(config: Config, given: Vec<OwnedFd>) -> anyhow::Result<()> {
    descriptors::raise_limit(&config);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(ASYNC_THREADS)
        .thread_name("gapless-async")
        .enable_all()
        .build()
        .context("the asynchronous runtime does not start")?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        let bound = match given.is_empty() {
            true => Bound::new(config).await?,
            false => Bound::at(config, Inherited::lasting(given)).await?,
        };
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
                _ = interrupt.recv() => tracing::info!("SIGINT: draining"),
            }
        };
        bound.run(stop).await
    })
}

impl Bound {
    /// Opens the feed and binds every address; what is wrong with the configuration's world shows here.
    pub async fn new(config: Config) -> anyhow::Result<Self> {
        Box::pin(Self::at(config, Inherited::default())).await
    }

    /// The same, at sockets that are open already where there are such.
    pub async fn at(config: Config, inherited: Inherited) -> anyhow::Result<Self> {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let feed = Feed::open(&config, &metrics).await?;
        let hosts = options::hosts(&config)?;
        let roots = options::roots(&config)?;
        let opening = Box::pin(Opening::begin(&config, inherited, &metrics.handover)).await?;
        let (tasks, ended) = Tasks::new();
        Ok(Self {
            opening,
            feed,
            hosts,
            config,
            roots,
            registry,
            metrics,
            readiness: Readiness::default(),
            tasks,
            ended,
        })
    }

    /// Where queries are answered, in the order of the configuration.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.opening.addresses()
    }

    /// Where DNS over HTTPS is answered, likewise.
    pub fn https_addresses(&self) -> &[SocketAddr] {
        self.opening.https_addresses()
    }

    /// Where the admin server listens.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.opening.admin_address()
    }

    /// Runs until `stop`, then drains. An error says which part ended before.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        Box::pin(self.live(stop)).await // it is large, and lives as long as the process
    }

    async fn live(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Self {
            opening,
            feed,
            hosts,
            config,
            roots,
            registry,
            metrics,
            readiness,
            tasks,
            mut ended,
        } = self;
        let (drain, drained) = (Drain::new(), Drain::new());
        let _drains = drain.clone().drop_guard();
        let mut stop = pin!(stop);

        let (index, reader) = Index::new(options::index(&config, feed.sources()));
        let synced = Synced::new(
            readiness.clone(),
            reader.clone(),
            metrics.index.clone(),
            || clock().0,
        );
        let (events, received) = mpsc::channel(EVENTS);
        // Among the other tasks, changes would wait until a watch has read all that came.
        tasks
            .essential_thread(
                "index",
                index::follow(index, received, clock, synced.into_callback()),
            )
            .context("the index's thread does not start")?;
        let _background = feed.start(events, &drain, &tasks, &metrics);

        let (sockets, predecessor) = tokio::select! {
            opened = opening.finish(&readiness, &metrics.handover) => opened?,
            () = &mut stop => return Ok(()), // what another process has, it keeps
            part = ended.first() => return Err(gone(part)),
        };
        let descriptors = match config.handover {
            Some(_) => sockets.descriptors().context("handover")?,
            None => vec![],
        };
        let Sockets { listeners, admin } = sockets;
        let listening = readiness.wait_for("listeners");
        let given = &config.forward.upstreams;
        let system = given
            .is_empty()
            .then(|| SystemUpstreams::of(&config.forward.resolv_conf, listeners.local_addrs()));
        let upstreams = system
            .as_ref()
            .map_or(given.as_slice(), SystemUpstreams::servers);
        let forward = Forwarder::new(
            &options::forward(&config, roots, upstreams),
            tasks.clone(),
            metrics.forward.clone(),
            rand::make_rng::<StdRng>(),
        );
        if let Some(system) = system {
            tasks.essential(
                "resolv.conf",
                system.follow(forward.clone(), metrics.forward.clone(), drain.clone()),
            );
        }
        if let (Some(https), Some(tls)) = (&config.https, listeners.tls()) {
            let (tls, metrics) = (tls.clone(), metrics.server.clone());
            tasks.essential(
                "https certificate",
                certificate::follow(https.clone(), tls, metrics, drain.clone()),
            );
        }
        let find_loops = forward.clone().find_loops(drain.clone());
        tasks.essential("loop detection", find_loops);
        let engine = options::engine(&config, hosts, listeners.local_addrs());
        let engine = Engine::new(reader, forward, metrics.queries.clone(), engine);

        for address in listeners.local_addrs() {
            tracing::info!(%address, "answering over UDP and TCP");
        }
        for address in listeners.https_addrs() {
            tracing::info!(%address, "answering over HTTPS");
        }
        let kept = listeners.kept();
        listeners
            .serve(Arc::new(engine), &tasks, drain.clone(), &metrics)
            .context("the listeners do not start")?;
        drop(listening);
        // Probes are to hear of the draining to its end.
        let last = tasks.sibling();
        if let Some(admin) = admin {
            tracing::info!(address = %admin.local_addr(), "admin server");
            last.essential(
                "admin server",
                admin.run(readiness.clone(), Arc::new(registry), drained.clone()),
            );
        }
        // The next process has to find this one there before the last one is gone.
        let holder = config.handover.as_ref().map(|path| {
            let holder = Holder::listen(path, metrics.handover.clone());
            holder.with_context(|| format!("handover {}: cannot listen", path.display()))
        });
        let holder = holder.transpose()?;
        if let Some(path) = &config.handover {
            tracing::info!(
                "handover {}: the next process finds this one",
                path.display()
            );
        }
        if let Some(predecessor) = predecessor {
            match predecessor.serving().await {
                Ok(()) => tracing::info!("took over from the former process"),
                Err(error) => {
                    tracing::warn!(%error, "the former process ended while it passed its sockets")
                }
            }
        }

        let waiting = holder.as_ref().map(Holder::waiting);
        let mut passed = Box::pin(async move {
            match holder {
                Some(holder) => holder.pass(&descriptors).await,
                None => std::future::pending().await,
            }
        });
        let end = tokio::select! {
            biased; // a successor that came before the signal is seen before it
            () = &mut passed => End::Passed,
            () = &mut stop => End::Signal,
            part = ended.first() => End::Part(part),
        };
        let signalled = matches!(end, End::Signal);
        let end = match end {
            End::Signal if waiting.is_some_and(|it| *it.borrow() > 0) => {
                tracing::info!(within = ?SUCCESSOR, "the next process is there: answering until it can");
                still(SUCCESSOR, &mut passed, &mut ended).await
            }
            End::Signal if !config.lameduck.is_zero() => {
                readiness.end("draining");
                still(config.lameduck, &mut passed, &mut ended).await
            }
            end => end,
        };
        readiness.end("draining");
        if matches!(end, End::Passed) {
            tracing::info!("the next process answers: draining");
            kept.set();
            drained.cancel(); // the admin server is the other one's too
        }
        drop(passed); // and with it what would hold the sockets open
        drain.cancel();
        let finished = async {
            tasks.finished().await;
            drained.cancel();
            last.finished().await;
        };
        if tokio::time::timeout(DRAIN, finished).await.is_err() {
            tracing::warn!(within = ?DRAIN, "not every task has ended");
        }
        match end {
            End::Signal => Ok(()),
            End::Part(part) => Err(gone(part)),
            End::Passed => {
                if !signalled {
                    // Whoever runs containers starts one again that ends, and it would take the sockets back.
                    tracing::info!("drained; waiting for the signal to end");
                    stop.await;
                }
                Ok(())
            }
        }
    }
}

/// Why the process answers no longer.
enum End {
    Signal,
    Passed,
    Part(&'static str),
}

/// Goes on for a while after the signal; it ends before if a successor answers, or a part fails.
async fn still(within: Duration, passed: impl Future<Output = ()>, ended: &mut Ended) -> End {
    tokio::select! {
        () = passed => End::Passed,
        part = ended.first() => End::Part(part),
        () = tokio::time::sleep(within) => End::Signal,
    }
}

fn gone(part: &str) -> anyhow::Error {
    anyhow::anyhow!("{part} ended, and nothing goes on without it")
}

/// The time, for publications: the one place beside the listeners where it is read.
#[allow(
    clippy::disallowed_methods,
    reason = "the composition root gives the clock to those who take it"
)]
fn clock() -> (Instant, Duration) {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    (Instant::now(), since_1970.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;

    #[tokio::test]
    async fn the_end_of_an_essential_part_is_the_end_of_the_run_and_named() {
        let directory = tempfile::tempdir().unwrap();
        let free = "127.0.0.1:0".parse().unwrap();
        let config = Config {
            listen: vec![free],
            admin: Some(free),
            source: Source::Manifests(directory.path().to_owned()),
            ..Config::default()
        };
        let bound = Bound::new(config).await.unwrap();
        bound.tasks.essential("a part", async {});
        let ended = Box::pin(bound.run(std::future::pending()))
            .await
            .unwrap_err();
        let expected = "a part ended, and nothing goes on without it";
        assert_eq!(ended.to_string(), expected);
    }
}
