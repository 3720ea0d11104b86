//! One HTTP request at a time to the collection of one source, with a deadline for everything that is waited for. It
//! knows requests and their failures, not what is done about them.

use super::{
    kinds::Collection,
    protocol::{self, Line, Lines, Page, Status},
};
use crate::feed::now;
use http_body_util::BodyExt;
use kube::client::Body;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How long the server may take until a response begins, and be silent while it sends a list. Consistent reads of a busy
/// API server take seconds.
const RESPONSE_DEADLINE: Duration = Duration::from_secs(30);
/// How long a streaming list may stand still before its end. A server that cannot stream one says so at once (measured
/// with etcd 3.4: within 10 ms), or never.
const STREAM_DEADLINE: Duration = Duration::from_secs(10);
/// Objects of a page. client-go asks for 500, which are 12 MiB of slices of 100 endpoints: a third of what a large cluster
/// takes here in all.
const PAGE_SIZE: &str = "100";
/// Largest page: 100 objects of ordinary size are below 3 MiB; an object is at most a few MiB.
const MAX_PAGE_BYTES: usize = 64 << 20;
/// Largest body of an error that is read; a status takes a few hundred bytes.
const MAX_STATUS_BYTES: usize = 64 << 10;
/// Longest time that a server's Retry-After is followed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(120);

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("HTTP {}: {}", .status.code, .status.message.as_deref().unwrap_or("no message"))]
    Refused {
        status: Status,
        retry_after: Option<Duration>,
    },
    #[error("{0}")]
    Broken(String),
    #[error("the server ended the response")]
    Ended,
    #[error("nothing came for {} s", .0.as_secs())]
    Silent(Duration),
    #[error("the server answered with version {0}, and {1} was there before")]
    Behind(String, String),
    #[error("{0}")]
    Nonsense(#[from] protocol::Error),
}

impl Failure {
    /// The status that a server refused with, as response or as a line of a watch.
    pub(super) fn refused(status: Status, header: Option<Duration>) -> Self {
        let seconds = status
            .details
            .as_ref()
            .and_then(|it| it.retry_after_seconds);
        let retry_after = header.or_else(|| Some(Duration::from_secs(seconds?.into())));
        Self::Refused {
            retry_after: retry_after.map(|it| it.min(MAX_RETRY_AFTER)),
            status,
        }
    }

    /// The HTTP status, if the server answered with one.
    pub(super) const fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(status.code),
            _ => None,
        }
    }

    /// Whether the server refused with a message that holds this.
    pub(super) fn says(&self, text: &str) -> bool {
        let Self::Refused { status, .. } = self else {
            return false;
        };
        status.message.as_ref().is_some_and(|it| it.contains(text))
    }
}

/// The requests of one source.
#[derive(Clone)]
pub(super) struct Requests {
    client: kube::Client,
    pub(super) collection: Collection,
}

/// A page as it arrived.
pub(super) struct Arrived {
    pub(super) received: Instant,
    bytes: Vec<u8>,
}

impl Arrived {
    pub(super) fn page(&self) -> Result<Page<'_>, Failure> {
        Ok(protocol::page(&self.bytes)?)
    }
}

/// For how long a watch is asked for, and how long it may be silent.
#[derive(Clone, Copy)]
pub(super) struct Term {
    pub(super) seconds: u64,
    pub(super) silence: Duration,
}

/// An open watch.
pub(super) struct Stream {
    body: Body,
    lines: Lines,
    received: Instant,
    patience: Duration,
    term: Term,
}

impl Requests {
    pub(super) const fn new(client: kube::Client, collection: Collection) -> Self {
        Self { client, collection }
    }

    /// One page of a consistent list. It is read without a resourceVersion: this cannot go back in time, and only so
    /// does every server keep to the page's limit.
    pub(super) async fn page(&self, next: Option<&str>) -> Result<Arrived, Failure> {
        let mut parameters = vec![("limit", PAGE_SIZE)];
        parameters.extend(next.map(|next| ("continue", next)));
        let body = self.get(&parameters, RESPONSE_DEADLINE).await?;
        let bytes = read(body, MAX_PAGE_BYTES, RESPONSE_DEADLINE).await?;
        Ok(Arrived {
            received: now(),
            bytes,
        })
    }

    /// A watch that begins with every object as it is, none older than `known` (KEP-3157).
    pub(super) async fn stream(&self, known: Option<&str>, term: Term) -> Result<Stream, Failure> {
        let seconds = term.seconds.to_string();
        let parameters = [
            ("watch", "true"),
            ("sendInitialEvents", "true"),
            ("resourceVersionMatch", "NotOlderThan"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", known.unwrap_or_default()),
            ("timeoutSeconds", &seconds),
        ];
        let body = self.get(&parameters, STREAM_DEADLINE).await?;
        Ok(Stream::new(body, term))
    }

    /// A watch of what happens after `position`.
    pub(super) async fn watch(&self, position: &str, term: Term) -> Result<Stream, Failure> {
        let seconds = term.seconds.to_string();
        let parameters = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", position),
            ("timeoutSeconds", &seconds),
        ];
        let body = self.get(&parameters, RESPONSE_DEADLINE).await?;
        let mut stream = Stream::new(body, term);
        stream.initial_events_ended();
        Ok(stream)
    }

    async fn get(&self, parameters: &[(&str, &str)], deadline: Duration) -> Result<Body, Failure> {
        // From Kubernetes 1.37 on, watches may be compressed in a way that few clients can read.
        let request = http::Request::get(self.collection.target(parameters))
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::ACCEPT_ENCODING, "identity")
            .body(Body::empty())
            .expect("a target of percent-encoded parts is a URI");
        let response = timeout(deadline, self.client.send(request))
            .await
            .map_err(|_| Failure::Silent(deadline))?
            .map_err(|error| Failure::Broken(chain(&error)))?;
        let code = response.status();
        if code.is_success() {
            return Ok(response.into_body());
        }
        let seconds = (response.headers().get(http::header::RETRY_AFTER))
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let json = read(response.into_body(), MAX_STATUS_BYTES, deadline).await;
        let status = protocol::status(&json.unwrap_or_default(), code.as_u16());
        Err(Failure::refused(status, seconds.map(Duration::from_secs)))
    }
}

impl Stream {
    fn new(body: Body, term: Term) -> Self {
        Self {
            body,
            lines: Lines::default(),
            received: now(),
            patience: STREAM_DEADLINE,
            term,
        }
    }

    /// From here on the stream is a watch, which may be silent for longer.
    pub(super) const fn initial_events_ended(&mut self) {
        self.patience = self.term.silence;
    }

    /// The next line and when it arrived.
    pub(super) async fn next(&mut self) -> Result<(Instant, Line<'_>), Failure> {
        while !self.lines.ready()? {
            match timeout(self.patience, self.body.frame()).await {
                Ok(Some(Ok(frame))) => {
                    self.received = now();
                    if let Some(bytes) = frame.data_ref() {
                        self.lines.push(bytes);
                    }
                }
                Ok(Some(Err(error))) => return Err(Failure::Broken(chain(&error))),
                // A line that breaks off here is lost with the stream: it comes again after the last position.
                Ok(None) => return Err(Failure::Ended),
                Err(_) => return Err(Failure::Silent(self.patience)),
            }
        }
        Ok((self.received, protocol::line(self.lines.take())?))
    }
}

async fn read(mut body: Body, limit: usize, deadline: Duration) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(frame) = timeout(deadline, body.frame())
        .await
        .map_err(|_| Failure::Silent(deadline))?
    {
        let frame = frame.map_err(|error| Failure::Broken(chain(&error)))?;
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if bytes.len() > limit {
            let message = format!("expected a response of at most {limit} bytes");
            return Err(Failure::Broken(message));
        }
    }
    Ok(bytes)
}

/// An error with its causes: the outermost one says little more than that there was one.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
