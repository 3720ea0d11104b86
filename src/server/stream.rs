//! One connection of a stream transport (RFC 1035 §4.2.2, RFC 7766): two octets of length, then a message; many messages
//! under way, answered in the order of becoming ready. It knows the stream as octets only, so that TLS can lie beneath.
//!
//! ```text
//! read ─▶ input ─▶ answer_now ──────────────────▶ output ─▶ writing ─▶ write
//!                     └─ needs to wait ─▶ in_flight ─┘
//! ```
//! One loop owns all of it. Each store has a limit, and a full one holds up what lies before it, down to the reading.

use super::{Shared, limits::Admitted};
use crate::{
    engine::{Ahead, Asked, Now},
    metrics::{Closed, Transport},
};
use std::{
    mem,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{
        AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, copy,
        sink, split,
    },
    sync::OwnedSemaphorePermit,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

/// The longest message, and so the longest reply (RFC 1035 §4.2.2).
const MESSAGE_BYTES: usize = 65_535;

/// A message must be complete this long after its first octet: a client that sends slowly holds a place for nothing.
pub(super) const MESSAGE_WITHIN: Duration = Duration::from_secs(2);

/// Replies must be taken this long after their write began.
pub(super) const WRITE_WITHIN: Duration = Duration::from_secs(5);

/// No more replies are made while this many octets wait behind the write under way.
const OUTPUT_BYTES: usize = 65_536;

/// What a connection reads at a time, and the buffers it keeps between messages.
const READ_BYTES: usize = 4096;

/// How long to go on reading after our last octet: closing with octets unread resets the connection, and the client
/// may lose what was sent to it.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// A connection that drains is ended in a pause of the client's of this length: a question on its way would find no answer.
const QUIET: Duration = Duration::from_millis(200);

/// One without such a pause is ended after this time.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    pub client: SocketAddr,
    pub local: IpAddr,
}

/// What the messages read so far wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    /// For the client to begin one.
    Nothing,
    /// For the client to complete one.
    Rest,
    /// For answers to be ready, or to be written.
    Answers,
    /// For other connections' answers.
    Permit,
}

struct Connection {
    shared: Arc<Shared>,
    peer: Peer,
    input: Vec<u8>,
    /// Room for a reply, before its length is known.
    reply: Box<[u8]>,
    output: Vec<u8>,
    /// Whole replies; waited for in any order.
    in_flight: JoinSet<Option<Vec<u8>>>,
    permit: Option<OwnedSemaphorePermit>,
    rotation: usize,
}

/// Serves a connection to its end.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite,
    peer: Peer,
    shared: Arc<Shared>,
    admitted: &Admitted,
) -> Closed {
    let (mut reader, mut writer) = split(stream);
    let connection = Connection {
        rotation: usize::from(peer.client.port()), // differs from connection to connection, and they are often short
        shared,
        peer,
        input: Vec::with_capacity(READ_BYTES),
        reply: vec![0; MESSAGE_BYTES].into(),
        output: vec![],
        in_flight: JoinSet::new(),
        permit: None,
    };
    let closed = connection.run(&mut reader, &mut writer, admitted).await;
    if matches!(closed, Closed::Finished | Closed::Idle | Closed::Drained)
        && writer.shutdown().await.is_ok()
    {
        drop(timeout(LINGER, copy(&mut reader, &mut sink())).await);
    }
    closed
}

impl Connection {
    async fn run(
        mut self,
        reader: &mut ReadHalf<impl AsyncRead>,
        writer: &mut WriteHalf<impl AsyncWrite>,
        admitted: &Admitted,
    ) -> Closed {
        let drain = self.shared.drain.clone();
        let permits = Arc::clone(&self.shared.tcp_in_flight);
        let (mut last_message, mut drain_since) = (None, None);
        let mut writing = vec![];
        let mut written: usize = 0;
        let now = Instant::now();
        let (mut idle_since, mut message_since, mut write_since) = (Some(now), None, now);
        let mut timer = pin!(sleep_until(now));
        // Made once: each that is begun to be waited for takes its place in a list of all who wait.
        let (mut drained, mut evicted) = (pin!(drain.cancelled()), pin!(admitted.evicted()));
        loop {
            let now = Instant::now();
            let before = self.input.len();
            let input = self.answer_messages(now);
            if self.input.len() < before || input != Input::Rest {
                message_since = None;
            }
            if written >= writing.len() {
                writing.clear();
                writing.shrink_to(READ_BYTES);
                mem::swap(&mut writing, &mut self.output);
                (written, write_since) = (0, now);
            }
            let answering = matches!(input, Input::Answers | Input::Permit)
                || !self.in_flight.is_empty()
                || !writing.is_empty();
            if let (Some(closed), false) = (last_message, answering) {
                return closed;
            }
            let idle = input == Input::Nothing && !answering;
            if idle != idle_since.is_some() {
                idle_since = idle.then_some(now);
                admitted.set_idle(idle);
            }
            if input == Input::Rest {
                message_since.get_or_insert(now);
            }
            if drain_since.is_some_and(|since| now.saturating_duration_since(since) >= DRAIN_WITHIN)
            {
                last_message.get_or_insert(Closed::Drained);
            }
            let reading = last_message.is_none() && matches!(input, Input::Nothing | Input::Rest);
            let deadline = [
                (idle_since, self.shared.tcp_idle, Closed::Idle),
                (
                    idle_since
                        .zip(drain_since)
                        .map(|(idle, drain)| idle.max(drain)),
                    QUIET,
                    Closed::Drained,
                ),
                (
                    message_since.filter(|_| reading),
                    MESSAGE_WITHIN,
                    Closed::SlowMessage,
                ),
                (
                    (!writing.is_empty()).then_some(write_since),
                    WRITE_WITHIN,
                    Closed::SlowReader,
                ),
            ]
            .into_iter()
            .filter_map(|(since, within, closed)| Some((since?.checked_add(within)?, closed)))
            .min_by_key(|(at, _)| *at);
            if let Some((at, _)) = deadline
                && timer.deadline() != at
            {
                timer.as_mut().reset(at);
            }

            // In this order: what makes room comes first, and what the client has sent comes before the drain.
            tokio::select! {
                biased;
                () = evicted.as_mut() => return Closed::Evicted,
                taken = writer.write(writing.get(written..).unwrap_or_default()), if !writing.is_empty() => match taken {
                    Ok(0) | Err(_) => return Closed::Broken,
                    Ok(count) => written = written.saturating_add(count),
                },
                Some(reply) = self.in_flight.join_next(), if self.output.len() < OUTPUT_BYTES => {
                    if let Ok(Some(reply)) = reply {
                        put_message(&mut self.output, &reply);
                    }
                }
                Ok(permit) = async { Arc::clone(&permits).acquire_owned().await }, if input == Input::Permit => {
                    self.permit = Some(permit);
                }
                read = reader.read_buf(&mut self.input), if reading => match read {
                    Err(_) => return Closed::Broken,
                    Ok(0) => last_message = Some(Closed::Finished),
                    Ok(_) => {}
                },
                () = drained.as_mut(), if drain_since.is_none() => drain_since = Some(Instant::now()),
                () = timer.as_mut(), if deadline.is_some() => {
                    return deadline.map_or(Closed::Idle, |(_, closed)| closed);
                }
            }
        }
    }

    /// Answers or starts to answer the complete messages, as far as there is room, and leaves in `input` what waits.
    fn answer_messages(&mut self, now: Instant) -> Input {
        let snapshot = self.shared.engine.snapshot();
        let mut view = self.shared.engine.view(&snapshot, None);
        let mut rest = self.input.as_slice();
        let input = loop {
            let Some((length, after)) = rest.split_first_chunk() else {
                break if rest.is_empty() {
                    Input::Nothing
                } else {
                    Input::Rest
                };
            };
            let Some((packet, after)) = after.split_at_checked(u16::from_be_bytes(*length).into())
            else {
                break Input::Rest;
            };
            if self.output.len() >= OUTPUT_BYTES
                || self.in_flight.len() >= self.shared.tcp_queries_per_connection
            {
                break Input::Answers;
            }
            let asked = asked(packet, self.peer, self.rotation);
            match view.answer_now(&asked, Ahead::default(), now.into_std(), &mut self.reply) {
                Now::Reply(len) => {
                    if let Some(reply) = self.reply.get(..len) {
                        put_message(&mut self.output, reply);
                    }
                }
                Now::Drop => {}
                Now::NeedsAsync => {
                    let permits = &self.shared.tcp_in_flight;
                    let permit = self.permit.take();
                    let Some(permit) =
                        permit.or_else(|| Arc::clone(permits).try_acquire_owned().ok())
                    else {
                        break Input::Permit;
                    };
                    let shared = Arc::clone(&self.shared);
                    let (packet, peer, rotation) = (packet.into(), self.peer, self.rotation);
                    self.in_flight
                        .spawn(answer_later(shared, packet, peer, rotation, permit));
                }
            }
            self.rotation = self.rotation.wrapping_add(1);
            rest = after;
        };
        drop(view); // it has read what is now taken away
        self.permit = None; // one that was waited for and is no longer needed
        let left = rest.len();
        let answered = self.input.len().saturating_sub(left);
        self.input.drain(..answered);
        if left == 0 {
            self.input.shrink_to(READ_BYTES);
        }
        let wanted = match self.input.first_chunk() {
            Some(length) => usize::from(u16::from_be_bytes(*length)).saturating_add(2),
            None => READ_BYTES,
        };
        self.input.reserve_exact(wanted.saturating_sub(left));
        input
    }
}

async fn answer_later(
    shared: Arc<Shared>,
    packet: Box<[u8]>,
    peer: Peer,
    rotation: usize,
    _permit: OwnedSemaphorePermit,
) -> Option<Vec<u8>> {
    let mut out = vec![0; MESSAGE_BYTES];
    let asked = asked(&packet, peer, rotation);
    let len = shared.engine.answer(asked, &mut out).await?;
    out.truncate(len);
    out.shrink_to_fit();
    Some(out)
}

const fn asked(packet: &[u8], peer: Peer, rotation: usize) -> Asked<'_> {
    Asked {
        packet,
        client: peer.client,
        local: peer.local,
        transport: Transport::Tcp,
        rotation,
    }
}

/// Appends a message with its length in front.
fn put_message(output: &mut Vec<u8>, message: &[u8]) {
    let length =
        u16::try_from(message.len()).expect("the buffer has the length of the longest message");
    output.extend_from_slice(&length.to_be_bytes());
    output.extend_from_slice(message);
}

#[cfg(test)]
mod tests;
