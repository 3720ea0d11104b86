//! The loop of one source: list, then watch from there for ever. It knows neither HTTP nor JSON, and leaves to
//! [`recovery`] what is done when either fails.

mod recovery;

use super::{
    protocol::{self, Line},
    requests::{Failure, Requests, Stream},
};
use crate::{
    feed::{Closed, Rejections, Sink, convert, now},
    metrics::Restart,
    model::{Change, Source},
};
use rand::{RngExt, rngs::StdRng};
use serde_json::value::RawValue;
use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::{Duration, Instant},
};

/// How long a watch is asked for: short enough that a dead connection is noticed within a minute, different each time so
/// that many proxies do not come back together.
const WATCH_SECONDS: std::ops::RangeInclusive<u64> = 30..=60;
/// A watch that stood for this long has worked, even if nothing happened meanwhile.
const STEADY: Duration = Duration::from_secs(5);

/// Follows one source.
pub(super) struct Watch {
    source: Source,
    requests: Requests,
    sink: Sink,
    rejections: Rejections,
    rng: StdRng,
    lists: Lists,
    /// The newest resourceVersion that was seen; nothing older is listed.
    known: Option<String>,
    pause: Duration,
    /// Whether a watch has worked since the last list.
    proven: bool,
    access: recovery::Access,
    /// The kind of trouble that was last spoken of.
    trouble: Option<recovery::Trouble>,
    /// Of all watches, those whose credentials are refused.
    unauthorized: Arc<AtomicUsize>,
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
    pub(super) const fn new(
        source: Source,
        requests: Requests,
        sink: Sink,
        rejections: Rejections,
        rng: StdRng,
        unauthorized: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            source,
            requests,
            sink,
            rejections,
            rng,
            lists: Lists::Streaming,
            known: None,
            pause: recovery::FIRST_PAUSE,
            proven: false,
            access: recovery::Access::Given,
            trouble: None,
            unauthorized,
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
                    let seconds = self.rng.random_range(WATCH_SECONDS);
                    match self.requests.watch(&position, seconds).await {
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

    async fn list(&mut self) -> Result<Next, Stop> {
        tracing::debug!(source = self.source.name(), lists = ?self.lists, "listing");
        let started = tokio::time::Instant::now();
        let (next, objects) = match self.lists {
            Lists::Streaming => self.list_stream().await?,
            Lists::Pages | Lists::PagesOnce => self.list_pages().await?,
        };
        self.sound();
        tracing::info!(
            source = self.source.name(),
            objects,
            milliseconds = started.elapsed().as_millis(),
            "synced"
        );
        Ok(next)
    }

    async fn list_stream(&mut self) -> Result<(Next, usize), Stop> {
        let seconds = self.rng.random_range(WATCH_SECONDS);
        let mut stream = self.requests.stream(self.known.as_deref(), seconds).await?;
        self.sink
            .send(now(), Change::ListStarted(self.source))
            .await?;
        let mut objects = 0;
        loop {
            let (received, line) = stream.next().await?;
            match line {
                Line::Applied(object) => {
                    objects += 1;
                    self.sink.send(received, self.applied(object).0).await?;
                }
                // What is deleted while the list is under way.
                Line::Deleted(object) => self.sink.send(received, self.deleted(object)).await?,
                Line::Error(status) => return Err(Failure::refused(status, None).into()),
                Line::Bookmark {
                    resource_version: Some(position),
                    initial_events_end: true,
                } => {
                    self.known = Some(position.clone());
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
                self.sink
                    .send(arrived.received, Change::ListStarted(self.source))
                    .await?;
                started = true;
            }
            objects += page.items.len();
            for item in page.items {
                let (change, _) = self.applied(item);
                self.sink.send(arrived.received, change).await?;
            }
            next = page.next;
            if next.is_none() {
                self.known = Some(page.resource_version.clone());
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

    /// Reads a watch to its end, which is always a stop.
    async fn follow(
        &mut self,
        mut stream: Stream,
        mut position: String,
    ) -> Result<Next, (Stop, Next)> {
        let opened = tokio::time::Instant::now();
        let stop = loop {
            let stop = match stream.next().await {
                Ok((received, line)) => self.line(received, line, &mut position).await,
                Err(failure) => Err(failure.into()),
            };
            match stop {
                Ok(()) => {
                    self.sound();
                    self.prove();
                }
                Err(stop) => break stop,
            }
        };
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
        let reached = match line {
            Line::Applied(object) => {
                let (change, triggered) = self.applied(object);
                self.sink
                    .send_triggered(received, triggered, change)
                    .await?;
                protocol::resource_version(object)
            }
            Line::Deleted(object) => {
                self.sink.send(received, self.deleted(object)).await?;
                protocol::resource_version(object)
            }
            Line::Bookmark {
                resource_version, ..
            } => resource_version,
            Line::Error(status) => return Err(Failure::refused(status, None).into()),
        };
        if let Some(reached) = reached.filter(|it| !it.is_empty()) {
            self.known = Some(reached.clone());
            *position = reached;
        }
        Ok(())
    }

    /// What an object says that was created or changed, and when that happened for which it was.
    fn applied(&self, object: &RawValue) -> (Change, Option<Duration>) {
        match convert::convert(self.source, object.get()) {
            Ok(converted) => {
                for ignored in &converted.ignored {
                    self.rejections.ignore(self.source, ignored);
                }
                let change = match converted.object {
                    Some(object) => Change::Apply(self.source, object),
                    // Whatever stood under this key stands there no longer.
                    None => Change::Delete(self.source, converted.key),
                };
                (change, converted.triggered)
            }
            Err(malformed) => {
                self.rejections.reject(self.source, &malformed);
                let change = match convert::remnant(self.source, object.get()) {
                    Some(remnant) => Change::Apply(self.source, remnant),
                    None => Change::Delete(self.source, malformed.key),
                };
                (change, None)
            }
        }
    }

    fn deleted(&self, object: &RawValue) -> Change {
        let key = convert::key(self.source, object.get()).unwrap_or_else(|malformed| {
            self.rejections.reject(self.source, &malformed);
            malformed.key
        });
        Change::Delete(self.source, key)
    }
}
