//! Binding: a TCP and the UDP sockets on one port for each address, or a text that says what stands in the way.

use super::{Https, Inherited, Options, Tls};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    fmt, io,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
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
    pub(super) https: Option<(Https, Vec<TcpListener>)>,
    pub(super) kept: Kept,
}

/// Whether somebody else goes on with the sockets when this process leaves them. If so, what is queued in them is that
/// somebody's; if not, it is answered first.
#[derive(Clone, Debug, Default)]
pub struct Kept(Arc<AtomicBool>);

impl Kept {
    /// Says that somebody does; to be said before the drain.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
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
        Self::open(addresses, options, &mut Inherited::default())
    }

    /// The same, with sockets that are open already where there are such.
    pub fn open(
        addresses: &[SocketAddr],
        options: &Options,
        inherited: &mut Inherited,
    ) -> Result<Self, BindError> {
        let mut listeners = Self {
            udp: vec![],
            tcp: vec![],
            options: *options,
            addresses: vec![],
            https: None,
            kept: Kept::default(),
        };
        if inherited.is_lasting() {
            listeners.kept.set();
        }
        for &address in addresses {
            let mut attempt: usize = 1;
            loop {
                match listeners.bind_one(address, inherited) {
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

    /// Binds the addresses of DNS over HTTPS too, likewise.
    pub fn open_https(
        &mut self,
        mut https: Https,
        inherited: &mut Inherited,
    ) -> Result<(), BindError> {
        let mut sockets = vec![];
        for address in &mut https.listen {
            let bound = match inherited.take_tcp(*address) {
                Some(socket) => Ok(socket),
                None => bind_tcp(*address, self.options.freebind),
            };
            let bound = bound.and_then(|socket| {
                *address = socket.local_addr()?;
                Ok(socket)
            });
            sockets.push(bound.map_err(|error| BindError {
                address: *address,
                transport: "HTTPS",
                error,
            })?);
        }
        self.https = Some((https, sockets));
        Ok(())
    }

    /// The addresses of DNS over HTTPS, likewise.
    pub fn https_addrs(&self) -> &[SocketAddr] {
        self.https.as_ref().map_or(&[], |(https, _)| &https.listen)
    }

    /// What DNS over HTTPS is served with.
    pub fn tls(&self) -> Option<&Tls> {
        self.https.as_ref().map(|(https, _)| &https.tls)
    }

    /// The addresses in the order given, with the ports that were taken.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Every socket once more, for another process.
    pub fn descriptors(&self) -> io::Result<Vec<OwnedFd>> {
        let https = self.https.iter().flat_map(|(_, sockets)| sockets);
        let tcp = self.tcp.iter().chain(https).map(AsFd::as_fd);
        let all = tcp.chain(self.udp.iter().map(AsFd::as_fd));
        all.map(|it| it.try_clone_to_owned()).collect()
    }

    /// To say whether somebody else goes on with the sockets.
    pub fn kept(&self) -> Kept {
        self.kept.clone()
    }

    fn bind_one(
        &mut self,
        address: SocketAddr,
        inherited: &mut Inherited,
    ) -> Result<(), BindError> {
        let failed = |transport| {
            move |error| BindError {
                address,
                transport,
                error,
            }
        };
        // TCP first and without SO_REUSEPORT: a second process is to fail, and UDP alone would let it in without a word.
        let freebind = self.options.freebind;
        let tcp = match inherited.take_tcp(address) {
            Some(tcp) => tcp,
            None => bind_tcp(address, freebind).map_err(failed("TCP"))?,
        };
        let address = tcp.local_addr().map_err(failed("TCP"))?;
        // All that there are, even if they are more than workers are wanted: each may have queries queued.
        let mut udp = inherited.take_udp(address);
        let open = udp.len();
        for number in open..self.options.udp_workers.max(1) {
            let socket = match udp.get(number.checked_rem(open).unwrap_or_default()) {
                Some(lasting) if inherited.is_lasting() => lasting.try_clone(),
                _ => bind_udp(address, freebind),
            };
            udp.push(socket.map_err(failed("UDP"))?);
        }
        self.udp.append(&mut udp);
        self.tcp.push(tcp);
        self.addresses.push(address);
        Ok(())
    }
}

fn bind_tcp(address: SocketAddr, freebind: bool) -> io::Result<TcpListener> {
    let socket = socket(address, Type::STREAM, Protocol::TCP, freebind)?;
    socket.set_reuse_address(true)?; // connections of a former process may still be in TIME-WAIT
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bind_udp(address: SocketAddr, freebind: bool) -> io::Result<UdpSocket> {
    let socket = socket(address, Type::DGRAM, Protocol::UDP, freebind)?;
    socket.set_reuse_port(true)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn socket(
    address: SocketAddr,
    kind: Type,
    protocol: Protocol,
    freebind: bool,
) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?; // IPv4 has its own sockets
    }
    #[cfg(target_os = "linux")]
    if freebind {
        match address {
            SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
            SocketAddr::V6(_) => socket.set_freebind_v6(true)?,
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = freebind; // there is no such option
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
        let (tcp, udp) = (
            bind_tcp(address, false).unwrap(),
            bind_udp(address, false).unwrap(),
        );
        assert!(socket2::SockRef::from(&tcp).only_v6().unwrap());
        assert!(socket2::SockRef::from(&udp).only_v6().unwrap());
    }
}
