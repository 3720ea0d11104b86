//! The names that are followed, the questions for them, and the replies, held against what is true. It is told when to ask.

use super::{
    Fact, LONGEST_NS, Measured, Progress, QUEUE, TOLD_MAX, Told,
    story::{Given, Heard, Kind, Story},
};
use crate::{
    bench::{
        answer::Answer,
        flights::{Flight, Flights, Landing},
        questions::{Pick, Question},
    },
    server::unspecified_like,
    wire::{NameKey, rtype},
};
use hdrhistogram::Histogram;
use rand::RngExt as _;
use std::{collections::HashMap, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::UdpSocket, sync::mpsc, task::JoinSet, time::Instant};

/// Names that are followed: with two servers and 100 ms, 2000 questions a second for each thousand.
pub(super) const NAMES_MAX: usize = 10_000;
/// A question without a reply for so long is lost.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// A reply: from which server, when, and what.
pub(super) type Reply = (usize, Instant, Vec<u8>);

/// A name and what each server says of it.
struct Followed {
    question: Question,
    stories: Vec<Story>,
}

/// A server.
struct Line {
    socket: Arc<UdpSocket>,
    flights: Flights,
    measured: Measured,
}

/// All names and all servers.
pub(super) struct Asking {
    began: Instant,
    names: HashMap<NameKey, usize>,
    followed: Vec<Followed>,
    lines: Vec<Line>,
}

impl Asking {
    /// Takes a socket for each server, on which tasks wait for replies.
    pub(super) async fn open(
        servers: &[SocketAddr],
        tasks: &mut JoinSet<()>,
    ) -> io::Result<(Self, mpsc::Receiver<Reply>)> {
        let (replies, replied) = mpsc::channel(QUEUE);
        let mut lines = vec![];
        for (nth, server) in servers.iter().enumerate() {
            let any = unspecified_like(server.ip());
            let socket = Arc::new(UdpSocket::bind((any, 0)).await?);
            socket.connect(server).await?;
            tasks.spawn(receive(nth, Arc::clone(&socket), replies.clone()));
            lines.push(Line {
                socket,
                flights: Flights::new(rand::rng().random()),
                measured: Measured::new(*server),
            });
        }
        let asking = Self {
            began: Instant::now(),
            names: HashMap::new(),
            followed: vec![],
            lines,
        };
        Ok((asking, replied))
    }

    /// How many names there are.
    pub(super) fn names(&self) -> usize {
        self.followed.len()
    }

    /// How many questions may leave at once.
    pub(super) fn burst(&self) -> usize {
        64 * self.lines.len()
    }

    /// What a roll-out waits for.
    pub(super) fn progress(&self) -> Progress {
        let stories = || self.followed.iter().flat_map(|name| &name.stories);
        let first = self.followed.iter().filter_map(|name| name.stories.first());
        Progress {
            with_address: first.filter(|story| story.address().is_some()).count(),
            unsettled: stories().filter(|story| story.is_unsettled()).count(),
        }
    }

    /// Brings a name's stories up to date.
    pub(super) fn note(&mut self, fact: &Fact) {
        let Ok(name) = NameKey::from_text(&fact.name) else {
            return;
        };
        let known = self.names.get(&name).copied();
        if known.is_none() && self.followed.len() == NAMES_MAX {
            return;
        }
        let nth = known.unwrap_or_else(|| {
            let question = Question::new(&name, rtype::A, true);
            let stories = vec![Story::default(); self.lines.len()];
            self.followed.push(Followed { question, stories });
            self.names.insert(name.clone(), self.followed.len() - 1);
            self.followed.len() - 1
        });
        let one = &mut self.followed[nth];
        if fact.address.is_some_and(|it| it.is_ipv6()) && one.question.qtype == rtype::A {
            one.question = Question::new(&name, rtype::AAAA, true);
        }
        for (story, line) in one.stories.iter_mut().zip(&mut self.lines) {
            if fact.is_old {
                story.begin(fact.address);
            } else if story.turn(fact.at, fact.address) {
                line.measured.never += 1;
            }
        }
    }

    /// Asks every server for a name.
    pub(super) async fn ask(&mut self, name: usize, now: Instant) {
        let due = ns(now - self.began);
        for line in &mut self.lines {
            if line.flights.room() == 0 {
                continue;
            }
            let mut packet = vec![];
            let id = line.flights.id_of(0);
            self.followed[name].question.write(id, None, &mut packet);
            line.measured.asked += 1;
            line.flights.start(Flight {
                due,
                sent: due,
                pick: Pick {
                    question: name,
                    unique: None,
                },
            });
            // What is not sent is not answered.
            drop(line.socket.send(&packet).await);
        }
    }

    /// Gives up questions that have waited for too long.
    pub(super) fn lose(&mut self, now: Instant) {
        let before = ns(now - self.began).saturating_sub(ns(LOST_AFTER));
        for line in &mut self.lines {
            let lost = &mut line.measured.lost;
            line.flights.lose_before(before, |_| *lost += 1);
        }
    }

    /// Compares a reply with what is true.
    pub(super) fn hear(&mut self, (nth, at, reply): &Reply) {
        let line = &mut self.lines[*nth];
        let Some(id) = reply.first_chunk().map(|it| u16::from_be_bytes(*it)) else {
            return;
        };
        let Landing::Awaited(flight) = line.flights.awaited(id) else {
            return;
        };
        let name = &mut self.followed[flight.pick.question];
        if !name.question.is_repeated_by(None, reply) {
            return;
        }
        let Some(answer) = Answer::read(reply) else {
            return;
        };
        line.flights.land(id);
        let given = match answer.rcode {
            0 | 3 => answer
                .addresses()
                .next()
                .map_or(Given::Nothing, Given::Address),
            _ => Given::Failure,
        };
        match name.stories[*nth].hear(*at, given) {
            Heard::Right(Some((kind, delay))) => {
                let delays = line.measured.delays.get_mut(&kind);
                let delays = delays.expect("every kind has a histogram");
                delays.saturating_record(ns(delay).max(1));
                if line.measured.told.len() < TOLD_MAX {
                    let at = at.saturating_duration_since(self.began);
                    let at = at.saturating_sub(delay);
                    line.measured.told.push(Told { kind, at, delay });
                }
            }
            Heard::Right(None) => {}
            Heard::Missing => line.measured.negatives += 1,
            Heard::Stale => line.measured.stale += 1,
        }
    }

    /// What each server did.
    pub(super) fn end(self) -> Vec<Measured> {
        let mut measured: Vec<_> = self.lines.into_iter().map(|line| line.measured).collect();
        for name in &self.followed {
            for (story, measured) in name.stories.iter().zip(&mut measured) {
                measured.never += u64::from(story.is_unsettled());
            }
        }
        measured
    }
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

async fn receive(nth: usize, socket: Arc<UdpSocket>, replies: mpsc::Sender<Reply>) {
    let mut buffer = [0; 1500];
    loop {
        // An error is about a question: nobody listens there, or not yet.
        let Ok(len) = socket.recv(&mut buffer).await else {
            continue;
        };
        let came = (nth, Instant::now(), buffer[..len].to_vec());
        if replies.send(came).await.is_err() {
            return;
        }
    }
}

impl Measured {
    fn new(server: SocketAddr) -> Self {
        let none = || Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("valid bounds");
        Self {
            server,
            delays: Kind::ALL.map(|(kind, _)| (kind, none())).into(),
            told: vec![],
            negatives: 0,
            stale: 0,
            never: 0,
            asked: 0,
            lost: 0,
        }
    }
}
