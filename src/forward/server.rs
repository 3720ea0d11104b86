//! An upstream as it is named: where it is, and over what it is asked. It sends nothing.

use std::{fmt, net::SocketAddr};

/// A DNS server that questions are sent to. It is shown as the configuration spells it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    /// Where it is.
    pub address: SocketAddr,
    /// Over what it is asked.
    pub transport: Transport,
}

/// What carries questions to a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// UDP, and TCP for what a datagram does not do.
    Plain,
    /// TCP alone (RFC 7766).
    Tcp,
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
        match &self.transport {
            Transport::Plain => write!(f, "{address}"),
            Transport::Tcp => write!(f, "tcp://{address}"),
        }
    }
}
