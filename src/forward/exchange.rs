//! One question to a route's upstreams, until one of them answers: which one is asked when, over what, and how often.
//! At most [`SENDS`] questions leave within [`PATIENCE`], over whatever transport; earlier ones are listened to while
//! later ones are under way. It keeps nothing of the answer.

use crate::{
    forward::{
        Failure,
        choice::{Choice, Health},
        query::{Draw, Heard, Outgoing},
        server::Server,
        upstream::{Dialer, Upstream},
    },
    metrics::{self, Forward, Sent},
    wire::{Question, Rcode, Response},
};
use futures::{StreamExt, stream::FuturesUnordered};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until};

/// Most questions that one asker can cause, each by a socket of its own: what is lost twice is not worth a storm (RFC 9520 §3.1).
pub const SENDS: usize = 3;
/// From first to last: a stub resolver gives up after 5 s, and SERVFAIL has to reach it before.
const PATIENCE: Duration = Duration::from_secs(4);
/// The last send waits until so long after the first: the network, or the only upstream, may be away for a moment, and
/// sends that all leave within it are lost together.
const LAST_AFTER: Duration = Duration::from_secs(2);

/// The upstreams of one route.
#[derive(Debug)]
pub(super) struct Upstreams {
    pub(super) servers: Box<[Arc<Upstream>]>,
    choice: Choice,
    dialer: Dialer,
}

impl Upstreams {
    pub(super) fn new(servers: &[Server], dialer: &Dialer) -> Self {
        Self {
            servers: [].into(),
            choice: Choice::new([].into()),
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
}

/// Who is still to be asked.
#[derive(Debug)]
struct Plan {
    /// Upstreams, the next one in front; who was asked stands at the end for another round.
    turns: VecDeque<usize>,
    /// How many of them, in front, were not asked yet.
    fresh: usize,
    sends_left: usize,
}

impl Plan {
    fn new(order: Vec<usize>) -> Self {
        let turns = VecDeque::from(order);
        Self {
            fresh: turns.len(),
            turns,
            sends_left: SENDS,
        }
    }

    fn spend(&mut self, send: Send) -> Option<Send> {
        self.sends_left = self.sends_left.checked_sub(1)?;
        Some(send)
    }

    /// The next upstream's turn.
    fn next(&mut self) -> Option<Send> {
        let upstream = self.turns.pop_front()?;
        self.turns.push_back(upstream);
        self.fresh = self.fresh.saturating_sub(1);
        self.spend(Send {
            upstream,
            tcp: false,
            edns: true,
        })
    }

    /// When, without an answer to what was sent last, the next send may follow.
    fn resend_at(&self, started: Instant, sent_at: Instant, timeout: Duration) -> Instant {
        match self.sends_left {
            0 | 1 => (started + LAST_AFTER).max(sent_at + timeout),
            _ => sent_at + timeout,
        }
    }

    /// The next upstream's turn, if it has not had one: for those who were asked, the second turn comes with time.
    fn next_fresh(&mut self) -> Option<Send> {
        if self.fresh > 0 { self.next() } else { None }
    }

    /// An upstream that was asked cannot answer this question; asking it again is of no use.
    fn take_out(&mut self, upstream: usize) {
        self.turns.retain(|it| *it != upstream);
    }
}

/// What is known after one send came to its end.
#[derive(Debug)]
enum Next {
    /// The answer.
    Done(Response),
    /// This is to be sent at once, if it is anything.
    Send(Option<Send>),
}

/// One question on its way to an answer.
struct Exchange<'a> {
    upstreams: &'a Upstreams,
    metrics: &'a Forward,
    plan: Plan,
    /// The last reply that says it cannot answer: passed on if nobody can.
    unable: Option<Response>,
    /// Was nothing heard of but errors of the network?
    network_only: bool,
}

/// Asks a route's upstreams. What comes back is the first answer, or else the last reply that says why there is none.
/// `draw` gives chance to each send.
pub(super) async fn ask(
    upstreams: &Upstreams,
    question: &Question,
    draw: impl Fn() -> Draw,
    metrics: &Forward,
) -> Result<Response, Failure> {
    let started = Instant::now();
    let mut exchange = Exchange {
        upstreams,
        metrics,
        plan: Plan::new(upstreams.order(started)),
        unable: None,
        network_only: true,
    };
    let mut under_way = FuturesUnordered::new();
    let mut resend_at = started;
    let mut newest = None;
    let mut next = exchange.plan.next();
    loop {
        if let Some(send) = next {
            let sent_at = Instant::now();
            newest = Some((send.upstream, sent_at));
            let timeout = upstreams.choice.timeout(send.upstream);
            resend_at = exchange.plan.resend_at(started, sent_at, timeout);
            let query = Outgoing::new(question, send.edns, draw());
            under_way.push(async move {
                let server = &upstreams.servers[send.upstream];
                let heard = server.ask(&query, send.tcp, metrics).await;
                (send, sent_at, heard)
            });
        }
        if under_way.is_empty() && exchange.is_over() {
            break;
        }
        next = tokio::select! {
            biased;
            Some((send, sent_at, heard)) = under_way.next() => {
                newest = newest.filter(|(newest, _)| *newest != send.upstream);
                exchange.judge(send.upstream, sent_at, &heard);
                match exchange.hear(send, heard) {
                    Next::Done(response) => {
                        exchange.give_up_on(under_way.len());
                        return Ok(response);
                    }
                    Next::Send(next) => next,
                }
            }
            () = sleep_until(resend_at), if exchange.may_send() => {
                exchange.was_silent(newest.take());
                exchange.plan.next()
            }
            () = sleep_until(started + PATIENCE) => {
                exchange.network_only &= under_way.is_empty();
                exchange.was_silent(newest);
                break;
            }
        };
    }
    exchange.give_up_on(under_way.len());
    match exchange.unable {
        Some(response) => Ok(response),
        None if exchange.network_only => Err(Failure::Unreachable),
        None => Err(Failure::NoAnswer),
    }
}

impl Exchange<'_> {
    fn may_send(&self) -> bool {
        self.plan.sends_left > 0 && !self.plan.turns.is_empty()
    }

    /// With nothing under way: is there nothing to wait for? Everybody was asked, and somebody said at least why not; or
    /// there is nobody left to ask.
    fn is_over(&self) -> bool {
        self.unable.is_some() || !self.may_send()
    }

    /// Counts the sends that nothing was heard of.
    fn give_up_on(&self, silent: usize) {
        (0..silent).for_each(|_| self.metrics.sent(Sent::Silent));
    }

    /// The last one that was asked, and when, said nothing in time.
    fn was_silent(&self, asked: Option<(usize, Instant)>) {
        if let Some((upstream, sent_at)) = asked {
            self.upstreams
                .choice
                .failed(upstream, sent_at, Instant::now());
        }
    }

    /// What was heard says something about the upstream as well.
    fn judge(&self, upstream: usize, sent_at: Instant, heard: &Heard) {
        let (choice, now) = (&self.upstreams.choice, Instant::now());
        let answered = || choice.answered(upstream, now - sent_at, now);
        match heard {
            Heard::Reply(response) if is_answer(response.rcode()) => answered(),
            Heard::Truncated => answered(),
            Heard::Reply(_) | Heard::Bare | Heard::BareFormErr => choice.spoke(upstream),
            Heard::Unreachable(_) => choice.failed(upstream, sent_at, now),
            Heard::Suspicious => {} // whoever spoke
        }
    }

    fn hear(&mut self, send: Send, heard: Heard) -> Next {
        self.network_only &= matches!(heard, Heard::Unreachable(_));
        let by_tcp = Send { tcp: true, ..send };
        let without_edns = Send {
            edns: false,
            ..send
        };
        match heard {
            Heard::Reply(response) if is_answer(response.rcode()) => {
                self.metrics.sent(Sent::Answered);
                Next::Done(response)
            }
            Heard::Truncated => {
                self.metrics.sent(Sent::Truncated);
                Next::Send(self.plan.spend(by_tcp))
            }
            Heard::Suspicious => {
                self.metrics.sent(Sent::Suspicious);
                Next::Send(self.plan.spend(by_tcp))
            }
            Heard::Unreachable(error) => {
                self.metrics.sent(Sent::Unreachable);
                let upstream = &self.upstreams.servers[send.upstream];
                tracing::debug!(%upstream, %error, "upstream not reached");
                Next::Send(self.plan.next_fresh())
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

    /// An upstream said that it cannot answer: `again` is another way to ask it, otherwise it is the next one's turn.
    fn unable(&mut self, response: Option<Response>, again: Option<Send>) -> Next {
        self.metrics.sent(Sent::Unable);
        // A code above 15 speaks about OPT between us and the upstream, and is nothing to a client.
        self.unable = response
            .filter(|it| it.rcode() < 16)
            .or_else(|| self.unable.take());
        Next::Send(match again {
            Some(again) => self.plan.spend(again),
            None => self.plan.next_fresh(),
        })
    }
}

/// Does a reply with this code answer the question? NOERROR, NXDOMAIN, and YXDOMAIN, which says that a DNAME makes too long a name
/// (RFC 6672 §2.2).
pub(super) fn is_answer(rcode: u16) -> bool {
    const YXDOMAIN: u16 = 6;
    [Rcode::NoError as u16, Rcode::NxDomain as u16, YXDOMAIN].contains(&rcode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(plan: &mut Plan) -> Vec<usize> {
        std::iter::from_fn(|| plan.next())
            .map(|send| send.upstream)
            .collect()
    }

    #[test]
    fn upstreams_take_turns_until_the_sends_are_used_up() {
        assert_eq!(turns(&mut Plan::new((0..1).collect())), [0, 0, 0]);
        assert_eq!(turns(&mut Plan::new((0..2).collect())), [0, 1, 0]);
        assert_eq!(turns(&mut Plan::new((0..5).collect())), [0, 1, 2]);
        assert_eq!(turns(&mut Plan::new((0..0).collect())), [] as [usize; 0]);
    }

    #[test]
    fn who_cannot_answer_has_no_more_turns() {
        let mut plan = Plan::new((0..3).collect());
        let first = plan.next().unwrap();
        plan.take_out(first.upstream);
        assert_eq!(turns(&mut plan), [1, 2]);
        let mut plan = Plan::new((0..1).collect());
        plan.next();
        plan.take_out(0);
        assert_eq!(turns(&mut plan), [] as [usize; 0]);
    }

    #[test]
    fn a_second_round_does_not_begin_at_once() {
        let mut plan = Plan::new((0..2).collect());
        plan.next();
        assert_eq!(plan.next_fresh().map(|send| send.upstream), Some(1));
        assert!(plan.next_fresh().is_none());
        assert_eq!(turns(&mut plan), [0]);
    }
}
