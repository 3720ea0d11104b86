//! Opens connections to upstreams, and stays with each to its end: the network, the handshake within a time, whose
//! certificate it is, and what is to be counted and logged. It does not decide when to open one.

use super::{
    connection::{Connection, Driver},
    https, stream,
    tls::{self, Roots},
};
use crate::{
    lifecycle::Tasks,
    metrics::{Connected, Forward, NotOpened},
};
use std::{
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::pki_types::ServerName};

/// To connect and to shake hands. A first packet that is lost is sent again after a second; an asker has 4 s.
const OPEN_WITHIN: Duration = Duration::from_secs(3);

/// What it takes to open a connection.
#[derive(Clone)]
pub(in crate::forward) struct Dialer {
    tasks: Tasks,
    roots: Roots,
    pub(super) metrics: Forward,
}

/// Where to, and over what.
#[derive(Debug)]
pub(super) struct Destination {
    address: SocketAddr,
    carrier: Carrier,
    /// Was it reported that its certificate is bad, and has no good one come since?
    reported: AtomicBool,
}

/// What carries questions over a connection.
pub(super) enum Carrier {
    Tcp,
    Tls(TlsConnector, ServerName<'static>),
    Https(TlsConnector, ServerName<'static>, http::Uri),
}

impl Dialer {
    /// The tasks of connections are waited for by nobody: an idle one is no reason to live on.
    pub(in crate::forward) fn new(tasks: &Tasks, roots: Roots, metrics: Forward) -> Self {
        Self {
            tasks: tasks.sibling(),
            roots,
            metrics,
        }
    }

    /// For connections that speak this protocol (RFC 7301).
    pub(super) fn tls(&self, protocol: &[u8]) -> TlsConnector {
        self.roots.connector(protocol)
    }

    /// A connection, which takes questions at once and carries them when it is open.
    pub(super) fn open(&self, to: &Arc<Destination>) -> Connection {
        let (connection, driver) = Connection::new();
        let (dialer, to) = (self.clone(), Arc::clone(to));
        drop(
            self.tasks
                .brief(async move { dialer.live(&to, driver).await }),
        );
        connection
    }

    async fn live(&self, to: &Destination, mut driver: Driver) {
        let stream = match timeout(OPEN_WITHIN, to.open()).await {
            Ok(Ok(stream)) => stream,
            Ok(Err((reason, error))) => return self.not_opened(to, reason, error, &driver),
            Err(_) => {
                let error = io::ErrorKind::TimedOut.into();
                return self.not_opened(to, NotOpened::Slow, error, &driver);
            }
        };
        to.reported.store(false, Ordering::Relaxed);
        let _open = self.metrics.connections.opened(to.over());
        let (metrics, driver) = (&self.metrics, &mut driver);
        let ended = match stream {
            Stream::Tcp(stream) => stream::drive(stream, driver, metrics).await,
            Stream::Tls(stream) => stream::drive(stream, driver, metrics).await,
            Stream::Https(stream, uri) => {
                https::drive(stream, uri, driver, &self.tasks, metrics).await
            }
        };
        metrics.connections.ended(ended.reason()).inc();
        driver.pulse.ended(ended.into_error());
    }

    fn not_opened(&self, to: &Destination, reason: NotOpened, error: io::Error, driver: &Driver) {
        self.metrics.connections.not_opened(reason).inc();
        if reason == NotOpened::Certificate && !to.reported.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                upstream = %to.address,
                %error,
                "the upstream's certificate is not to be trusted: it is not asked"
            );
        }
        driver.pulse.ended(error);
    }
}

/// An open connection.
enum Stream<'a> {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Https(Box<TlsStream<TcpStream>>, &'a http::Uri),
}

impl Destination {
    pub(super) const fn new(address: SocketAddr, carrier: Carrier) -> Self {
        Self {
            address,
            carrier,
            reported: AtomicBool::new(false),
        }
    }

    pub(super) const fn over(&self) -> Connected {
        match self.carrier {
            Carrier::Tcp => Connected::Tcp,
            Carrier::Tls(..) => Connected::Tls,
            Carrier::Https(..) => Connected::Https,
        }
    }

    async fn open(&self) -> Result<Stream<'_>, (NotOpened, io::Error)> {
        let connected = async {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let stream = connected
            .await
            .map_err(|error| (NotOpened::Connect, error))?;
        let shake_hands = async |connector: &TlsConnector, name: &ServerName<'static>, stream| {
            let connected = connector.connect(name.clone(), stream).await;
            connected
                .map(Box::new)
                .map_err(|error| match tls::is_about_certificate(&error) {
                    true => (NotOpened::Certificate, error),
                    false => (NotOpened::Handshake, error),
                })
        };
        Ok(match &self.carrier {
            Carrier::Tcp => Stream::Tcp(stream),
            Carrier::Tls(connector, name) => {
                Stream::Tls(shake_hands(connector, name, stream).await?)
            }
            Carrier::Https(connector, name, uri) => {
                Stream::Https(shake_hands(connector, name, stream).await?, uri)
            }
        })
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialer")
    }
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "Tcp",
            Self::Tls(..) => "Tls",
            Self::Https(..) => "Https",
        })
    }
}
