//! The TCP listener: lets connections in within the limits, and outlives every failure to accept one. It reads no byte, and
//! knows no framing.

use super::{
    Seldom, Shared,
    limits::{Admitted, Connections},
    stream::{self, Peer},
};
use crate::metrics::Closed;
use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, timeout},
};

/// Pauses after failures to accept, doubled each time: with too many files open, accepting again at once would take a core.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Accepts until the drain, and then waits for the connections. Each is given to `serve`.
pub(super) async fn accept<C: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    shared: Arc<Shared>,
    limits: Arc<Connections>,
    serve: impl Fn(TcpStream, SocketAddr, Admitted) -> C,
) {
    let mut connections = JoinSet::new();
    let mut warned = Seldom::default();
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = tokio::select! {
            () = shared.drain.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, client)) => {
                pause = FIRST_PAUSE;
                if let Ok(admitted) = limits.admit(client.ip()) {
                    connections.spawn(serve(stream, client, admitted));
                }
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                shared.metrics.tcp_accept_errors.inc();
                if warned.allows(Instant::now().into_std()) {
                    tracing::warn!(%error, "cannot accept TCP connections; trying again");
                }
                if timeout(pause, shared.drain.cancelled()).await.is_ok() {
                    break;
                }
                pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Serves a connection of plain DNS over TCP to its end.
pub(super) async fn serve(
    stream: TcpStream,
    client: SocketAddr,
    shared: Arc<Shared>,
    admitted: Admitted,
) {
    let metrics = shared.metrics.clone();
    let local = stream.set_nodelay(true).and_then(|()| stream.local_addr());
    let closed = match local {
        Ok(local) => {
            let local = local.ip();
            stream::serve(stream, Peer { client, local }, shared, &admitted).await
        }
        Err(_) => Closed::Broken,
    };
    metrics.closed(closed).inc();
}

/// Is it the connection at the head of the queue that failed, so that the next one may be fine (accept(2))?
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::TimedOut
            | ErrorKind::Interrupted
            | ErrorKind::PermissionDenied
    )
}
