//! The composition root: a [`Config`] made into running parts, and the parts into a process that starts, becomes ready,
//! drains and ends. What parts need from the world (clock, chance, environment, signals) enters here.

pub mod bench;
mod descriptors;
mod options;
mod resolv_conf;
mod source;
mod synced;

use crate::{
    admin::{self, Admin},
    answer::Hosts,
    config::Config,
    engine::Engine,
    forward::{Forwarder, Roots},
    index::{self, Index},
    lifecycle::{Drain, Ended, Readiness, Tasks},
    metrics::Metrics,
    server::Listeners,
};
use anyhow::Context as _;
use prometheus_client::registry::Registry;
use rand::rngs::StdRng;
use resolv_conf::SystemUpstreams;
use source::Feed;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use synced::Synced;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

/// Events between the feeds and the index: a burst does not hold up a watch, and the memory is that of one page of a list.
const EVENTS: usize = 4096;

/// How long parts may take to end after the signal; Kubernetes kills after 30 s.
const DRAIN: Duration = Duration::from_secs(10);

/// Threads of the asynchronous side, which does what needs waiting; UDP workers have threads of their own.
const ASYNC_THREADS: usize = 2;

/// Everything opened and bound, and nothing running yet.
#[derive(Debug)]
pub struct Bound {
    listeners: Listeners,
    admin: Option<Admin>,
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

/// Runs the server until a signal tells it to stop, or a part fails.
pub fn run(config: Config) -> anyhow::Result<()> {
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
        let bound = Bound::new(config).await?;
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
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let feed = Feed::open(&config, &metrics).await?;
        let hosts = options::hosts(&config)?;
        let https = options::https(&config)?;
        let roots = options::roots(&config)?;
        let mut listeners = Listeners::bind(&config.listen, &options::server(&config))?;
        if let Some(https) = https {
            listeners.bind_https(https)?;
        }
        let admin = match config.admin {
            Some(address) => {
                let admin = admin::bind(address).await;
                Some(admin.with_context(|| format!("cannot listen on {address} (admin)"))?)
            }
            None => None,
        };
        let (tasks, ended) = Tasks::new();
        Ok(Self {
            listeners,
            admin,
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
        self.listeners.local_addrs()
    }

    /// Where DNS over HTTPS is answered, likewise.
    pub fn https_addresses(&self) -> &[SocketAddr] {
        self.listeners.https_addrs()
    }

    /// Where the admin server listens.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::local_addr)
    }

    /// Runs until `stop`, then drains. An error says which part ended before.
    pub async fn run(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Self {
            listeners,
            admin,
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
        let listening = readiness.wait_for("listeners");
        let (index, reader) = Index::new(options::index(&config, feed.sources()));
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
        let find_loops = forward.clone().find_loops(drain.clone());
        tasks.essential("loop detection", find_loops);
        let engine = options::engine(&config, hosts, listeners.local_addrs());
        let engine = Engine::new(reader.clone(), forward, metrics.queries.clone(), engine);

        let synced = Synced::new(readiness.clone(), reader, metrics.index.clone());
        let (events, received) = mpsc::channel(EVENTS);
        tasks.essential(
            "index",
            index::follow(index, received, clock, synced.into_callback()),
        );
        feed.start(events, &drain, &tasks, &metrics);
        for address in listeners.local_addrs() {
            tracing::info!(%address, "answering over UDP and TCP");
        }
        for address in listeners.https_addrs() {
            tracing::info!(%address, "answering over HTTPS");
        }
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

        let outcome = tokio::select! {
            () = stop => Ok(()),
            part = ended.first() => Err(anyhow::anyhow!("{part} ended, and nothing goes on without it")),
        };
        readiness.end("draining");
        drain.cancel();
        let finished = async {
            tasks.finished().await;
            drained.cancel();
            last.finished().await;
        };
        if tokio::time::timeout(DRAIN, finished).await.is_err() {
            tracing::warn!(within = ?DRAIN, "not every task has ended");
        }
        outcome
    }
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
        let ended = bound.run(std::future::pending()).await.unwrap_err();
        let expected = "a part ended, and nothing goes on without it";
        assert_eq!(ended.to_string(), expected);
    }
}
