//! DNS over HTTPS (RFC 8484): a connection from its handshake to its end, within limits. The framing is that of libraries,
//! TLS of rustls and HTTP/2 of hyper; it knows no rule of DNS.

mod exchange;

use super::{
    Shared, Tls,
    limits::Admitted,
    stream::{LINGER, MESSAGE_WITHIN, Peer, WRITE_WITHIN},
};
use crate::{lifecycle::Tasks, metrics::Closed};
use hyper::{rt::Executor, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep, timeout},
};

/// The handshake's round trips, over a bad path too; nothing of it can be answered.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);

/// A connection with requests under way must begin or end one within what a request may take: its message, an upstream's
/// answer, and the taking of the response.
const PROGRESS_WITHIN: Duration = MESSAGE_WITHIN
    .saturating_add(Duration::from_secs(5))
    .saturating_add(WRITE_WITHIN);

/// Octets of bodies that a connection holds unread (RFC 9113 §6.9.2 has the same default): a longest message.
const WINDOW_BYTES: u32 = 65_535;

/// Octets of a request's header list. A message of 4 KiB fits into the URI of a GET; longer ones are POSTed.
const HEADER_BYTES: u32 = 8 << 10;

/// DNS over HTTPS: where, as whom, and under which path.
#[derive(Clone, Debug)]
pub struct Https {
    /// Addresses to listen at.
    pub listen: Vec<SocketAddr>,
    /// Certificate and key.
    pub tls: Tls,
    /// The URI's path, such as `/dns-query`.
    pub path: String,
}

/// What the connections of all listeners share.
pub(super) struct Endpoint {
    shared: Arc<Shared>,
    tls: Tls,
    path: String,
    /// Clients set the ID to 0 so that answers can be cached (RFC 8484 §4.1); so the requests are counted.
    rotation: AtomicUsize,
    streams: Streams,
}

/// Runs the exchanges of a connection; each ends with its connection.
#[derive(Clone)]
struct Streams(Tasks);

impl<F: Future<Output: Send + 'static> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, exchange: F) {
        drop(self.0.brief(exchange)); // as many as the connection has streams
    }
}

/// A request that is under way until it, or the last octet of its response, is dropped.
struct UnderWay(watch::Sender<usize>);

impl UnderWay {
    fn begin(requests: &watch::Sender<usize>) -> Self {
        requests.send_modify(|count| *count = count.saturating_add(1));
        Self(requests.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl Endpoint {
    pub(super) fn new(tls: Tls, path: String, shared: Arc<Shared>, tasks: Tasks) -> Self {
        Self {
            shared,
            tls,
            path,
            rotation: AtomicUsize::new(0),
            streams: Streams(tasks),
        }
    }

    /// Serves a connection to its end.
    pub(super) async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        client: SocketAddr,
        admitted: Admitted,
    ) {
        let closed = self.connection(stream, client, &admitted).await;
        self.shared.metrics.closed(closed).inc();
    }

    async fn connection(
        self: &Arc<Self>,
        stream: TcpStream,
        client: SocketAddr,
        admitted: &Admitted,
    ) -> Closed {
        let drain = &self.shared.drain;
        let Ok(local) = stream.set_nodelay(true).and_then(|()| stream.local_addr()) else {
            return Closed::Broken;
        };
        let local = local.ip();
        let handshake = timeout(HANDSHAKE_WITHIN, self.tls.acceptor().accept(stream));
        let stream = tokio::select! {
            () = admitted.evicted() => return Closed::Evicted,
            () = drain.cancelled() => return Closed::Drained,
            stream = handshake => match stream {
                Ok(Ok(stream)) => TokioIo::new(stream),
                Ok(Err(_)) => return Closed::Broken,
                Err(_) => return Closed::SlowMessage,
            },
        };

        let (requests, mut under_way) = watch::channel(0);
        let exchange = service_fn(move |request| {
            let (endpoint, under_way) = (Arc::clone(self), UnderWay::begin(&requests));
            async move {
                let peer = Peer { client, local };
                Ok::<_, Infallible>(endpoint.respond(request, peer, under_way).await)
            }
        });
        let mut connection = pin!(self.http().serve_connection(stream, exchange));
        let mut ending = None;
        let mut since = Instant::now();
        loop {
            let busy = *under_way.borrow_and_update() > 0;
            admitted.set_idle(!busy);
            let within = match ending {
                _ if busy => PROGRESS_WITHIN,
                None => self.shared.tcp_idle,
                Some(_) => LINGER,
            };
            let ended = tokio::select! {
                biased;
                () = admitted.evicted() => return Closed::Evicted,
                done = connection.as_mut() => {
                    // Clients that are told that it ends often leave without a word.
                    return ending.unwrap_or_else(|| done.map_or(Closed::Broken, |()| Closed::Finished));
                }
                _ = under_way.changed() => None,
                () = drain.cancelled(), if ending.is_none() => Some(Closed::Drained),
                () = sleep(within.saturating_sub(since.elapsed())) => match ending {
                    _ if busy => return Closed::SlowReader,
                    None => Some(Closed::Idle),
                    Some(closed) => return closed,
                },
            };
            if ended.is_some() {
                connection.as_mut().graceful_shutdown(); // what is under way is finished
                ending = ended;
            }
            since = Instant::now();
        }
    }

    fn http(&self) -> http2::Builder<Streams> {
        let streams = u32::try_from(self.shared.tcp_queries_per_connection).unwrap_or(u32::MAX);
        let mut http = http2::Builder::new(self.streams.clone());
        http.timer(TokioTimer::new())
            .max_concurrent_streams(streams)
            .max_header_list_size(HEADER_BYTES)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES);
        http
    }
}
