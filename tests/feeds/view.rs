//! What a receiver knows after the changes so far, with the contract checked on the way.

use gapless::model::{Change, Event, Object, ObjectKey, Port, ServiceKind, Source};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};

/// The receiving end of a feed.
pub(crate) struct View {
    events: mpsc::Receiver<Event>,
    objects: BTreeMap<(Source, ObjectKey), Object>,
    /// What was applied since the list began.
    listing: BTreeMap<Source, BTreeSet<ObjectKey>>,
    /// What comparisons found.
    pub(crate) audited: BTreeSet<ObjectKey>,
    /// Comparisons that were completed.
    pub(crate) audits: usize,
    /// Lists that were completed.
    pub(crate) lists: BTreeMap<Source, usize>,
    /// Sources to which access is denied.
    pub(crate) lost: BTreeSet<Source>,
    /// Longer than any pause of a feed; it ends a test that would wait for ever.
    pub(crate) patience: Duration,
}

impl View {
    pub(crate) fn new(events: mpsc::Receiver<Event>) -> Self {
        Self {
            events,
            objects: BTreeMap::new(),
            listing: BTreeMap::new(),
            audited: BTreeSet::new(),
            audits: 0,
            lists: BTreeMap::new(),
            lost: BTreeSet::new(),
            patience: Duration::from_secs(60),
        }
    }

    /// Receives until each of the sources was listed so often and every object is as expected.
    pub(crate) async fn until(&mut self, sources: &[Source], lists: usize, expected: &[&str]) {
        let expected: BTreeSet<_> = expected.iter().map(|line| (*line).to_owned()).collect();
        let done = |view: &Self| {
            let listed = |it| view.lists.get(it).is_some_and(|times| *times >= lists);
            view.listing.is_empty() && sources.iter().all(listed) && view.shown() == expected
        };
        while !done(self) {
            if !self.receive().await {
                let (shown, lists) = (self.shown(), &self.lists);
                panic!("expected {expected:#?}\nbut there is {shown:#?}\nafter {lists:?}");
            }
        }
    }

    /// Receives until the condition holds.
    pub(crate) async fn until_it(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            assert!(
                self.receive().await,
                "expected {what}, there is {:#?}",
                self.shown()
            );
        }
    }

    async fn receive(&mut self) -> bool {
        match timeout(self.patience, self.events.recv()).await {
            Ok(Some(event)) => {
                self.fold(event.change);
                true
            }
            Ok(None) | Err(_) => false,
        }
    }

    fn fold(&mut self, change: Change) {
        match change {
            Change::ListStarted(source) => {
                self.listing.insert(source, BTreeSet::new());
            }
            Change::Apply(source, object) => {
                let known = self.listing.contains_key(&source) || self.lists.contains_key(&source);
                assert!(known, "{object:?} was applied before its list started");
                let key = object.key().clone();
                if let Some(listing) = self.listing.get_mut(&source) {
                    listing.insert(key.clone());
                }
                self.objects.insert((source, key), object);
            }
            Change::Confirmed(_) | Change::AuditStarted(_) => {}
            Change::Audited(source, object) => {
                self.audited.insert(object.key().clone());
                self.objects.insert((source, object.key().clone()), object);
            }
            Change::AuditDone(_) => self.audits += 1,
            Change::Delete(source, key) => {
                self.objects.remove(&(source, key));
            }
            Change::ListDone(source) => {
                let listed = self
                    .listing
                    .remove(&source)
                    .expect("a list that is done was started");
                self.objects
                    .retain(|(of, key), _| *of != source || listed.contains(key));
                *self.lists.entry(source).or_default() += 1;
                self.lost.remove(&source);
            }
            Change::Lost(source) => {
                self.listing.remove(&source);
                self.lost.insert(source);
            }
        }
    }

    /// The sources in which an object with this line stands.
    pub(crate) fn sources_of(&self, line: &str) -> Vec<Source> {
        let shown = self
            .objects
            .iter()
            .filter(|(_, object)| show(object) == line);
        shown.map(|((source, _), _)| *source).collect()
    }

    /// Each object as a line.
    pub(crate) fn shown(&self) -> BTreeSet<String> {
        self.objects.values().map(show).collect()
    }
}

fn show(object: &Object) -> String {
    match object {
        Object::Namespace(key) => format!("namespace {key}"),
        Object::Pod(pod) => format!("pod {} {:?}", pod.key, pod.addresses),
        Object::Unreadable(object) => match &object.service {
            Some(service) => format!("unreadable {} of {service}", object.key),
            None => format!("unreadable {}", object.key),
        },
        Object::Service(service) => {
            let kind = match &service.kind {
                ServiceKind::ClusterIp(ips) => format!("{ips:?}"),
                ServiceKind::Headless => "headless".to_owned(),
                ServiceKind::ExternalName(name) => {
                    String::from_utf8_lossy(name).escape_debug().to_string()
                }
            };
            format!(
                "service {} {kind}{}",
                service.key,
                show_ports(&service.ports)
            )
        }
        Object::EndpointSlice(slice) => {
            let mut line = format!("slice {} of {}", slice.key, slice.service);
            for endpoint in &slice.endpoints {
                line += &format!(" {:?}", endpoint.addresses);
                for name in [&endpoint.hostname, &endpoint.pod].into_iter().flatten() {
                    line += &format!(" {name}");
                }
                if !endpoint.ready {
                    line += " unready";
                }
            }
            line + &show_ports(&slice.ports)
        }
    }
}

fn show_ports(ports: &[Port]) -> String {
    let show = |port: &Port| {
        let name = port.name.as_ref().map_or("-", |name| name.as_str());
        format!(" {name}/{:?}/{}", port.protocol, port.number)
    };
    ports.iter().map(show).collect()
}
