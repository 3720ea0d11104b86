//! Reads the upstreams out of a resolv.conf(5). It opens no file, and knows no network interface but by the function it is
//! given.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6},
    str::SplitWhitespace,
};

/// Most name servers that are used. The C library stops at 3; a forwarder can rotate over more, and has to stop somewhere.
pub const SERVERS_MAX: usize = 16;

/// A resolv.conf, as far as a forwarder needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// Its name servers in order, each once, port 53.
    pub servers: Vec<SocketAddr>,
    /// What could not be used.
    pub bad: Vec<BadLine>,
}

/// A line that names no usable server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct BadLine {
    /// Counted from 1.
    pub line: usize,
    /// What was expected.
    pub reason: &'static str,
}

impl ResolvConf {
    /// Parses the text. Keywords other than `nameserver` are nothing to a forwarder. `interface` gives the index of a
    /// network interface, for addresses such as `fe80::1%eth0` (RFC 4007 §11).
    pub fn parse(text: &str, interface: impl Fn(&str) -> Option<u32>) -> Self {
        let mut conf = Self::default();
        for (n, line) in text.lines().enumerate() {
            // A comment starts in the first column (resolv.conf(5)); what follows an address is not looked at.
            let mut words = line.split_whitespace();
            if line.starts_with(['#', ';']) || words.next() != Some("nameserver") {
                continue;
            }
            match conf.usable(words, &interface) {
                Ok(server) if conf.servers.contains(&server) => {}
                Ok(server) => conf.servers.push(server),
                Err(reason) => conf.bad.push(BadLine {
                    line: n + 1,
                    reason,
                }),
            }
        }
        conf
    }

    fn usable(
        &self,
        mut words: SplitWhitespace<'_>,
        interface: &impl Fn(&str) -> Option<u32>,
    ) -> Result<SocketAddr, &'static str> {
        let text = words
            .next()
            .ok_or("expected an address after `nameserver`")?;
        if self.servers.len() == SERVERS_MAX {
            return Err("expected at most 16 name servers");
        }
        let address = match text.split_once('%') {
            None => text
                .parse::<IpAddr>()
                .ok()
                .map(|ip| SocketAddr::new(ip, 53)),
            Some((ip, scope)) => {
                let ip = ip.parse::<Ipv6Addr>().map_err(|_| EXPECTED_ADDRESS)?;
                let index = scope.parse().ok().or_else(|| interface(scope));
                let index = index.ok_or("expected a network interface after `%`")?;
                Some(SocketAddrV6::new(ip, 53, 0, index).into())
            }
        };
        let address = address.ok_or(EXPECTED_ADDRESS)?;
        // The C library takes 0.0.0.0 and :: for the own host; a forwarder would ask itself.
        if address.ip().is_unspecified() {
            return Err("expected an address other than the unspecified one");
        }
        Ok(address)
    }
}

const EXPECTED_ADDRESS: &str = "expected an IPv4 or IPv6 address";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ResolvConf {
        ResolvConf::parse(text, |name| (name == "eth0").then_some(2))
    }

    #[test]
    fn nameservers_are_taken_in_order_and_the_rest_is_passed_over() {
        let conf = parse(
            "# nameserver 192.0.2.9\n; nameserver 192.0.2.9\nsearch a.b c.d\nnameserver 192.0.2.1\n\
             nameserver\t2001:db8::1 # trailing\noptions ndots:5\nnameserver 192.0.2.1\n\
             nameserver fe80::1%eth0\nnameserver fe80::1%7\n",
        );
        let expected = [
            "192.0.2.1:53",
            "[2001:db8::1]:53",
            "[fe80::1%2]:53",
            "[fe80::1%7]:53",
        ];
        assert_eq!(conf.servers, expected.map(|server| server.parse().unwrap()));
        assert_eq!(conf.bad, []);
    }

    #[test]
    fn bad_lines_are_named_and_the_others_count() {
        let conf = parse(
            "nameserver\nnameserver example.org\nnameserver fe80::1%wlan9\nnameserver 192.0.2.1%2\n\
             nameserver ::\r\nnameserver 192.0.2.2\n",
        );
        assert_eq!(conf.servers, ["192.0.2.2:53".parse().unwrap()]);
        let bad: Vec<_> = conf.bad.iter().map(ToString::to_string).collect();
        assert_eq!(
            bad,
            [
                "line 1: expected an address after `nameserver`",
                "line 2: expected an IPv4 or IPv6 address",
                "line 3: expected a network interface after `%`",
                "line 4: expected an IPv4 or IPv6 address",
                "line 5: expected an address other than the unspecified one",
            ]
        );
    }

    #[test]
    fn at_most_16_name_servers_are_used() {
        let text: String = (1..=18)
            .map(|n| format!("nameserver 192.0.2.{n}\n"))
            .collect();
        let conf = parse(&text);
        assert_eq!((conf.servers.len(), conf.bad.len()), (16, 2));
    }
}
