//! Who may hold a TCP connection: so many in all, so many per client, and the one idle the longest makes room. It knows
//! neither sockets nor time; idleness is an order.

use crate::metrics::{Refused, Server};
use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio_util::sync::CancellationToken;

/// The connections of every listener.
pub(super) struct Connections {
    seats: Mutex<Vec<Arc<Seat>>>,
    /// Counts up with each connection that becomes idle.
    idlings: AtomicU64,
    total: usize,
    per_client: usize,
    metrics: Server,
}

struct Seat {
    client: IpAddr,
    /// [`BUSY`], or the place in the order of becoming idle.
    idle: AtomicU64,
    evicted: CancellationToken,
}

const BUSY: u64 = 0;

/// A connection's place, until it is dropped.
pub(super) struct Admitted {
    seat: Arc<Seat>,
    connections: Arc<Connections>,
}

impl Connections {
    pub(super) fn new(total: usize, per_client: usize, metrics: Server) -> Arc<Self> {
        Arc::new(Self {
            seats: Mutex::default(),
            idlings: AtomicU64::new(BUSY),
            total,
            per_client,
            metrics,
        })
    }

    /// A place for a new connection, if need be that of the connection which is idle the longest.
    pub(super) fn admit(self: &Arc<Self>, client: IpAddr) -> Result<Admitted, Refused> {
        let mut seats = self.seats();
        let of_client = seats.iter().filter(|seat| seat.client == client).count();
        if of_client >= self.per_client {
            return Err(self.refuse(Refused::Client));
        }
        if seats.len() >= self.total {
            let idle = |seat: &Seat| seat.idle.load(Ordering::Relaxed);
            let longest = (0..)
                .zip(seats.iter())
                .filter(|(_, seat)| idle(seat) != BUSY)
                .min_by_key(|(_, seat)| idle(seat));
            let Some((index, _)) = longest else {
                return Err(self.refuse(Refused::Full));
            };
            seats.swap_remove(index).evicted.cancel();
        } else {
            self.metrics.tcp_connections.inc();
        }
        let seat = Arc::new(Seat {
            client,
            idle: AtomicU64::new(BUSY),
            evicted: CancellationToken::new(),
        });
        seats.push(Arc::clone(&seat));
        drop(seats);
        let admitted = Admitted {
            seat,
            connections: Arc::clone(self),
        };
        admitted.set_idle(true);
        Ok(admitted)
    }

    fn refuse(&self, why: Refused) -> Refused {
        self.metrics.refused(why).inc();
        why
    }

    fn seats(&self) -> MutexGuard<'_, Vec<Arc<Seat>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// Says whether the connection waits for its client only.
    pub(super) fn set_idle(&self, idle: bool) {
        let order = match idle {
            false => BUSY,
            true => self
                .connections
                .idlings
                .fetch_add(1, Ordering::Relaxed)
                .saturating_add(1),
        };
        self.seat.idle.store(order, Ordering::Relaxed);
    }

    /// Waits until the place is given to another connection.
    pub(super) async fn evicted(&self) {
        self.seat.evicted.cancelled().await;
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut seats = self.connections.seats();
        if let Some(index) = seats.iter().position(|seat| Arc::ptr_eq(seat, &self.seat)) {
            seats.swap_remove(index);
            self.connections.metrics.tcp_connections.dec();
        } // else evicted: the successor is counted in its place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use prometheus_client::registry::Registry;

    fn connections(total: usize, per_client: usize) -> (Arc<Connections>, Server) {
        let metrics = Metrics::new(&mut Registry::default()).server;
        (
            Connections::new(total, per_client, metrics.clone()),
            metrics,
        )
    }

    fn client(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn the_connection_idle_the_longest_makes_room() {
        let (connections, metrics) = connections(3, 3);
        let [first, second, third] = [1, 2, 3].map(|it| connections.admit(client(it)).unwrap());
        first.set_idle(false);
        first.set_idle(true);
        let _fourth = connections.admit(client(4)).unwrap();
        let evicted = [&first, &second, &third].map(|it| it.seat.evicted.is_cancelled());
        assert_eq!(evicted, [false, true, false]);
        assert_eq!(metrics.tcp_connections.get(), 3);
        drop(second);
        assert_eq!(metrics.tcp_connections.get(), 3);
        drop(first);
        assert_eq!(metrics.tcp_connections.get(), 2);
    }

    #[test]
    fn a_new_connection_is_refused_when_every_other_is_at_work() {
        let (connections, metrics) = connections(1, 1);
        let busy = connections.admit(client(1)).unwrap();
        busy.set_idle(false);
        assert_eq!(connections.admit(client(2)).err(), Some(Refused::Full));
        assert_eq!(metrics.refused(Refused::Full).get(), 1);
        drop(busy);
        assert!(connections.admit(client(2)).is_ok());
    }

    #[test]
    fn one_client_cannot_take_the_places_of_all() {
        let (connections, metrics) = connections(3, 1);
        let _first = connections.admit(client(1)).unwrap();
        assert_eq!(connections.admit(client(1)).err(), Some(Refused::Client));
        assert!(connections.admit(client(2)).is_ok());
        assert_eq!(metrics.refused(Refused::Client).get(), 1);
    }
}
