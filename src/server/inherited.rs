//! Sockets that were open before this process: sorted by what they are and where, and taken by address. It knows neither
//! who opened them nor how they came.

use socket2::{SockRef, Type};
use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::fd::OwnedFd,
};

/// Open sockets that have not been taken yet.
#[derive(Debug, Default)]
pub struct Inherited {
    tcp: Vec<(SocketAddr, TcpListener)>,
    udp: Vec<(SocketAddr, UdpSocket)>,
    lasting: bool,
}

impl Inherited {
    /// What a process leaves that ends, and closes them; others may be opened beside them.
    pub fn of_predecessor(descriptors: Vec<OwnedFd>) -> Self {
        Self::sort(descriptors, false)
    }

    /// What somebody has open before this process and after it, such as systemd. What is queued in others would be lost
    /// at its end, and so there are none beside them.
    pub fn lasting(descriptors: Vec<OwnedFd>) -> Self {
        Self::sort(descriptors, true)
    }

    /// Keeps UDP sockets and TCP listeners, and closes whatever else it is given.
    fn sort(descriptors: Vec<OwnedFd>, lasting: bool) -> Self {
        let mut sorted = Self {
            lasting,
            ..Self::default()
        };
        for descriptor in descriptors {
            if let Err(error) = sorted.add(descriptor) {
                tracing::warn!(%error, "an inherited descriptor is of no use");
            }
        }
        sorted
    }

    fn add(&mut self, descriptor: OwnedFd) -> io::Result<()> {
        let socket = SockRef::from(&descriptor);
        let address = socket.local_addr()?.as_socket();
        let address = address.ok_or_else(|| io::Error::other("it has no IP address"))?;
        match (socket.r#type()?, socket.is_listener()?) {
            (Type::STREAM, true) => self.tcp.push((address, descriptor.into())),
            (Type::DGRAM, _) => {
                socket.set_nonblocking(false)?; // of the socket, whoever has it open
                self.udp.push((address, descriptor.into()));
            }
            _ => {
                return Err(io::Error::other(
                    "it neither listens nor receives datagrams",
                ));
            }
        }
        Ok(())
    }

    /// Whether somebody else has the sockets open beyond this process's end.
    pub const fn is_lasting(&self) -> bool {
        self.lasting
    }

    /// The listener at this address.
    pub fn take_tcp(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let at = self.tcp.iter().position(|(it, _)| *it == address)?;
        Some(self.tcp.swap_remove(at).1)
    }

    /// The UDP sockets at this address.
    pub(super) fn take_udp(&mut self, address: SocketAddr) -> Vec<UdpSocket> {
        let of_address = self.udp.extract_if(.., |(it, _)| *it == address);
        of_address.map(|(_, socket)| socket).collect()
    }

    /// The addresses of what nobody took.
    pub fn left(&self) -> impl Iterator<Item = SocketAddr> {
        let tcp = self.tcp.iter().map(|(address, _)| *address);
        tcp.chain(self.udp.iter().map(|(address, _)| *address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_found_by_what_they_are_and_where() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let udp = UdpSocket::bind(address).unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        let unconnected: OwnedFd = socket2::Socket::new(socket2::Domain::IPV4, Type::STREAM, None)
            .unwrap()
            .into();
        let all = vec![udp.into(), file.into(), unconnected, tcp.into()];
        let mut inherited = Inherited::of_predecessor(all);
        let elsewhere = ([127, 0, 0, 2], address.port()).into();
        assert!(inherited.take_tcp(elsewhere).is_none());
        assert_eq!(inherited.left().collect::<Vec<_>>(), [address; 2]);
        let tcp = inherited.take_tcp(address).unwrap();
        assert_eq!(tcp.local_addr().unwrap(), address);
        assert_eq!(inherited.take_udp(address).len(), 1);
        assert_eq!(inherited.left().count(), 0);
    }
}
