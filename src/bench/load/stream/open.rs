//! Connections to a server as its transport wants them: TCP, TLS (RFC 7858) or HTTPS (RFC 8484). It asks nothing on them.

use crate::{
    bench::load::Options,
    forward::{Server, Transport},
};
use anyhow::Context as _;
use http::Uri;
use http_body_util::Full;
use hyper::{body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{pin::Pin, time::Duration};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{client::TlsStream, rustls::pki_types::ServerName};

/// To connect and to shake hands.
const OPEN_WITHIN: Duration = Duration::from_secs(5);

/// An open connection.
pub(in crate::bench::load) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Https(http2::SendRequest<Full<Bytes>>, Http, Uri),
}

/// What has to run beside the requests of a connection.
pub(super) type Http = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// Opens as many connections as there are clients.
pub(in crate::bench::load) async fn open_all(
    server: &Server,
    options: &Options,
) -> anyhow::Result<Vec<Stream>> {
    let mut streams = vec![];
    for _ in 0..options.clients.max(1) {
        streams.push(open(server, options).await?);
    }
    Ok(streams)
}

pub(super) async fn open(server: &Server, options: &Options) -> anyhow::Result<Stream> {
    let opened = async {
        let stream = TcpStream::connect(server.address).await;
        let stream = stream.context("no TCP connection")?;
        stream.set_nodelay(true)?;
        let tls = async |protocol, name: &ServerName<'static>, stream| {
            let connector = options.roots.connector(protocol);
            let connected = connector.connect(name.clone(), stream).await;
            connected.context("no TLS session")
        };
        anyhow::Ok(match &server.transport {
            Transport::Plain | Transport::Tcp => Stream::Tcp(stream),
            Transport::Tls(name) => Stream::Tls(Box::new(tls(b"dot", name, stream).await?)),
            Transport::Https { name, path } => {
                let stream = tls(b"h2", name, stream).await?;
                let http = http2::Builder::new(TokioExecutor::new());
                let (sender, connection) = http.handshake(TokioIo::new(stream)).await?;
                let host = match name {
                    ServerName::IpAddress(_) if server.address.is_ipv6() => {
                        format!("[{}]", server.address.ip())
                    }
                    name => name.to_str().into_owned(),
                };
                let uri = Uri::builder()
                    .scheme("https")
                    .authority(format!("{host}:{}", server.address.port()))
                    .path_and_query(path.clone());
                Stream::Https(sender, Box::pin(connection), uri.build()?)
            }
        })
    };
    match timeout(OPEN_WITHIN, opened).await {
        Ok(opened) => opened,
        Err(_) => anyhow::bail!("no connection within {} s", OPEN_WITHIN.as_secs()),
    }
}
