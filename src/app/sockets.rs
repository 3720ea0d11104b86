//! Where the sockets come from: given by whoever started the process, taken over from one that runs, or bound here.

use super::options;
use crate::{
    admin::{self, Admin},
    config::Config,
    handover::{self, Find, Predecessor},
    lifecycle::Readiness,
    metrics,
    server::{Https, Inherited, Listeners},
};
use anyhow::Context as _;
use std::{io, net::SocketAddr, os::fd::OwnedFd, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// The kernel closes the sockets of a process that was killed one after the other; for so long one that is still in use
/// may be free the next moment.
const FREE_WITHIN: Duration = Duration::from_secs(1);
const FREE_CHECK: Duration = Duration::from_millis(10);

/// What lies queued in sockets that were open before this process waits so long for the index: a client waits 5 s (glibc, Go),
/// of which the former process's end took up to 2. Then it is answered as by any process that has just started.
const SYNCED_WITHIN: Duration = Duration::from_secs(3);

/// Processes that end, one after the other, while this one waits for its turn.
const PREDECESSORS: usize = 16;

/// Every socket that is listened at.
#[derive(Debug)]
pub(super) struct Sockets {
    pub listeners: Listeners,
    pub admin: Option<Admin>,
}

/// Sockets that are there, or will be.
#[derive(Debug)]
pub(super) enum Opening {
    /// They are open, if by another process than this one.
    Open(Box<Sockets>),
    /// They were open before this process, and what was asked meanwhile is queued in them.
    Queued(Box<Sockets>),
    /// Another process has them, and answers until this one can.
    Held(Predecessor, Box<Wanted>),
}

/// What is to be listened at.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    config: Config,
    https: Option<Https>,
}

impl Opening {
    /// Finds out which it is. What cannot be listened at shows here, unless somebody else listens there now.
    pub(super) async fn begin(
        config: &Config,
        inherited: Inherited,
        metrics: &metrics::Handover,
    ) -> anyhow::Result<Self> {
        let wanted = Wanted {
            config: config.clone(),
            https: options::https(config)?,
        };
        if inherited.is_lasting() {
            return Ok(Self::Queued(Box::new(wanted.open(inherited).await?)));
        }
        if let Some(path) = &config.handover {
            match Predecessor::find(path).await {
                Find::Process(predecessor) => {
                    tracing::info!(
                        "another process has the sockets; waiting until this one can answer"
                    );
                    return Ok(Self::Held(predecessor, Box::new(wanted)));
                }
                Find::Nobody => {}
                Find::Unusable(error) => {
                    metrics.not_taken.inc();
                    tracing::warn!(%error, "handover {}: cannot be asked", path.display());
                }
            }
        }
        Ok(Self::Open(Box::new(wanted.open(inherited).await?)))
    }

    /// The sockets, which are taken over when everything is ready; then also the process that still has them. With what is
    /// queued in them they come once the index is synced too, or late.
    pub(super) async fn finish(
        self,
        readiness: &Readiness,
        metrics: &metrics::Handover,
    ) -> anyhow::Result<(Sockets, Option<Predecessor>)> {
        let (mut predecessor, wanted) = match self {
            Self::Open(sockets) => return Ok((*sockets, None)),
            Self::Queued(sockets) => {
                if timeout(SYNCED_WITHIN, readiness.reached()).await.is_err() {
                    let awaited = readiness.awaited();
                    tracing::warn!(?awaited, after = ?SYNCED_WITHIN, "answering what is queued without them");
                }
                return Ok((*sockets, None));
            }
            Self::Held(predecessor, wanted) => (predecessor, wanted),
        };
        for _ in 0..PREDECESSORS {
            tokio::select! {
                biased;
                () = readiness.reached() => match predecessor.take().await {
                    Ok(sockets) => {
                        let inherited = Inherited::of_predecessor(sockets);
                        metrics.taken.inc();
                        return Ok((wanted.open(inherited).await?, Some(predecessor)));
                    }
                    Err(handover::Error::Ended) => {}
                    Err(error) => {
                        metrics.not_taken.inc();
                        tracing::warn!(%error, "the sockets cannot be taken over");
                        break;
                    }
                },
                () = predecessor.gone() => {}
            }
            metrics.ended.inc();
            tracing::warn!("the process that had the sockets has ended");
            let path = wanted.config.handover.as_deref();
            match Predecessor::find(path.expect("it was found there")).await {
                Find::Process(next) => predecessor = next,
                Find::Nobody | Find::Unusable(_) => break,
            }
        }
        drop(predecessor);
        Ok((wanted.open_once_free().await?, None))
    }
}

impl Wanted {
    async fn open(&self, mut inherited: Inherited) -> anyhow::Result<Sockets> {
        let config = &self.config;
        let options = options::server(config);
        let mut listeners = Listeners::open(&config.listen, &options, &mut inherited)?;
        if let Some(https) = &self.https {
            listeners.open_https(https.clone(), &mut inherited)?;
        }
        let admin = match config.admin {
            Some(address) => {
                let admin = match inherited.take_tcp(address) {
                    Some(listener) => admin::open(listener),
                    None => admin::bind(address).await,
                };
                Some(admin.with_context(|| format!("cannot listen on {address} (admin)"))?)
            }
            None => None,
        };
        for address in inherited.left() {
            tracing::warn!(%address, "no longer listened at, or not by this protocol; its socket is closed");
        }
        Ok(Sockets { listeners, admin })
    }

    async fn open_once_free(&self) -> anyhow::Result<Sockets> {
        let began = Instant::now();
        loop {
            match self.open(Inherited::default()).await {
                Err(_) if began.elapsed() < FREE_WITHIN => sleep(FREE_CHECK).await,
                done => return done,
            }
        }
    }
}

impl Sockets {
    /// Every one once more, for another process.
    pub(super) fn descriptors(&self) -> io::Result<Vec<OwnedFd>> {
        let mut all = self.listeners.descriptors()?;
        if let Some(admin) = &self.admin {
            all.push(admin.descriptor()?);
        }
        Ok(all)
    }
}

impl Opening {
    /// Where queries are answered, in the order of the configuration.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        match self {
            Self::Open(sockets) | Self::Queued(sockets) => sockets.listeners.local_addrs(),
            Self::Held(_, wanted) => &wanted.config.listen,
        }
    }

    /// Where DNS over HTTPS is answered, likewise.
    pub(super) fn https_addresses(&self) -> &[SocketAddr] {
        match self {
            Self::Open(sockets) | Self::Queued(sockets) => sockets.listeners.https_addrs(),
            Self::Held(_, wanted) => wanted.https.as_ref().map_or(&[], |https| &https.listen),
        }
    }

    /// Where the admin server listens.
    pub(super) fn admin_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Open(sockets) | Self::Queued(sockets) => {
                sockets.admin.as_ref().map(Admin::local_addr)
            }
            Self::Held(_, wanted) => wanted.config.admin,
        }
    }
}
