//! Binding: a TCP and the UDP sockets on one port for each address, or a text that says what stands in the way.

use super::Options;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    fmt, io,
    net::{SocketAddr, TcpListener, UdpSocket},
};

/// Asked for UDP sockets, so that a burst outlives a worker's pause. The kernel doubles it, counts about 768 octets for a
/// small query, and gives at most `net.core.rmem_max` and `wmem_max`: up to 10,000 queries, 550 by Linux's default.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;

/// TCP connections that the kernel may hold ready to be accepted; it gives at most `net.core.somaxconn`.
const BACKLOG: i32 = 1024;

/// Ports tried when any will do, because one that is free for TCP may be taken for UDP.
const ATTEMPTS: usize = 16;

/// Bound sockets, not yet served.
#[derive(Debug)]
pub struct Listeners {
    pub(super) udp: Vec<UdpSocket>,
    pub(super) tcp: Vec<TcpListener>,
    pub(super) options: Options,
    addresses: Vec<SocketAddr>,
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({transport}): {}", explain(*.address, .error))]
pub struct BindError {
    address: SocketAddr,
    transport: &'static str,
    error: io::Error,
}

impl Listeners {
    /// Binds UDP and TCP on each address; with port 0, on a free port that is the same for both.
    pub fn bind(addresses: &[SocketAddr], options: &Options) -> Result<Self, BindError> {
        let mut listeners = Self {
            udp: vec![],
            tcp: vec![],
            options: *options,
            addresses: vec![],
        };
        for &address in addresses {
            let mut attempt: usize = 1;
            loop {
                match listeners.bind_one(address) {
                    Err(BindError { error, .. })
                        if error.kind() == io::ErrorKind::AddrInUse
                            && address.port() == 0
                            && attempt < ATTEMPTS =>
                    {
                        attempt = attempt.saturating_add(1);
                    }
                    done => break done?,
                }
            }
        }
        Ok(listeners)
    }

    /// The addresses in the order given, with the ports that were taken.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    fn bind_one(&mut self, address: SocketAddr) -> Result<(), BindError> {
        let failed = |transport| {
            move |error| BindError {
                address,
                transport,
                error,
            }
        };
        // TCP first and without SO_REUSEPORT: a second process is to fail, and UDP alone would let it in without a word.
        let tcp = bind_tcp(address).map_err(failed("TCP"))?;
        let address = tcp.local_addr().map_err(failed("TCP"))?;
        let udp = (0..self.options.udp_workers.max(1))
            .map(|_| bind_udp(address))
            .collect::<io::Result<Vec<_>>>()
            .map_err(failed("UDP"))?;
        self.udp.extend(udp);
        self.tcp.push(tcp);
        self.addresses.push(address);
        Ok(())
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address, Type::STREAM, Protocol::TCP)?;
    socket.set_reuse_address(true)?; // connections of a former process may still be in TIME-WAIT
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
    socket.set_reuse_port(true)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?; // IPv4 has its own sockets
    }
    Ok(socket)
}

fn explain(address: SocketAddr, error: &io::Error) -> impl fmt::Display {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::PermissionDenied if port < 1024 => {
            "permission denied (a port below 1024 needs CAP_NET_BIND_SERVICE)".to_owned()
        }
        io::ErrorKind::AddrInUse if port == 0 => {
            format!("no port was free for both UDP and TCP in {ATTEMPTS} attempts")
        }
        io::ErrorKind::AddrInUse => format!("port {port} is already in use"),
        io::ErrorKind::AddrNotAvailable => "no interface of this host has the address".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(address: &str, kind: io::ErrorKind) -> String {
        let address = address.parse().unwrap();
        let error = kind.into();
        BindError {
            address,
            transport: "UDP",
            error,
        }
        .to_string()
    }

    #[test]
    fn errors_say_what_to_do() {
        assert_eq!(
            text("127.0.0.1:53", io::ErrorKind::PermissionDenied),
            "cannot listen on 127.0.0.1:53 (UDP): permission denied (a port below 1024 needs CAP_NET_BIND_SERVICE)"
        );
        assert_eq!(
            text("[::1]:5300", io::ErrorKind::AddrNotAvailable),
            "cannot listen on [::1]:5300 (UDP): no interface of this host has the address"
        );
    }
    #[test]
    fn ipv6_sockets_leave_ipv4_alone() {
        let address = "[::]:0".parse().unwrap();
        let (tcp, udp) = (bind_tcp(address).unwrap(), bind_udp(address).unwrap());
        assert!(socket2::SockRef::from(&tcp).only_v6().unwrap());
        assert!(socket2::SockRef::from(&udp).only_v6().unwrap());
    }
}
