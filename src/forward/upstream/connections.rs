//! The connections to one upstream: which one takes a question, and when another is opened. A question is asked once more if
//! the connection under it was closed by somebody who did not know of it (RFC 7766 §6.2.4).

use super::{
    connection::{Connection, Lost, QUESTIONS_MAX},
    dialer::{Destination, Dialer},
};
use crate::metrics::Limit;
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

/// Most connections to one upstream of one route. One is enough for a server that answers; others are for when it is full,
/// or silent.
const CONNECTIONS_MAX: usize = 8;

/// The connections to one upstream.
#[derive(Debug)]
pub(super) struct Connections {
    dialer: Dialer,
    to: Arc<Destination>,
    open: Mutex<Vec<Arc<Connection>>>,
    places: Semaphore,
}

impl Connections {
    pub(super) fn new(dialer: &Dialer, to: Destination) -> Self {
        Self {
            dialer: dialer.clone(),
            to: Arc::new(to),
            open: Mutex::default(),
            places: Semaphore::new(CONNECTIONS_MAX * QUESTIONS_MAX),
        }
    }

    /// Asks, over whatever connection. The reply has any ID.
    pub(super) async fn ask(&self, message: &[u8]) -> io::Result<Vec<u8>> {
        let _place = self.place().await;
        let mut reply = self.send(message, false).await;
        if let Err(Lost {
            was_in_use: true, ..
        }) = reply
        {
            self.dialer.metrics.connections.repeated().inc();
            reply = self.send(message, true).await;
        }
        reply.map_err(|lost| lost.error)
    }

    async fn send(&self, message: &[u8], afresh: bool) -> Result<Vec<u8>, Lost> {
        self.dialer.metrics.send(Some(self.to.over()));
        let connection = self.connection(Instant::now(), afresh);
        connection.ask(message.to_vec()).await
    }

    /// A place among the questions under way, at the latest when the asker's time is over.
    async fn place(&self) -> SemaphorePermit<'_> {
        if let Ok(place) = self.places.try_acquire() {
            return place;
        }
        self.dialer.metrics.limited(Limit::Connections);
        self.places.acquire().await.expect("it is never closed")
    }

    /// The first connection that has room and gives no doubt, or a new one, or the one with the fewest questions. `afresh`
    /// leaves out those that may have been closed together with another.
    fn connection(&self, now: Instant, afresh: bool) -> Arc<Connection> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|it| !it.is_closed());
        let usable = |it: &&Arc<Connection>| {
            it.under_way() < QUESTIONS_MAX && !it.is_doubtful(now) && (it.is_fresh() || !afresh)
        };
        if let Some(connection) = open.iter().find(usable) {
            return Arc::clone(connection);
        }
        let least = open.iter().min_by_key(|it| it.under_way());
        if let (CONNECTIONS_MAX.., Some(least)) = (open.len(), least) {
            return Arc::clone(least);
        }
        let connection = Arc::new(self.dialer.open(&self.to));
        open.push(Arc::clone(&connection));
        connection
    }
}
