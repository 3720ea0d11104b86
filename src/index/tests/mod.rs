//! The life of a cluster, as the index sees it.

mod follow;
mod model;
mod stage;

pub(super) use stage::options;

use super::{derive::wire_key, objects::AWAITING_SLICES, *};
use crate::model::{Endpoint, EndpointSlice, Label, Object, Unreadable};
use stage::{addresses, cluster_ip, headless, label, list, owners, slice, source_of, strings};
use std::net::IpAddr;

#[test]
fn a_change_rebuilds_the_service_that_it_touches_once_a_batch() {
    let (mut index, reader) = Index::new(options());
    let services = (0..100).map(|n| headless(&format!("s{n}")));
    let slices =
        (0..100).map(|n| slice(&format!("s{n}-a"), &format!("s{n}"), &[("h", "10.0.0.1")]));
    let objects: Vec<_> = services.chain(slices).collect();
    list(&mut index, &objects);
    assert_eq!(index.publish(1), 100);

    for n in 0..50 {
        let endpoints = [("h", &*format!("10.0.1.{n}"))];
        index.apply(Change::Apply(
            Source::EndpointSlices,
            slice("s7-a", "s7", &endpoints),
        ));
    }
    assert_eq!(index.publish(2), 1, "fifty events about one service");
    assert_eq!(
        addresses(&reader, Some("h"), "s7"),
        Some(strings(&["10.0.1.49"]))
    );
    assert_eq!(reader.load().serial(), 2);

    list(&mut index, &objects);
    assert_eq!(index.publish(3), 1, "a re-list rebuilds what differs");
    list(&mut index, &objects);
    assert_eq!(index.publish(4), 0, "and nothing when nothing does");
    assert_eq!((index.rebuilt(), reader.load().serial()), (102, 3));
}

#[test]
fn readers_see_no_empty_moment_during_a_re_list() {
    let (mut index, reader) = Index::new(options());
    let objects = [
        headless("nginx"),
        slice("a", "nginx", &[("web-0", "10.0.0.1")]),
        headless("gone"),
    ];
    list(&mut index, &objects);
    index.publish(1);
    for source in [Source::Services, Source::EndpointSlices] {
        index.apply(Change::ListStarted(source));
        index.publish(2);
        assert_eq!(
            addresses(&reader, None, "nginx"),
            Some(strings(&["10.0.0.1"]))
        );
        assert!(reader.load().is_synced());
        for object in objects[..2]
            .iter()
            .filter(|object| source_of(object) == source)
        {
            index.apply(Change::Apply(source, object.clone()));
            index.publish(2);
            assert_eq!(
                addresses(&reader, None, "nginx"),
                Some(strings(&["10.0.0.1"]))
            );
        }
        index.apply(Change::ListDone(source));
    }
    index.publish(3);
    let gone = wire_key(&ObjectKey::new("default", "gone")).unwrap();
    assert!(
        reader.load().service(&gone).is_none(),
        "what the list did not name is gone"
    );
}

#[test]
fn a_list_that_breaks_off_removes_nothing() {
    let (mut index, reader) = Index::new(options());
    list(
        &mut index,
        &[
            headless("nginx"),
            slice("a", "nginx", &[("web-0", "10.0.0.1")]),
        ],
    );
    index.apply(Change::ListStarted(Source::EndpointSlices));
    index.apply(Change::ListStarted(Source::EndpointSlices));
    index.apply(Change::Apply(
        Source::EndpointSlices,
        slice("b", "nginx", &[("web-1", "10.0.0.2")]),
    ));
    index.publish(1);
    assert_eq!(
        addresses(&reader, None, "nginx"),
        Some(strings(&["10.0.0.1", "10.0.0.2"]))
    );
    index.apply(Change::ListDone(Source::EndpointSlices));
    index.publish(1);
    assert_eq!(
        addresses(&reader, None, "nginx"),
        Some(strings(&["10.0.0.2"]))
    );
}

#[test]
fn an_endpoint_in_two_slices_counts_once_and_stays_while_one_has_it() {
    let (mut index, reader) = Index::new(options());
    let shared = [("web-0", "10.0.0.1")];
    list(
        &mut index,
        &[
            headless("nginx"),
            slice("a", "nginx", &shared),
            slice("b", "nginx", &shared),
        ],
    );
    index.publish(1);
    assert_eq!(
        addresses(&reader, None, "nginx"),
        Some(strings(&["10.0.0.1"]))
    );
    assert_eq!(
        addresses(&reader, Some("web-0"), "nginx"),
        Some(strings(&["10.0.0.1"]))
    );
    assert_eq!(owners(&reader, "10.0.0.1"), ["web-0"]);
    index.apply(Change::Delete(
        Source::EndpointSlices,
        ObjectKey::new("default", "a"),
    ));
    index.publish(2);
    assert_eq!(
        addresses(&reader, Some("web-0"), "nginx"),
        Some(strings(&["10.0.0.1"]))
    );
    index.apply(Change::Delete(
        Source::EndpointSlices,
        ObjectKey::new("default", "b"),
    ));
    index.publish(3);
    assert_eq!(addresses(&reader, None, "nginx"), None);
    assert_eq!(owners(&reader, "10.0.0.1"), Vec::<String>::new());
}

#[test]
fn a_slice_that_changes_its_service_leaves_the_old_one() {
    let (mut index, reader) = Index::new(options());
    list(
        &mut index,
        &[
            headless("old"),
            headless("new"),
            slice("a", "old", &[("h", "10.0.0.1")]),
        ],
    );
    index.apply(Change::Apply(
        Source::EndpointSlices,
        slice("a", "new", &[("h", "10.0.0.1")]),
    ));
    assert_eq!(index.publish(1), 2);
    assert_eq!(addresses(&reader, None, "old"), None);
    assert_eq!(
        addresses(&reader, None, "new"),
        Some(strings(&["10.0.0.1"]))
    );
}

#[test]
fn a_slice_that_changes_watches_is_there_throughout() {
    let (mut index, reader) = Index::new(options());
    let moving = slice("a", "nginx", &[("h", "10.0.0.1")]);
    list(&mut index, &[headless("nginx"), moving.clone()]);
    index.apply(Change::Apply(Source::ForeignEndpointSlices, moving));
    index.apply(Change::Delete(
        Source::EndpointSlices,
        ObjectKey::new("default", "a"),
    ));
    index.publish(1);
    assert_eq!(
        addresses(&reader, None, "nginx"),
        Some(strings(&["10.0.0.1"]))
    );
}

#[test]
fn headless_to_cluster_ip_and_back() {
    let (mut index, reader) = Index::new(options());
    list(
        &mut index,
        &[headless("nginx"), slice("a", "nginx", &[("h", "10.0.0.1")])],
    );
    for _ in 0..3 {
        index.apply(Change::Apply(
            Source::Services,
            cluster_ip("nginx", "10.96.0.9"),
        ));
        index.publish(1);
        assert_eq!(
            addresses(&reader, None, "nginx"),
            Some(strings(&["10.96.0.9"]))
        );
        assert_eq!(addresses(&reader, Some("h"), "nginx"), None);
        index.apply(Change::Apply(Source::Services, headless("nginx")));
        index.publish(2);
        assert_eq!(
            addresses(&reader, None, "nginx"),
            Some(strings(&["10.0.0.1"]))
        );
        assert_eq!(
            addresses(&reader, Some("h"), "nginx"),
            Some(strings(&["10.0.0.1"]))
        );
    }
}

#[test]
fn a_namespace_exists_while_anything_says_so() {
    let (mut index, reader) = Index::new(options());
    let namespace = || Object::Namespace(ObjectKey::new("", "default"));
    list(&mut index, &[namespace(), headless("nginx")]);
    index.publish(1);
    assert!(reader.load().has_namespace(b"default"));
    index.apply(Change::Delete(
        Source::Namespaces,
        ObjectKey::new("", "default"),
    ));
    index.publish(2);
    assert!(
        reader.load().has_namespace(b"default"),
        "a service is still in it"
    );
    index.apply(Change::Delete(
        Source::Services,
        ObjectKey::new("default", "nginx"),
    ));
    index.publish(3);
    assert!(!reader.load().has_namespace(b"default"));
}

#[test]
fn pods_on_the_host_network_share_an_address() {
    let (mut index, reader) = Index::new(options());
    let pod = |name: &str| {
        let key = ObjectKey::new("default", name);
        Object::Pod(crate::model::Pod {
            key,
            addresses: ["10.0.0.1".parse().unwrap()].into(),
        })
    };
    index.apply(Change::Apply(Source::Pods, pod("a")));
    index.apply(Change::Apply(Source::Pods, pod("b")));
    index.apply(Change::Delete(Source::Pods, ObjectKey::new("default", "a")));
    index.publish(1);
    assert!(
        reader
            .load()
            .has_pod(b"default", "10.0.0.1".parse().unwrap())
    );
    index.apply(Change::Delete(Source::Pods, ObjectKey::new("default", "b")));
    index.publish(2);
    assert!(
        !reader
            .load()
            .has_pod(b"default", "10.0.0.1".parse().unwrap())
    );
}

#[test]
fn hosts_are_found_in_their_places_as_they_are_found_by_searching() {
    for count in [0, 1, 7, 8, 9, 100, 1000] {
        let names: Vec<_> = (0..2 * count).map(|n| format!("h{n}")).collect();
        let address = |n: usize| format!("10.0.{}.{}", n / 256, n % 256);
        let addresses: Vec<_> = (0..2 * count).map(address).collect();
        let endpoints = names.iter().zip(&addresses);
        let endpoints = endpoints.map(|(name, address)| (name.as_str(), address.as_str()));
        let endpoints: Vec<_> = endpoints.step_by(2).collect();
        let (mut index, reader) = Index::new(options());
        list(
            &mut index,
            &[headless("web"), slice("web-a", "web", &endpoints)],
        );
        index.publish(1);
        let snapshot = reader.load();
        let records = snapshot.service(b"\x03web\x07default").unwrap();
        for (n, name) in names.iter().enumerate() {
            let found = snapshot.host(records, name.as_bytes());
            let first = found.and_then(|(a, _)| a.first());
            assert_eq!(first.is_some(), n % 2 == 0, "{name} of {count}");
            assert_eq!(
                first.is_some(),
                records.hosts().search(name.as_bytes()).is_ok()
            );
            assert!(first.is_none_or(|it| it.to_string() == addresses[n]));
        }
    }
}

#[test]
fn a_source_is_known_from_its_first_whole_list_until_it_is_lost() {
    let (mut index, reader) = Index::new(options());
    assert!(!reader.load().is_synced());
    list(&mut index, &[]);
    index.publish(1);
    assert!(reader.load().is_synced() && reader.load().knows_endpoints());
    index.apply(Change::Lost(Source::EndpointSlices));
    index.publish(2);
    assert!(!reader.load().knows_endpoints() && reader.load().knows(Source::Services));
    index.apply(Change::ListStarted(Source::EndpointSlices));
    index.publish(2);
    assert!(!reader.load().knows_endpoints(), "half a list is no ground");
    index.apply(Change::ListDone(Source::EndpointSlices));
    index.publish(3);
    assert!(reader.load().is_synced());
}

#[test]
fn what_fades_is_answered_while_other_names_of_its_service_change() {
    let (mut index, reader) = Index::new(options());
    let start = tokio::time::Instant::now().into_std();
    let hosts: Vec<_> = (0..9).map(|n| format!("h{n}")).collect();
    let web = |from: usize, first: &str| {
        let endpoints = hosts[from..].iter().enumerate();
        let endpoints: Vec<_> = endpoints
            .map(|(n, host)| (&**host, format!("{first}.0.0.{}", from + n)))
            .collect();
        let endpoints: Vec<_> = endpoints.iter().map(|(h, a)| (*h, &**a)).collect();
        Change::Apply(Source::EndpointSlices, slice("web-a", "web", &endpoints))
    };
    index.tell_time(start);
    list(&mut index, &[headless("web")]);
    index.apply(web(0, "10"));
    index.publish(1);
    let mut after = |changes: &[Change], time| {
        index.tell_time(start + time);
        for change in changes {
            index.apply(change.clone());
        }
        index.publish(2);
        index.assert_built_whole();
        ["h0", "h8"].map(|host| addresses(&reader, Some(host), "web").map(|it| it.concat()))
    };
    let told = |h0: Option<&str>, h8: &str| [h0.map(String::from), Some(h8.into())];
    let (gone, moved) = (web(1, "10"), web(1, "11"));
    assert_eq!(
        after(&[gone], FADING / 2),
        told(Some("10.0.0.0"), "10.0.0.8")
    );
    assert_eq!(after(&[moved], FADING), told(Some("10.0.0.0"), "11.0.0.8"));
    assert_eq!(after(&[], FADING * 2), told(None, "11.0.0.8"));
}
