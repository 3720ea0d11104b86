//! The loop of one source: list, then watch from there for ever. It knows neither HTTP nor JSON, and leaves to
//! [`recovery`] what is done when either fails.

mod audit;
mod recovery;
mod told;

use super::{
    protocol::{self, Line},
    requests::{Failure, Requests, Stream, Term},
};
use crate::{
    feed::{Closed, Rejections, Sink, now},
    metrics::Restart,
    model::{Change, Source},
};
use rand::{RngExt, rngs::StdRng};
use std::{
    ops::RangeInclusive,
    sync::{Arc, atomic::AtomicUsize},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;
use told::Told;

/// How long a watch is asked for: short enough that a dead connection is noticed within a minute, different each time so
/// that many proxies do not come back together.
const WATCH_SECONDS: RangeInclusive<u64> = 30..=60;
/// How much longer than it was asked for a watch may be silent.
const GRACE: Duration = Duration::from_secs(5);
/// The same of a server that sends bookmarks: a dead connection is noticed by their absence, and the watch may be as long as
/// client-go's. 5,000 nodes then ask for a tenth as many watches.
const BOOKMARKED_WATCH_SECONDS: RangeInclusive<u64> = 300..=600;
/// How long that server may be silent. Its bookmarks come every minute, in a second that is not given.
const BOOKMARKED_WITHIN: Duration = Duration::from_secs(75);
/// A watch that stood for this long has worked, even if nothing happened meanwhile.
const STEADY: Duration = Duration::from_secs(5);
/// How long open watches may bring neither event nor bookmark. An API server sends a bookmark before each one's end; one
/// whose versions begin below ours, after etcd was restored, says nothing until it has reached them.
const QUIET: Duration = Duration::from_secs(120);

/// Follows one source.
pub(super) struct Watch {
    source: Source,
    requests: Requests,
    sink: Sink,
    rejections: Rejections,
    rng: StdRng,
    lists: Lists,
    /// The newest resourceVersion that was seen; nothing older is listed.
    newest: Option<String>,
    /// Whether the server was behind that: then the next list is to be the most recent, whatever its version.
    doubted: bool,
    /// How long watches have been open without a word.
    quiet: Duration,
    /// Whether the last watches brought bookmarks.
    bookmarked: bool,
    audit: audit::Audit,
    pause: Duration,
    /// Whether a watch has worked since the last list.
    proven: bool,
    access: recovery::Access,
    /// The kind of trouble that was last spoken of.
    trouble: Option<recovery::Trouble>,
    /// Of all watches, those whose credentials are refused.
    unauthorized: Arc<AtomicUsize>,
}

/// What the watches of all sources have in common.
pub(super) struct Shared {
    unauthorized: Arc<AtomicUsize>,
    /// One source is compared at a time.
    audits: Arc<Semaphore>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            unauthorized: Arc::default(),
            audits: Arc::new(Semaphore::new(1)),
        }
    }
}

/// How this source is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lists {
    /// As the beginning of a watch.
    Streaming,
    /// In pages this once, because a streaming list came to no end: the server may be slow, or unable to say so.
    PagesOnce,
    /// In pages, because this server streams no lists.
    Pages,
}

/// Where the loop goes on.
enum Next {
    List,
    Stream(Box<Stream>, String),
    Watch(String),
}

/// Why it stopped where it was.
enum Stop {
    Failed(Failure),
    /// Nobody receives any more.
    Closed,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Closed> for Stop {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl Watch {
    pub(super) fn new(
        source: Source,
        requests: Requests,
        sink: Sink,
        rejections: Rejections,
        rng: StdRng,
        shared: &Shared,
    ) -> Self {
        Self {
            source,
            requests,
            sink,
            rejections,
            rng,
            lists: Lists::Streaming,
            newest: None,
            doubted: false,
            quiet: Duration::ZERO,
            bookmarked: false,
            audit: audit::Audit::new(Arc::clone(&shared.audits)),
            pause: recovery::FIRST_PAUSE,
            proven: false,
            access: recovery::Access::Given,
            trouble: None,
            unauthorized: Arc::clone(&shared.unauthorized),
        }
    }

    /// Ends only when nobody receives any more.
    pub(super) async fn run(mut self) {
        let mut next = Next::List;
        loop {
            let went = match next {
                Next::List => self.list().await.map_err(|stop| (stop, Next::List)),
                Next::Stream(stream, position) => self.follow(*stream, position).await,
                Next::Watch(position) => {
                    let term = self.term();
                    match self.requests.watch(&position, term).await {
                        Ok(stream) => self.follow(stream, position).await,
                        Err(failure) => Err((failure.into(), Next::Watch(position))),
                    }
                }
            };
            next = match went {
                Ok(next) => next,
                Err((stop, resume)) => match self.recover(stop, resume).await {
                    Ok(next) => next,
                    Err(Closed) => return,
                },
            };
        }
    }

    /// How long the next watch is to last, and may be silent.
    fn term(&mut self) -> Term {
        if self.bookmarked {
            let seconds = self.rng.random_range(BOOKMARKED_WATCH_SECONDS);
            Term {
                seconds,
                silence: BOOKMARKED_WITHIN,
            }
        } else {
            let seconds = self.rng.random_range(WATCH_SECONDS);
            Term {
                seconds,
                silence: Duration::from_secs(seconds) + GRACE,
            }
        }
    }

    async fn list(&mut self) -> Result<Next, Stop> {
        tracing::debug!(source = self.source.name(), lists = ?self.lists, "listing");
        let started = tokio::time::Instant::now();
        let (next, objects) = match self.lists {
            Lists::Streaming => self.list_stream().await?,
            Lists::Pages | Lists::PagesOnce => self.list_pages().await?,
        };
        self.sound();
        self.audit.put_off(&mut self.rng);
        tracing::info!(
            source = self.source.name(),
            objects,
            milliseconds = started.elapsed().as_millis(),
            "synced"
        );
        Ok(next)
    }

    async fn list_stream(&mut self) -> Result<(Next, usize), Stop> {
        let term = self.term();
        let not_older = self.newest.as_deref().filter(|_| !self.doubted);
        let mut stream = self.requests.stream(not_older, term).await?;
        self.sink
            .send(now(), Change::ListStarted(self.source))
            .await?;
        let mut objects = 0;
        loop {
            let (received, line) = stream.next().await?;
            match line {
                Line::Applied(object) => {
                    objects += 1;
                    self.sink
                        .send(received, self.applied(object)?.change)
                        .await?;
                }
                // What is deleted while the list is under way.
                Line::Deleted(object) => {
                    self.sink
                        .send(received, self.deleted(object)?.change)
                        .await?
                }
                Line::Error(status) => return Err(Failure::refused(status, None).into()),
                Line::Bookmark {
                    resource_version: Some(position),
                    initial_events_end: true,
                } => {
                    self.reach(&position)?;
                    self.sink
                        .send(received, Change::ListDone(self.source))
                        .await?;
                    stream.initial_events_ended();
                    return Ok((Next::Stream(Box::new(stream), position), objects));
                }
                Line::Bookmark { .. } => {}
            }
        }
    }

    async fn list_pages(&mut self) -> Result<(Next, usize), Stop> {
        let mut next = None;
        let mut objects = 0;
        let mut started = false;
        loop {
            let arrived = self.requests.page(next.as_deref()).await?;
            let page = arrived.page()?;
            if !started {
                self.reach(&page.resource_version)?;
                self.sink
                    .send(arrived.received, Change::ListStarted(self.source))
                    .await?;
                started = true;
            }
            objects += page.items.len();
            for item in page.items {
                let change = self.applied(item.get())?.change;
                self.sink.send(arrived.received, change).await?;
            }
            next = page.next;
            if next.is_none() {
                self.sink
                    .send(arrived.received, Change::ListDone(self.source))
                    .await?;
                if self.lists == Lists::PagesOnce {
                    self.lists = Lists::Streaming;
                }
                return Ok((Next::Watch(page.resource_version), objects));
            }
        }
    }

    /// Notes the version of a list. One that is older than what was seen does not count, unless the most recent one was
    /// asked for: then etcd was restored from a backup.
    fn reach(&mut self, version: &str) -> Result<(), Failure> {
        let before = self.newest.as_deref();
        if let Some(before) = before.filter(|before| protocol::is_before(version, before)) {
            let behind = Failure::Behind(version.to_owned(), before.to_owned());
            if !std::mem::replace(&mut self.doubted, true) {
                return Err(behind);
            }
            tracing::warn!(source = self.source.name(), "{behind}: the most recent");
            self.sink.metrics.rewound(self.source.name());
        }
        self.doubted = false;
        self.newest = Some(version.to_owned());
        Ok(())
    }

    /// Reads a watch to its end, which is always a stop.
    async fn follow(
        &mut self,
        mut stream: Stream,
        mut position: String,
    ) -> Result<Next, (Stop, Next)> {
        let opened = tokio::time::Instant::now();
        let mut last = opened;
        let stop = loop {
            let went = tokio::select! {
                read = stream.next() => match read {
                    Ok((received, line)) => {
                        self.bookmarked |= matches!(line, Line::Bookmark { .. });
                        last = tokio::time::Instant::now();
                        self.quiet = Duration::ZERO;
                        self.line(received, line, &mut position).await
                    }
                    Err(failure) => Err(failure.into()),
                },
                step = self.audit.step() => self.go_on(step, &position).await,
            };
            let went = match went {
                Ok(()) => self.compare(&position).await,
                stop => stop,
            };
            match went {
                Ok(()) if last > opened => {
                    self.sound();
                    self.prove();
                }
                Ok(()) => {}
                Err(stop) => break stop,
            }
        };
        if matches!(stop, Stop::Failed(Failure::Silent(_))) {
            self.bookmarked = false;
        }
        self.quiet += last.elapsed();
        if self.quiet >= QUIET {
            self.quiet = Duration::ZERO;
            let source = self.source.name();
            self.sink.metrics.restarted(source, Restart::Silent);
            tracing::warn!(
                source,
                "neither events nor bookmarks came for {QUIET:?}; listing anew"
            );
            return Ok(Next::List);
        }
        if opened.elapsed() >= STEADY {
            self.prove();
            if matches!(stop, Stop::Failed(Failure::Ended)) {
                self.sound();
                let source = self.source.name();
                self.sink.metrics.restarted(source, Restart::Ended);
                return Ok(Next::Watch(position));
            }
        }
        Err((stop, Next::Watch(position)))
    }

    async fn line(
        &mut self,
        received: Instant,
        line: Line<'_>,
        position: &mut String,
    ) -> Result<(), Stop> {
        let Told {
            change,
            triggered,
            version,
        } = match line {
            Line::Applied(object) => self.applied(object)?,
            Line::Deleted(object) => self.deleted(object)?,
            Line::Bookmark {
                resource_version, ..
            } => Told {
                change: Change::Confirmed(self.source),
                triggered: None,
                version: resource_version,
            },
            Line::Error(status) => return Err(Failure::refused(status, None).into()),
        };
        let reached = version.filter(|it| !it.is_empty());
        if let Some(reached) = &reached
            && protocol::is_before(reached, position)
        {
            self.doubted = true;
            return Err(Failure::Behind(reached.clone(), position.clone()).into());
        }
        self.audit.changed(&change);
        self.sink
            .send_triggered(received, triggered, change)
            .await?;
        if let Some(reached) = reached {
            self.newest = Some(reached.clone());
            *position = reached;
        }
        Ok(())
    }
}
