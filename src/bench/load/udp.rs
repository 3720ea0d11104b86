//! Datagrams at a rate: one thread that sends what is due, takes what has come, and waits for the next of both.

use super::{Pace, Plan, Told};
use crate::{
    bench::{
        flights::{Flight, Flights, Landing},
        questions::{Pick, Picker},
        schedule::Arrivals,
        tally::Tally,
        wait,
    },
    server::Datagrams,
};
use anyhow::Context as _;
use rand::RngExt as _;
use rustix::event::{PollFd, PollFlags};
use std::{
    collections::VecDeque,
    os::fd::{AsFd as _, OwnedFd},
};

/// How long a wait lasts at the most: time-outs and interruptions are noticed then.
const LONGEST_WAIT_NS: u64 = 5_000_000;
/// How long to wait for a full send buffer.
const FULL_WAIT_NS: u64 = 200_000;
/// How often what can be seen is brought up to date.
const TELL_NS: u64 = 250_000_000;

/// One server's share of a thread.
struct Target {
    /// Place on the command line.
    server: usize,
    lines: Vec<Line>,
    next_line: usize,
    arrivals: Option<(Arrivals, f64)>,
    /// How many may be under way in a closed loop.
    outstanding: usize,
    picker: Picker,
    /// Due, and not sent yet.
    waiting: VecDeque<(u64, Pick)>,
    tally: Tally,
    told: Told,
}

struct Line {
    socket: Datagrams,
    flights: Flights,
}

/// Asks these servers, as the `part`-th of so many threads, until the run is over.
pub(super) fn work(
    plan: &Plan,
    servers: &[usize],
    part: usize,
    parts: usize,
) -> anyhow::Result<Vec<(usize, Tally)>> {
    wait::precisely();
    let targets = servers.iter().enumerate().map(|(nth, server)| {
        let place = part * servers.len() + nth;
        Target::new(plan, *server, place, part, servers.len() * parts, parts)
    });
    let mut targets: Vec<_> = targets.collect::<anyhow::Result<_>>()?;
    let lines = || targets.iter().flat_map(|target| &target.lines);
    let fds: Vec<OwnedFd> = lines()
        .map(|line| line.socket.as_fd().try_clone_to_owned())
        .collect::<Result<_, _>>()?;
    let mut polled: Vec<_> = fds
        .iter()
        .map(|fd| PollFd::new(fd, PollFlags::IN))
        .collect();
    let mut packets = vec![vec![]; Datagrams::AT_ONCE];
    let (mut looked_at, mut told_at) = (0, 0);
    loop {
        let now = plan.now();
        if plan.stop.is_cancelled() || targets.iter().all(|it| it.is_done(plan, now)) {
            break;
        }
        let mut wake_at = now + LONGEST_WAIT_NS;
        for target in &mut targets {
            wake_at = wake_at.min(target.send(plan, now, &mut packets));
        }
        let wait = wake_at.saturating_sub(plan.now());
        wait::until_ready(&mut polled, wait).context("cannot wait for replies")?;
        let mut ready = polled.iter();
        for target in &mut targets {
            target.receive(plan, &mut ready);
        }
        let now = plan.now();
        if now - looked_at >= LONGEST_WAIT_NS {
            looked_at = now;
            for target in &mut targets {
                target.lose(now.saturating_sub(plan.timeout_ns()));
            }
        }
        if now - told_at >= TELL_NS {
            told_at = now;
            for target in &mut targets {
                let live = &plan.live.servers()[target.server.min(plan.live.servers().len() - 1)];
                target.told.tell(live, &target.tally, now);
            }
        }
    }
    Ok(targets.into_iter().map(|it| it.finish(plan)).collect())
}

impl Target {
    /// The `place`-th of all streams that share the run, the `part`-th of those to this server.
    fn new(
        plan: &Plan,
        server: usize,
        place: usize,
        part: usize,
        places: usize,
        parts: usize,
    ) -> anyhow::Result<Self> {
        let options = &plan.options;
        let address = options.servers[server].address;
        let lines = (0..options.clients.max(1)).map(|_| {
            let socket = Datagrams::connect(address);
            anyhow::Ok(Line {
                socket: socket.with_context(|| format!("no socket to {address}"))?,
                flights: Flights::new(rand::rng().random()),
            })
        });
        let arrivals = match options.pace {
            Pace::Open(spacing, rate) => {
                let rate = rate / parts as f64;
                let seed = options.order.seed;
                Some((Arrivals::new(spacing, rate, place, places, seed), rate))
            }
            Pace::Closed(_) => None,
        };
        let outstanding = match options.pace {
            Pace::Closed(outstanding) => outstanding.div_ceil(parts),
            Pace::Open(..) => 0,
        };
        Ok(Self {
            server,
            lines: lines.collect::<Result<_, _>>()?,
            next_line: 0,
            arrivals,
            outstanding,
            picker: Picker::new(options.questions.len(), &options.order, part, parts),
            waiting: VecDeque::with_capacity(Datagrams::AT_ONCE),
            tally: plan.tally(),
            told: Told::default(),
        })
    }

    fn open(&self) -> usize {
        self.lines.iter().map(|line| line.flights.open()).sum()
    }

    fn is_done(&self, plan: &Plan, now: u64) -> bool {
        let all_sent = match &self.arrivals {
            Some((arrivals, _)) => arrivals.peek() >= plan.end_ns && self.waiting.is_empty(),
            None => true,
        };
        let over = now >= plan.end_ns && (all_sent || now >= plan.end_ns + super::GRACE_NS);
        over && self.open() == 0
    }

    /// Puts what is due into the queue, up to a batch.
    fn fill(&mut self, plan: &Plan, now: u64) {
        match &mut self.arrivals {
            Some((arrivals, _)) => {
                while self.waiting.len() < Datagrams::AT_ONCE
                    && arrivals.peek() <= now
                    && arrivals.peek() < plan.end_ns
                    && now < plan.end_ns + super::GRACE_NS
                {
                    self.waiting
                        .push_back((arrivals.peek(), self.picker.pick()));
                    arrivals.advance();
                }
            }
            None if now < plan.end_ns => {
                let free = self.outstanding.saturating_sub(self.open());
                while self.waiting.len() < free.min(Datagrams::AT_ONCE) {
                    self.waiting.push_back((now, self.picker.pick()));
                }
            }
            None => self.waiting.clear(),
        }
    }

    /// Sends a batch of what is due; when to look again.
    fn send(&mut self, plan: &Plan, now: u64, packets: &mut [Vec<u8>]) -> u64 {
        self.fill(plan, now);
        let over = now >= plan.end_ns + super::GRACE_NS;
        if !self.waiting.is_empty() && !over {
            let nth = self.next_line;
            self.next_line = (nth + 1) % self.lines.len();
            let Line { socket, flights } = &mut self.lines[nth];
            let count = self.waiting.len().min(flights.room());
            for (n, packet) in packets[..count].iter_mut().enumerate() {
                let (_, pick) = self.waiting[n];
                let question = &plan.options.questions[pick.question];
                question.write(flights.id_of(n), pick.unique, packet);
            }
            let sent = match socket.send(packets[..count].iter().map(Vec::as_slice)) {
                Ok(sent) => sent,
                Err(_) => {
                    self.tally.errors += 1;
                    0
                }
            };
            let left = plan.now();
            for (due, pick) in self.waiting.drain(..sent) {
                self.tally.sent(due, left);
                let flight = Flight {
                    due,
                    sent: now,
                    pick,
                };
                flights.start(flight);
            }
            if sent == 0 {
                return now + FULL_WAIT_NS;
            }
        }
        let next = self.arrivals.as_ref().map(|(arrivals, _)| arrivals.peek());
        match next {
            _ if over => u64::MAX,
            _ if !self.waiting.is_empty() => now,
            Some(next) if next < plan.end_ns => next,
            _ => u64::MAX,
        }
    }

    fn receive<'p>(&mut self, plan: &Plan, ready: &mut impl Iterator<Item = &'p PollFd<'p>>) {
        let tally = &mut self.tally;
        for Line { socket, flights } in &mut self.lines {
            let events = ready.next().map_or(PollFlags::empty(), PollFd::revents);
            if events.is_empty() {
                continue;
            }
            let mut came = None;
            let received = socket.receive(|packet| {
                let now = *came.get_or_insert_with(|| plan.now());
                let id = packet.first_chunk().map(|it| u16::from_be_bytes(*it));
                match id.map(|id| (id, flights.awaited(id))) {
                    Some((id, Landing::Awaited(flight))) => {
                        let Flight { due, pick, .. } = flight;
                        let question = &plan.options.questions[pick.question];
                        if tally.reply(question, pick, due, now, packet) {
                            flights.land(id);
                        }
                    }
                    Some((_, Landing::Late)) => tally.late += 1,
                    _ => tally.unexpected += 1,
                }
            });
            tally.errors += u64::from(received.is_err());
        }
    }

    fn lose(&mut self, before: u64) {
        let tally = &mut self.tally;
        for line in &mut self.lines {
            line.flights.lose_before(before, |it| tally.lost(it.due));
        }
    }

    fn finish(mut self, plan: &Plan) -> (usize, Tally) {
        let live = &plan.live.servers()[self.server.min(plan.live.servers().len() - 1)];
        self.tally.unfinished = self.open() as u64;
        if let Some((arrivals, rate)) = &self.arrivals {
            let waiting = if plan.stop.is_cancelled() {
                0
            } else {
                self.waiting.len() as u64
            };
            self.tally.unsent = waiting + plan.never_sent(arrivals.peek(), *rate);
        }
        self.told.tell(live, &self.tally, plan.now());
        (self.server, self.tally)
    }
}
