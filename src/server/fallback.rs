//! The safe twin of `sys`: the same socket with the standard library alone, one datagram per call, and no word on which
//! local address was asked. It costs speed, and replies from a wildcard address leave from where the routes say.

use super::batch::{Batch, Ends, Socket};
use std::{
    io::{self, ErrorKind},
    net::{IpAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// How soon a waiting receiver notices that receiving was stopped; nothing portable wakes it.
const NOTICE_STOP_WITHIN: Duration = Duration::from_millis(100);

/// How long a full send buffer may hold up a sender, before the reply counts as lost.
const SEND_WITHIN: Duration = Duration::from_millis(10);

/// A socket that moves one datagram at a time.
#[derive(Debug)]
pub(super) struct Plain {
    socket: UdpSocket,
    local: IpAddr,
    stopped: AtomicBool,
    leaving: AtomicBool,
}

impl Plain {
    /// Takes a bound socket in blocking mode.
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        socket.set_read_timeout(Some(NOTICE_STOP_WITHIN))?;
        socket.set_write_timeout(Some(SEND_WITHIN))?;
        Ok(Self {
            local: socket.local_addr()?.ip(),
            socket,
            stopped: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
        })
    }
}

impl Socket for Plain {
    fn receive(&self, batch: &mut Batch) -> io::Result<()> {
        loop {
            let Some(packet) = batch.room().first_mut() else {
                return Ok(());
            };
            if self.leaving.load(Ordering::Acquire) {
                return Ok(());
            }
            // Read before the wait, so that what was queued when it was set is taken first.
            let stopped = self.stopped.load(Ordering::Acquire);
            match self.socket.recv_from(packet) {
                Ok((len, client)) => {
                    let local = self.local;
                    batch.push(Ends { client, local }, len);
                    return Ok(());
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut if stopped => return Ok(()),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
    }

    fn send(&self, replies: &[(&Ends, &[u8])]) -> io::Result<usize> {
        let Some((ends, payload)) = replies.first() else {
            return Ok(0);
        };
        loop {
            match self.socket.send_to(payload, ends.client) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                sent => return sent.map(|_| 1),
            }
        }
    }

    fn stop_receiving(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }
}
