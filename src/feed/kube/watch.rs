//! The loop of one source: list, then watch from there for ever, and what is done about every way in which either
//! fails. It knows neither HTTP nor JSON.

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
use std::time::{Duration, Instant};

/// How long a watch is asked for: short enough that a dead connection is noticed within a minute, different each time so
/// that many proxies do not come back together.
const WATCH_SECONDS: std::ops::RangeInclusive<u64> = 30..=60;
/// A watch that stood for this long has worked, even if nothing happened meanwhile.
const STEADY: Duration = Duration::from_secs(5);
/// The first pause after a failure; doubled with each one, up to [`LONGEST_PAUSE`], as client-go's reflector does.
const FIRST_PAUSE: Duration = Duration::from_millis(800);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

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
    lost: bool,
    /// The kind of trouble that was last spoken of.
    trouble: Option<Trouble>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Unauthorized,
    Forbidden,
    Throttled,
    Refused,
    Unreachable,
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
    ) -> Self {
        Self {
            source,
            requests,
            sink,
            rejections,
            rng,
            lists: Lists::Streaming,
            known: None,
            pause: FIRST_PAUSE,
            lost: false,
            trouble: None,
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
                    self.apply(received, object).await?;
                }
                // What is deleted while the list is under way.
                Line::Deleted(object) => self.delete(received, object).await?,
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
                self.apply(arrived.received, item).await?;
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
                    self.pause = FIRST_PAUSE;
                }
                Err(stop) => break stop,
            }
        };
        if opened.elapsed() >= STEADY {
            self.pause = FIRST_PAUSE;
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
                self.apply(received, object).await?;
                protocol::resource_version(object)
            }
            Line::Deleted(object) => {
                self.delete(received, object).await?;
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

    async fn apply(&self, received: Instant, object: &RawValue) -> Result<(), Closed> {
        let (key, object) = match convert::convert(self.source, object.get()) {
            Ok(converted) => {
                for ignored in &converted.ignored {
                    self.rejections.ignore(self.source, ignored);
                }
                (converted.key, converted.object)
            }
            Err(malformed) => {
                self.rejections.reject(self.source, &malformed);
                (malformed.key, None)
            }
        };
        let change = match object {
            Some(object) => Change::Apply(self.source, object),
            // Whatever stood under this key stands there no longer.
            None => Change::Delete(self.source, key),
        };
        self.sink.send(received, change).await
    }

    async fn delete(&self, received: Instant, object: &RawValue) -> Result<(), Closed> {
        let key = convert::key(self.source, object.get()).unwrap_or_else(|malformed| {
            self.rejections.reject(self.source, &malformed);
            malformed.key
        });
        self.sink
            .send(received, Change::Delete(self.source, key))
            .await
    }

    /// What is done about a stop: where to go on, after which pause.
    async fn recover(&mut self, stop: Stop, resume: Next) -> Result<Next, Closed> {
        let Stop::Failed(failure) = stop else {
            return Err(Closed);
        };
        let listing = matches!(resume, Next::List);
        let reason = restart_reason(&failure);
        if !listing {
            self.sink.metrics.restarted(self.source.name(), reason);
        }
        // The first attempt after a watch that worked comes at once; the pause then keeps a server that always breaks off
        // from being asked without end.
        let mut at_once = !listing && failure.code().is_none() && self.pause == FIRST_PAUSE;
        if at_once {
            self.pause *= 2;
        }
        let mut next = resume;
        match &failure {
            Failure::Refused { status, .. } if status.code == 410 => next = Next::List,
            Failure::Refused { status, .. } if status.code == 403 => {
                if !self.lost {
                    self.lost = true;
                    self.sink.send(now(), Change::Lost(self.source)).await?;
                }
                next = Next::List;
            }
            // An etcd restored from a backup counts from an older version on. A list without one is consistent.
            failure if failure.says("Too large resource version") => {
                self.known = None;
                next = Next::List;
            }
            failure if listing => at_once = self.judge_streaming(failure),
            // The same position would bring the same line again.
            Failure::Nonsense(_) => next = Next::List,
            _ => {}
        }
        if reason == Restart::Expired {
            tracing::info!(
                source = self.source.name(),
                "position expired, listing anew"
            );
        } else if !at_once {
            self.speak_of(&failure);
        }
        if !at_once {
            self.wait(&failure).await;
        }
        Ok(next)
    }

    /// Whether it was the server's want of streaming lists that a list failed for: then pages are asked for, at once if
    /// it said so itself.
    fn judge_streaming(&mut self, failure: &Failure) -> bool {
        match (self.lists, failure) {
            (Lists::Streaming, failure) if is_no_streaming(failure) => {
                self.lists = Lists::Pages;
                tracing::info!(
                    source = self.source.name(),
                    reason = %failure,
                    "this API server streams no lists; listing in pages from now on"
                );
                return true;
            }
            (Lists::Streaming, Failure::Silent(_) | Failure::Ended | Failure::Nonsense(_)) => {
                self.lists = Lists::PagesOnce;
            }
            (Lists::PagesOnce, _) => self.lists = Lists::Streaming,
            _ => {}
        }
        false
    }

    async fn wait(&mut self, failure: &Failure) {
        let jittered = self.pause.mul_f64(self.rng.random_range(0.5..1.0));
        let pause = match failure {
            Failure::Refused {
                retry_after: Some(after),
                ..
            } => jittered.max(*after),
            _ => jittered,
        };
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        tokio::time::sleep(pause).await;
    }

    /// The server did what was asked.
    fn sound(&mut self) {
        self.lost = false;
        if self.trouble.take().is_some() {
            tracing::info!(source = self.source.name(), "resumed");
        }
    }

    /// Says once what is wrong, until something else is.
    fn speak_of(&mut self, failure: &Failure) {
        let trouble = match failure.code() {
            Some(401) => Trouble::Unauthorized,
            Some(403) => Trouble::Forbidden,
            Some(429) => Trouble::Throttled,
            Some(_) => Trouble::Refused,
            None => Trouble::Unreachable,
        };
        if self.trouble.replace(trouble) == Some(trouble) {
            return;
        }
        let (source, resource) = (self.source.name(), self.requests.collection.resource());
        match trouble {
            Trouble::Unauthorized => tracing::error!(
                source,
                "the API server refused the credentials ({failure}); expected a token or certificate that it accepts: \
                 see the kubeconfig, or the pod's service account"
            ),
            Trouble::Forbidden => tracing::error!(
                source,
                "access denied ({failure}); expected a ClusterRole with the verbs list and watch on {resource}, bound \
                 to this service account or user"
            ),
            Trouble::Throttled => tracing::warn!(source, "the API server asks to wait: {failure}"),
            Trouble::Refused => tracing::warn!(source, "the API server refused: {failure}"),
            Trouble::Unreachable => tracing::warn!(source, "interrupted: {failure}"),
        }
    }
}

const fn restart_reason(failure: &Failure) -> Restart {
    match failure {
        Failure::Refused { status, .. } if status.code == 410 => Restart::Expired,
        Failure::Refused { .. } => Restart::Refused,
        Failure::Silent(_) => Restart::Silent,
        Failure::Ended => Restart::Ended,
        Failure::Broken(_) | Failure::Nonsense(_) => Restart::Broken,
    }
}

/// How servers say that they stream no lists: the parameter is invalid (before 1.32, or switched off), or etcd reports
/// no progress (before 3.4.25).
fn is_no_streaming(failure: &Failure) -> bool {
    matches!(failure.code(), Some(400 | 422)) || failure.says("RequestWatchProgress is disabled")
}
