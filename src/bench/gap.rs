//! `gapless bench gap`: how long names are missing, wrong and left over at DNS servers while pods come, move and go. It asks all the
//! time, follows the API or a directory of manifests, and puts both together by one clock.

mod asking;
mod cluster;
mod manifests;
mod rolling;
mod story;

use crate::{lifecycle::Drain, model::Event};
use anyhow::Context as _;
use asking::{Asking, NAMES_MAX};
use hdrhistogram::Histogram;
use kube::Client;
use rolling::Rolling;
pub use rolling::{Create, Progress};
use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};
pub use story::Kind;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

/// Changes that are kept one by one, for the picture: ten of each name.
const TOLD_MAX: usize = 10 * NAMES_MAX;
/// Facts and replies on their way.
const QUEUE: usize = 4096;
/// Longest delay that is told apart from longer ones: an hour.
const LONGEST_NS: u64 = 3_600_000_000_000;

/// Who says what is true.
pub enum Source {
    /// A cluster's API.
    Cluster {
        /// Whose pods are followed.
        client: Client,
        /// Which pods, by their labels.
        selector: Option<String>,
    },
    /// A directory of manifests.
    Manifests {
        /// Which.
        directory: PathBuf,
        /// What is read there.
        events: mpsc::Receiver<Event>,
    },
}

/// What is to be done.
#[derive(Debug)]
pub struct Options {
    /// What is followed.
    pub source: Source,
    /// In which namespace; without it, in all of them.
    pub namespace: Option<String>,
    /// What names stand below.
    pub domain: String,
    /// Who is asked.
    pub servers: Vec<SocketAddr>,
    /// How often each name is asked for.
    pub every: Duration,
    /// How long; a roll-out may end before.
    pub duration: Duration,
    /// What is rolled out, and taken away again.
    pub create: Option<Create>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster { selector, .. } => write!(f, "Cluster({selector:?})"),
            Self::Manifests { directory, .. } => write!(f, "Manifests({})", directory.display()),
        }
    }
}

/// A change that a server told of.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// What became of the name.
    pub kind: Kind,
    /// When the API said so, since the beginning.
    pub at: Duration,
    /// How long after that the server did.
    pub delay: Duration,
}

/// What one server did.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Who.
    pub server: SocketAddr,
    /// From the API's word to the first answer that says it, in nanoseconds, by kind of change.
    pub delays: HashMap<Kind, Histogram<u64>>,
    /// The first 100,000 changes of all kinds, in the order in which it told of them.
    pub told: Vec<Told>,
    /// Answers without an address while there was one.
    pub negatives: u64,
    /// Answers with an address that was no longer true.
    pub stale: u64,
    /// Changes that no answer told of before the next one, or the end.
    pub never: u64,
    /// Questions, and those that were lost.
    pub asked: u64,
    /// Likewise.
    pub lost: u64,
}

/// A name's address by whoever says what is true.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fact {
    /// The whole name.
    name: String,
    /// None, if the pod is not ready, or is being deleted.
    address: Option<IpAddr>,
    /// Since when; by an API, when its word came.
    at: Instant,
    /// Was it so before we looked?
    is_old: bool,
}

/// Follows until the time is over, the roll-out is done, or `stop`.
pub async fn run(options: Options, stop: Drain) -> anyhow::Result<Vec<Measured>> {
    let (facts, mut told) = mpsc::channel(QUEUE);
    let mut tasks = JoinSet::new();
    let (mut asking, mut replied) = Asking::open(&options.servers, &mut tasks).await?;
    let (progress, seen) = watch::channel(Progress::default());
    let mut changes = JoinSet::new();
    let mut following = JoinSet::new();
    let (namespace, domain) = (options.namespace, options.domain);
    let rolling = options.create.map(|create| Rolling {
        create,
        namespace: namespace.clone().unwrap_or_else(|| "default".to_owned()),
        domain: domain.clone(),
        facts: facts.clone(),
        progress: seen,
    });
    let ending = stop.clone();
    match (options.source, rolling) {
        (Source::Cluster { client, selector }, rolling) => {
            let pods = cluster::Pods {
                client,
                namespace,
                selector,
                domain,
            };
            if let Some(rolling) = rolling {
                let pods = pods.clone();
                changes.spawn(async move { Box::pin(rolling.in_cluster(&pods, ending)).await });
            }
            following.spawn(async move { pods.follow(facts).await });
        }
        // Whoever writes the manifests needs nobody to tell of them.
        (Source::Manifests { directory, .. }, Some(rolling)) => {
            changes.spawn(async move { rolling.in_file(&directory, ending).await });
        }
        (Source::Manifests { directory, events }, None) => {
            let directory = manifests::Directory {
                path: directory,
                namespace,
                domain,
            };
            following.spawn(directory.follow(events, facts));
        }
    }

    let mut ticks = interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut sent = 0_usize;
    // Rounds before the last new name were of fewer names.
    let mut asked_from = Instant::now();
    let over = sleep(options.duration);
    tokio::pin!(over);
    let mut outcome = Ok(());
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = &mut over, if changes.is_empty() => break,
            Some(done) = changes.join_next() => {
                outcome = done.context("the roll-out")?;
                break;
            }
            Some(done) = following.join_next() => {
                outcome = done.context("the watch")?;
                break;
            }
            Some(fact) = told.recv() => {
                let names = asking.names();
                asking.note(&fact);
                if asking.names() != names {
                    (asked_from, sent) = (Instant::now(), 0);
                }
            }
            Some(reply) = replied.recv() => asking.hear(&reply),
            _ = ticks.tick() => {
                let now = Instant::now();
                let rounds = (now - asked_from).div_duration_f64(options.every);
                let due = (rounds * asking.names() as f64) as usize;
                let due = due.min(sent + asking.burst());
                while sent < due {
                    asking.ask(sent % asking.names(), now).await;
                    sent += 1;
                }
                asking.lose(now);
                progress.send_if_modified(|it| {
                    let is = asking.progress();
                    std::mem::replace(it, is) != is
                });
            }
        }
    }
    // What was rolled out is taken away in any case.
    stop.cancel();
    while let Some(done) = changes.join_next().await {
        outcome = outcome.and(done.context("the roll-out")?);
    }
    outcome?;
    Ok(asking.end())
}
