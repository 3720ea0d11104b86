//! Upstreams: where a DNS server is, over what it is asked, and the name that it proves.

use super::{Word, quoted_if_needed};
use crate::forward::{Server, Transport};
use std::net::{IpAddr, SocketAddr};

/// Another DNS server.
pub(crate) struct Upstream;

/// What stands before `://`.
const SCHEMES: [&str; 1] = ["tcp"];

impl Word for Upstream {
    type Value = Server;

    fn expected(&self) -> String {
        "an address `IP` or `IP:PORT`, IPv6 with a port as `\"[IP]:PORT\"`, after `tcp://` for TCP alone".to_owned()
    }

    fn parse(&self, text: &str) -> Option<Server> {
        parse(text).ok()
    }

    fn hint(&self, text: &str) -> Option<String> {
        parse(text).err()
    }

    fn show(&self, value: &Server) -> String {
        quoted_if_needed(&value.to_string())
    }
}

/// The server, or what is wrong with it.
fn parse(text: &str) -> Result<Server, String> {
    let (scheme, rest) = match text.split_once("://") {
        None => (None, text),
        Some((scheme, rest)) => (Some(scheme), rest),
    };
    let (transport, port) = match scheme {
        None => (Transport::Plain, 53),
        Some("tcp") => (Transport::Tcp, 53),
        Some(scheme) => return Err(no_scheme(scheme)),
    };
    Ok(Server {
        address: address(rest, port)?,
        transport,
    })
}

fn no_scheme(scheme: &str) -> String {
    let meant = SCHEMES
        .iter()
        .find(|it| strsim::osa_distance(it, scheme) <= 1);
    match meant {
        Some(meant) => format!("did you mean `{meant}://`?"),
        None => "there is no such transport".to_owned(),
    }
}

fn address(text: &str, port: u16) -> Result<SocketAddr, String> {
    let bare = |ip: IpAddr| SocketAddr::new(ip, port);
    let address = text.parse().or_else(|_| text.parse().map(bare));
    let address: SocketAddr = address.map_err(|_| format!("`{text}` is no address"))?;
    let ip = address.ip();
    if ip.is_unspecified() || ip.is_multicast() || address.port() == 0 {
        return Err(format!("nobody can be at `{text}`"));
    }
    Ok(address)
}
