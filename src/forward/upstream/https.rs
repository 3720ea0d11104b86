//! Many questions over one connection of HTTP/2 (RFC 8484): each is POSTed by itself. The framing is hyper's; what comes is
//! octets.

use super::connection::{Driver, Ended, QUESTIONS_MAX, Question, SILENT_MAX};
use crate::{
    lifecycle::Tasks,
    metrics::{Forward, Ignored},
};
use futures::{StreamExt as _, stream::FuturesUnordered};
use http::{Method, Request, StatusCode, Uri, header, uri::PathAndQuery};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    body::Bytes,
    client::conn::http2::{self, SendRequest},
    rt::Executor,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{error::Error, io, pin::pin};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep, sleep_until},
};
use tokio_rustls::rustls::pki_types::{IpAddr, ServerName};

const MESSAGE: &str = "application/dns-message";

/// Octets of the longest message, and so of a response's body.
const MESSAGE_BYTES: usize = 65_535;

/// Octets of a response's header list.
const HEADER_BYTES: u32 = 16 << 10;

/// The URI that is asked: to the server it is the name's, whatever its address.
pub(super) fn uri(name: &ServerName<'_>, port: u16, path: PathAndQuery) -> Uri {
    let host = match name {
        ServerName::IpAddress(IpAddr::V6(ip)) => format!("[{}]", std::net::Ipv6Addr::from(*ip)),
        name => name.to_str().into_owned(),
    };
    let authority = match port {
        443 => host,
        port => format!("{host}:{port}"),
    };
    let uri = Uri::builder().scheme("https").authority(authority);
    uri.path_and_query(path)
        .build()
        .expect("a host's name and a port are an authority")
}

/// Runs what hyper runs beside a connection, which ends with it.
#[derive(Clone)]
struct Beside(Tasks);

impl<F: Future<Output: Send + 'static> + Send + 'static> Executor<F> for Beside {
    fn execute(&self, part: F) {
        drop(self.0.brief(part));
    }
}

/// What came of one request.
enum Came {
    /// A response.
    Response,
    /// A response after its asker had left.
    LateResponse,
    /// None, long after its asker had left.
    Nothing,
    /// The connection takes no more.
    Lost(hyper::Error),
}

/// Carries questions over a connection to its end.
pub(super) async fn drive(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    uri: &Uri,
    driver: &mut Driver,
    tasks: &Tasks,
    metrics: &Forward,
) -> Ended {
    let mut http = http2::Builder::new(Beside(tasks.clone()));
    http.timer(TokioTimer::new())
        .max_header_list_size(HEADER_BYTES);
    let (sender, connection) = match http.handshake(TokioIo::new(stream)).await {
        Ok(opened) => opened,
        Err(error) => return Ended::Broken(io::Error::other(error)),
    };
    let mut connection = pin!(connection);
    let mut exchanges = FuturesUnordered::new();
    let mut used_at = Instant::now();
    let mut leaving = None;
    let mut timer = pin!(sleep_until(used_at));
    loop {
        if exchanges.is_empty()
            && let Some(ended) = leaving.take()
        {
            return ended;
        }
        let (end_at, without_news) = Ended::without_news(&driver.pulse, used_at);
        if timer.deadline() != end_at {
            timer.as_mut().reset(end_at);
        }
        tokio::select! {
            biased;
            Some(came) = exchanges.next() => match came {
                Came::Response | Came::LateResponse => {
                    if let Came::LateResponse = came {
                        metrics.ignored(Ignored::Late);
                    }
                    used_at = Instant::now();
                    driver.pulse.heard(used_at, !exchanges.is_empty());
                }
                Came::Nothing => {}
                Came::Lost(error) => {
                    // What is under way may still be answered (RFC 9113 §6.8); whoever waits in the queue is to ask
                    // another connection.
                    driver.questions.close();
                    while driver.questions.try_recv().is_ok() {}
                    leaving = Some(Ended::Broken(io::Error::other(error)));
                }
            },
            done = connection.as_mut() => return match done {
                Ok(()) => Ended::ByServer,
                Err(error) => Ended::Broken(io::Error::other(error)),
            },
            question = driver.questions.recv(), if leaving.is_none() && exchanges.len() < 2 * QUESTIONS_MAX => match question {
                None => leaving = Some(Ended::Left),
                Some(question) => {
                    used_at = Instant::now();
                    exchanges.push(exchange(sender.clone(), uri.clone(), question));
                }
            },
            () = timer.as_mut() => if end_at <= Instant::now() { return without_news },
        }
    }
}

async fn exchange(sender: SendRequest<Full<Bytes>>, uri: Uri, question: Question) -> Came {
    let Question {
        mut message,
        mut reply,
    } = question;
    // So that answers can be cached (RFC 8484 §4.1).
    message[..2].fill(0);
    let given_up = async {
        reply.closed().await;
        sleep(SILENT_MAX).await; // a late reply shows that the connection is well
    };
    let response = tokio::select! {
        response = post(sender, uri, message) => response,
        () = given_up => return Came::Nothing, // and the stream is reset
    };
    let outcome = match response {
        Ok(message) => Ok(message),
        Err(error) => match error.downcast::<hyper::Error>() {
            Ok(error) => return Came::Lost(*error),
            Err(error) => Err(io::Error::other(error)),
        },
    };
    match reply.send(outcome) {
        Ok(()) => Came::Response,
        Err(_) => Came::LateResponse,
    }
}

async fn post(
    mut sender: SendRequest<Full<Bytes>>,
    uri: Uri,
    message: Vec<u8>,
) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(uri)
        .header(header::CONTENT_TYPE, MESSAGE)
        .header(header::ACCEPT, MESSAGE)
        .body(Full::from(message))
        .expect("every part of it is valid");
    let response = sender.send_request(request).await?;
    let (head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(format!("HTTP status {}", head.status.as_u16()).into());
    }
    let kind = head.headers.get(header::CONTENT_TYPE);
    if kind.is_none_or(|kind| kind != MESSAGE) {
        return Err("a response that is no DNS message".into());
    }
    let body = Limited::new(body, MESSAGE_BYTES).collect().await?;
    Ok(body.to_bytes().into())
}
