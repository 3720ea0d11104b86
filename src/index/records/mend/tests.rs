//! What is mended equals what is built, whatever changed.

use super::*;
use crate::{
    index::{
        held::{Apart, Held},
        records::build::build,
        tests::options,
    },
    model::{Endpoint, EndpointSlice, Label, Object, ObjectKey, Protocol, Service, ServiceKind},
};
use proptest::prelude::*;
use std::hash::BuildHasher;

const KEY: &[u8] = b"\x03web\x04shop";
const SLICES: usize = 3;

/// An endpoint: the number of its hostname, if it has one, that of its address, and whether it is ready.
type Facts = (Option<u8>, u8, bool);

fn endpoint(&(name, address, ready): &Facts) -> Endpoint {
    let hostname = name.map(|name| match name {
        0..3 => format!("10-0-0-{name}"), // as an address spells it
        name => format!("web-{name}"),
    });
    let address: IpAddr = match address % 16 {
        15 => format!("fd00::{address:x}").parse().unwrap(),
        14 => format!("::ffff:10.0.0.{address}").parse().unwrap(),
        _ => [10, 0, 0, address].into(),
    };
    Endpoint {
        addresses: [address].into(),
        hostname: hostname.map(|text| Label::new(&text).unwrap()),
        pod: None,
        ready,
    }
}

fn port(number: u16) -> Port {
    Port {
        name: Some(Label::new(&format!("port-{number}")).unwrap()),
        protocol: Protocol::Tcp,
        number,
    }
}

fn held(endpoints: &[Facts], ports: &[u16]) -> Held {
    let slice = EndpointSlice {
        key: ObjectKey::new("shop", "web-abcde"),
        service: Label::new("web").unwrap(),
        endpoints: endpoints.iter().map(endpoint).collect(),
        ports: ports.iter().map(|number| port(*number)).collect(),
    };
    Held::of(Object::EndpointSlice(slice), options().endpoint_names).1
}

fn of<'s>(slices: &'s [Held]) -> Slices<'s, impl Iterator<Item = &'s Slice> + Clone> {
    Slices {
        slices: slices.iter().filter_map(Held::as_slice),
        fading: vec![],
        incomplete: false,
    }
}

fn hash(label: &[u8]) -> u64 {
    foldhash::fast::FixedState::with_seed(1).hash_one(label)
}

fn built(slices: &[Held]) -> ServiceRecords {
    let Held::Service(service) = Held::of(
        Object::Service(Service {
            key: ObjectKey::new("shop", "web"),
            kind: ServiceKind::Headless,
            ports: Box::default(),
        }),
        options().endpoint_names,
    )
    .1
    else {
        panic!("it is a service")
    };
    build(KEY, &service, of(slices), &options(), hash)
}

/// Mends what `before` gives to what `after` gives; whether that was done, and right.
fn mended(before: &[Held], after: &[Held]) -> Option<()> {
    let pairs = before.iter().zip(after);
    let pairs = pairs.filter_map(|(had, has)| Some((had.as_slice()?, has.as_slice()?)));
    let touched = pairs.flat_map(|(had, has)| {
        let apart = Apart::between(had, has);
        apart
            .labels()
            .map(|label| Box::from(&*label))
            .collect::<Vec<_>>()
    });
    let touched = touched.collect();
    let (was, is) = (built(before), built(after));
    let (records, addresses) = mend(&was, &touched, &of(after), &options(), hash)?;
    assert_eq!(records, is);
    let all = was
        .reverse_addresses()
        .into_iter()
        .chain(is.reverse_addresses());
    for address in all {
        assert!(
            addresses.contains(&address) || was.has_reverse(address) == is.has_reverse(address),
            "{address}"
        );
    }
    assert!(addresses.is_sorted_by(|a, b| a < b));
    Some(())
}

fn facts() -> impl Strategy<Value = Facts> {
    (
        prop::option::weighted(0.8, 0..40_u8),
        any::<u8>(),
        prop::bool::weighted(0.8),
    )
}

/// Of a slice, of an endpoint in it, and what becomes of that one.
type Step = (usize, usize, Option<Facts>);

/// Slices of many endpoints, and what becomes of some of them.
fn histories() -> impl Strategy<Value = (Vec<Vec<Facts>>, Vec<Step>)> {
    let slice = prop::collection::vec(facts(), 0..30);
    let changes = (0..SLICES, 0..30_usize, prop::option::weighted(0.8, facts()));
    (
        prop::collection::vec(slice, SLICES),
        prop::collection::vec(changes, 0..4),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_mended_equals_what_is_built((before, changes) in histories(), spread in prop::bool::weighted(0.8)) {
        // Without an address that two have, as in most services.
        let apart = |slices: Vec<Vec<Facts>>| {
            let mut number = 0_u8;
            let mut next = || { number = number.wrapping_add(1); number };
            slices.into_iter().map(|slice| slice.into_iter().map(|(name, _, ready)| (name, next(), ready)).collect()).collect()
        };
        let before: Vec<Vec<Facts>> = if spread { apart(before) } else { before };
        let mut after = before.clone();
        for (slice, at, facts) in changes {
            let slice = &mut after[slice];
            match facts {
                Some(facts) if at < slice.len() => slice[at] = facts,
                Some(facts) => slice.push(facts),
                None if at < slice.len() => { slice.remove(at); }
                None => {}
            }
        }
        let held = |slices: &[Vec<Facts>]| slices.iter().map(|it| held(it, &[80])).collect::<Vec<_>>();
        mended(&held(&before), &held(&after));
    }
}

#[test]
fn one_name_of_many_is_mended_whatever_becomes_of_it() {
    let many: Vec<Facts> = (0..20).map(|n| (Some(n), n, n % 5 > 0)).collect();
    let changed = |n: usize, facts: Option<Facts>| {
        let mut changed = many.clone();
        changed.splice(n..=n, facts);
        held(&changed, &[80])
    };
    let before = [held(&many, &[80])];
    for (n, facts) in [
        (0, Some((Some(0), 0, true))),
        (7, Some((Some(7), 7, false))),
        (7, Some((Some(7), 99, true))),
        (7, Some((Some(99), 7, true))),
        (7, Some((None, 7, true))),
        (19, None),
        (1, None),
        (5, None),
    ] {
        assert_eq!(
            mended(&before, &[changed(n, facts)]),
            Some(()),
            "{n} {facts:?}"
        );
    }
    let new = [changed(19, Some((Some(19), 15, true)))];
    assert_eq!(
        mended(&before, &new),
        Some(()),
        "it has the other family now"
    );
}

#[test]
fn what_takes_more_than_copying_is_not_mended() {
    let many: Vec<Facts> = (0..20).map(|n| (Some(n), n, true)).collect();
    let with = |facts: &[Facts]| [many.as_slice(), facts].concat();
    let before = [held(&many, &[80])];
    for (after, why) in [
        (
            held(&with(&[(Some(30), 7, true)]), &[80]),
            "two hosts have one address",
        ),
        (
            held(&with(&[(Some(30), 30, true)]), &[80, 81]),
            "another port",
        ),
        (held(&many[..10], &[80]), "half of all names"),
    ] {
        assert_eq!(mended(&before, &[after]), None, "{why}");
    }
}
