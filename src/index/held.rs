//! What the index keeps of an object beside its key: all that records are made of, and no more. The endpoints of a slice,
//! which are most of a cluster, stand packed in one run of octets.

use super::EndpointNames;
use crate::model::{self, Label, Object, ObjectKey, Port, ServiceKind};
use std::{
    borrow::Cow,
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Held {
    Service(Service),
    EndpointSlice(Slice),
    Namespace,
    /// Its addresses.
    Pod(Box<[IpAddr]>),
    /// The service that a slice belongs to, if it says so.
    Unreadable(Option<Label>),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) kind: ServiceKind,
    pub(super) ports: Box<[Port]>,
}

/// An EndpointSlice: 20 octets for the endpoint of a StatefulSet's pod, where the model has 150.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) service: Label,
    pub(super) ports: Box<[Port]>,
    /// For each endpoint, in the order of their labels: whether it is ready, its label's length and octets, how many addresses it has, and for each of
    /// them its length and octets.
    endpoints: Box<[u8]>,
}

/// One endpoint of a [`Slice`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Endpoint<'s> {
    pub(super) ready: bool,
    /// The label of its own, if that is not its address.
    pub(super) label: Option<&'s [u8]>,
    addresses: &'s [u8],
}

impl Held {
    /// Key and content of an object.
    pub(super) fn of(object: Object, names: EndpointNames) -> (ObjectKey, Self) {
        match object {
            Object::Service(model::Service { key, kind, ports }) => {
                (key, Self::Service(Service { kind, ports }))
            }
            Object::EndpointSlice(slice) => {
                let endpoints = pack(&slice.endpoints, names);
                let held = Slice {
                    service: slice.service,
                    ports: slice.ports,
                    endpoints,
                };
                (slice.key, Self::EndpointSlice(held))
            }
            Object::Namespace(key) => (key, Self::Namespace),
            Object::Pod(pod) => (pod.key, Self::Pod(pod.addresses)),
            Object::Unreadable(object) => (object.key, Self::Unreadable(object.service)),
        }
    }

    pub(super) const fn as_slice(&self) -> Option<&Slice> {
        match self {
            Self::EndpointSlice(slice) => Some(slice),
            _ => None,
        }
    }
}

impl Slice {
    pub(super) fn endpoints(&self) -> impl Iterator<Item = Endpoint<'_>> {
        let mut rest = &*self.endpoints;
        std::iter::from_fn(move || unpack(&mut rest))
    }

    pub(super) fn ready(&self) -> impl Iterator<Item = Endpoint<'_>> {
        self.endpoints().filter(|endpoint| endpoint.ready)
    }
}

/// What two slices say differently about one service: endpoints of the one that the other has not just so.
pub(super) struct Apart<'s> {
    gone: Vec<Endpoint<'s>>,
    new: Vec<Endpoint<'s>>,
}

impl<'s> Apart<'s> {
    pub(super) fn between(had: &'s Slice, has: &'s Slice) -> Self {
        let (mut gone, mut new) = (vec![], vec![]);
        let (mut before, mut after) = (had.endpoints(), has.endpoints());
        loop {
            // In the same order, as nearly always, those that have not changed meet here.
            match (before.next(), after.next()) {
                (None, None) => break,
                (one, other) if one == other => {}
                (one, other) => {
                    gone.extend(one);
                    new.extend(other);
                }
            }
        }
        let set = |endpoints: &[Endpoint<'s>]| endpoints.iter().copied().collect();
        let (all_gone, all_new): (Set<_>, Set<_>) = (set(&gone), set(&new));
        gone.retain(|endpoint| !all_new.contains(endpoint));
        new.retain(|endpoint| !all_gone.contains(endpoint));
        Self { gone, new }
    }

    /// The labels about which they do.
    pub(super) fn labels(&self) -> impl Iterator<Item = Cow<'s, [u8]>> {
        let apart = self.gone.iter().chain(&self.new);
        apart.flat_map(|endpoint| endpoint.labels())
    }

    /// Had a ready endpoint a name that none has in the slice that there is now?
    pub(super) fn loses_a_name(&self, has: &Slice) -> bool {
        let ready = self.gone.iter().filter(|endpoint| endpoint.ready);
        let mut lost: Set<_> = ready.flat_map(|endpoint| endpoint.labels()).collect();
        for label in self.new.iter().flat_map(|endpoint| endpoint.labels()) {
            lost.remove(&label);
        }
        if lost.is_empty() {
            return false;
        }
        for label in has.endpoints().flat_map(Endpoint::labels) {
            lost.remove(&label);
        }
        !lost.is_empty()
    }
}

type Set<T> = HashSet<T, foldhash::fast::RandomState>;

impl<'s> Endpoint<'s> {
    fn labels(self) -> impl Iterator<Item = Cow<'s, [u8]>> {
        self.named().map(|(label, _)| label)
    }

    pub(super) fn addresses(self) -> impl Iterator<Item = IpAddr> {
        let mut rest = self.addresses;
        std::iter::from_fn(move || address(take_counted(&mut rest)?))
    }

    /// Each of its addresses, with the label of its name: its own, or what the address spells.
    pub(super) fn named(self) -> impl Iterator<Item = (Cow<'s, [u8]>, IpAddr)> {
        self.addresses().map(move |address| {
            let spelled = || Cow::Owned(model::label_of(address));
            (self.label.map_or_else(spelled, Cow::Borrowed), address)
        })
    }
}

/// No endpoint has more than 100 addresses, as the API has it; more than 255 are cut off.
fn pack(endpoints: &[model::Endpoint], names: EndpointNames) -> Box<[u8]> {
    let mut endpoints: Vec<_> = endpoints
        .iter()
        .map(|endpoint| {
            let pod = (endpoint.pod.as_ref()).filter(|_| names == EndpointNames::Pod);
            let label = endpoint.hostname.as_ref().or(pod).map(Label::as_bytes);
            (label.unwrap_or_default(), endpoint)
        })
        .collect();
    endpoints.sort_by_key(|(label, _)| *label);
    let mut run = Vec::with_capacity(endpoints.len() * 32); // for names of 24 octets
    for (label, endpoint) in endpoints {
        run.push(u8::from(endpoint.ready));
        put_counted(&mut run, label);
        let addresses = &endpoint.addresses[..endpoint.addresses.len().min(u8::MAX.into())];
        run.push(addresses.len() as u8);
        for address in addresses {
            match address {
                IpAddr::V4(v4) => put_counted(&mut run, &v4.octets()),
                IpAddr::V6(v6) => put_counted(&mut run, &v6.octets()),
            }
        }
    }
    run.into()
}

fn unpack<'s>(rest: &mut &'s [u8]) -> Option<Endpoint<'s>> {
    let ready = *rest.split_off_first()? == 1;
    let label = Some(take_counted(rest)?).filter(|label| !label.is_empty());
    let count = *rest.split_off_first()?;
    let addresses = *rest;
    for _ in 0..count {
        take_counted(rest)?;
    }
    let addresses = &addresses[..addresses.len() - rest.len()];
    Some(Endpoint {
        ready,
        label,
        addresses,
    })
}

/// Of at most 63 octets, as labels are.
fn put_counted(run: &mut Vec<u8>, octets: &[u8]) {
    run.push(octets.len() as u8);
    run.extend_from_slice(octets);
}

fn take_counted<'s>(rest: &mut &'s [u8]) -> Option<&'s [u8]> {
    let length = usize::from(*rest.split_off_first()?);
    rest.split_off(..length)
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(|it| Ipv4Addr::from(it).into());
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(|it| Ipv6Addr::from(it).into()))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(hostname: Option<&str>, pod: Option<&str>, addresses: &[&str]) -> model::Endpoint {
        let label = |text| Label::new(text).unwrap();
        model::Endpoint {
            addresses: addresses.iter().map(|it| it.parse().unwrap()).collect(),
            hostname: hostname.map(label),
            pod: pod.map(label),
            ready: hostname.is_some(),
        }
    }

    #[test]
    fn a_packed_slice_says_of_its_endpoints_what_the_object_said() {
        let endpoints = [
            endpoint(Some("web-0"), Some("web-0"), &["10.0.0.1"]),
            endpoint(None, Some("web-1"), &["10.0.0.2", "fd00::2"]),
            endpoint(Some("none"), None, &[]),
            endpoint(None, None, &["fd00::"]),
        ];
        let none = (true, "");
        let web_0 = (true, "web-0 10.0.0.1");
        let bare = (false, "fd00--0 fd00::");
        for (names, expected) in [
            (
                EndpointNames::Hostname,
                [
                    (false, "10-0-0-2 10.0.0.2, fd00--2 fd00::2"),
                    bare,
                    none,
                    web_0,
                ],
            ),
            (
                EndpointNames::Pod,
                [bare, none, web_0, (false, "web-1 10.0.0.2, web-1 fd00::2")],
            ),
        ] {
            let slice = Slice {
                service: Label::new("web").unwrap(),
                ports: Box::default(),
                endpoints: pack(&endpoints, names),
            };
            let text = |endpoint: Endpoint<'_>| {
                let named = endpoint.named().map(|(label, address)| {
                    format!("{} {address}", String::from_utf8_lossy(&label))
                });
                (endpoint.ready, named.collect::<Vec<_>>().join(", "))
            };
            assert_eq!(
                slice.endpoints().map(text).collect::<Vec<_>>(),
                expected.map(|(ready, names)| (ready, names.to_owned()))
            );
        }
    }

    #[test]
    fn an_endpoint_of_a_stateful_set_takes_twenty_octets() {
        let endpoints = [endpoint(Some("kafka-broker"), None, &["10.0.0.1"])];
        assert_eq!(pack(&endpoints, EndpointNames::Hostname).len(), 20);
    }

    #[test]
    fn a_name_is_lost_if_no_endpoint_has_it_in_whatever_order() {
        let of = |endpoints: &[(&str, &str)]| Slice {
            service: Label::new("web").unwrap(),
            ports: Box::default(),
            endpoints: pack(
                &endpoints
                    .iter()
                    .map(|(name, address)| endpoint(Some(name), None, &[address]))
                    .collect::<Vec<_>>(),
                EndpointNames::Hostname,
            ),
        };
        let bare = |addresses: &[&str]| {
            let endpoints = addresses.iter().map(|it| model::Endpoint {
                ready: true,
                ..endpoint(None, None, &[it])
            });
            Slice {
                endpoints: pack(&endpoints.collect::<Vec<_>>(), EndpointNames::Hostname),
                ..of(&[])
            }
        };
        let both = of(&[("a", "10.0.0.1"), ("b", "10.0.0.2")]);
        let moved = of(&[("b", "10.0.0.9"), ("a", "10.0.0.1"), ("c", "10.0.0.3")]);
        let twice = of(&[("a", "10.0.0.1"), ("a", "10.0.0.2")]);
        let one = of(&[("a", "10.0.0.1")]);
        for (had, has, lost) in [
            (&both, &both, false),
            (&both, &moved, false),
            (&moved, &both, true),
            (&both, &one, true),
            (&twice, &one, false),
            (&one, &of(&[]), true),
            (
                &bare(&["10.0.0.1", "10.0.0.2"]),
                &bare(&["10.0.0.2", "10.0.0.1"]),
                false,
            ),
            (&bare(&["10.0.0.1"]), &bare(&["10.0.0.2"]), true),
        ] {
            let apart = Apart::between(had, has);
            assert_eq!(apart.loses_a_name(has), lost, "{had:?} {has:?}");
        }
    }
}
