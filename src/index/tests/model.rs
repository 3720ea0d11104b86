//! Slices in any order and with any overlap give what a plain set of `(service, hostname, address)` gives.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const SERVICES: [&str; 3] = ["a", "b", "c"];
const HOSTS: [&str; 4] = ["h0", "h1", "h2", "h3"];

#[derive(Clone, Debug)]
enum Step {
    Slice {
        name: u8,
        service: usize,
        endpoints: Vec<(usize, u8, bool)>,
    },
    DeleteSlice(u8),
    Service {
        service: usize,
        headless: bool,
    },
    DeleteService(usize),
    Relist,
    Publish,
}

fn step() -> impl Strategy<Value = Step> {
    let endpoints =
        prop::collection::vec((0..HOSTS.len(), 0_u8..6, prop::bool::weighted(0.8)), 0..5);
    prop_oneof![
        4 => (0_u8..5, 0..SERVICES.len(), endpoints)
            .prop_map(|(name, service, endpoints)| Step::Slice { name, service, endpoints }),
        1 => (0_u8..5).prop_map(Step::DeleteSlice),
        2 => (0..SERVICES.len(), prop::bool::weighted(0.8))
            .prop_map(|(service, headless)| Step::Service { service, headless }),
        1 => (0..SERVICES.len()).prop_map(Step::DeleteService),
        1 => Just(Step::Relist),
        1 => Just(Step::Publish),
    ]
}

fn object(name: u8, service: usize, endpoints: &[(usize, u8, bool)]) -> Object {
    let endpoint = |(host, address, ready): &(usize, u8, bool)| Endpoint {
        addresses: [IpAddr::from([10, 0, 0, *address])].into(),
        hostname: Some(label(HOSTS[*host])),
        pod: None,
        ready: *ready,
    };
    Object::EndpointSlice(EndpointSlice {
        key: ObjectKey::new("default", &format!("slice-{name}")),
        service: label(SERVICES[service]),
        endpoints: endpoints.iter().map(endpoint).collect(),
        ports: Box::default(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn slices_in_any_order_and_overlap_equal_a_model(steps in prop::collection::vec(step(), 1..60)) {
        let (mut index, reader) = Index::new(options());
        let mut slices = BTreeMap::new();
        let mut services = BTreeMap::new();
        list(&mut index, &[]);
        for step in steps {
            match step {
                Step::Slice { name, service, endpoints } => {
                    let object = object(name, service, &endpoints);
                    index.apply(Change::Apply(Source::EndpointSlices, object));
                    slices.insert(name, (service, endpoints));
                }
                Step::DeleteSlice(name) => {
                    let key = ObjectKey::new("default", &format!("slice-{name}"));
                    index.apply(Change::Delete(Source::EndpointSlices, key));
                    slices.remove(&name);
                }
                Step::Service { service, headless: true } => {
                    index.apply(Change::Apply(Source::Services, headless(SERVICES[service])));
                    services.insert(service, true);
                }
                Step::Service { service, .. } => {
                    index.apply(Change::Apply(Source::Services, cluster_ip(SERVICES[service], "10.96.0.1")));
                    services.insert(service, false);
                }
                Step::DeleteService(service) => {
                    let key = ObjectKey::new("default", SERVICES[service]);
                    index.apply(Change::Delete(Source::Services, key));
                    services.remove(&service);
                }
                Step::Relist => {
                    let all = slices.iter().rev().map(|(name, (service, endpoints))| object(*name, *service, endpoints));
                    let known = services.iter().map(|(service, is_headless)| match is_headless {
                        true => headless(SERVICES[*service]),
                        false => cluster_ip(SERVICES[*service], "10.96.0.1"),
                    });
                    list(&mut index, &all.chain(known).collect::<Vec<_>>());
                }
                Step::Publish => {
                    index.publish(1);
                    index.assert_built_whole();
                }
            }
        }
        index.publish(2);
        index.assert_built_whole();
        let mut at = BTreeMap::<String, BTreeSet<String>>::new();
        for (n, service) in SERVICES.iter().enumerate() {
            let is_headless = services.get(&n) == Some(&true);
            let endpoints = slices.values().filter(|(of, _)| *of == n).flat_map(|(_, endpoints)| endpoints);
            let ready: BTreeSet<_> = endpoints.filter(|(.., ready)| *ready && is_headless).collect();
            for (h, host) in HOSTS.iter().enumerate() {
                let own: Vec<_> = ready.iter().filter(|(of, ..)| *of == h).map(|(_, a, _)| format!("10.0.0.{a}")).collect();
                for address in &own {
                    at.entry(address.clone()).or_default().insert(format!("{host}.{service}"));
                }
                prop_assert_eq!(addresses(&reader, Some(host), service), (!own.is_empty()).then_some(own));
            }
            let all: BTreeSet<_> = ready.iter().map(|(_, address, _)| format!("10.0.0.{address}")).collect();
            let answered = addresses(&reader, None, service).map(BTreeSet::from_iter);
            match services.get(&n) {
                Some(false) => prop_assert_eq!(answered, Some(BTreeSet::from(["10.96.0.1".to_owned()]))),
                _ => prop_assert_eq!(answered, (!all.is_empty()).then_some(all)),
            }
        }
        for address in (0..6).map(|n| format!("10.0.0.{n}")) {
            let expected = at.remove(&address).unwrap_or_default();
            let hosts: Vec<_> = expected.iter().map(|name| name.split('.').next().unwrap().to_owned()).collect();
            let mut hosts = hosts;
            hosts.sort();
            prop_assert_eq!(owners(&reader, &address), hosts);
        }
    }
}
