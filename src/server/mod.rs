//! Sockets and framing: bytes from a client to the engine, and its bytes back by the way they came. It knows no rule of DNS.
//!
//! ```text
//! UDP  worker threads ──answer_now──▶ reply          one SO_REUSEPORT socket each, batches in and out
//!           └─ needs to wait ─▶ queue ─▶ dispatcher ──answer──▶ reply by the same socket
//! TCP  listener ─▶ connection: frames ──answer_now──▶ reply
//!                       └─ needs to wait ─▶ its own tasks ──answer──▶ reply, in the order of becoming ready
//! HTTPS  the same, within TLS, with each message a request of HTTP/2
//! ```
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

mod batch;
mod datagrams;
mod fallback;
#[cfg(test)]
mod fixture;
mod fragments;
mod https;
mod inherited;
mod limits;
mod listen;
mod stream;
#[cfg(target_os = "linux")]
mod sys;
mod tcp;
mod tls;
mod udp;

use crate::{
    engine::{Engine, Recent},
    lifecycle::{Drain, Tasks},
    metrics::{self, Metrics},
};
use batch::Socket;
pub use datagrams::{Datagrams, unspecified_like};
pub use https::Https;
pub use inherited::Inherited;
pub use listen::{BindError, Kept, Listeners};
use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};
pub use tls::{Tls, TlsError};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
};

/// What the listeners may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// UDP threads per address, at least 1.
    pub udp_workers: usize,
    /// Whether datagrams move in batches and replies leave from the address that was asked: Linux only. Elsewhere, and
    /// without it, one datagram per call.
    pub udp_batches: bool,
    /// UDP queries that wait for an upstream at once, at least 1; more wait in a queue, and what does not fit there is dropped.
    pub udp_in_flight: usize,
    /// TCP and HTTPS queries that wait for an upstream at once, at least 1; beyond that, reading pauses. Each holds a message buffer of 64 KiB.
    pub tcp_in_flight: usize,
    /// TCP and HTTPS connections in all.
    pub tcp_connections: usize,
    /// TCP and HTTPS connections from one client address.
    pub tcp_connections_per_client: usize,
    /// Queries of one TCP or HTTPS connection that wait for an upstream, at least 1; beyond that, reading it pauses.
    pub tcp_queries_per_connection: usize,
    /// How long a TCP or HTTPS connection may be idle (RFC 7766 §6.2.3: a few seconds).
    pub tcp_idle: Duration,
    /// Whether addresses may be bound that no interface has yet: Linux only.
    pub freebind: bool,
    /// Whether another process may go on with the sockets. UDP threads then wake twice a second to see whether one does.
    pub handed_over: bool,
    /// How long queries in flight may take to finish after the drain began.
    pub drain_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            udp_workers: 1,
            udp_batches: cfg!(target_os = "linux"),
            udp_in_flight: 4096,
            tcp_in_flight: 1024,
            tcp_connections: 256,
            tcp_connections_per_client: 16,
            tcp_queries_per_connection: 32,
            tcp_idle: Duration::from_secs(10),
            freebind: false,
            handed_over: false,
            drain_within: Duration::from_secs(5), // as long as a client waits: glibc's `timeout` default
        }
    }
}

/// What every worker, listener and connection needs.
struct Shared {
    engine: Arc<Engine>,
    metrics: metrics::Server,
    drain: Drain,
    kept: Kept,
    tcp_in_flight: Arc<Semaphore>,
    tcp_queries_per_connection: usize,
    tcp_idle: Duration,
}

impl Listeners {
    /// Starts to answer, until `drain`: then queued datagrams (unless they are [`Kept`]) and read messages are answered, and
    /// everything ends. Called inside a tokio runtime.
    pub fn serve(
        self,
        engine: Arc<Engine>,
        tasks: &Tasks,
        drain: Drain,
        metrics: &Metrics,
    ) -> io::Result<()> {
        let options = self.options;
        let shared = Arc::new(Shared {
            engine,
            metrics: metrics.server.clone(),
            drain,
            kept: self.kept,
            tcp_in_flight: Arc::new(Semaphore::new(options.tcp_in_flight.max(1))),
            tcp_queries_per_connection: options.tcp_queries_per_connection.max(1),
            tcp_idle: options.tcp_idle,
        });

        let may_leave = options.handed_over || shared.kept.is_set();
        let (queue, waiting) = mpsc::channel(udp::QUEUE);
        let workers = self.udp.len();
        for (number, socket) in (0_usize..).zip(self.udp) {
            let socket = socket_for(socket, options.udp_batches, may_leave)?;
            let name = format!("udp-{number}");
            let recent = Recent::one_of(workers);
            let worker = udp::start(name, socket, Arc::clone(&shared), queue.clone(), recent)?;
            tasks.essential("udp worker", worker);
        }
        let limit = options.udp_in_flight.max(1);
        let dispatcher = udp::dispatch(Arc::clone(&shared), waiting, limit);
        let dispatcher = until_drained(shared.drain.clone(), options.drain_within, dispatcher);
        tasks.essential("udp dispatcher", dispatcher);

        let connections = limits::Connections::new(
            options.tcp_connections,
            options.tcp_connections_per_client,
            shared.metrics.clone(),
        );
        for listener in self.tcp {
            let plain = Arc::clone(&shared);
            let serve = move |stream, client, admitted| {
                tcp::serve(stream, client, Arc::clone(&plain), admitted)
            };
            let accept = accept(listener, &shared, &connections, options.drain_within, serve)?;
            tasks.essential("tcp listener", accept);
        }
        let Some((https, listeners)) = self.https else {
            return Ok(());
        };
        let (tasks_of_streams, path) = (tasks.clone(), https.path);
        let endpoint = https::Endpoint::new(https.tls, path, Arc::clone(&shared), tasks_of_streams);
        let endpoint = Arc::new(endpoint);
        for listener in listeners {
            let endpoint = Arc::clone(&endpoint);
            let serve = move |stream, client, admitted| {
                Arc::clone(&endpoint).serve(stream, client, admitted)
            };
            let accept = accept(listener, &shared, &connections, options.drain_within, serve)?;
            tasks.essential("https listener", accept);
        }
        Ok(())
    }
}

/// The loop of one listener of connections, until it is drained.
fn accept<S, C>(
    listener: std::net::TcpListener,
    shared: &Arc<Shared>,
    connections: &Arc<limits::Connections>,
    drain_within: Duration,
    serve: S,
) -> io::Result<impl Future<Output = ()> + use<S, C>>
where
    S: Fn(TcpStream, SocketAddr, limits::Admitted) -> C,
    C: Future<Output = ()> + Send + 'static,
{
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let (shared, connections) = (Arc::clone(shared), Arc::clone(connections));
    let drain = shared.drain.clone();
    let accept = tcp::accept(listener, shared, connections, serve);
    Ok(until_drained(drain, drain_within, accept))
}

/// Runs `work` to its end, but at most for the given time after the drain began.
async fn until_drained(drain: Drain, within: Duration, work: impl Future<Output = ()>) {
    let too_long = async {
        drain.cancelled().await;
        tokio::time::sleep(within).await;
    };
    tokio::select! {
        () = work => {}
        () = too_long => tracing::warn!(?within, "stopped with queries unanswered"),
    }
}

fn socket_for(socket: UdpSocket, batches: bool, may_leave: bool) -> io::Result<Arc<dyn Socket>> {
    fragments::never(&socket);
    #[cfg(target_os = "linux")]
    if batches {
        return Ok(Arc::new(sys::Batched::new(socket, may_leave)?));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (batches, may_leave); // there is one way only
    Ok(Arc::new(fallback::Plain::new(socket)?))
}

/// Asks for the calling thread's turn to come soon when it wakes: it answers for microseconds, and waits otherwise. Without it
/// answers are as right, and later where threads that compute have the same core.
fn wake_soon() {
    #[cfg(target_os = "linux")]
    if let Err(error) = sys::take_short_slices() {
        tracing::debug!(%error, "no short slices for a UDP worker");
    }
}

/// Holds warnings about a lossy world down to one a minute.
#[derive(Debug, Default)]
struct Seldom(Option<Instant>);

impl Seldom {
    const INTERVAL: Duration = Duration::from_secs(60);

    fn allows(&mut self, now: Instant) -> bool {
        let allowed = self
            .0
            .is_none_or(|last| now.saturating_duration_since(last) >= Self::INTERVAL);
        if allowed {
            self.0 = Some(now);
        }
        allowed
    }
}
