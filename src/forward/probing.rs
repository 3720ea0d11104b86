//! When an upstream is probed for whether it sends questions back here, and what is said of it then. What a probe is, and
//! what it proves, is [`loops`](super::loops)' business.

use super::{
    Shared, exchange,
    exchange::Upstreams,
    loops::{FIRST_SUSPECT, PROBE_PATIENCE},
    query::{Heard, Outgoing},
    upstream::Upstream,
};
use crate::{
    metrics::Sent,
    wire::{CLASS_IN, NameKey, Question, rtype},
};
use futures::future::join_all;
use rand::RngExt as _;
use tokio::time::{timeout, timeout_at};

impl Shared {
    /// A question came to no answer: does it go in a circle?
    pub(super) fn suspect(&self, upstreams: &Upstreams, name: &NameKey) {
        let each = upstreams.servers.iter();
        if each.fold(false, |news, it| it.standing.suspect(name) | news) {
            self.suspicion.notify_one();
        }
    }

    pub(super) async fn find_loops(&self) {
        let first = NameKey::from_text(FIRST_SUSPECT).expect("a name");
        loop {
            let routes = self.routes.iter().map(|it| it.upstreams.load_full());
            let routes: Vec<_> = routes.collect();
            if let Some(default) = routes.first() {
                for new in default.servers.iter().filter(|it| it.standing.is_new()) {
                    new.standing.suspect(&first);
                }
            }
            let upstreams = || routes.iter().flat_map(|it| &it.servers);
            let now = tokio::time::Instant::now();
            let due = upstreams().filter_map(|it| Some((it, it.standing.begin(now)?)));
            join_all(due.map(|(it, below)| self.probe(it, below))).await;
            let next = upstreams().filter_map(|it| it.standing.probe_at(now)).min();
            drop(routes);
            let suspicion = self.suspicion.notified();
            match next {
                Some(next) => drop(timeout_at(next, suspicion).await),
                None => suspicion.await,
            }
        }
    }

    /// Asks an upstream what only this server can know, and judges it by whether that is asked here.
    async fn probe(&self, upstream: &Upstream, below: NameKey) {
        let probe = self.probes.begin(self.rng().random(), &below);
        let question = Question {
            name: probe.name().clone(),
            qtype: rtype::A,
            qclass: CLASS_IN,
            dnssec_ok: false,
            checking_disabled: false,
        };
        let query = Outgoing::new(&question, true, self.draw().in_lower_case());
        let heard = timeout(PROBE_PATIENCE, upstream.ask(&query, false, &self.metrics)).await;
        let answered =
            matches!(heard, Ok(Heard::Reply(reply)) if exchange::is_answer(reply.rcode()));
        self.metrics.sent(match answered {
            true => Sent::Answered,
            false => Sent::Unable,
        });
        let was = upstream.standing.loops();
        if !upstream.standing.judge(probe.came_back(), answered) {
            return;
        }
        if was {
            tracing::info!(%upstream, "no longer sends questions back to this server; it is asked again");
        } else {
            tracing::warn!(
                %upstream, probe = %probe.name(),
                "sends questions back to this server, in a circle, and is not asked until that ends; expected a server that \
                 forwards elsewhere (see forward.upstreams)"
            );
        }
    }
}
