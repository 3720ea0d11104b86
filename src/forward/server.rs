//! An upstream as it is named: where it is, over what it is asked, and who it has to be. It sends nothing.

use http::uri::PathAndQuery;
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};
use tokio_rustls::rustls::pki_types::ServerName;

/// A DNS server that questions are sent to. It is shown as the configuration spells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it is.
    pub address: SocketAddr,
    /// Over what it is asked.
    pub transport: Transport,
}

/// What carries questions to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP, and TCP for what a datagram does not do.
    Plain,
    /// TCP alone (RFC 7766).
    Tcp,
    /// DNS over TLS (RFC 7858). The certificate has to be this name's.
    Tls(ServerName<'static>),
    /// DNS over HTTPS (RFC 8484). The certificate has to be this name's.
    Https {
        /// The host of the URI as well.
        name: ServerName<'static>,
        /// Of the URI.
        path: PathAndQuery,
    },
}

impl Transport {
    /// Does a server have to prove who it is?
    pub const fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_) | Self::Https { .. })
    }
}

impl From<SocketAddr> for Server {
    fn from(address: SocketAddr) -> Self {
        Self {
            address,
            transport: Transport::Plain,
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address;
        let name = match &self.transport {
            Transport::Plain => return write!(f, "{address}"),
            Transport::Tcp => return write!(f, "tcp://{address}"),
            Transport::Tls(name) => {
                write!(f, "tls://{address}")?;
                name
            }
            Transport::Https { name, path } => {
                write!(f, "https://{address}{path}")?;
                name
            }
        };
        // Without a name the certificate is the address's.
        match name {
            ServerName::IpAddress(ip) if IpAddr::from(*ip) == address.ip() => Ok(()),
            name => write!(f, "#{}", name.to_str()),
        }
    }
}
