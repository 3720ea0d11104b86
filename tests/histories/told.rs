//! A history told to an index as changes, on a clock that the history moves, with questions at any moment.

use crate::{
    asking::{self, Reply},
    cluster::{self, Cluster, pick},
    objects,
    support::engine,
    truth::{
        Answer, Key, Kind, Known, Mode, Namespaces, Pods, Question, Services, Slices, View, always,
        judge,
    },
    watch::{FADING_AFTER_A_LIST, Gap, NEWS, Unheard, WATCHES, Watch},
};
use gapless::{
    engine::{Engine, Recent},
    index::{self, EndpointNames, Index, Staleness},
    model::{Change, ObjectKey, Source},
};
use prometheus_client::registry::Registry;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::BTreeMap,
    rc::Rc,
    time::{Duration, Instant},
};

/// For how long a service that became headless is unsure at most, until slices of it are seen.
const AWAITING_SLICES: u64 = 5_000;

/// What came of a history.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) asked: usize,
    /// Questions about what a watch lost, which is not right before it is repaired.
    pub(crate) passed_over: usize,
}

pub(crate) struct Told {
    cluster: Cluster,
    rng: StdRng,
    now: u64,
    begin: Instant,
    index: Index,
    engine: Engine,
    recent: Recent,
    watches: [Watch; Source::ALL.len()],
    /// Services that became headless, as the index was told, and until when that makes them unsure.
    awaiting: BTreeMap<ObjectKey, u64>,
    /// The service that was touched last.
    touched: Option<Key>,
    outcome: Outcome,
    log: Option<Vec<String>>,
}

/// Plays the history of a seed. What is wrong is said, with everything that happened if that is wanted.
pub(crate) fn play(seed: u64, begin: Instant, aloud: bool) -> Result<Outcome, String> {
    let mut told = Told::new(seed, begin, aloud);
    let went = told.play();
    went.map(|()| told.outcome).map_err(|wrong| {
        let log = told.log.unwrap_or_default().join("\n");
        format!("seed {seed}, {:?}\n{log}\n{wrong}", told.cluster.mode)
    })
}

fn random_mode(rng: &mut StdRng) -> Mode {
    Mode {
        all_slices: rng.random_bool(0.3),
        pod_names: rng.random_bool(0.3),
        verified: rng.random_bool(0.3),
        stale_after: pick(rng, &[30_000, 300_000]),
        unsure_if_stale: rng.random_bool(0.5),
    }
}

impl Told {
    fn new(seed: u64, begin: Instant, aloud: bool) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mode = random_mode(&mut rng);
        let watches = Source::ALL.map(|source| Watch::new(source, mode));
        let fed = watches.iter().filter(|it| it.is_fed);
        let (index, reader) = Index::new(index::Options {
            endpoint_names: match mode.pod_names {
                true => EndpointNames::Pod,
                false => EndpointNames::Hostname,
            },
            cluster_ip_endpoints: mode.all_slices,
            sources: fed.map(|it| it.source).collect(),
            staleness: Some(Staleness {
                after: Duration::from_millis(mode.stale_after),
                unsure: mode.unsure_if_stale,
            }),
            ..engine::index_options()
        });
        let mut answers = engine::answer_options();
        if mode.verified {
            answers.pods = gapless::answer::PodNames::Verified;
        }
        let upstreams = <_>::default();
        Self {
            cluster: Cluster::new(mode, &mut rng),
            rng,
            // Later than everything that is there at the beginning.
            now: 100,
            begin,
            index,
            engine: engine::under(answers, reader, &upstreams, &mut Registry::default()),
            recent: Recent::default(),
            watches,
            awaiting: BTreeMap::new(),
            touched: None,
            outcome: Outcome::default(),
            log: aloud.then(Vec::new),
        }
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push(format!("{:>7} {}", self.now, what()));
        }
    }

    fn watch(&self, source: Source) -> &Watch {
        &self.watches[source as usize]
    }

    fn play(&mut self) -> Result<(), String> {
        for _ in 0..self.rng.random_range(0..16) {
            let events = self.cluster.happen(0, &mut self.rng, false);
            self.note(|| format!("there is {events:?}"));
        }
        for source in Source::ALL {
            self.list(source);
            let pause = pick(&mut self.rng, &[0, 10, 500]);
            self.advance(self.now + pause)?;
        }
        for _ in 0..self.rng.random_range(8..24) {
            self.step();
            let pause = match self.rng.random_range(0..20) {
                0..10 => self.rng.random_range(0..5),
                10..15 => self.rng.random_range(5..200),
                15..19 => self.rng.random_range(200..6_000),
                _ => self.rng.random_range(6_000..400_000),
            };
            self.advance(self.now + pause)?;
            for _ in 0..2 {
                let question = self.cluster.question(self.now, &mut self.rng, self.touched);
                self.ask(&question)?;
            }
        }
        self.settle()
    }

    /// Something happens to the cluster, or between it and the index.
    fn step(&mut self) {
        let source = pick(&mut self.rng, &Source::ALL);
        match self.rng.random_range(0..40) {
            0..28 => {
                let services = self.watch(Source::Services);
                let watched = services.is_up && services.gap.is_none();
                let events = self.cluster.happen(self.now, &mut self.rng, watched);
                let lost = self.rng.random_bool(0.03);
                self.pass_on(events, lost);
            }
            28..30 => self.cut(source),
            // A balancer ends: both at once, and both come back.
            30 => {
                WATCHES.into_iter().for_each(|source| self.cut(source));
                WATCHES.into_iter().for_each(|source| self.list(source));
            }
            31 => {
                if self.watch(source).is_fed && !self.watch(source).is_up {
                    self.note(|| format!("{source:?} is denied"));
                    let watch = &mut self.watches[source as usize];
                    watch.push(self.now, 0, Change::Lost(source));
                }
            }
            32..34 => {
                if self.watch(source).is_up && self.watch(source).is_idle() {
                    let objects = objects::list(&self.cluster, source);
                    let takes = self.rng.random_range(0..2_000);
                    self.note(|| format!("{source:?} is compared in {takes}"));
                    self.watches[source as usize].compare(self.now, takes, objects);
                }
            }
            _ => {
                let down = Source::ALL.into_iter().find(|it| !self.watch(*it).is_up);
                if let Some(source) = down {
                    self.list(source);
                }
            }
        }
    }

    fn cut(&mut self, source: Source) {
        self.note(|| format!("{source:?} is cut"));
        self.watches[source as usize].cut(self.now);
    }

    fn list(&mut self, source: Source) {
        if self.watch(source).is_up || !self.watch(source).is_fed {
            return;
        }
        let mut objects = objects::list(&self.cluster, source);
        for nth in (1..objects.len()).rev() {
            objects.swap(nth, self.rng.random_range(0..=nth));
        }
        let takes = match self.rng.random_range(0..10) {
            0..5 => 0,
            5..9 => self.rng.random_range(1..900),
            _ => self.rng.random_range(900..100_000),
        };
        let breaks = self.rng.random_bool(0.15);
        self.note(|| format!("{source:?} is listed in {takes}, breaks off: {breaks}: {objects:?}"));
        let watch = &mut self.watches[source as usize];
        watch.list(self.now, takes, objects, breaks);
    }

    /// The watches tell of events, each in its time.
    fn pass_on(&mut self, events: Vec<cluster::Event>, lost: bool) {
        for event in events {
            self.note(|| format!("{}{event:?}", if lost { "unheard: " } else { "" }));
            self.touched = event.service().or(self.touched);
            for (source, change) in objects::changes(&event, self.cluster.mode) {
                let delay = self.rng.random_range(0..=NEWS);
                let watch = &mut self.watches[source as usize];
                if lost {
                    watch.unheard.extend(touched(&event, self.now));
                } else if watch.is_fed && watch.is_up {
                    watch.push(self.now, delay, change);
                }
            }
        }
    }

    /// Lets time pass, and everything happen that is due.
    fn advance(&mut self, to: u64) -> Result<(), String> {
        loop {
            let deadline = self.index.next_deadline();
            let deadline = deadline.map(|it| (it - self.begin).as_millis() as u64);
            let told = self.watches.iter().filter_map(Watch::due);
            // An API server sends bookmarks.
            let quiet = self.watches.iter().filter(|it| it.is_up && it.is_idle());
            let bookmarks = quiet.map(|it| it.heard.unwrap_or_default() + 60_000);
            let due = told.chain(self.cluster.due()).chain(deadline);
            let Some(next) = due.chain(bookmarks).min().filter(|it| *it <= to) else {
                self.now = self.now.max(to);
                return Ok(());
            };
            self.now = self.now.max(next);
            self.turn()?;
            let after = self.index.next_deadline();
            if after.is_some_and(|it| it <= self.instant()) {
                return Err("a deadline does not pass".into());
            }
            if self.rng.random_bool(0.5) {
                let question = self.cluster.question(self.now, &mut self.rng, self.touched);
                self.ask(&question)?;
            }
        }
    }

    fn instant(&self) -> Instant {
        self.begin + Duration::from_millis(self.now)
    }

    /// What the index's loop does for a batch.
    fn turn(&mut self) -> Result<(), String> {
        while self.cluster.due().is_some_and(|due| due <= self.now) {
            let events = self.cluster.act(self.now);
            self.pass_on(events, false);
        }
        self.index.tell_time(self.instant());
        let first = self.rng.random_range(0..Source::ALL.len());
        for nth in 0..Source::ALL.len() {
            let watch = &mut self.watches[(first + nth) % Source::ALL.len()];
            if watch.is_up
                && watch.is_idle()
                && watch.heard.is_some_and(|it| it + 60_000 <= self.now)
            {
                watch.push(self.now, 0, Change::Confirmed(watch.source));
            }
            watch.deliver(self.now, &mut self.index)?;
            for key in watch.became_headless.drain(..) {
                self.awaiting.insert(key, self.now + AWAITING_SLICES);
            }
            let heard = watch.heard.map(|it| self.begin + Duration::from_millis(it));
            if self.index.confirmed(watch.source) != heard {
                return Err(format!("{:?} was heard at {:?}", watch.source, watch.heard));
            }
        }
        self.index.publish(1);
        // What vanished from one watch of slices is kept to the end of the other one's list, too.
        let keeps = WATCHES.into_iter().any(|it| self.watch(it).keeps(self.now));
        let over = |it: &&mut Watch| !(keeps && WATCHES.contains(&it.source));
        for watch in self.watches.iter_mut().filter(over) {
            watch.forget(self.now);
        }
        Ok(())
    }

    fn is_stale(&self, source: Source) -> bool {
        let after = self.cluster.mode.stale_after;
        self.watch(source).is_stale(self.now, after)
    }

    fn knows(&self, source: Source) -> bool {
        let counts = !(self.cluster.mode.unsure_if_stale && self.is_stale(source));
        self.watch(source).is_known(self.now) && counts
    }

    fn known(&self) -> Known {
        let mut slices = WATCHES.into_iter().filter(|it| self.watch(*it).is_fed);
        Known {
            services: self.knows(Source::Services),
            slices: slices.all(|it| self.knows(it)),
            namespaces: self.knows(Source::Namespaces),
            pods: self.knows(Source::Pods),
        }
    }

    fn awaits_slices(&self, key: Key) -> bool {
        let until = self.awaiting.get(&ObjectKey::new(key.0, key.1));
        until.is_some_and(|until| self.now <= *until)
    }

    /// Is it about something that a watch failed to tell?
    fn is_untold(&self, question: &Question) -> bool {
        let mut unheard = self.watches.iter().flat_map(|watch| &watch.unheard);
        unheard.any(|it| match question {
            Question::Service(key, _) | Question::Host(key, ..) | Question::Port(key) => {
                it.namespace == key.0 && it.service.as_deref().is_none_or(|name| name == key.1)
            }
            Question::Namespace(of) | Question::Pod(of, _) => it.namespace == *of,
            Question::Reverse(_) => true,
        })
    }

    /// Asks, and judges the answer.
    fn ask(&mut self, question: &Question) -> Result<(), String> {
        if self.is_untold(question) {
            self.outcome.passed_over += 1;
            return Ok(());
        }
        self.outcome.asked += 1;
        let now = self.instant();
        let Reply { answer, is_stale } = asking::ask(&self.engine, &mut self.recent, question, now);
        let (mode, known) = (self.cluster.mode, self.known());
        let answers = |views: &[View]| -> Vec<Answer> {
            let answers = views.iter().map(|it| it.answers(question, known, mode));
            answers.flatten().collect()
        };
        let lately = self.views(question, false, false);
        let before = self.views(question, true, false);
        let (are, were) = (answers(&lately), answers(&before));
        let is_awaited = match question {
            Question::Service(key, _) | Question::Host(key, ..) | Question::Port(key) => {
                self.awaits_slices(*key)
            }
            _ => false,
        };
        let may_be_unsure = || {
            // A slice that cannot be read leaves its names unsure for a moment after it is gone.
            let doubt = before.iter().any(|it| it.is_doubtful(question, mode));
            doubt && (are.contains(&Answer::Absent) || are.contains(&Answer::Empty))
        };
        // Nobody knows which of two watches is ahead; but what was there all the time is there.
        let is_one_ahead = |wrong| {
            let apart = answers(&self.views(question, answer == Answer::Empty, true));
            let listed = WATCHES.map(|it| self.watch(it).is_just_listed(self.now));
            let always = always(if listed.contains(&true) { &were } else { &are });
            let there = match &answer {
                Answer::Records(given) => always.is_subset(given),
                _ => always.is_empty() && are.iter().any(|it| *it != Answer::Unsure),
            };
            match there && answer != Answer::Unsure && apart.contains(&answer) {
                true => Ok(()),
                false => Err(wrong),
            }
        };
        // Of what two slices tell, and of what a watch told half, nothing is promised but that it was so.
        let torn = WATCHES.into_iter().any(|it| self.watch(it).is_torn);
        let listing = WATCHES.into_iter().any(|it| self.watch(it).gap.is_some());
        let lenient = torn || before.iter().any(|it| is_told_twice(it, question, mode));
        let judged = match &answer {
            Answer::Unsure if is_awaited || may_be_unsure() => Ok(()),
            // What fades is given with its kind: no records of another type, or that nobody knows of others.
            Answer::Unsure | Answer::Empty if were.contains(&answer) => Ok(()),
            Answer::Empty if listing && were.contains(&Answer::Unsure) => Ok(()),
            Answer::Records(_) if lenient => judge(&answer, &[], &were),
            _ if lenient => Ok(()),
            _ => judge(&answer, &are, &were).or_else(is_one_ahead),
        };
        let says_stale = Source::ALL.into_iter().any(|it| self.is_stale(it));
        let judged = judged.and_then(|()| match &answer {
            Answer::Absent | Answer::Empty | Answer::Records(_) if is_stale != says_stale => {
                Err(format!("stale: {is_stale}, and it is {says_stale}"))
            }
            _ => Ok(()),
        });
        judged.map_err(|wrong| {
            format!(
                "at {}: {question:?}: {answer:?}: {wrong}\nlately {are:?}\nbefore {were:?}\n{known:?}",
                self.now
            )
        })
    }

    /// Everything that the index may have seen: each kind at any time at which news, or also what fades, may be from;
    /// and the two watches of slices `apart`, either of them ahead of the other, or not.
    fn views(&self, question: &Question, fading: bool, apart: bool) -> Vec<View> {
        let from = |source: Source| {
            let watch = self.watch(source);
            match fading {
                true => watch.fading_from(self.now),
                false => watch.news_from(self.now),
            }
        };
        let relevant = relevant(question);
        let services = distinct(
            relevant[0],
            self.cluster.services.since(from(Source::Services)),
        );
        // A service whose watch is behind is not awaited for ever.
        let awaited = |it: Rc<Services>| {
            let mut services = Services::clone(&it);
            services.awaiting.retain(|key| self.awaits_slices(*key));
            if services.awaiting == it.awaiting {
                it
            } else {
                Rc::new(services)
            }
        };
        let services: Vec<_> = services.into_iter().map(awaited).collect();
        let namespaces = distinct(
            relevant[2],
            self.cluster.namespaces.since(from(Source::Namespaces)),
        );
        let pods = distinct(relevant[3], self.cluster.pods.since(from(Source::Pods)));
        let slices = self.slices(relevant[1], fading, apart);
        combine(&services, &slices, &namespaces, &pods)
    }

    /// What the two watches of slices may have: of one moment, unless one of them is behind.
    fn slices(&self, relevant: bool, fading: bool, apart: bool) -> Vec<[Rc<Slices>; 2]> {
        let [first, second] = WATCHES.map(|it| self.watch(it));
        let one = !second.is_fed;
        let [of_first, of_second] = [first, second].map(|it| match fading {
            true => it.fading_from(self.now),
            false => it.news_from(self.now),
        });
        let together = |gaps: [Option<Gap>; 2]| match gaps {
            [Some(a), Some(b)] if a.cut == b.cut => {
                let done = [a.until, b.until].into_iter().flatten().min();
                done.is_none_or(|it| self.now < it + FADING_AFTER_A_LIST)
            }
            _ => false,
        };
        let behind = [first, second].iter().any(|it| it.is_behind(self.now));
        let at_once = fading || !behind || together([first.gap, second.gap]);
        if one || at_once && !apart {
            let from = if one {
                of_first
            } else {
                of_first.min(of_second)
            };
            let states = distinct(relevant, self.cluster.slices.since(from));
            return states.into_iter().map(|it| [it.clone(), it]).collect();
        }
        let of_first = distinct(relevant, self.cluster.slices.since(of_first));
        let of_second = distinct(relevant, self.cluster.slices.since(of_second));
        pairs(&of_first, &of_second)
    }

    /// Everything comes back, and all is as it is.
    fn settle(&mut self) -> Result<(), String> {
        for source in Source::ALL {
            while self.watch(source).is_fed && !self.watch(source).is_up {
                self.list(source);
                self.advance(self.now + 100_001)?;
            }
        }
        self.advance(self.now + 100_001)?;
        for source in Source::ALL {
            if self.watch(source).is_fed {
                let objects = objects::list(&self.cluster, source);
                self.watches[source as usize].compare(self.now, 0, objects);
            }
        }
        self.advance(self.now + 6_000)?;
        self.turn()?;
        for question in cluster::every_question() {
            // Each of them in some history.
            if self.rng.random_bool(0.1) {
                self.ask(&question)?;
            }
        }
        Ok(())
    }
}

fn pairs(of_first: &[Rc<Slices>], of_second: &[Rc<Slices>]) -> Vec<[Rc<Slices>; 2]> {
    let with_each = |first: &Rc<Slices>| {
        let with = |second: &Rc<Slices>| [first.clone(), second.clone()];
        of_second.iter().map(with).collect::<Vec<_>>()
    };
    of_first.iter().flat_map(with_each).collect()
}

/// Every combination.
pub(crate) fn combine(
    services: &[Rc<Services>],
    slices: &[[Rc<Slices>; 2]],
    namespaces: &[Rc<Namespaces>],
    pods: &[Rc<Pods>],
) -> Vec<View> {
    let mut views = Vec::new();
    for services in services {
        for slices in slices {
            for namespaces in namespaces {
                for pods in pods {
                    views.push(View {
                        services: Rc::clone(services),
                        slices: slices.clone(),
                        namespaces: Rc::clone(namespaces),
                        pods: Rc::clone(pods),
                    });
                }
            }
        }
    }
    views
}

/// Which kinds an answer is made of: services, slices, namespaces, pods.
pub(crate) const fn relevant(question: &Question) -> [bool; 4] {
    match question {
        Question::Service(..) | Question::Host(..) | Question::Port(_) | Question::Reverse(_) => {
            [true, true, false, false]
        }
        Question::Namespace(_) => [true, false, true, false],
        Question::Pod(..) => [true, false, true, true],
    }
}

/// Each state once; any one if it does not matter.
pub(crate) fn distinct<T: PartialEq>(relevant: bool, states: &[(u64, Rc<T>)]) -> Vec<Rc<T>> {
    let mut found: Vec<Rc<T>> = Vec::new();
    for (_, state) in states {
        if found.is_empty() || (relevant && !found.contains(state)) {
            found.push(Rc::clone(state));
        }
    }
    found
}

pub(crate) fn is_told_twice(view: &View, question: &Question, mode: Mode) -> bool {
    match question {
        Question::Host(key, label, _) => view.is_told_twice(*key, Some(label), mode),
        Question::Service(key, _) | Question::Port(key) => view.is_told_twice(*key, None, mode),
        Question::Reverse(_) => (view.services.of.iter())
            .any(|(key, it)| it.kind != Kind::External && view.is_told_twice(*key, None, mode)),
        Question::Namespace(_) | Question::Pod(..) => false,
    }
}

/// Whom it concerns that nobody hears of an event.
fn touched(event: &cluster::Event, at: u64) -> Vec<Unheard> {
    let unheard = |namespace: &str, service: Option<&str>| Unheard {
        at,
        namespace: namespace.into(),
        service: service.map(Into::into),
        repaired: None,
    };
    match event {
        cluster::Event::Service(key, _) => vec![unheard(key.0, Some(key.1))],
        cluster::Event::Slice { key, before, after } => [before, after]
            .into_iter()
            .flatten()
            .map(|slice| unheard(key.0, slice.service))
            .collect(),
        cluster::Event::Namespace(name, _) => vec![unheard(name, Some(""))],
        cluster::Event::Pod(key, _) => vec![unheard(key.0, Some(""))],
    }
}
