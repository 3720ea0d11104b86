//! What is true: a cluster's objects, and what they make of a question, found in the plainest way there is.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    rc::Rc,
};

/// Namespace and name.
pub(crate) type Key = (&'static str, &'static str);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    ClusterIp(Vec<IpAddr>),
    Headless,
    /// An alias for a name outside the cluster.
    External,
    Malformed,
}

/// Where every ExternalName service leads.
pub(crate) const OUTSIDE: &str = "www.example.org";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) kind: Kind,
    /// The number of its port `http`, if it has one.
    pub(crate) port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) address: IpAddr,
    pub(crate) hostname: Option<&'static str>,
    pub(crate) pod: Option<&'static str>,
    pub(crate) ready: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    /// `None` if that cannot be read either.
    pub(crate) service: Option<&'static str>,
    /// Does the EndpointSlice controller manage it?
    pub(crate) controlled: bool,
    /// Is it labelled as a headless service's?
    pub(crate) labelled: bool,
    pub(crate) malformed: bool,
    /// All of one family.
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) port: Option<u16>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Services {
    pub(crate) of: BTreeMap<Key, Service>,
    /// Those that became headless, and whose slices the controller has yet to label.
    pub(crate) awaiting: BTreeSet<Key>,
}

pub(crate) type Slices = BTreeMap<Key, Slice>;
/// Can the object be read?
pub(crate) type Namespaces = BTreeMap<&'static str, bool>;
/// A pod's address; `None` if it is malformed.
pub(crate) type Pods = BTreeMap<Key, Option<IpAddr>>;

/// What the operator chose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode {
    /// One watch of all slices, and names for the endpoints of services with a cluster IP; else two watches.
    pub(crate) all_slices: bool,
    pub(crate) pod_names: bool,
    /// `verified` pod names rather than `insecure` ones.
    pub(crate) verified: bool,
    /// After how many milliseconds of silence a source is stale.
    pub(crate) stale_after: u64,
    pub(crate) unsure_if_stale: bool,
}

/// Which of the two watches of slices has it: the first, the second, or neither.
pub(crate) fn watch_of(slice: &Slice, mode: Mode) -> Option<bool> {
    match slice {
        _ if mode.all_slices => Some(true),
        Slice {
            controlled: false, ..
        } => Some(false),
        slice => slice.labelled.then_some(true),
    }
}

/// Each kind of object as it was at some time.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) services: Rc<Services>,
    /// What the two watches of slices have, each as it was at some time.
    pub(crate) slices: [Rc<Slices>; 2],
    pub(crate) namespaces: Rc<Namespaces>,
    pub(crate) pods: Rc<Pods>,
}

/// Which kinds may be relied on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) services: bool,
    pub(crate) slices: bool,
    pub(crate) namespaces: bool,
    pub(crate) pods: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    A,
    Aaaa,
    Srv,
    Cname,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Service(Key, Type),
    Host(Key, String, Type),
    /// SRV of `_http._tcp`.
    Port(Key),
    Namespace(&'static str),
    /// The name that spells a pod's address.
    Pod(&'static str, IpAddr),
    Reverse(IpAddr),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// NXDOMAIN.
    Absent,
    /// NODATA.
    Empty,
    /// Data of the records, in no order.
    Records(BTreeSet<String>),
    /// SERVFAIL: the index cannot tell.
    Unsure,
    /// Somebody else is to be asked.
    Elsewhere,
}

/// The label of an endpoint's name.
pub(crate) fn label(endpoint: &Endpoint, mode: Mode) -> String {
    let pod = endpoint.pod.filter(|_| mode.pod_names);
    match endpoint.hostname.or(pod) {
        Some(name) => name.to_owned(),
        None => dashed(endpoint.address),
    }
}

pub(crate) fn dashed(address: IpAddr) -> String {
    address.to_string().replace(['.', ':'], "-")
}

fn is_of(address: IpAddr, qtype: Type) -> bool {
    match qtype {
        Type::A => address.is_ipv4(),
        Type::Aaaa => address.is_ipv6(),
        Type::Srv | Type::Cname => false,
    }
}

fn records(found: BTreeSet<String>) -> Answer {
    if found.is_empty() {
        Answer::Empty
    } else {
        Answer::Records(found)
    }
}

/// A service's ready endpoints: label, address, and the port of the slice.
struct Endpoints {
    ready: Vec<(String, IpAddr, Option<u16>)>,
    /// May there be others?
    incomplete: bool,
}

impl View {
    fn slices_of(&self, (namespace, service): Key, mode: Mode) -> impl Iterator<Item = &Slice> {
        let watched = [true, false].into_iter().zip(&self.slices);
        let watched = watched.flat_map(move |(watch, slices)| {
            let of = slices.iter().filter(move |((of, _), _)| *of == namespace);
            of.filter(move |(_, slice)| watch_of(slice, mode) == Some(watch))
        });
        watched.filter_map(move |(_, slice)| {
            let names = slice.service.is_none_or(|it| it == service);
            names.then_some(slice)
        })
    }

    fn endpoints(&self, key: Key, mode: Mode) -> Endpoints {
        let mut found = Endpoints {
            ready: Vec::new(),
            incomplete: self.services.awaiting.contains(&key),
        };
        for slice in self.slices_of(key, mode) {
            found.incomplete |= slice.malformed;
            for endpoint in slice.endpoints.iter().filter(|it| it.ready) {
                let label = label(endpoint, mode);
                found.ready.push((label, endpoint.address, slice.port));
            }
        }
        found
    }

    /// Do two slices speak of an endpoint by one label in one family? Then a slice that vanishes for a moment is not
    /// missed: what another one says of the name counts (`docs/decisions`).
    pub(crate) fn is_told_twice(&self, key: Key, of: Option<&str>, mode: Mode) -> bool {
        let mut told = BTreeSet::new();
        for slice in self.slices_of(key, mode) {
            let of_slice: BTreeSet<_> = (slice.endpoints.iter())
                .map(|it| (label(it, mode), it.address.is_ipv4()))
                .filter(|(label, _)| of.is_none_or(|of| of == label))
                .collect();
            for it in of_slice {
                if !told.insert(it) {
                    return true;
                }
            }
        }
        false
    }

    /// May an endpoint of the service be in a slice that cannot be read?
    pub(crate) fn is_doubtful(&self, question: &Question, mode: Mode) -> bool {
        match question {
            Question::Service(key, _) | Question::Host(key, ..) | Question::Port(key) => {
                self.slices_of(*key, mode).any(|slice| slice.malformed)
            }
            _ => false,
        }
    }

    /// Everything that is true of the question: one answer, or two while a kind is not known.
    pub(crate) fn answers(&self, question: &Question, known: Known, mode: Mode) -> Vec<Answer> {
        let exists = |namespace: &str| {
            let services = self.services.of.keys();
            self.namespaces.contains_key(namespace) || services.clone().any(|it| it.0 == namespace)
        };
        match question {
            Question::Service(key, _) | Question::Host(key, ..) | Question::Port(key) => {
                vec![match self.services.of.get(key) {
                    _ if !known.services => Answer::Unsure,
                    None => Answer::Absent,
                    Some(service) => self.below(service, *key, question, known, mode),
                }]
            }
            Question::Namespace(namespace) if exists(namespace) => {
                match known.namespaces && known.services {
                    true => vec![Answer::Empty],
                    false => vec![Answer::Empty, Answer::Unsure],
                }
            }
            Question::Namespace(_) => match known.namespaces && known.services {
                true => vec![Answer::Absent],
                false => vec![Answer::Unsure],
            },
            Question::Pod(namespace, address) if mode.verified => {
                let at: Vec<_> = (self.pods.iter())
                    .filter(|((of, _), _)| of == namespace)
                    .map(|(_, address)| *address)
                    .collect();
                vec![match at {
                    _ if !known.pods => Answer::Unsure,
                    at if at.contains(&Some(*address)) => {
                        Answer::Records([address.to_string()].into())
                    }
                    at if at.contains(&None) => Answer::Unsure,
                    _ => Answer::Absent,
                }]
            }
            Question::Pod(namespace, address) if exists(namespace) => {
                let spelled = Answer::Records([address.to_string()].into());
                // A namespace that a service alone tells of is none while services are not known: it has an object.
                match (known.namespaces, known.services) {
                    (true, true) => vec![spelled],
                    (true, false) => vec![spelled, Answer::Absent],
                    (false, _) => vec![spelled, Answer::Unsure],
                }
            }
            Question::Pod(..) if known.namespaces => vec![Answer::Absent],
            Question::Pod(..) => vec![Answer::Unsure],
            Question::Reverse(_) if !known.services || !known.slices => vec![Answer::Unsure],
            Question::Reverse(address) => {
                let names = self.names_of(*address, mode);
                vec![match names.is_empty() {
                    true => Answer::Elsewhere,
                    false => Answer::Records(names),
                }]
            }
        }
    }

    fn below(
        &self,
        service: &Service,
        key: Key,
        question: &Question,
        known: Known,
        mode: Mode,
    ) -> Answer {
        let own_name = format!("{}.{}.svc.cluster.local.", key.1, key.0);
        let of_slices = match &service.kind {
            Kind::Malformed => return Answer::Unsure,
            Kind::External => {
                return match question {
                    Question::Service(_, Type::Cname) => {
                        Answer::Records([format!("{OUTSIDE}.")].into())
                    }
                    Question::Service(..) => Answer::Elsewhere,
                    _ => Answer::Absent,
                };
            }
            Kind::Headless => true,
            Kind::ClusterIp(_) => mode.all_slices && matches!(question, Question::Host(..)),
        };
        if of_slices && !known.slices {
            return Answer::Unsure;
        }
        let endpoints = self.endpoints(key, mode);
        let srv = || match &service.kind {
            Kind::ClusterIp(_) => (service.port.into_iter())
                .map(|port| format!("{port} {own_name}"))
                .collect(),
            _ => (endpoints.ready.iter())
                .filter_map(|(label, _, port)| Some(format!("{} {label}.{own_name}", (*port)?)))
                .collect::<BTreeSet<_>>(),
        };
        let addresses = |of: &dyn Fn(&str) -> bool, qtype: Type| {
            let ready = endpoints.ready.iter().filter(|(label, ..)| of(label));
            let ready = ready.filter(|(_, address, _)| is_of(*address, qtype));
            records(ready.map(|(_, address, _)| address.to_string()).collect())
        };
        let answer = match (&service.kind, question) {
            (Kind::Headless, _) if endpoints.ready.is_empty() => Answer::Absent,
            (_, Question::Service(_, Type::Srv)) => records(srv()),
            (_, Question::Port(_)) => match records(srv()) {
                Answer::Empty => Answer::Absent,
                found => found,
            },
            (Kind::ClusterIp(own), Question::Service(_, qtype)) => {
                let own = own.iter().filter(|it| is_of(**it, *qtype));
                records(own.map(ToString::to_string).collect())
            }
            (Kind::ClusterIp(_), Question::Host(..)) if !mode.all_slices => Answer::Absent,
            (_, Question::Service(_, qtype)) => addresses(&|_| true, *qtype),
            (_, Question::Host(_, label, qtype)) => {
                match endpoints.ready.iter().any(|(it, ..)| it == label) {
                    true => addresses(&|it| it == label, *qtype),
                    false => Answer::Absent,
                }
            }
            _ => unreachable!("a question below a service"),
        };
        match answer {
            Answer::Absent | Answer::Empty if of_slices && endpoints.incomplete => Answer::Unsure,
            answer => answer,
        }
    }

    fn names_of(&self, address: IpAddr, mode: Mode) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for (key, service) in &self.services.of {
            let own_name = format!("{}.{}.svc.cluster.local.", key.1, key.0);
            let has_hosts = match &service.kind {
                Kind::ClusterIp(own) => {
                    if own.contains(&address) {
                        names.insert(own_name.clone());
                    }
                    mode.all_slices
                }
                Kind::Headless => true,
                Kind::External | Kind::Malformed => false,
            };
            if has_hosts {
                for (label, at, _) in self.endpoints(*key, mode).ready {
                    if at == address {
                        names.insert(format!("{label}.{own_name}"));
                    }
                }
            }
        }
        names
    }
}

/// The records that each of these answers has.
pub(crate) fn always(answers: &[Answer]) -> BTreeSet<String> {
    let sets = answers.iter().map(|answer| match answer {
        Answer::Records(set) => set.clone(),
        _ => BTreeSet::new(),
    });
    sets.reduce(|a, b| &a & &b).unwrap_or_default()
}

/// Is the answer right, if the question's name had these answers at some time within the time that news takes
/// (`lately`), or within that time and the one for which vanished endpoints are still given (`before`)?
pub(crate) fn judge(given: &Answer, lately: &[Answer], before: &[Answer]) -> Result<(), String> {
    let Answer::Records(given) = given else {
        return match lately.contains(given) {
            true => Ok(()),
            false => Err("was true at no time".into()),
        };
    };
    let were = before.iter().filter_map(|answer| match answer {
        Answer::Records(set) => Some(set),
        _ => None,
    });
    let were: BTreeSet<_> = were.flatten().cloned().collect();
    if let Some(never) = given.difference(&were).next() {
        return Err(format!("{never} was there at no time"));
    }
    match always(lately).difference(given).next() {
        Some(missing) => Err(format!("{missing} was there all the time")),
        None => Ok(()),
    }
}
