//! `gapless bench gap`: how long names are missing, wrong and left over at DNS servers while pods come, move and go in a cluster. It
//! asks all the time, follows the API, and puts both together by one clock.

mod cluster;
mod story;

use super::{
    answer::Answer,
    flights::{Flight, Flights, Landing},
    questions::{Pick, Question},
};
use crate::{
    lifecycle::Drain,
    wire::{NameKey, rtype},
};
use anyhow::Context as _;
pub use cluster::Create;
use cluster::{Fact, follow};
use hdrhistogram::Histogram;
use kube::Client;
use rand::RngExt as _;
use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
pub use story::Kind;
use story::{Given, Story};
use tokio::{
    net::UdpSocket,
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

/// Names that are followed: with two servers and 100 ms, 2000 questions a second for each thousand.
const NAMES_MAX: usize = 10_000;
/// Changes that are kept one by one, for the picture: ten of each name.
const TOLD_MAX: usize = 10 * NAMES_MAX;
/// Facts and replies on their way.
const QUEUE: usize = 4096;
/// Longest delay that is told apart from longer ones: an hour.
const LONGEST_NS: u64 = 3_600_000_000_000;
/// A question without a reply for so long is lost.
const LOST_AFTER: Duration = Duration::from_secs(5);
/// How long a server has to come to the truth before the next change of a roll-out; longer than caches remember.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);

/// What is to be done.
pub struct Options {
    /// Whose pods are followed.
    pub client: Client,
    /// In which namespace; without it, in all of them.
    pub namespace: Option<String>,
    /// Which pods, by their labels.
    pub selector: Option<String>,
    /// What names stand below.
    pub domain: String,
    /// Who is asked.
    pub servers: Vec<SocketAddr>,
    /// How often each name is asked for.
    pub every: Duration,
    /// How long; a roll-out may end before.
    pub duration: Duration,
    /// What is rolled out, and taken away again.
    pub create: Option<Create>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Options({:?}, {:?})", self.servers, self.create)
    }
}

/// A change that a server told of.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// What became of the name.
    pub kind: Kind,
    /// When the API said so, since the beginning.
    pub at: Duration,
    /// How long after that the server did.
    pub delay: Duration,
}

/// What one server did.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Who.
    pub server: SocketAddr,
    /// From the API's word to the first answer that says it, in nanoseconds, by kind of change.
    pub delays: HashMap<Kind, Histogram<u64>>,
    /// The first 100,000 changes of all kinds, in the order in which it told of them.
    pub told: Vec<Told>,
    /// Answers without an address while there was one.
    pub negatives: u64,
    /// Answers with an address that was no longer true.
    pub stale: u64,
    /// Changes that no answer told of before the next one, or the end.
    pub never: u64,
    /// Questions, and those that were lost.
    pub asked: u64,
    /// Likewise.
    pub lost: u64,
}

/// What a roll-out waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Names that have an address by the API.
    pub with_address: usize,
    /// Changes that some server does not say yet.
    pub unsettled: usize,
}

/// A name and what each server says of it.
struct Followed {
    question: Question,
    stories: Vec<Story>,
}

struct Line {
    socket: Arc<UdpSocket>,
    flights: Flights,
    measured: Measured,
}

/// Follows until the time is over, the roll-out is done, or `stop`.
pub async fn run(options: Options, stop: Drain) -> anyhow::Result<Vec<Measured>> {
    let (facts, mut told) = mpsc::channel(QUEUE);
    let (replies, mut replied) = mpsc::channel(QUEUE);
    let mut tasks = JoinSet::new();
    let mut lines = vec![];
    for (nth, server) in options.servers.iter().enumerate() {
        let any: IpAddr = match server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = Arc::new(UdpSocket::bind((any, 0)).await?);
        socket.connect(server).await?;
        tasks.spawn(receive(nth, Arc::clone(&socket), replies.clone()));
        lines.push(Line {
            socket,
            flights: Flights::new(rand::rng().random()),
            measured: Measured::new(*server),
        });
    }
    let (progress, seen) = watch::channel(Progress::default());
    let mut changes = JoinSet::new();
    let pods = cluster::Pods {
        client: options.client.clone(),
        namespace: options.namespace.clone(),
        selector: options.selector.clone(),
        domain: options.domain.clone(),
    };
    if let Some(create) = options.create {
        let (pods, facts, stop) = (pods.clone(), facts.clone(), stop.clone());
        changes.spawn(async move { Box::pin(create.roll_out(&pods, seen, facts, stop)).await });
    }
    let mut following = JoinSet::new();
    following.spawn(async move { follow(&pods, facts).await });

    let mut names: HashMap<NameKey, usize> = HashMap::new();
    let mut followed: Vec<Followed> = vec![];
    let mut ticks = interval(Duration::from_millis(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let began = Instant::now();
    let mut sent = 0_usize;
    // Rounds before the last new name were of fewer names.
    let mut asked_from = began;
    let over = sleep(options.duration);
    tokio::pin!(over);
    let mut outcome = Ok(());
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = &mut over, if changes.is_empty() => break,
            Some(done) = changes.join_next() => {
                outcome = done.context("the roll-out")?;
                break;
            }
            Some(done) = following.join_next() => {
                outcome = done.context("the watch")?;
                break;
            }
            Some(fact) = told.recv() => {
                let new = names.len();
                note(fact, &mut names, &mut followed, &mut lines);
                if names.len() != new {
                    (asked_from, sent) = (Instant::now(), 0);
                }
            }
            Some((nth, at, reply)) = replied.recv() => {
                let line: &mut Line = &mut lines[nth];
                let reply: Vec<u8> = reply;
                came(line, nth, (began, at), &reply, &mut followed);
            }
            _ = ticks.tick() => {
                let now = Instant::now();
                let rounds = (now - asked_from).div_duration_f64(options.every);
                let due = ((rounds * followed.len() as f64) as usize).min(sent + 64 * lines.len());
                while sent < due {
                    let name = sent % followed.len();
                    for line in &mut lines {
                        ask(line, name, &followed[name].question, ns(now - began)).await;
                    }
                    sent += 1;
                }
                for line in &mut lines {
                    let before = ns(now - began).saturating_sub(ns(LOST_AFTER));
                    let lost = &mut line.measured.lost;
                    line.flights.lose_before(before, |_| *lost += 1);
                }
                progress.send_if_modified(|it| {
                    let is = progress_of(&followed);
                    std::mem::replace(it, is) != is
                });
            }
        }
    }
    // What was rolled out is taken away in any case.
    stop.cancel();
    while let Some(done) = changes.join_next().await {
        outcome = outcome.and(done.context("the roll-out")?);
    }
    outcome?;
    let mut measured: Vec<_> = lines.into_iter().map(|line| line.measured).collect();
    for name in &followed {
        for (story, measured) in name.stories.iter().zip(&mut measured) {
            measured.never += u64::from(story.is_unsettled());
        }
    }
    Ok(measured)
}

fn progress_of(followed: &[Followed]) -> Progress {
    let stories = || followed.iter().flat_map(|name| &name.stories);
    let first = followed.iter().filter_map(|name| name.stories.first());
    Progress {
        with_address: first.filter(|story| story.address().is_some()).count(),
        unsettled: stories().filter(|story| story.is_unsettled()).count(),
    }
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Brings a name's stories up to date.
fn note(
    fact: Fact,
    names: &mut HashMap<NameKey, usize>,
    followed: &mut Vec<Followed>,
    lines: &mut [Line],
) {
    let Ok(name) = NameKey::from_text(&fact.name) else {
        return;
    };
    let known = names.get(&name).copied();
    if known.is_none() && followed.len() == NAMES_MAX {
        return;
    }
    let nth = known.unwrap_or_else(|| {
        let question = Question::new(&name, rtype::A, true);
        let stories = vec![Story::default(); lines.len()];
        followed.push(Followed { question, stories });
        names.insert(name.clone(), followed.len() - 1);
        followed.len() - 1
    });
    let one = &mut followed[nth];
    if fact.address.is_some_and(|it| it.is_ipv6()) && one.question.qtype == rtype::A {
        one.question = Question::new(&name, rtype::AAAA, true);
    }
    for (story, line) in one.stories.iter_mut().zip(lines) {
        if fact.is_old {
            story.begin(fact.address);
        } else if story.turn(fact.at, fact.address) {
            line.measured.never += 1;
        }
    }
}

async fn ask(line: &mut Line, name: usize, question: &Question, now: u64) {
    if line.flights.room() == 0 {
        return;
    }
    let mut packet = vec![];
    question.write(line.flights.id_of(0), None, &mut packet);
    line.measured.asked += 1;
    line.flights.start(Flight {
        due: now,
        sent: now,
        pick: Pick {
            question: name,
            unique: None,
        },
    });
    // What is not sent is not answered.
    drop(line.socket.send(&packet).await);
}

fn came(
    line: &mut Line,
    nth: usize,
    (began, at): (Instant, Instant),
    reply: &[u8],
    followed: &mut [Followed],
) {
    let Some(id) = reply.first_chunk().map(|it| u16::from_be_bytes(*it)) else {
        return;
    };
    let Landing::Awaited(flight) = line.flights.awaited(id) else {
        return;
    };
    let name = &mut followed[flight.pick.question];
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
    let story = &mut name.stories[nth];
    match story.hear(at, given) {
        story::Heard::Right(Some((kind, delay))) => {
            let delays = line.measured.delays.get_mut(&kind);
            let delays = delays.expect("every kind has a histogram");
            delays.saturating_record(ns(delay).max(1));
            if line.measured.told.len() < TOLD_MAX {
                let at = at.saturating_duration_since(began).saturating_sub(delay);
                line.measured.told.push(Told { kind, at, delay });
            }
        }
        story::Heard::Right(None) => {}
        story::Heard::Missing => line.measured.negatives += 1,
        story::Heard::Stale => line.measured.stale += 1,
    }
}

async fn receive(
    nth: usize,
    socket: Arc<UdpSocket>,
    replies: mpsc::Sender<(usize, Instant, Vec<u8>)>,
) {
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
