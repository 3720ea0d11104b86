//! Upstreams: where a DNS server is, over what it is asked, and whose certificate it has.

use super::{Word, quoted_if_needed};
use crate::forward::{Server, Transport};
use http::uri::PathAndQuery;
use std::net::{IpAddr, SocketAddr};
use tokio_rustls::rustls::pki_types::ServerName;

/// Another DNS server.
pub(crate) struct Upstream;

/// What may stand before `://`.
const SCHEMES: [&str; 3] = ["tcp", "tls", "https"];
/// The path that public servers have; RFC 8484 leaves it open.
const PATH: &str = "/dns-query";

impl Word for Upstream {
    type Value = Server;

    fn expected(&self) -> String {
        "an address `IP` or `IP:PORT`, IPv6 with a port as `\"[IP]:PORT\"`; or `tcp://ADDRESS`, `tls://ADDRESS#NAME`, `https://ADDRESS/PATH#NAME`"
            .to_owned()
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
        None => ("", text),
        Some((scheme, rest)) => (scheme, rest),
    };
    let (rest, name) = match rest.split_once('#') {
        None => (rest, None),
        Some((rest, name)) => (rest, Some(name)),
    };
    let encrypted = |rest: &str, port| {
        let address = address(rest, port)?;
        let own = || ServerName::from(address.ip());
        let name = name.map(self::name).transpose()?;
        Ok::<_, String>((address, name.unwrap_or_else(own)))
    };
    let (address, transport) = match scheme {
        "" | "tcp" if name.is_some() => {
            return Err("a name stands with `tls://` or `https://` only".to_owned());
        }
        "" if !text.contains("://") => (address(rest, 53)?, Transport::Plain),
        "tcp" => (address(rest, 53)?, Transport::Tcp),
        "tls" => {
            let (address, name) = encrypted(rest, 853)?;
            (address, Transport::Tls(name))
        }
        "https" => {
            let (rest, path) = match rest.find('/') {
                None => (rest, PATH),
                Some(at) => rest.split_at(at),
            };
            let path = PathAndQuery::try_from(path);
            let path = path.map_err(|_| "no URI has such a path".to_owned())?;
            let (address, name) = encrypted(rest, 443)?;
            (address, Transport::Https { name, path })
        }
        other => return Err(no_scheme(other)),
    };
    Ok(Server { address, transport })
}

fn no_scheme(scheme: &str) -> String {
    let meant = match scheme {
        "dot" => Some("tls"),
        "doh" | "h2" => Some("https"),
        "dns" | "udp" => return "UDP is what an address alone says".to_owned(),
        other => {
            let near = |it: &&str| strsim::osa_distance(it, other) <= 1;
            SCHEMES.into_iter().find(near)
        }
    };
    match meant {
        Some(meant) => format!("did you mean `{meant}://`?"),
        None => "there is no such transport".to_owned(),
    }
}

fn address(text: &str, port: u16) -> Result<SocketAddr, String> {
    let bare = |ip: IpAddr| SocketAddr::new(ip, port);
    let address = text.parse().or_else(|_| text.parse().map(bare));
    let address: SocketAddr = address.map_err(|_| match name(text) {
        Ok(_) => {
            format!("`{text}` is a name, whose address nobody would know; it stands after `#`")
        }
        Err(_) => format!("`{text}` is no address"),
    })?;
    let ip = address.ip();
    if ip.is_unspecified() || ip.is_multicast() || address.port() == 0 {
        return Err(format!("nobody can be at `{text}`"));
    }
    Ok(address)
}

fn name(text: &str) -> Result<ServerName<'static>, String> {
    let name = ServerName::try_from(text.to_owned());
    name.map_err(|_| format!("`{text}` is the name of no server"))
}
