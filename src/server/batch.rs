//! Datagrams as a UDP worker handles them: a batch in, a batch of replies out, and the socket as the four things that a
//! worker does with it. It knows neither system calls nor DNS.

use crate::wire::MAX_UDP_PAYLOAD;
use smallvec::SmallVec;
use std::{
    io,
    net::{IpAddr, SocketAddr},
};

/// Datagrams per batch. 64 is where one more no longer shows in the cost of a query (measured), and small enough that the
/// first of a batch does not wait for the last.
pub(super) const SLOTS: usize = 64;

/// Room for a received datagram. More than a query may have, so that a longer one shows by its length even when the kernel cuts it.
pub(super) const RECEIVE_BYTES: usize = 1280;
const _: () = assert!(RECEIVE_BYTES > MAX_UDP_PAYLOAD as usize);

/// Room for a reply.
pub(super) const SEND_BYTES: usize = MAX_UDP_PAYLOAD as usize;

/// Where a datagram came from, or where a reply goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    /// The client.
    pub client: SocketAddr,
    /// Our address that was asked, and that the reply leaves from; unspecified if the socket cannot tell.
    pub local: IpAddr,
}

/// A bound UDP socket: [`super::sys`] moves batches, [`super::fallback`] one datagram at a time.
pub(super) trait Socket: Send + Sync {
    /// Waits for datagrams and fills the batch. An empty batch says that receiving was stopped and everything queued has
    /// been delivered.
    fn receive(&self, batch: &mut Batch) -> io::Result<()>;

    /// Sends replies without waiting, and says how many the kernel took; an error is about the first one.
    fn send(&self, replies: &[(&Ends, &[u8])]) -> io::Result<usize>;

    /// Ends receiving, now or soon, from any thread; what is queued is still delivered.
    fn stop_receiving(&self);

    /// Ends receiving within a second, from any thread; what is queued is left to whoever else has the socket open.
    fn leave(&self);
}

/// Buffers of one worker, used for every batch.
pub(super) struct Batch {
    packets: Box<[[u8; RECEIVE_BYTES]]>,
    received: Vec<(Ends, usize)>,
    payloads: Box<[[u8; SEND_BYTES]]>,
    /// Each reply's length, and which datagram it answers.
    replies: Vec<(usize, usize)>,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self {
            packets: vec![[0; RECEIVE_BYTES]; SLOTS].into(),
            received: Vec::with_capacity(SLOTS),
            payloads: vec![[0; SEND_BYTES]; SLOTS].into(),
            replies: Vec::with_capacity(SLOTS),
        }
    }

    /// Empties the batch, and gives the room for new datagrams.
    pub(super) fn room(&mut self) -> &mut [[u8; RECEIVE_BYTES]] {
        self.received.clear();
        self.replies.clear();
        &mut self.packets
    }

    /// Adds the datagram of `len` octets that was received into the next slot.
    pub(super) fn push(&mut self, ends: Ends, len: usize) {
        self.received.push((ends, len.min(RECEIVE_BYTES)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.received.is_empty()
    }

    /// What was received.
    pub(super) fn packets(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        let received = self.received.iter().zip(&self.packets);
        received.map(|((_, len), packet)| packet.get(..*len).unwrap_or_default())
    }

    /// Gives each datagram, with room for a reply, to `answer`, which says how long the reply is if there is one.
    pub(super) fn answer_each<'b>(
        &'b mut self,
        mut answer: impl FnMut(&Ends, &'b [u8], &mut [u8]) -> Option<usize>,
    ) {
        let mut payloads = self.payloads.iter_mut();
        let mut free = payloads.next();
        for (slot, ((ends, len), packet)) in self.received.iter().zip(&self.packets).enumerate() {
            let (Some(packet), Some(payload)) = (packet.get(..*len), free.as_mut()) else {
                return; // there are as many slots on either side
            };
            if let Some(len) = answer(ends, packet, *payload) {
                self.replies.push((len.min(SEND_BYTES), slot));
                free = payloads.next();
            }
        }
    }

    /// The replies from the given one on.
    pub(super) fn replies(&self, from: usize) -> SmallVec<[(&Ends, &[u8]); SLOTS]> {
        let replies = self.replies.iter().zip(&self.payloads).skip(from);
        let replies = replies.filter_map(|((len, slot), payload)| {
            let (ends, _) = self.received.get(*slot)?;
            Some((ends, payload.get(..*len)?))
        });
        replies.collect()
    }

    /// Has `cut` make a reply shorter; says whether it did.
    pub(super) fn shorten(
        &mut self,
        reply: usize,
        cut: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> bool {
        let (Some((len, _)), Some(payload)) =
            (self.replies.get_mut(reply), self.payloads.get_mut(reply))
        else {
            return false;
        };
        let shorter = payload.get_mut(..*len).and_then(cut);
        *len = shorter.unwrap_or(*len);
        shorter.is_some()
    }

    pub(super) fn reply_count(&self) -> usize {
        self.replies.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::fallback;
    use std::{net::UdpSocket, thread};

    /// Every kind of socket on this address, with a client's socket that knows it.
    fn sockets(bound: &str, asked: &str) -> Vec<(Box<dyn Socket>, UdpSocket)> {
        let pair = |make: fn(UdpSocket) -> Box<dyn Socket>| {
            let server = UdpSocket::bind(bound).unwrap();
            let asked: IpAddr = asked.parse().unwrap();
            let client = UdpSocket::bind((asked, 0)).unwrap();
            let port = server.local_addr().unwrap().port();
            client.connect((asked, port)).unwrap();
            (make(server), client)
        };
        vec![
            pair(|socket| Box::new(fallback::Plain::new(socket).unwrap())),
            #[cfg(target_os = "linux")]
            pair(|socket| Box::new(crate::server::sys::Batched::new(socket, true).unwrap())),
        ]
    }

    /// Receives until told to stop; gives what came.
    fn receive_all(socket: &dyn Socket) -> Vec<(Ends, Vec<u8>)> {
        let mut batch = Batch::new();
        let mut all = vec![];
        loop {
            socket.receive(&mut batch).unwrap();
            if batch.is_empty() {
                return all;
            }
            batch.answer_each(|ends, packet, _| {
                all.push((*ends, packet.to_vec()));
                None
            });
        }
    }

    #[test]
    fn what_is_queued_is_delivered_after_the_stop() {
        for (socket, client) in sockets("127.0.0.1:0", "127.0.0.1") {
            let sent: Vec<_> = (0..100_u8).map(|it| vec![it; it.into()]).collect();
            for payload in &sent {
                client.send(payload).unwrap();
            }
            socket.stop_receiving();
            let ends = Ends {
                client: client.local_addr().unwrap(),
                local: [127, 0, 0, 1].into(),
            };
            let expected: Vec<_> = sent.into_iter().map(|payload| (ends, payload)).collect();
            assert_eq!(receive_all(&*socket), expected);
        }
    }

    #[test]
    fn the_stop_wakes_a_receiver() {
        for (socket, client) in sockets("[::1]:0", "::1") {
            thread::scope(|scope| {
                let receiver = scope.spawn(|| receive_all(&*socket));
                client.send(b"query").unwrap();
                socket.stop_receiving();
                let received = receiver.join().unwrap();
                assert_eq!(received.len(), 1);
            });
        }
    }

    #[test]
    fn a_datagram_that_is_too_long_shows_by_its_length() {
        for (socket, client) in sockets("127.0.0.1:0", "127.0.0.1") {
            client.send(&[1; 60_000]).unwrap();
            client.send(&[2; SEND_BYTES]).unwrap();
            socket.stop_receiving();
            let lengths: Vec<_> = receive_all(&*socket)
                .iter()
                .map(|(_, packet)| packet.len())
                .collect();
            assert_eq!(lengths, [RECEIVE_BYTES, SEND_BYTES]);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn each_address_of_a_wildcard_socket_is_told_and_answered_from() {
        for (bound, asked) in [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "::1")] {
            let (socket, client) = sockets(bound, asked).pop().unwrap();
            client.send(b"query").unwrap();
            let mut batch = Batch::new();
            socket.receive(&mut batch).unwrap();
            let expected = Ends {
                client: client.local_addr().unwrap(),
                local: asked.parse().unwrap(),
            };
            batch.answer_each(|ends, packet, out| {
                assert_eq!((ends, packet), (&expected, b"query".as_slice()));
                out[..5].copy_from_slice(b"reply");
                Some(5)
            });
            assert_eq!(socket.send(&batch.replies(0)).unwrap(), 1);
            let mut reply = [0; 16];
            // A connected socket takes nothing from any other address.
            assert_eq!(client.recv(&mut reply).unwrap(), 5);
        }
    }

    #[test]
    fn a_reply_that_cannot_be_sent_is_an_error_of_its_own() {
        for (socket, client) in sockets("127.0.0.1:0", "127.0.0.1") {
            let ends = |client| Ends {
                client,
                local: [127, 0, 0, 1].into(),
            };
            let nobody = ends("[::1]:9".parse().unwrap());
            let somebody = ends(client.local_addr().unwrap());
            assert!(socket.send(&[(&nobody, b"x")]).is_err());
            assert_eq!(socket.send(&[(&somebody, b"y")]).unwrap(), 1);
            let mut reply = [0; 16];
            assert_eq!(client.recv(&mut reply).unwrap(), 1);
        }
    }

    #[test]
    fn a_reply_takes_the_first_free_slot() {
        let mut batch = Batch::new();
        let ends = |port| Ends {
            client: ([127, 0, 0, 1], port).into(),
            local: [127, 0, 0, 1].into(),
        };
        for (slot, port) in batch.room().iter_mut().zip(1..=3_u8) {
            slot[0] = port;
        }
        for port in 1..=3 {
            batch.push(ends(port), 1);
        }
        batch.answer_each(|_, packet, out| {
            out[..1].copy_from_slice(packet);
            (packet != [2]).then_some(1)
        });
        let expected = [(&ends(1), [1].as_slice()), (&ends(3), &[3])];
        assert_eq!(batch.replies(0).as_slice(), expected);
        assert_eq!(batch.replies(1).as_slice(), &expected[1..]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn short_slices_are_taken_and_leave_a_threads_niceness_as_it_was() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        crate::server::sys::take_short_slices().unwrap();
        assert_eq!(niceness(), before);
    }
}
