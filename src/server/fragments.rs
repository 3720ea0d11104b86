//! No reply in fragments (RFC 9715 §3.1): how a socket is told, and how it says that a reply would have been. It knows sockets,
//! and not what is in a reply.

use std::{io, net::UdpSocket};

/// From now on every datagram has DF, whatever somebody claims about the path by ICMP. The kernel then needs no identification
/// for fragments either, which is 2 % of what a query costs it. Where that is refused, all goes on as by default.
pub(super) fn never(socket: &UdpSocket) {
    #[cfg(target_os = "linux")]
    {
        use rustix::net::sockopt::{self, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
        let is_ipv6 = socket.local_addr().is_ok_and(|address| address.is_ipv6());
        let told = if is_ipv6 {
            sockopt::set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::PROBE)
        } else {
            sockopt::set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::PROBE)
        };
        if let Err(error) = told {
            tracing::debug!(%error, "replies may be sent in fragments");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = socket; // by default
}

/// Was a datagram too long for the interface that it was to leave by?
pub(super) fn would_be(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error())
}
