//! A connection to an upstream as its askers see it: a queue to the task that drives it, and when it was last heard of. It
//! knows neither who is asked nor how questions are framed.

use crate::metrics::ConnectionEnded;
use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// Most questions under way on one connection. Servers read on while they look names up, to some such number
/// (RFC 7766 §6.2.1.1); a lost connection loses no more.
pub(super) const QUESTIONS_MAX: usize = 256;

/// A connection without a reply to an older question gets no new ones, as long as there may be another. Who takes longer
/// than this to look up a name costs a second connection.
const DOUBT_AFTER: Duration = Duration::from_millis(500);

/// A connection without a question ends after this time; servers keep it for some such time too (RFC 7766 §6.2.3).
const IDLE_MAX: Duration = Duration::from_secs(10);

/// A connection whose questions get no reply ends after this time, which is more than any asker has: the path may be cut, and
/// nobody would say so for minutes.
pub(super) const SILENT_MAX: Duration = Duration::from_secs(5);

/// A question on its way to the driver. The asker has left if the reply's channel is closed.
#[derive(Debug)]
pub(super) struct Question {
    /// The message; its ID is the driver's to choose.
    pub message: Vec<u8>,
    /// Dropped without a word, it says that the connection is lost.
    pub reply: oneshot::Sender<io::Result<Vec<u8>>>,
}

/// What the driver of a connection reads from, until every asker has left; its other end is a [`Connection`].
#[derive(Debug)]
pub(super) struct Driver {
    pub questions: mpsc::Receiver<Question>,
    pub pulse: Arc<Pulse>,
}

/// The askers' end of a connection.
#[derive(Debug)]
pub(super) struct Connection {
    questions: mpsc::Sender<Question>,
    under_way: AtomicUsize,
    pulse: Arc<Pulse>,
}

/// What is known of a connection's life.
#[derive(Debug, Default)]
pub(super) struct Pulse(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Since when questions wait with nothing heard.
    silent_since: Option<Instant>,
    /// Did it ever bring a reply?
    replied: bool,
    /// Why it ended.
    ended: Option<Arc<io::Error>>,
}

/// Why there is no reply.
#[derive(Debug)]
pub(super) struct Lost {
    /// What ended the connection, or the exchange.
    pub error: io::Error,
    /// The connection ended, and had brought replies before: whoever closed it may not have known of this question.
    pub was_in_use: bool,
}

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Nobody asked for a while.
    Idle,
    /// Nobody can ask any more: the upstream is no longer configured.
    Left,
    /// It had its number of questions.
    UsedUp,
    /// The server closed it.
    ByServer,
    /// Questions got no reply.
    Silent,
    /// The network, or a server that cannot be understood.
    Broken(io::Error),
}

impl Ended {
    /// When a connection ends without any news, and why; `used_at` is when a question or a reply last passed.
    pub(super) fn without_news(pulse: &Pulse, used_at: Instant) -> (Instant, Self) {
        match pulse.known().silent_since {
            Some(since) => (since + SILENT_MAX, Self::Silent),
            None => (used_at + IDLE_MAX, Self::Idle),
        }
    }

    /// Not every server says goodbye (RFC 8446 §6.1).
    pub(super) fn of_stream(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::ByServer,
            _ => Self::Broken(error),
        }
    }

    /// Is there nobody who waits, so that the server can be told?
    pub(super) const fn is_orderly(&self) -> bool {
        matches!(self, Self::Idle | Self::Left | Self::UsedUp)
    }

    pub(super) const fn reason(&self) -> ConnectionEnded {
        match self {
            Self::Idle => ConnectionEnded::Idle,
            Self::Left => ConnectionEnded::Left,
            Self::UsedUp => ConnectionEnded::UsedUp,
            Self::ByServer => ConnectionEnded::ByServer,
            Self::Silent => ConnectionEnded::Silent,
            Self::Broken(_) => ConnectionEnded::Broken,
        }
    }

    /// For those who still wait.
    pub(super) fn into_error(self) -> io::Error {
        match self {
            Self::Broken(error) => error,
            Self::Silent => io::ErrorKind::TimedOut.into(),
            Self::ByServer => io::ErrorKind::UnexpectedEof.into(),
            Self::Idle | Self::Left | Self::UsedUp => io::ErrorKind::ConnectionAborted.into(),
        }
    }
}

impl Connection {
    /// A connection yet to be driven.
    pub(super) fn new() -> (Self, Driver) {
        let (questions, received) = mpsc::channel(QUESTIONS_MAX);
        let pulse = Arc::<Pulse>::default();
        let driver = Driver {
            questions: received,
            pulse: Arc::clone(&pulse),
        };
        let connection = Self {
            questions,
            under_way: AtomicUsize::new(0),
            pulse,
        };
        (connection, driver)
    }

    /// Asks, and waits for the reply, whose ID is any. Dropping the future gives the place on the connection back.
    pub(super) async fn ask(&self, message: Vec<u8>) -> Result<Vec<u8>, Lost> {
        let _place = Place::take(&self.under_way);
        let (reply, replied) = oneshot::channel();
        self.pulse.asked(Instant::now());
        let outcome = match self.questions.try_send(Question { message, reply }) {
            Ok(()) => replied.await.ok(),
            Err(_) => None,
        };
        match outcome {
            Some(reply) => reply.map_err(|error| Lost {
                error,
                was_in_use: false,
            }),
            None => Err(self.pulse.lost()),
        }
    }

    /// How many questions are under way.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Did it never bring a reply yet?
    pub(super) fn is_fresh(&self) -> bool {
        !self.pulse.known().replied
    }

    /// Does a question wait for long at `now`, with nothing heard?
    pub(super) fn is_doubtful(&self, now: Instant) -> bool {
        let silent_since = self.pulse.known().silent_since;
        silent_since.is_some_and(|since| since + DOUBT_AFTER <= now)
    }

    /// Has it ended, or will it when its last question is answered?
    pub(super) fn is_closed(&self) -> bool {
        self.questions.is_closed()
    }
}

/// One question's place on a connection.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(under_way: &'a AtomicUsize) -> Self {
        under_way.fetch_add(1, Ordering::Relaxed);
        Self(under_way)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pulse {
    fn asked(&self, now: Instant) {
        self.known().silent_since.get_or_insert(now);
    }

    /// Nothing is waited for after all.
    pub(super) fn unasked(&self) {
        self.known().silent_since = None;
    }

    /// A reply came; are there others to wait for?
    pub(super) fn heard(&self, now: Instant, more: bool) {
        let mut known = self.known();
        known.replied = true;
        known.silent_since = more.then_some(now);
    }

    /// It ends, for this reason; its askers hear of it when the driver is dropped.
    pub(super) fn ended(&self, error: io::Error) {
        self.known().ended = Some(Arc::new(error));
    }

    fn lost(&self) -> Lost {
        let known = self.known();
        let error = match &known.ended {
            Some(error) => io::Error::new(error.kind(), Arc::clone(error)),
            None => io::ErrorKind::ConnectionAborted.into(),
        };
        Lost {
            error,
            was_in_use: known.replied,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
