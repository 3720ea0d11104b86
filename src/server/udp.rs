//! The UDP side: workers that answer batch after batch without waiting, and one dispatcher for what has to wait. It owns
//! threads and a queue, and no rule of DNS.

use super::{
    Seldom, Shared,
    batch::{Batch, Ends, Socket},
    fragments,
};
use crate::{
    engine::{self, Asked, Now, Recent},
    metrics::Transport,
    wire::MAX_UDP_PAYLOAD,
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

/// Queries that may lie between the workers and the dispatcher: a burst of that many cache misses, at about 100 octets each.
pub(super) const QUEUE: usize = 4096;

/// How long a worker goes on answering after the drain began, should queries never stop coming.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// Pauses after failures to receive, doubled each time: an error that stays does not take a core.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A query on its way to [`dispatch`].
pub(super) struct Waiting {
    packet: Box<[u8]>,
    ends: Ends,
    rotation: usize,
    socket: Arc<dyn Socket>,
}

/// One thread's work on one socket.
struct Worker {
    socket: Arc<dyn Socket>,
    shared: Arc<Shared>,
    queue: mpsc::Sender<Waiting>,
    stopping: Arc<AtomicBool>,
    rotation: usize,
    recent: Recent,
}

/// Starts a worker thread, and gives the future that stops it on drain and ends with it.
pub(super) fn start(
    name: String,
    socket: Arc<dyn Socket>,
    shared: Arc<Shared>,
    queue: mpsc::Sender<Waiting>,
    recent: Recent,
) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let stopping = Arc::new(AtomicBool::new(false));
    let (running, mut ended) = oneshot::channel::<()>();
    let (drain, kept) = (shared.drain.clone(), shared.kept.clone());
    let worker = Worker {
        socket: Arc::clone(&socket),
        shared,
        queue,
        stopping: Arc::clone(&stopping),
        rotation: 0,
        recent,
    };
    thread::Builder::new().name(name).spawn(move || {
        let _running = running; // dropped when the thread ends, by a panic too
        super::wake_soon();
        worker.run();
    })?;
    Ok(async move {
        tokio::select! {
            _ = &mut ended => return,
            () = drain.cancelled() => {}
        }
        stopping.store(true, Ordering::Release);
        if kept.is_set() {
            socket.leave();
        } else {
            socket.stop_receiving();
        }
        drop(ended.await);
    })
}

impl Worker {
    fn run(mut self) {
        let mut batch = Batch::new();
        let mut warned = Seldom::default();
        let mut pause = FIRST_PAUSE;
        let mut stop_at = None;
        loop {
            let received = self.socket.receive(&mut batch);
            let now = clock();
            match received {
                Ok(()) if batch.is_empty() => return,
                Ok(()) => {
                    pause = FIRST_PAUSE;
                    self.answer(&mut batch, now);
                    self.send(&mut batch);
                }
                Err(error) => {
                    self.shared.metrics.udp_receive_errors.inc();
                    if warned.allows(now) {
                        tracing::warn!(%error, "cannot receive from a UDP socket; trying again");
                    }
                    thread::park_timeout(pause);
                    pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                }
            }
            if self.stopping.load(Ordering::Acquire)
                && now.duration_since(*stop_at.get_or_insert(now)) > STOP_WITHIN
            {
                return;
            }
        }
    }

    fn answer(&mut self, batch: &mut Batch, now: Instant) {
        let snapshot = self.shared.engine.snapshot();
        let mut view = (self.shared.engine).view(&snapshot, Some(&mut self.recent));
        let ahead = view.read_ahead(batch.packets());
        let mut ahead = (0..).map(|nth| ahead.nth(nth));
        batch.answer_each(|ends, packet, out| {
            let ahead = ahead.next().unwrap_or_default();
            if packet.len() > usize::from(MAX_UDP_PAYLOAD) {
                self.shared.metrics.udp_oversized.inc();
                return None;
            }
            self.rotation = self.rotation.wrapping_add(1);
            match view.answer_now(&asked(packet, ends, self.rotation), ahead, now, out) {
                Now::Reply(len) => return Some(len),
                Now::Drop => {}
                Now::NeedsAsync => {
                    let waiting = Waiting {
                        packet: packet.into(),
                        ends: *ends,
                        rotation: self.rotation,
                        socket: Arc::clone(&self.socket),
                    };
                    if self.queue.try_send(waiting).is_err() {
                        self.shared.metrics.udp_queue_full.inc();
                    }
                }
            }
            None
        });
    }

    fn send(&self, batch: &mut Batch) {
        let mut sent: usize = 0;
        while sent < batch.reply_count() {
            let taken = self.socket.send(&batch.replies(sent));
            sent = sent.saturating_add(match taken {
                Ok(count) => count.max(1),
                Err(error)
                    if fragments::would_be(&error) && batch.shorten(sent, engine::truncate) =>
                {
                    0
                }
                Err(_) => {
                    self.shared.metrics.udp_send_errors.inc();
                    1 // the reply that the kernel did not take; the others have their own fate
                }
            });
        }
    }
}

/// Answers what the workers could not, at most `limit` at once, until the last worker has ended and its queries are answered.
pub(super) async fn dispatch(
    shared: Arc<Shared>,
    mut queue: mpsc::Receiver<Waiting>,
    limit: usize,
) {
    let mut exchanges = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = exchanges.join_next() => {}
            waiting = queue.recv(), if exchanges.len() < limit => match waiting {
                Some(waiting) => {
                    exchanges.spawn(answer_later(Arc::clone(&shared), waiting));
                }
                None => break,
            }
        }
    }
    while exchanges.join_next().await.is_some() {}
}

async fn answer_later(shared: Arc<Shared>, waiting: Waiting) {
    let mut out = vec![0; usize::from(MAX_UDP_PAYLOAD)];
    let asked = asked(&waiting.packet, &waiting.ends, waiting.rotation);
    let mut len = shared.engine.answer(asked, &mut out).await;
    while let Some(reply) = len.and_then(|len| out.get_mut(..len)) {
        let sent = waiting.socket.send(&[(&waiting.ends, &*reply)]);
        let Err(error) = sent else { return };
        len = fragments::would_be(&error)
            .then(|| engine::truncate(reply))
            .flatten();
        if len.is_none() {
            shared.metrics.udp_send_errors.inc();
        }
    }
}

const fn asked<'p>(packet: &'p [u8], ends: &Ends, rotation: usize) -> Asked<'p> {
    Asked {
        packet,
        client: ends.client,
        local: ends.local,
        transport: Transport::Udp,
        rotation,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the socket loop is where the time comes in, once per batch"
)]
fn clock() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
