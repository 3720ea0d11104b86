//! The HTTP server of operators and probes: `/livez`, `/readyz`, `/metrics`. It knows readiness and a registry, and nothing
//! that stands behind them.

use crate::lifecycle::{Drain, Readiness};
use axum::{
    Router,
    body::HttpBody,
    extract::{RawQuery, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use prometheus_client::{encoding::text, registry::Registry};
use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time,
};

/// Connections at once; more wait in the system's queue. Probes and scrapers need two or three.
const MAX_CONNECTIONS: usize = 32;
/// For a request's header, from the connection's first moment.
const HEADER_TIMEOUT: Duration = Duration::from_secs(2);
/// For a request and its response together; Prometheus by default gives up after as long.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// The least that hyper takes; a probe's or scraper's header has some 300 octets.
const MAX_HEADER: usize = 8 << 10;
/// After a failure to accept, such as no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PATHS: &str = "/livez\n/readyz\n/readyz?verbose\n/metrics\n";

/// The server, bound and not yet running.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    local: SocketAddr,
}

/// Binds the address; what connects from now on is answered once the server runs.
pub async fn bind(address: SocketAddr) -> io::Result<Admin> {
    let listener = TcpListener::bind(address).await?;
    let local = listener.local_addr()?;
    Ok(Admin { listener, local })
}

/// The same with a listener that is open already. Called inside a tokio runtime.
pub fn open(listener: std::net::TcpListener) -> io::Result<Admin> {
    listener.set_nonblocking(true)?;
    let local = listener.local_addr()?;
    let listener = TcpListener::from_std(listener)?;
    Ok(Admin { listener, local })
}

impl Admin {
    /// The listener once more, for another process.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.listener.as_fd().try_clone_to_owned()
    }

    /// The address, with the port that the system chose if none was asked for.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Answers until the process drains; what is under way then is finished.
    pub async fn run(self, readiness: Readiness, registry: Arc<Registry>, drain: Drain) {
        let routes = routes(readiness, registry);
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        let accept = async {
            loop {
                let permit = permits.clone().acquire_owned().await;
                match self.listener.accept().await {
                    Ok((stream, _)) => {
                        let routes = routes.clone();
                        connections.spawn(async move {
                            let _permit = permit;
                            serve(stream, routes).await;
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "admin server cannot accept a connection");
                        time::sleep(ACCEPT_PAUSE).await;
                    }
                }
                while connections.try_join_next().is_some() {}
            }
        };
        drain.run_until_cancelled(accept).await;
        drop(self.listener);
        while connections.join_next().await.is_some() {}
    }
}

/// One request and its response: no second one, so that a connection's time is bounded as a whole.
async fn serve(stream: TcpStream, routes: Router) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    match time::timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "admin connection failed"),
        Err(_) => tracing::debug!("admin connection took too long"),
    }
}

#[derive(Clone)]
struct Parts {
    readiness: Readiness,
    registry: Arc<Registry>,
}

fn routes(readiness: Readiness, registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/livez", get("ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(not_found)
        .layer(middleware::from_fn(refuse_bodies))
        .with_state(Parts {
            readiness,
            registry,
        })
}

/// Nothing here reads a body, so none is waited for.
async fn refuse_bodies(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        next.run(request).await
    } else {
        (
            StatusCode::PAYLOAD_TOO_LARGE,
            "no request body is read here\n",
        )
            .into_response()
    }
}

async fn not_found() -> (StatusCode, String) {
    (
        StatusCode::NOT_FOUND,
        format!("not found; there is:\n{PATHS}"),
    )
}

async fn readyz(State(parts): State<Parts>, RawQuery(query): RawQuery) -> (StatusCode, String) {
    let verbose = query.is_some_and(|query| {
        let mut names = query.split('&').map(|word| word.split('=').next());
        names.any(|name| name == Some("verbose"))
    });
    let (mut status, mut summary) = (StatusCode::OK, "ok\n");
    let mut body = String::new();
    for (part, ready) in parts.readiness.parts() {
        if !ready {
            (status, summary) = (StatusCode::SERVICE_UNAVAILABLE, "not ready\n");
            body.push_str(&format!("[-] {part}\n"));
        } else if verbose {
            body.push_str(&format!("[+] {part}\n"));
        }
    }
    (status, body + summary)
}

async fn metrics(State(parts): State<Parts>) -> Response {
    let mut body = String::new();
    match text::encode(&mut body, &parts.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPENMETRICS)], body).into_response(),
        Err(error) => {
            tracing::warn!(%error, "metrics cannot be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
