//! One question to a route's upstreams, until one of them answers: which one is asked when, over what, and how often.
//! At most [`SENDS`](super::SENDS) questions leave within [`PATIENCE`], over whatever transport; earlier ones are listened to
//! while later ones are under way. It keeps nothing of the answer.
//!
//! ```text
//! 0 s      the round-trip and four variations               2 s                   4 s                    5 s
//! first ───▶ second, if the budget has one; else at 0.8 s ──▶ last, by TCP if ────▶ the asker is told ───▶ deaf: a late
//!                                                            nobody said a word     what there is          answer is kept
//! ```

use crate::{
    forward::{
        Failure,
        choice::{Choice, Health, TIMEOUT_MAX},
        hedge::Budget,
        plan::Plan,
        query::{Draw, Heard, Outgoing},
        server::Server,
        upstream::{Dialer, Upstream},
    },
    metrics::{self, Forward, Hedge, Sent},
    wire::{Question, Rcode, Response},
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until, timeout_at};

/// From first to last: a stub resolver gives up after 5 s, and SERVFAIL has to reach it before.
const PATIENCE: Duration = Duration::from_secs(4);
/// For so long an answer that comes too late for whoever asked is still taken, for those who ask next. Until then the failure is
/// remembered, so that nobody else asks (RFC 9520 §3.2: at least 1 s).
const LISTENING: Duration = Duration::from_secs(5);
/// The last send waits until so long after the first: the network, or the only upstream, may be away for a moment, and
/// sends that all leave within it are lost together. Once a word was heard, an upstream that was not asked yet need not wait.
const LAST_AFTER: Duration = Duration::from_secs(2);

/// The upstreams of one route.
#[derive(Debug)]
pub(super) struct Upstreams {
    pub(super) servers: Box<[Arc<Upstream>]>,
    choice: Choice,
    hedges: Budget,
    dialer: Dialer,
}

impl Upstreams {
    pub(super) fn new(servers: &[Server], dialer: &Dialer) -> Self {
        Self {
            servers: [].into(),
            choice: Choice::new([].into()),
            hedges: Budget::new(),
            dialer: dialer.clone(),
        }
        .replaced_by(servers)
    }

    /// Other servers in their place. Those that stay are the same ones, and what is known of them is kept.
    pub(super) fn replaced_by(&self, servers: &[Server]) -> Self {
        let known = self.choice.health();
        let each = servers.iter().map(|server| {
            match self.servers.iter().position(|it| it.server == *server) {
                Some(at) => (Arc::clone(&self.servers[at]), known[at]),
                None => (
                    Arc::new(Upstream::new(server, &self.dialer)),
                    Health::default(),
                ),
            }
        });
        let (servers, health): (Vec<_>, Vec<_>) = each.unzip();
        Self {
            servers: servers.into(),
            choice: Choice::new(health.into()),
            hedges: Budget::new(),
            dialer: self.dialer.clone(),
        }
    }

    /// What is known of each.
    pub(super) fn known(&self) -> Vec<metrics::Upstream> {
        let each = self.servers.iter().zip(self.choice.health());
        let each = each.map(|(upstream, health)| metrics::Upstream {
            name: upstream.to_string(),
            round_trip: health.round_trip(),
            down: health.is_down(),
            tcp_first: health.habit.is_tcp_first(),
            lower_case: health.habit.is_lower_case(),
            looping: upstream.standing.loops(),
        });
        each.collect()
    }

    /// Does nobody of them answer but by asking this server?
    pub(super) fn all_loop(&self) -> bool {
        self.servers.iter().all(|it| it.standing.loops())
    }

    fn order(&self, now: Instant) -> Vec<usize> {
        let mut order = self.choice.order(now);
        order.retain(|it| !self.servers[*it].standing.loops());
        order
    }
}

/// One send.
#[derive(Clone, Copy, Debug)]
struct Send {
    upstream: usize,
    tcp: bool,
    edns: bool,
    /// Do its letters get random case?
    random_case: bool,
}

/// What is known after one send came to its end.
#[derive(Debug)]
enum Next {
    /// The answer.
    Done(Response),
    /// This is to be sent at once, if it is anything.
    Send(Option<Send>),
}

/// One question on its way to an answer. `draw` gives chance to each send.
pub(super) struct Exchange<'a, D> {
    upstreams: &'a Upstreams,
    question: &'a Question,
    draw: D,
    metrics: &'a Forward,
    started: Instant,
    plan: Plan,
    under_way: FuturesUnordered<BoxFuture<'a, (Send, Instant, Heard)>>,
    /// When the last send left.
    sent_at: Instant,
    /// The last send, until something is heard of it or it is given up.
    newest: Option<Send>,
    /// When, without an answer, the next send may follow.
    resend_at: Instant,
    /// When a send left that the budget paid for.
    hedged_at: Option<Instant>,
    /// Upstreams that repeated the question in other letters.
    recased: Vec<usize>,
    /// The last reply that says it cannot answer: passed on if nobody can.
    unable: Option<Response>,
    /// What fitted into a datagram of an answer: passed on if nobody gives all of it.
    truncated: Option<Response>,
    /// Was nothing heard of but errors of the network?
    network_only: bool,
}

impl<'a, D: Fn() -> Draw> Exchange<'a, D> {
    pub(super) fn new(
        upstreams: &'a Upstreams,
        question: &'a Question,
        draw: D,
        metrics: &'a Forward,
    ) -> Self {
        let started = Instant::now();
        upstreams.hedges.question();
        Self {
            upstreams,
            question,
            draw,
            metrics,
            started,
            plan: Plan::new(upstreams.order(started)),
            under_way: FuturesUnordered::new(),
            sent_at: started,
            newest: None,
            resend_at: started,
            hedged_at: None,
            recased: Vec::new(),
            unable: None,
            truncated: None,
            network_only: true,
        }
    }

    /// Asks. What comes of it within [`PATIENCE`] is the first answer, or else the last truncated one, or else the last reply that
    /// says why there is none.
    pub(super) async fn outcome(&mut self) -> Result<Response, Failure> {
        let mut next = self.next_turn();
        loop {
            if let Some(send) = next {
                self.send(send);
            }
            if self.under_way.is_empty() && self.is_over() {
                break;
            }
            next = tokio::select! {
                biased;
                Some((send, sent_at, heard)) = self.under_way.next() => {
                    match self.hear(send, sent_at, heard) {
                        Next::Done(response) => return Ok(response),
                        Next::Send(next) => next,
                    }
                }
                () = sleep_until(self.resend_at), if self.plan.may_send() => self.resend(),
                () = sleep_until(self.started + PATIENCE) => {
                    self.network_only &= self.under_way.is_empty();
                    self.was_silent();
                    break;
                }
            };
        }
        self.plan = Plan::default();
        match self.truncated.take().or_else(|| self.unable.take()) {
            Some(response) => Ok(response),
            None if self.network_only => Err(Failure::Unreachable),
            None => Err(Failure::NoAnswer),
        }
    }

    /// After [`Exchange::outcome`]: the answer that comes within [`LISTENING`], if one does. Nothing more is sent for it.
    pub(super) async fn late_answer(&mut self) -> Option<Response> {
        let until = self.started + LISTENING;
        while let Ok(Some((send, sent_at, heard))) = timeout_at(until, self.under_way.next()).await
        {
            if let Next::Done(response) = self.hear(send, sent_at, heard) {
                return Some(response);
            }
        }
        None
    }

    /// With nothing under way: is there nothing to wait for? Everybody was asked, and somebody gave at least a part, or said
    /// why not; or there is nobody left to ask.
    fn is_over(&self) -> bool {
        self.truncated.is_some() || self.unable.is_some() || !self.plan.may_send()
    }

    /// The next upstream's turn. The last send goes by TCP if no word was heard by UDP, from whomever.
    fn next_turn(&mut self) -> Option<Send> {
        let nothing_by_udp = self.plan.is_last() && self.network_only;
        let upstream = self.plan.next()?;
        let (now, learnt) = (Instant::now(), &self.upstreams.choice);
        let tcp = nothing_by_udp
            || !self.upstreams.servers[upstream].takes_datagrams()
            || learnt.habit(upstream, |it| it.takes_tcp(now));
        Some(Send {
            upstream,
            tcp,
            edns: true,
            random_case: !tcp
                && !self.recased.contains(&upstream)
                && learnt.habit(upstream, |it| it.takes_random_case(now)),
        })
    }

    /// The next upstream's turn, if it has not had one.
    fn next_fresh(&mut self) -> Option<Send> {
        self.plan.is_fresh().then(|| self.next_turn())?
    }

    /// Another way to ask an upstream, at once.
    fn again(&mut self, send: Send) -> Option<Send> {
        self.plan.spend().map(|()| send)
    }

    fn send(&mut self, send: Send) {
        let (upstreams, metrics, sent_at) = (self.upstreams, self.metrics, Instant::now());
        (self.sent_at, self.newest) = (sent_at, Some(send));
        let timeout = upstreams.choice.timeout(send.upstream);
        self.resend_at = sent_at + timeout;
        if self.plan.is_last() && (self.network_only || !self.plan.is_fresh()) {
            self.resend_at = self.resend_at.max(self.started + LAST_AFTER);
        }
        let draw = match send.random_case {
            true => (self.draw)(),
            false => (self.draw)().in_lower_case(),
        };
        let query = Outgoing::new(self.question, send.edns, draw);
        let sending = async move {
            let server = &upstreams.servers[send.upstream];
            let heard = server.ask(&query, send.tcp, metrics).await;
            (send, sent_at, heard)
        };
        self.under_way.push(sending.boxed());
    }

    /// The time for another send has come. Before the longest time-out it is a hedge, and has to be paid for.
    fn resend(&mut self) -> Option<Send> {
        self.was_silent();
        let (now, at_the_latest) = (Instant::now(), self.sent_at + TIMEOUT_MAX);
        if now < at_the_latest {
            if !self.upstreams.hedges.take() {
                self.metrics.hedged(Hedge::Deferred);
                self.resend_at = at_the_latest;
                return None;
            }
            self.metrics.hedged(Hedge::Sent);
            self.hedged_at = Some(now);
        }
        self.next_turn()
    }

    /// The last send's upstream said nothing in time.
    fn was_silent(&mut self) {
        if let Some(send) = self.newest.take() {
            let (choice, now) = (&self.upstreams.choice, Instant::now());
            choice.failed(send.upstream, self.sent_at, now);
            choice.habit(send.upstream, |habit| match send.tcp {
                true => habit.failed_by_tcp(),
                false => habit.lost_by_udp(),
            });
        }
    }

    fn hear(&mut self, send: Send, sent_at: Instant, heard: Heard) -> Next {
        self.newest = self.newest.filter(|it| it.upstream != send.upstream);
        self.network_only &= matches!(heard, Heard::Unreachable(_));
        self.judge(send, sent_at, &heard);
        let by_tcp = Send {
            tcp: true,
            random_case: false,
            ..send
        };
        let without_edns = Send {
            edns: false,
            ..send
        };
        match heard {
            Heard::Reply(response) if is_answer(response.rcode()) => {
                self.metrics.sent(Sent::Answered);
                if self.hedged_at.is_some_and(|hedged_at| hedged_at <= sent_at) {
                    self.metrics.hedged(Hedge::Won);
                    self.upstreams.hedges.give_back();
                }
                Next::Done(response)
            }
            Heard::Truncated(response) => {
                self.metrics.sent(Sent::Truncated);
                self.truncated = Some(response).filter(|it| is_answer(it.rcode()));
                Next::Send(self.again(by_tcp))
            }
            Heard::Recased => {
                self.metrics.sent(Sent::Recased);
                self.recased.push(send.upstream);
                Next::Send(self.again(by_tcp))
            }
            Heard::Suspicious => {
                self.metrics.sent(Sent::Suspicious);
                Next::Send(self.again(by_tcp))
            }
            Heard::Unreachable(error) => {
                self.metrics.sent(Sent::Unreachable);
                let upstream = &self.upstreams.servers[send.upstream];
                tracing::debug!(%upstream, %error, "upstream not reached");
                // Who knew the question's ID and port has to know them again.
                let by_udp = Send { tcp: false, ..send };
                match send.tcp && self.recased.contains(&send.upstream) {
                    true => Next::Send(self.again(by_udp)),
                    false => Next::Send(self.next_fresh()),
                }
            }
            Heard::BareFormErr if send.edns => self.unable(None, Some(without_edns)),
            Heard::Reply(response) if send.edns && response.rcode() == Rcode::FormErr as u16 => {
                self.unable(Some(response), Some(without_edns))
            }
            Heard::BareFormErr | Heard::Bare => {
                self.plan.take_out(send.upstream);
                self.unable(None, None)
            }
            Heard::Reply(response) => {
                self.plan.take_out(send.upstream);
                self.unable(Some(response), None)
            }
        }
    }

    /// What was heard says something about the upstream as well.
    fn judge(&self, send: Send, sent_at: Instant, heard: &Heard) {
        let (choice, now) = (&self.upstreams.choice, Instant::now());
        let answered = || choice.answered(send.upstream, now - sent_at, now);
        match heard {
            Heard::Reply(response) if is_answer(response.rcode()) => answered(),
            Heard::Truncated(_) => answered(),
            Heard::Reply(_) | Heard::Recased | Heard::Bare | Heard::BareFormErr => {
                choice.spoke(send.upstream);
            }
            Heard::Unreachable(_) => choice.failed(send.upstream, sent_at, now),
            Heard::Suspicious => return, // whoever spoke
        }
        let is_new = choice.habit(send.upstream, |habit| {
            match (heard, send.tcp) {
                (Heard::Unreachable(_), true) => habit.failed_by_tcp(),
                (Heard::Unreachable(_), false) => habit.lost_by_udp(),
                (_, true) => habit.spoke_by_tcp(now),
                (_, false) => habit.spoke_by_udp(),
            }
            match heard {
                Heard::Reply(_) if self.recased.contains(&send.upstream) => habit.recased(now),
                Heard::Reply(_) | Heard::Truncated(_) if send.random_case => {
                    habit.repeated();
                    false
                }
                _ => false,
            }
        });
        if is_new {
            let upstream = &self.upstreams.servers[send.upstream];
            tracing::info!(%upstream, "repeats questions in other letters; they go there in lower case for an hour");
        }
    }

    /// An upstream said that it cannot answer: `again` is another way to ask it, otherwise it is the next one's turn.
    fn unable(&mut self, response: Option<Response>, again: Option<Send>) -> Next {
        self.metrics.sent(Sent::Unable);
        // A code above 15 speaks about OPT between us and the upstream, and is nothing to a client.
        self.unable = response
            .filter(|it| it.rcode() < 16)
            .or_else(|| self.unable.take());
        Next::Send(match again {
            Some(again) => self.again(again),
            None => self.next_fresh(),
        })
    }
}

impl<D> Drop for Exchange<'_, D> {
    /// Counts the sends that nothing was heard of.
    fn drop(&mut self) {
        (0..self.under_way.len()).for_each(|_| self.metrics.sent(Sent::Silent));
    }
}

/// Does a reply with this code answer the question? NOERROR, NXDOMAIN, and YXDOMAIN, which says that a DNAME makes too long a name
/// (RFC 6672 §2.2).
pub(super) fn is_answer(rcode: u16) -> bool {
    const YXDOMAIN: u16 = 6;
    [Rcode::NoError as u16, Rcode::NxDomain as u16, YXDOMAIN].contains(&rcode)
}
