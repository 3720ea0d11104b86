//! A history served by an API server that fails in many ways, through the feed, on a clock that only waiting moves.

use crate::{
    api_server::{ApiServer, Streaming},
    asking,
    cluster::{self, Cluster, pick},
    objects,
    told::{combine, distinct, is_told_twice, relevant},
    truth::{Answer, Key, Known, Mode, Question, View, judge},
    world::{KINDS, World},
};
use gapless::model::Source;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, sleep};

/// How much older than the index says it may be, in milliseconds: what fades after a list, and lines on their way.
const SLACK: u64 = 1_500;
/// For how long after trouble the index may be unsure: until its longest pause, and a list that stands still, are over.
const RECOVERY: u64 = 240_000;
/// More combinations of what may have been than this are not looked at.
const MANY: usize = 2_000;

const ALL_KNOWN: Known = Known {
    services: true,
    slices: true,
    namespaces: true,
    pods: true,
};

/// When a source was heard of, and what it was before if it had not been for long.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    at: u64,
    before: Option<(u64, u64)>,
}

struct Served {
    cluster: Cluster,
    rng: StdRng,
    world: World,
    begin: Instant,
    heard: BTreeMap<Source, Heard>,
    trouble: u64,
    touched: Option<Key>,
    asked: usize,
    log: Option<Vec<String>>,
}

/// Plays the history of a seed, and says how many answers were judged, or what is wrong.
pub(crate) async fn play(seed: u64, aloud: bool) -> Result<usize, String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mode = Mode {
        all_slices: false,
        pod_names: false,
        verified: false,
        stale_after: 300_000,
        unsure_if_stale: rng.random_bool(0.5),
    };
    let server = ApiServer::start().await;
    let world = World::with(server, |choices| {
        choices.seed = seed;
        choices.staleness.unsure = mode.unsure_if_stale;
    });
    let mut served = Served {
        cluster: Cluster::new(mode, &mut rng),
        rng,
        world,
        begin: Instant::now(),
        heard: BTreeMap::new(),
        trouble: 0,
        touched: None,
        asked: 0,
        log: aloud.then(Vec::new),
    };
    let went = served.play().await;
    went.map(|()| served.asked).map_err(|wrong| {
        let log = served.log.unwrap_or_default().join("\n");
        format!("seed {seed}\n{log}\n{wrong}")
    })
}

impl Served {
    fn now(&self) -> u64 {
        self.begin.elapsed().as_millis() as u64
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        let now = self.now();
        if let Some(log) = &mut self.log {
            log.push(format!("{now:>7} {}", what()));
        }
    }

    async fn play(&mut self) -> Result<(), String> {
        for _ in 0..self.rng.random_range(20..60) {
            if self.rng.random_bool(0.2) {
                self.fail();
            } else {
                let events = self.cluster.happen(self.now(), &mut self.rng, false);
                self.happen(&events);
            }
            let pause = match self.rng.random_range(0..20) {
                0..10 => self.rng.random_range(0..5),
                10..15 => self.rng.random_range(5..200),
                15..19 => self.rng.random_range(200..6_000),
                _ => self.rng.random_range(6_000..100_000),
            };
            self.advance(pause).await?;
        }
        self.note(|| "all is well again".into());
        for kind in KINDS {
            self.world
                .server
                .fault(kind, |faults| *faults = <_>::default());
        }
        self.advance(RECOVERY + 65_000).await?;
        for question in cluster::every_question() {
            if !matches!(question, Question::Pod(..)) || self.rng.random_bool(0.2) {
                self.ask(&question)?;
            }
        }
        Ok(())
    }

    fn happen(&mut self, events: &[cluster::Event]) {
        for event in events {
            self.note(|| format!("{event:?}"));
            self.touched = event.service().or(self.touched);
            match objects::manifest(event) {
                (.., Some(object)) => self.world.server.apply(&object),
                (plural, namespace, name, None) => {
                    if self.world.server.has(plural, namespace, name) {
                        self.world.server.delete(plural, namespace, name);
                    }
                }
            }
        }
    }

    /// Something goes wrong between the API server and the feed, or is well again.
    fn fail(&mut self) {
        let kind = pick(&mut self.rng, &KINDS);
        let what = self.rng.random_range(0..10);
        let number = self.rng.random_range(0..2_000);
        self.note(|| format!("trouble {what} {number} with {kind}"));
        self.trouble = self.now();
        let server = &self.world.server;
        match what {
            0 => {}
            1 => server.compact(),
            2 => server.fault(kind, |faults| faults.refuse = Some((503, None))),
            3 => server.fault(kind, |faults| faults.refuse = Some((429, Some(3)))),
            4 => server.fault(kind, |faults| faults.refuse = Some((403, None))),
            5 => server.fault(kind, |faults| faults.mute = true),
            6 => server.fault(kind, |faults| faults.streaming = Streaming::Refused),
            7 => server.fault(kind, |faults| faults.cut = Some(number)),
            8 => server.fault(kind, |faults| {
                faults.page_size = Some(1 + number % 5);
                faults.pace = Some(Duration::from_millis(number as u64 % 20));
            }),
            _ => server.fault(kind, |faults| *faults = <_>::default()),
        }
        if what != 5 {
            server.cut_watches();
        }
    }

    async fn advance(&mut self, pause: u64) -> Result<(), String> {
        let until = self.now() + pause;
        loop {
            let due = self.cluster.due().filter(|due| *due <= until);
            let next = due.unwrap_or(until).min(self.now() + 20_000);
            while self.now() < next {
                let step = (next - self.now()).div_ceil(3).min(500);
                sleep(Duration::from_millis(step)).await;
                self.listen();
                if self.rng.random_bool(0.3) {
                    let now = self.now();
                    let question = self.cluster.question(now, &mut self.rng, self.touched);
                    self.ask(&question)?;
                }
            }
            if due.is_some_and(|due| due <= self.now()) {
                let events = self.cluster.act(due.unwrap_or_default());
                self.happen(&events);
            } else if self.now() >= until {
                return Ok(());
            }
        }
    }

    /// Notes when each source was heard of, as the index publishes it.
    fn listen(&mut self) {
        let now = self.now();
        for (source, at) in self.world.said().confirmed {
            let at = (at - self.begin.into_std()).as_millis() as u64;
            let heard = self.heard.entry(source).or_default();
            if at > heard.at + SLACK {
                let before = heard.before.map_or(heard.at, |(before, _)| before);
                heard.before = Some((before, now));
            }
            heard.at = at;
            heard.before = heard.before.filter(|(_, since)| now <= since + SLACK);
        }
    }

    fn from(&self, source: Source) -> u64 {
        let heard = self.heard.get(&source).copied().unwrap_or_default();
        let at = heard.before.map_or(heard.at, |(before, _)| before);
        at.saturating_sub(SLACK)
    }

    fn views(&self, question: &Question) -> Vec<View> {
        let relevant = relevant(question);
        let services = self.cluster.services.since(self.from(Source::Services));
        let namespaces = self.cluster.namespaces.since(self.from(Source::Namespaces));
        let slices = [Source::EndpointSlices, Source::ForeignEndpointSlices]
            .map(|source| distinct(relevant[1], self.cluster.slices.since(self.from(source))));
        let pairs = slices[0].iter().flat_map(|first| {
            let seconds = slices[1].iter();
            seconds.map(move |second| [first.clone(), second.clone()])
        });
        let pairs: Vec<_> = pairs.take(MANY).collect();
        let services = distinct(relevant[0], services);
        if services.len() * pairs.len() > MANY {
            return vec![];
        }
        let pods = distinct(false, self.cluster.pods.since(0));
        combine(&services, &pairs, &distinct(relevant[2], namespaces), &pods)
    }

    fn ask(&mut self, question: &Question) -> Result<(), String> {
        let reply = self.world.reply(&asking::question(question));
        let answer = asking::read(reply.as_deref()).answer;
        let (mode, now) = (self.cluster.mode, self.now());
        let views = self.views(question);
        if views.is_empty() {
            return Ok(());
        }
        self.asked += 1;
        let answers: Vec<_> = (views.iter())
            .flat_map(|view| view.answers(question, ALL_KNOWN, mode))
            .collect();
        let troubled = now <= self.trouble + RECOVERY || self.heard.len() < 4;
        let lenient = views.iter().any(|it| is_told_twice(it, question, mode));
        let judged = match &answer {
            Answer::Unsure if troubled => Ok(()),
            Answer::Records(_) if lenient => judge(&answer, &[], &answers),
            _ if lenient => Ok(()),
            _ => judge(&answer, &answers, &answers),
        };
        judged.map_err(|wrong| {
            let heard = &self.heard;
            format!("at {now}: {question:?}: {answer:?}: {wrong}\n{answers:?}\n{heard:?}")
        })
    }
}
