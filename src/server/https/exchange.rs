//! One request and its response (RFC 8484 §4): the message out of the URI or the body, and the engine's answer into a body.
//! What is wrong with the HTTP is a status; what is wrong with the message is the engine's to say.

use super::{Endpoint, UnderWay};
use crate::{
    engine::{Asked, MAX_MESSAGE, Now},
    metrics::Transport,
    server::stream::{MESSAGE_WITHIN, Peer},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use std::{mem, sync::atomic::Ordering};
use tokio::time::{Instant, timeout};

const DNS_MESSAGE: &str = "application/dns-message";

type Answer = Response<Full<Bytes>>;

/// What is said to a request that brings no message.
struct Refusal(StatusCode, &'static str);

/// Octets of an answer, and its request, which is under way until they are sent.
struct Reply(
    Vec<u8>,
    #[allow(dead_code, reason = "it acts when it is dropped")] UnderWay,
);

impl AsRef<[u8]> for Reply {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Endpoint {
    /// Answers a request, whatever it is.
    pub(super) async fn respond(
        &self,
        request: Request<Incoming>,
        peer: Peer,
        under_way: UnderWay,
    ) -> Answer {
        let message = match self.message(request).await {
            Ok(message) => message,
            Err(refusal) => return refusal.into(),
        };
        let Some(reply) = self.answer(&message, peer).await else {
            return Refusal(StatusCode::BAD_REQUEST, "the message is no DNS query\n").into();
        };
        let body = Bytes::from_owner(Reply(reply, under_way));
        let mut response = Response::new(Full::new(body));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(DNS_MESSAGE));
        // The records' TTLs say how long an answer holds; an HTTP cache would not count them down.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// The DNS message of a request.
    async fn message(&self, request: Request<Incoming>) -> Result<Bytes, Refusal> {
        match *request.method() {
            Method::GET | Method::POST if request.uri().path() != self.path => {
                Err(Refusal(StatusCode::NOT_FOUND, "not found\n"))
            }
            Method::GET => in_query(request.uri().query().unwrap_or_default()),
            Method::POST => in_body(request).await,
            // Without a text: to HEAD, one would break the framing.
            _ => Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "")),
        }
    }

    /// What the engine answers, if it does.
    async fn answer(&self, packet: &[u8], peer: Peer) -> Option<Vec<u8>> {
        let asked = Asked {
            packet,
            client: peer.client,
            local: peer.local,
            transport: Transport::Https,
            rotation: self.rotation.fetch_add(1, Ordering::Relaxed),
        };
        let engine = &self.shared.engine;
        let mut out = vec![0; MAX_MESSAGE];
        let now = Instant::now().into_std();
        let answered = engine.answer_now(&asked, now, &mut out);
        let len = match answered {
            Now::Reply(len) => len,
            Now::Drop => return None,
            Now::NeedsAsync => {
                drop(mem::take(&mut out)); // only who has a permit holds room for an answer
                let permit = self.shared.tcp_in_flight.acquire().await;
                let _permit = permit.expect("the semaphore is never closed");
                out = vec![0; MAX_MESSAGE];
                engine.answer(asked, &mut out).await?
            }
        };
        out.truncate(len);
        out.shrink_to_fit();
        Some(out)
    }
}

fn in_query(query: &str) -> Result<Bytes, Refusal> {
    let mut variables = query.split('&');
    let Some(encoded) = variables.find_map(|variable| variable.strip_prefix("dns=")) else {
        return Err(Refusal(
            StatusCode::BAD_REQUEST,
            "expected the variable dns\n",
        ));
    };
    match BASE64_URL_SAFE_NO_PAD.decode(encoded) {
        Ok(message) => Ok(message.into()),
        Err(_) => Err(Refusal(
            StatusCode::BAD_REQUEST,
            "expected base64url without padding as dns\n",
        )),
    }
}

async fn in_body(request: Request<Incoming>) -> Result<Bytes, Refusal> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(DNS_MESSAGE) {
        return Err(Refusal(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "expected the content type application/dns-message\n",
        ));
    }
    let body = Limited::new(request.into_body(), MAX_MESSAGE);
    match timeout(MESSAGE_WITHIN, body.collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal(
            StatusCode::PAYLOAD_TOO_LARGE,
            "expected at most 65535 octets\n",
        )),
        Ok(Err(_)) => Err(Refusal(
            StatusCode::BAD_REQUEST,
            "the body ended before its end\n",
        )),
        Err(_) => Err(Refusal(
            StatusCode::REQUEST_TIMEOUT,
            "the body came too slowly\n",
        )),
    }
}

impl From<Refusal> for Answer {
    fn from(Refusal(status, text): Refusal) -> Self {
        let mut response = Self::new(Full::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, plain);
        if status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
        }
        response
    }
}
