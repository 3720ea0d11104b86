//! A cluster to which things happen by chance, and everything that it has been.

use crate::truth::{
    Endpoint, Kind, Mode, Namespaces, Pods, Question, Service, Services, Slice, Slices, Type,
    dashed, label,
};
use rand::{RngExt, rngs::StdRng};
use std::{collections::BTreeMap, net::IpAddr, rc::Rc};

use crate::truth::Key;

pub(crate) const NAMESPACES: [&str; 2] = ["shop", "work"];
const SERVICES: [&str; 3] = ["api", "db", "web"];
const SLICES: [&str; 5] = ["s0", "s1", "s2", "s3", "s4"];
const HOSTS: [&str; 7] = ["h0", "h1", "h2", "h3", "h4", "h5", "h6"];
const PODS: [&str; 3] = ["p0", "p1", "p2"];

/// How long the controller may take to label the slices of a service that became headless, in milliseconds.
const LABELLING: u64 = 3_000;

/// What an object of some kind was, and since when, in milliseconds.
#[derive(Debug)]
pub(crate) struct Timeline<T>(Vec<(u64, Rc<T>)>);

impl<T: Clone + Default + PartialEq> Timeline<T> {
    fn new() -> Self {
        Self(vec![(0, Rc::default())])
    }

    pub(crate) fn last(&self) -> &Rc<T> {
        &self.0[self.0.len() - 1].1
    }

    fn change<R>(&mut self, now: u64, change: impl FnOnce(&mut T) -> R) -> R {
        let mut state = T::clone(self.last());
        let result = change(&mut state);
        self.0.push((now, Rc::new(state)));
        result
    }

    /// Everything that it was from then on.
    pub(crate) fn since(&self, from: u64) -> &[(u64, Rc<T>)] {
        let first = self.0.iter().rposition(|(at, _)| *at <= from);
        &self.0[first.unwrap_or(0)..]
    }
}

/// What happened to one object, as a watch may tell it.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Service(Key, Option<Service>),
    Slice {
        key: Key,
        before: Option<Slice>,
        after: Option<Slice>,
    },
    Namespace(&'static str, Option<bool>),
    Pod(Key, Option<Option<IpAddr>>),
}

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) mode: Mode,
    pub(crate) services: Timeline<Services>,
    pub(crate) slices: Timeline<Slices>,
    pub(crate) namespaces: Timeline<Namespaces>,
    pub(crate) pods: Timeline<Pods>,
    /// The service to which most of it happens.
    favourite: Key,
    /// Labels that the controller is about to set.
    labelling: BTreeMap<u64, Vec<Key>>,
}

pub(crate) fn pick<T: Copy>(rng: &mut StdRng, of: &[T]) -> T {
    of[rng.random_range(0..of.len())]
}

fn v4(rng: &mut StdRng) -> IpAddr {
    [10, 0, 0, rng.random_range(1..7)].into()
}

fn v6(rng: &mut StdRng) -> IpAddr {
    [0xfd00, 0, 0, 0, 0, 0, 0, rng.random_range(1..4)].into()
}

impl Event {
    /// The service that it is about, if there is one.
    pub(crate) fn service(&self) -> Option<Key> {
        match self {
            Self::Service(key, _) => Some(*key),
            Self::Slice { key, before, after } => {
                let slice = after.as_ref().or(before.as_ref());
                Some((key.0, slice?.service?))
            }
            Self::Namespace(..) | Self::Pod(..) => None,
        }
    }
}

impl Cluster {
    pub(crate) fn new(mode: Mode, rng: &mut StdRng) -> Self {
        Self {
            mode,
            favourite: (pick(rng, &NAMESPACES), pick(rng, &SERVICES)),
            services: Timeline::new(),
            slices: Timeline::new(),
            namespaces: Timeline::new(),
            pods: Timeline::new(),
            labelling: BTreeMap::new(),
        }
    }

    fn service_key(&self, rng: &mut StdRng) -> Key {
        match rng.random_bool(0.6) {
            true => self.favourite,
            false => (pick(rng, &NAMESPACES), pick(rng, &SERVICES)),
        }
    }

    fn slice_key(&self, rng: &mut StdRng) -> Key {
        (self.service_key(rng).0, pick(rng, &SLICES))
    }

    /// When the controller labels slices next.
    pub(crate) fn due(&self) -> Option<u64> {
        self.labelling.keys().next().copied()
    }

    /// What the controller does next, at this moment.
    pub(crate) fn act(&mut self, now: u64) -> Vec<Event> {
        let mut events = Vec::new();
        let due = self.labelling.pop_first().filter(|(at, _)| *at <= now);
        for key in due.map_or(vec![], |(_, keys)| keys) {
            let Some(mut slice) = self.slices.last().get(&key).cloned() else {
                continue;
            };
            slice.labelled = self.is_headless(key, &slice);
            events.extend(self.set_slice(now, key, Some(slice)));
        }
        events
    }

    fn is_headless(&self, (namespace, _): Key, slice: &Slice) -> bool {
        let of = slice.service.map(|service| (namespace, service));
        let of = of.and_then(|of| self.services.last().of.get(&of));
        of.is_some_and(|it| it.kind == Kind::Headless)
    }

    /// Something happens; `watched` says whether the services' watch is up, so that a service is seen to become headless.
    pub(crate) fn happen(&mut self, now: u64, rng: &mut StdRng, watched: bool) -> Vec<Event> {
        match rng.random_range(0..100) {
            0..8 => {
                let key = self.service_key(rng);
                let service = rng.random_bool(0.8).then(|| random_service(rng));
                self.set_service(now, key, service, watched, rng)
            }
            8..16 => {
                // It turns headless, or gets a cluster IP.
                let key = self.favourite;
                let mut service = random_service(rng);
                let before = self.services.last().of.get(&key);
                service.kind = match before.map(|it| &it.kind) {
                    Some(Kind::Headless) => Kind::ClusterIp(vec![[10, 96, 0, 1].into()]),
                    _ => Kind::Headless,
                };
                self.set_service(now, key, Some(service), watched, rng)
            }
            16..46 => {
                let key = self.slice_key(rng);
                let slice = rng.random_bool(0.8).then(|| self.random_slice(key.0, rng));
                self.set_slice(now, key, slice)
            }
            46..62 => self.move_endpoint(now, rng),
            62..70 => self.some_slice(rng).map_or(vec![], |(key, mut slice)| {
                // Somebody else takes it over, or the controller does, which labels whatever it has a hand in.
                slice.controlled ^= slice.service.is_some();
                if slice.controlled {
                    slice.labelled = self.is_headless(key, &slice);
                }
                self.set_slice(now, key, Some(slice))
            }),
            70..80 => self.some_slice(rng).map_or(vec![], |(key, mut slice)| {
                if let Some(last) = slice.endpoints.len().checked_sub(1) {
                    let it = &mut slice.endpoints[rng.random_range(0..=last)];
                    it.ready = !it.ready;
                }
                self.set_slice(now, key, Some(slice))
            }),
            80..84 => self.delete_namespace(now, rng),
            84..90 => {
                let key = pick(rng, &NAMESPACES);
                let namespace = rng.random_bool(0.8).then(|| rng.random_bool(0.9));
                self.namespaces.change(now, |it| match namespace {
                    Some(readable) => it.insert(key, readable),
                    None => it.remove(key),
                });
                vec![Event::Namespace(key, namespace)]
            }
            90..94 => {
                let key = (pick(rng, &NAMESPACES), pick(rng, &PODS));
                let pod = rng
                    .random_bool(0.7)
                    .then(|| rng.random_bool(0.9).then(|| v4(rng)));
                self.pods.change(now, |it| match pod {
                    Some(pod) => it.insert(key, pod),
                    None => it.remove(&key),
                });
                vec![Event::Pod(key, pod)]
            }
            _ => self.some_slice(rng).map_or(vec![], |(key, mut slice)| {
                slice.malformed = true;
                slice.endpoints.clear();
                if rng.random_bool(0.2) {
                    // Nor can its labels be read.
                    slice.service = None;
                    (slice.controlled, slice.labelled) = (false, false);
                }
                self.set_slice(now, key, Some(slice))
            }),
        }
    }

    fn set_service(
        &mut self,
        now: u64,
        key: Key,
        service: Option<Service>,
        watched: bool,
        rng: &mut StdRng,
    ) -> Vec<Event> {
        let before = self.services.last().of.get(&key).cloned();
        let is = |it: &Option<Service>, kind: &Kind| it.as_ref().is_some_and(|it| it.kind == *kind);
        let headless = is(&service, &Kind::Headless);
        let of_it = |(of, slice): &(&Key, &Slice)| {
            of.0 == key.0 && slice.service == Some(key.1) && slice.controlled
        };
        let to_label: Vec<Key> = (self.slices.last().iter())
            .filter(of_it)
            .filter(|(_, slice)| slice.labelled != headless)
            .map(|(key, _)| *key)
            .collect();
        let seen = before.is_some() && !is(&before, &Kind::Malformed) && watched;
        let awaited = headless && seen && !is(&before, &Kind::Headless) && !to_label.is_empty();
        self.services.change(now, |it| {
            match &service {
                Some(service) => it.of.insert(key, service.clone()),
                None => it.of.remove(&key),
            };
            if awaited && !self.mode.all_slices {
                it.awaiting.insert(key);
            } else if !headless {
                it.awaiting.remove(&key);
            }
        });
        for slice in to_label {
            let at = now + rng.random_range(1..LABELLING);
            self.labelling.entry(at).or_default().push(slice);
        }
        vec![Event::Service(key, service)]
    }

    fn set_slice(&mut self, now: u64, key: Key, after: Option<Slice>) -> Vec<Event> {
        let before = self.slices.change(now, |it| match &after {
            Some(slice) => it.insert(key, slice.clone()),
            None => it.remove(&key),
        });
        let slices = self.slices.last();
        let is_awaited = |of: &Key| {
            slices.iter().any(|(it, slice)| {
                let names = it.0 == of.0 && slice.service == Some(of.1);
                names && slice.controlled && !slice.labelled
            })
        };
        let awaiting = &self.services.last().awaiting;
        if !awaiting.iter().all(is_awaited) {
            self.services
                .change(now, |it| it.awaiting.retain(is_awaited));
        }
        vec![Event::Slice { key, before, after }]
    }

    fn some_slice(&self, rng: &mut StdRng) -> Option<(Key, Slice)> {
        let slices = self.slices.last();
        let slices: Vec<_> = (slices.iter())
            .filter(|(key, slice)| {
                let favourite = (key.0, slice.service.unwrap_or_default()) == self.favourite;
                favourite || rng.random_bool(0.3)
            })
            .collect();
        let nth = rng.random_range(0..slices.len().max(1));
        let (key, slice) = *slices.get(nth)?;
        Some((*key, slice.clone()))
    }

    fn random_slice(&self, namespace: &'static str, rng: &mut StdRng) -> Slice {
        let service = match (namespace == self.favourite.0, pick(rng, &SERVICES)) {
            (true, any) if rng.random_bool(0.3) => any,
            (true, _) => self.favourite.1,
            (false, any) => any,
        };
        let of = self.services.last().of.get(&(namespace, service));
        let of_v6 = rng.random_bool(0.3);
        let endpoint = |rng: &mut StdRng| Endpoint {
            address: if of_v6 { v6(rng) } else { v4(rng) },
            hostname: rng.random_bool(0.7).then(|| pick(rng, &HOSTS)),
            pod: rng.random_bool(0.5).then(|| pick(rng, &PODS)),
            ready: rng.random_bool(0.8),
        };
        Slice {
            service: Some(service),
            controlled: rng.random_bool(0.7),
            labelled: of.is_some_and(|it| it.kind == Kind::Headless),
            malformed: false,
            endpoints: (0..rng.random_range(0..4)).map(|_| endpoint(rng)).collect(),
            port: random_port(rng),
        }
    }

    /// From one slice to another of its service: two events that everybody sees as one.
    fn move_endpoint(&mut self, now: u64, rng: &mut StdRng) -> Vec<Event> {
        let Some((from, mut left)) = self.some_slice(rng) else {
            return vec![];
        };
        let to = (from.0, pick(rng, &SLICES));
        if left.endpoints.is_empty() || to == from {
            return vec![];
        }
        let endpoint = left
            .endpoints
            .remove(rng.random_range(0..left.endpoints.len()));
        let mut joined = Slice {
            endpoints: vec![],
            labelled: self.is_headless(from, &left),
            ..left.clone()
        };
        if let Some(there) = self.slices.last().get(&to)
            && there.service == left.service
            && !there.malformed
            && (there.endpoints.iter()).all(|it| it.address.is_ipv4() == endpoint.address.is_ipv4())
        {
            joined = there.clone();
        }
        joined.endpoints.push(endpoint);
        let mut events = Vec::new();
        // At one moment; the order is that in which a watch tells it.
        let mut changes = [(from, left), (to, joined)];
        if rng.random_bool(0.5) {
            changes.reverse();
        }
        for (key, slice) in changes {
            let before = self.slices.last().get(&key).cloned();
            events.push(Event::Slice {
                key,
                before,
                after: Some(slice),
            });
        }
        let all: Vec<_> = events.clone();
        self.slices.change(now, |it| {
            for event in all {
                if let Event::Slice {
                    key,
                    after: Some(slice),
                    ..
                } = event
                {
                    it.insert(key, slice);
                }
            }
        });
        events
    }

    fn delete_namespace(&mut self, now: u64, rng: &mut StdRng) -> Vec<Event> {
        let namespace = pick(rng, &NAMESPACES);
        let mut events = Vec::new();
        for service in SERVICES {
            if self.services.last().of.contains_key(&(namespace, service)) {
                events.extend(self.set_service(now, (namespace, service), None, true, rng));
            }
        }
        for slice in SLICES {
            if self.slices.last().contains_key(&(namespace, slice)) {
                events.extend(self.set_slice(now, (namespace, slice), None));
            }
        }
        self.namespaces.change(now, |it| it.remove(namespace));
        events.push(Event::Namespace(namespace, None));
        events
    }
}

fn random_port(rng: &mut StdRng) -> Option<u16> {
    rng.random_bool(0.8).then(|| 80 + rng.random_range(0..2))
}

fn random_service(rng: &mut StdRng) -> Service {
    let kind = match rng.random_range(0..20) {
        0..11 => Kind::Headless,
        11..16 => {
            let mut own: Vec<IpAddr> = vec![[10, 96, 0, rng.random_range(1..4)].into()];
            if rng.random_bool(0.3) {
                own.push([0xfd96, 0, 0, 0, 0, 0, 0, rng.random_range(1..3)].into());
            }
            Kind::ClusterIp(own)
        }
        16..19 => Kind::External,
        _ => Kind::Malformed,
    };
    Service {
        kind,
        port: random_port(rng),
    }
}

impl Cluster {
    /// A question about something that may be there, or was some time ago; rather often below the service that was
    /// touched last.
    pub(crate) fn question(&self, now: u64, rng: &mut StdRng, touched: Option<Key>) -> Question {
        let any = self.service_key(rng);
        let key = touched.filter(|_| rng.random_bool(0.6)).unwrap_or(any);
        let qtype = pick(rng, &[Type::A, Type::A, Type::Aaaa]);
        match rng.random_range(0..20) {
            0..4 => Question::Service(
                key,
                pick(rng, &[Type::A, Type::A, Type::Aaaa, Type::Srv, Type::Cname]),
            ),
            4..11 => {
                let ago = now.saturating_sub(pick(rng, &[0, 60, 60, 300, 1_500]));
                let (_, slices) = &self.slices.since(ago)[0];
                let of_it = (slices.iter())
                    .filter(|(of, slice)| of.0 == key.0 && slice.service == Some(key.1));
                let endpoints: Vec<_> = of_it.flat_map(|(_, slice)| &slice.endpoints).collect();
                let Some(last) = endpoints.len().checked_sub(1) else {
                    return Question::Service(key, qtype);
                };
                let endpoint = endpoints[rng.random_range(0..=last)];
                let of = match endpoint.address.is_ipv4() {
                    true => Type::A,
                    false => Type::Aaaa,
                };
                Question::Host(key, label(endpoint, self.mode), pick(rng, &[of, of, qtype]))
            }
            11..14 => {
                let address = if qtype == Type::A { v4(rng) } else { v6(rng) };
                let label = match rng.random_range(0..3) {
                    0 => dashed(address),
                    1 => pick(rng, &PODS).to_owned(),
                    _ => pick(rng, &HOSTS).to_owned(),
                };
                Question::Host(key, label, qtype)
            }
            14 => Question::Port(key),
            15 => Question::Namespace(key.0),
            16 => Question::Pod(key.0, v4(rng)),
            17 => Question::Reverse([10, 96, 0, rng.random_range(1..4)].into()),
            18 => Question::Reverse(v6(rng)),
            _ => Question::Reverse(v4(rng)),
        }
    }
}

/// Every question that [`Cluster::question`] may give.
pub(crate) fn every_question() -> Vec<Question> {
    let v4s = (1..7).map(|n| IpAddr::from([10, 0, 0, n]));
    let v6s = (1..4).map(|n| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, n]));
    let addresses: Vec<IpAddr> = v4s.chain(v6s).collect();
    let mut all = Vec::new();
    for namespace in NAMESPACES {
        all.push(Question::Namespace(namespace));
        all.extend((addresses.iter()).map(|it| Question::Pod(namespace, *it)));
        for service in SERVICES {
            let key = (namespace, service);
            all.push(Question::Port(key));
            let types = [Type::A, Type::Aaaa, Type::Srv, Type::Cname];
            all.extend(types.map(|qtype| Question::Service(key, qtype)));
            let labels = HOSTS.iter().chain(&PODS).map(ToString::to_string);
            for label in labels.chain(addresses.iter().map(|it| dashed(*it))) {
                let types = [Type::A, Type::Aaaa];
                all.extend(types.map(|qtype| Question::Host(key, label.clone(), qtype)));
            }
        }
    }
    all.extend(addresses.into_iter().map(Question::Reverse));
    all
}
