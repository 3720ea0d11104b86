//! What the listeners' unit tests start from: an engine, and queries that it answers. It knows no transport.

use super::{Kept, Shared};
use crate::{
    engine::Engine,
    lifecycle::Drain,
    metrics::Metrics,
    wire::{Flags, Header},
};
use prometheus_client::registry::Registry;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// A name that is answered at once, and one that the asynchronous side answers.
pub(super) const PLAIN: &str = "plain";
pub(super) const WAITS: &str = "async";

pub(super) const QUERIES_PER_CONNECTION: usize = 32;
pub(super) const IDLE: Duration = Duration::from_secs(10);

pub(super) fn shared(tcp_in_flight: usize) -> Arc<Shared> {
    let metrics = Metrics::new(&mut Registry::default());
    Arc::new(Shared {
        engine: Arc::new(Engine::idle()),
        metrics: metrics.server,
        drain: Drain::new(),
        kept: Kept::default(),
        tcp_in_flight: Arc::new(Semaphore::new(tcp_in_flight)),
        tcp_queries_per_connection: QUERIES_PER_CONNECTION,
        tcp_idle: IDLE,
    })
}

pub(super) fn query(id: u16, label: &str) -> Vec<u8> {
    let header = Header {
        id,
        flags: Flags(Flags::RD),
        counts: [1, 0, 0, 0],
    };
    let mut query = vec![0; 12];
    header.write(&mut query).unwrap();
    query.push(u8::try_from(label.len()).unwrap());
    query.extend_from_slice(label.as_bytes());
    // A transfer is refused at once, without records; an address has to be asked for elsewhere.
    let qtype = if label == PLAIN { 252 } else { 1 };
    query.extend_from_slice(&[0, 0, qtype, 0, 1]);
    query
}
