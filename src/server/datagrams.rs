//! A client's end of UDP to one server: batches each way by the workers' system calls, and never a wait. It knows no DNS.

use super::{
    batch::{Batch, Ends, SLOTS, Socket},
    socket_for,
};
use smallvec::SmallVec;
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

/// Room for replies that come while the asker is not running. The kernel gives at most what `net.core.rmem_max` says.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// A socket that is connected to one server, so that nobody else's datagrams come.
pub struct Datagrams {
    server: SocketAddr,
    /// The same socket, to wait for.
    socket: UdpSocket,
    batched: Arc<dyn Socket>,
    batch: Batch,
}

/// The address of the same family that is any of a machine's.
pub const fn unspecified_like(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

impl Datagrams {
    /// Datagrams that one call sends or takes at the most.
    pub const AT_ONCE: usize = SLOTS;

    /// Opens a socket on a port that the kernel chooses.
    pub fn connect(server: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind((unspecified_like(server.ip()), 0))?;
        socket.connect(server)?;
        socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
        let batched = socket_for(socket.try_clone()?, cfg!(target_os = "linux"), false)?;
        // After the time-out that the safe twin sets; that one waits for ever, unless it was told to stop.
        socket.set_read_timeout(None)?;
        socket.set_nonblocking(true)?;
        if cfg!(not(target_os = "linux")) {
            batched.stop_receiving();
        }
        Ok(Self {
            server,
            socket,
            batched,
            batch: Batch::new(),
        })
    }

    /// The port on which replies come.
    pub fn port(&self) -> io::Result<u16> {
        Ok(self.socket.local_addr()?.port())
    }

    /// Sends up to [`Self::AT_ONCE`] datagrams, and says how many the kernel took: none if its buffer is full.
    pub fn send<'p>(&self, packets: impl Iterator<Item = &'p [u8]>) -> io::Result<usize> {
        let ends = Ends {
            client: self.server,
            local: unspecified_like(self.server.ip()),
        };
        let packets = packets.take(Self::AT_ONCE).map(|packet| (&ends, packet));
        let packets: SmallVec<[_; Self::AT_ONCE]> = packets.collect();
        nothing_if_it_would_block(self.batched.send(&packets))
    }

    /// Gives what has come, up to [`Self::AT_ONCE`] datagrams, and says how many there were. An error may be about a datagram
    /// that was sent: nobody listens.
    pub fn receive(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<usize> {
        nothing_if_it_would_block(self.batched.receive(&mut self.batch).map(|()| 0))?;
        let mut count: usize = 0;
        self.batch.answer_each(|_, packet, _| {
            count = count.saturating_add(1);
            each(packet);
            None
        });
        Ok(count)
    }
}

fn nothing_if_it_would_block(done: io::Result<usize>) -> io::Result<usize> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        done => done,
    }
}

impl AsFd for Datagrams {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl fmt::Debug for Datagrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Datagrams({})", self.server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_batch_goes_there_and_comes_back_and_nothing_is_no_error() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut client = Datagrams::connect(server.local_addr().unwrap()).unwrap();
        assert_eq!(client.receive(|_| panic!("nothing came")).unwrap(), 0);
        let packets: Vec<_> = (0..70_u8).map(|n| vec![n; 20]).collect();
        let first = client.send(packets.iter().map(Vec::as_slice)).unwrap();
        assert_eq!(first, Datagrams::AT_ONCE);
        client
            .send(packets[first..].iter().map(Vec::as_slice))
            .unwrap();
        let mut buffer = [0; 64];
        for packet in &packets {
            let (len, from) = server.recv_from(&mut buffer).unwrap();
            assert_eq!(buffer[..len], packet[..]);
            server.send_to(&buffer[..len], from).unwrap();
        }
        let mut came = vec![];
        while came.len() < packets.len() {
            client.receive(|packet| came.push(packet.to_vec())).unwrap();
        }
        assert_eq!(came, packets);
    }
}
