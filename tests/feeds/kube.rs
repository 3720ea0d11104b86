//! What only an API server can do: refuse, forget, break off and fall silent.

use crate::{
    api_server::{ApiServer, Asked, Streaming},
    view::View,
};
use gapless::{
    feed::kube::{self, Options, Selection},
    lifecycle::{Drain, Tasks},
    metrics::{Feed, Metrics},
    model::Source,
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::mpsc;

struct Started {
    view: View,
    metrics: Feed,
    drain: Drain,
    tasks: Tasks,
}

fn start_with(server: &ApiServer, selection: Selection) -> Started {
    // Holds all that comes while a test waits for the server instead.
    let (events, receiver) = mpsc::channel(64);
    let metrics = Metrics::new(&mut prometheus_client::registry::Registry::default()).feed;
    let (tasks, _) = Tasks::new();
    let drain = Drain::new();
    let options = Options {
        client: server.client(),
        selection,
        seed: 7,
    };
    kube::start(&options, &events, &drain, &tasks, &metrics);
    Started {
        view: View::new(receiver),
        metrics,
        drain,
        tasks,
    }
}

fn start(server: &ApiServer) -> Started {
    let all_slices = Selection {
        all_endpoint_slices: true,
        ..Selection::default()
    };
    start_with(server, all_slices)
}

const SOURCES: &[Source] = &[Source::Services, Source::EndpointSlices, Source::Namespaces];

fn service(name: &str) -> Value {
    json!({
        "kind": "Service", "apiVersion": "v1",
        "metadata": {"namespace": "shop", "name": name, "managedFields": [{"manager": "kubectl"}]},
        "spec": {"clusterIP": "None", "sessionAffinity": "None"},
        "status": {"loadBalancer": {}},
    })
}

fn shown(names: &[&str]) -> Vec<String> {
    let line = |name: &&str| format!("service shop/{name} headless");
    names.iter().map(line).collect()
}

async fn expect(view: &mut View, lists: usize, names: &[&str]) {
    let lines = shown(names);
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    view.until(&[Source::Services], lists, &lines).await;
}

#[tokio::test]
async fn a_streaming_list_goes_on_as_the_watch() {
    let server = ApiServer::start().await;
    server.apply(&service("a"));
    let mut feed = start(&server);
    feed.view
        .until(SOURCES, 1, &["service shop/a headless"])
        .await;
    server.apply(&service("b"));
    expect(&mut feed.view, 1, &["a", "b"]).await;
    assert_eq!(server.asked("services", Asked::Stream), 1);
    assert_eq!(server.asked("services", Asked::List), 0);
    assert_eq!(server.asked("services", Asked::Watch), 0);
}

#[tokio::test]
async fn a_server_that_refuses_streaming_lists_is_listed_in_pages_at_once() {
    for streaming in [Streaming::Refused, Streaming::NoProgress] {
        let server = ApiServer::start().await;
        server.fault("services", |faults| {
            faults.streaming = streaming;
            faults.page_size = Some(2);
        });
        for name in ["a", "b", "c", "d", "e"] {
            server.apply(&service(name));
        }
        let mut feed = start(&server);
        expect(&mut feed.view, 1, &["a", "b", "c", "d", "e"]).await;
        server.until_asked("services", Asked::Watch, 1).await;
        server.delete("services", "shop", "c");
        expect(&mut feed.view, 1, &["a", "b", "d", "e"]).await;
        let asked = |asked| server.asked("services", asked);
        assert_eq!(
            [asked(Asked::Stream), asked(Asked::List), asked(Asked::Page)],
            [1, 1, 2],
            "{streaming:?}"
        );
        // The next list does not ask for a stream again.
        server.apply(&json!({"kind": "Namespace", "metadata": {"name": "shop"}}));
        server.compact();
        server.cut_watches();
        feed.view
            .until_it("a second list", |view| view.lists[&Source::Services] == 2)
            .await;
        assert_eq!(asked(Asked::Stream), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_streaming_list_that_stands_still_gives_way_to_pages() {
    let server = ApiServer::start().await;
    server.fault("services", |faults| faults.streaming = Streaming::Silent);
    server.apply(&service("a"));
    let mut feed = start(&server);
    feed.view.patience = Duration::from_secs(3_600);
    expect(&mut feed.view, 1, &["a"]).await;
    assert!(server.asked("services", Asked::List) >= 1);
}

#[tokio::test]
async fn an_interrupted_watch_resumes_where_it_was() {
    let server = ApiServer::start().await;
    server.apply(&service("a"));
    let mut feed = start(&server);
    expect(&mut feed.view, 1, &["a"]).await;
    server.fault("services", |faults| faults.refuse = Some((503, None)));
    server.cut_watches();
    server.until_asked("services", Asked::Watch, 1).await;
    server.apply(&service("b"));
    server.delete("services", "shop", "a");
    server.fault("services", |faults| faults.refuse = None);
    expect(&mut feed.view, 1, &["b"]).await;
    assert_eq!(feed.view.lists[&Source::Services], 1);
    assert_eq!(server.asked("services", Asked::Stream), 1);
}

#[tokio::test]
async fn a_position_that_is_gone_is_listed_anew_and_what_vanished_meanwhile_is_gone() {
    for expired_as_status in [true, false] {
        let server = ApiServer::start().await;
        server.apply(&service("a"));
        server.apply(&service("b"));
        let mut feed = start(&server);
        expect(&mut feed.view, 1, &["a", "b"]).await;
        server.fault("services", |faults| {
            faults.expired_as_status = expired_as_status;
            faults.refuse = Some((503, None));
        });
        server.cut_watches();
        server.until_asked("services", Asked::Watch, 1).await;
        server.delete("services", "shop", "a");
        server.compact();
        server.fault("services", |faults| faults.refuse = None);
        expect(&mut feed.view, 2, &["b"]).await;
        let lists: Vec<_> = (server.targets().into_iter())
            .filter(|it| it.starts_with("/api/v1/services?") && it.contains("sendInitialEvents"))
            .collect();
        assert_eq!(lists.len(), 2);
        assert!(lists[0].contains("resourceVersion=&"), "{}", lists[0]);
        assert!(lists[1].contains("resourceVersion=102&"), "{}", lists[1]);
    }
}

#[tokio::test]
async fn a_server_that_counts_from_a_lower_version_on_is_listed_anew() {
    let server = ApiServer::start().await;
    server.apply(&service("a"));
    let mut feed = start(&server);
    expect(&mut feed.view, 1, &["a"]).await;
    server.fault("services", |faults| faults.refuse = Some((410, None)));
    server.cut_watches();
    server.until_asked("services", Asked::Watch, 1).await;
    server.rewind(50);
    server.fault("services", |faults| faults.refuse = None);
    expect(&mut feed.view, 2, &["a"]).await;
    server.apply(&service("b"));
    expect(&mut feed.view, 2, &["a", "b"]).await;
}

#[tokio::test]
async fn a_list_cut_anywhere_is_started_again_and_never_half() {
    for streaming in [Streaming::On, Streaming::Refused] {
        for cut in [0, 1, 150, 400, 700, 900] {
            let server = ApiServer::start().await;
            for name in ["a", "b", "c", "d"] {
                server.apply(&service(name));
            }
            server.fault("services", |faults| {
                faults.streaming = streaming;
                faults.page_size = Some(2);
                faults.cut = Some(cut);
            });
            let mut feed = start(&server);
            // The first list that is done is the whole one.
            feed.view
                .until_it("a list", |view| view.lists.contains_key(&Source::Services))
                .await;
            let held = feed.view.shown();
            assert_eq!(
                held,
                shown(&["a", "b", "c", "d"]).into_iter().collect(),
                "{cut}"
            );
        }
    }
}

#[tokio::test]
async fn a_watch_cut_within_a_line_loses_nothing() {
    let server = ApiServer::start().await;
    server.fault("services", |faults| {
        faults.streaming = Streaming::Refused;
        faults.hang_watches = 0;
    });
    let mut feed = start(&server);
    expect(&mut feed.view, 1, &[]).await;
    server.until_asked("services", Asked::Watch, 1).await;
    server.fault("services", |faults| faults.cut = Some(30));
    server.cut_watches();
    server.until_asked("services", Asked::Watch, 2).await;
    server.apply(&service("a"));
    server.apply(&service("b"));
    expect(&mut feed.view, 1, &["a", "b"]).await;
    assert_eq!(feed.view.lists[&Source::Services], 1);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_says_nothing_is_opened_again() {
    let server = ApiServer::start().await;
    server.fault("services", |faults| {
        faults.streaming = Streaming::Refused;
        faults.hang_watches = 1;
    });
    let mut feed = start(&server);
    feed.view.patience = Duration::from_secs(3_600);
    expect(&mut feed.view, 1, &[]).await;
    server.until_asked("services", Asked::Watch, 1).await;
    server.apply(&service("a"));
    expect(&mut feed.view, 1, &["a"]).await;
    assert!(server.asked("services", Asked::Watch) >= 2);
    assert_eq!(server.asked("services", Asked::List), 1);
}

#[tokio::test]
async fn k7_malformed_objects_are_unreadable_alone_and_are_counted() {
    for streaming in [Streaming::On, Streaming::Refused] {
        let server = ApiServer::start().await;
        server.fault("services", |faults| faults.streaming = streaming);
        let malformed = |name: &str| {
            let mut object = service(name);
            object["spec"]["ports"] = json!([{"port": "http"}]);
            object
        };
        server.apply(&service("a"));
        server.apply(&malformed("b"));
        server.apply(&service("c"));
        let mut feed = start(&server);
        let services = &[Source::Services];
        let [a, b, c] = [
            "service shop/a headless",
            "unreadable shop/b",
            "service shop/c headless",
        ];
        feed.view.until(services, 1, &[a, b, c]).await;
        assert_eq!(feed.metrics.rejected_total("services"), 1);
        server.apply(&malformed("a"));
        feed.view
            .until(services, 1, &["unreadable shop/a", b, c])
            .await;
        assert_eq!(feed.metrics.rejected_total("services"), 2);
        server.delete("services", "shop", "b");
        server.apply(&service("a"));
        feed.view.until(services, 1, &[a, c]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_denied_kind_is_lost_until_access_comes_and_the_others_are_served() {
    let server = ApiServer::start().await;
    server.fault("services", |faults| faults.refuse = Some((403, None)));
    server.apply(&service("a"));
    server.apply(&json!({"kind": "Namespace", "metadata": {"name": "shop"}}));
    let mut feed = start(&server);
    feed.view.patience = Duration::from_secs(3_600);
    feed.view
        .until_it("services lost, namespaces listed", |view| {
            view.lost.contains(&Source::Services) && view.lists.contains_key(&Source::Namespaces)
        })
        .await;
    server.fault("services", |faults| faults.refuse = None);
    feed.view
        .until(SOURCES, 1, &["namespace shop", "service shop/a headless"])
        .await;
    // Denied later, while it is watched.
    server.fault("services", |faults| faults.refuse = Some((403, None)));
    server.cut_watches();
    feed.view
        .until_it("services lost", |view| {
            view.lost.contains(&Source::Services)
        })
        .await;
    server.fault("services", |faults| faults.refuse = None);
    feed.view
        .until(
            &[Source::Services],
            2,
            &["namespace shop", "service shop/a headless"],
        )
        .await;
    assert!(feed.view.lost.is_empty());
}

/// A server that starts answers 403 until it has read its roles.
#[tokio::test]
async fn a_refused_token_or_a_moments_denial_is_tried_again_and_loses_nothing() {
    for status in [401, 403] {
        let server = ApiServer::start().await;
        server.apply(&service("a"));
        let mut feed = start(&server);
        expect(&mut feed.view, 1, &["a"]).await;
        server.fault("services", |faults| faults.refuse = Some((status, None)));
        server.cut_watches();
        server.until_asked("services", Asked::Watch, 1).await;
        server.apply(&service("b"));
        server.fault("services", |faults| faults.refuse = None);
        expect(&mut feed.view, 1, &["a", "b"]).await;
        assert_eq!(feed.view.lists[&Source::Services], 1);
        assert!(feed.view.lost.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_to_wait_is_left_alone_for_so_long() {
    let server = ApiServer::start().await;
    server.fault("services", |faults| faults.refuse = Some((429, Some(20))));
    server.apply(&service("a"));
    let started = tokio::time::Instant::now();
    let mut feed = start(&server);
    feed.view.patience = Duration::from_secs(3_600);
    server.until_asked("services", Asked::Stream, 1).await;
    server.fault("services", |faults| faults.refuse = None);
    expect(&mut feed.view, 1, &["a"]).await;
    assert!(started.elapsed() >= Duration::from_secs(20));
    assert_eq!(server.asked("services", Asked::Stream), 2);
}

#[tokio::test]
async fn a_slice_whose_labels_change_moves_from_one_watch_to_the_other() {
    let server = ApiServer::start().await;
    let slice = |manager: &str| {
        json!({
            "kind": "EndpointSlice", "metadata": {"namespace": "shop", "name": "web-1", "labels": {
                "kubernetes.io/service-name": "web",
                "service.kubernetes.io/headless": "",
                "endpointslice.kubernetes.io/managed-by": manager,
            }},
            "addressType": "IPv4", "endpoints": [{"addresses": ["10.1.0.1"]}],
        })
    };
    server.apply(&slice("endpointslice-controller.k8s.io"));
    let mut not_headless = slice("endpointslice-controller.k8s.io");
    not_headless["metadata"]["name"] = "other".into();
    not_headless["metadata"]["labels"]["service.kubernetes.io/headless"] = json!(null);
    server.apply(&not_headless);
    let mut feed = start_with(&server, Selection::default());
    let line = "slice shop/web-1 of web [10.1.0.1]";
    let both = &[Source::EndpointSlices, Source::ForeignEndpointSlices];
    feed.view.until(both, 1, &[line]).await;
    server.apply(&slice("me"));
    // It leaves the one and enters the other, in either order: at the end it stands in the other alone.
    feed.view
        .until_it("the slice in the second watch alone", |view| {
            view.sources_of(line) == [Source::ForeignEndpointSlices]
        })
        .await;
}

#[tokio::test]
async fn a_bookmark_moves_the_position_on() {
    let server = ApiServer::start().await;
    server.apply(&service("a"));
    let mut feed = start(&server);
    expect(&mut feed.view, 1, &["a"]).await;
    server.bookmark();
    server.apply(&service("b"));
    expect(&mut feed.view, 1, &["a", "b"]).await;
    // Nothing but services is known to have been read up to here.
    server.compact();
    server.cut_watches();
    server.until_asked("services", Asked::Watch, 1).await;
    server.apply(&service("c"));
    expect(&mut feed.view, 1, &["a", "b", "c"]).await;
    assert_eq!(server.asked("services", Asked::Stream), 1);
}

#[tokio::test]
async fn a_drain_ends_every_watch() {
    let server = ApiServer::start().await;
    let mut feed = start(&server);
    feed.view.until(SOURCES, 1, &[]).await;
    feed.drain.cancel();
    feed.tasks.finished().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_is_asked_ever_more_rarely() {
    let server = ApiServer::start().await;
    server.fault("services", |faults| faults.refuse = Some((503, None)));
    server.apply(&service("a"));
    let mut feed = start(&server);
    feed.view.patience = Duration::from_secs(3_600);
    let mut times = Vec::new();
    for attempt in 1..=9 {
        server.until_asked("services", Asked::Stream, attempt).await;
        times.push(tokio::time::Instant::now());
    }
    let pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (index, pause) in pauses.iter().enumerate() {
        let longest = Duration::from_millis(800 << index).min(Duration::from_secs(30));
        // Timers tick in milliseconds.
        let tick = Duration::from_millis(2);
        assert!(
            *pause >= longest / 2 && *pause <= longest + tick,
            "{pauses:?}"
        );
    }
    server.fault("services", |faults| faults.refuse = None);
    expect(&mut feed.view, 1, &["a"]).await;
}

#[tokio::test]
async fn a_continue_token_that_expires_starts_the_list_again() {
    let server = ApiServer::start().await;
    server.fault("services", |faults| {
        faults.streaming = Streaming::Refused;
        faults.page_size = Some(1);
        faults.expire_pages = true;
    });
    for name in ["a", "b", "c"] {
        server.apply(&service(name));
    }
    let mut feed = start(&server);
    server.until_asked("services", Asked::Page, 1).await;
    server.fault("services", |faults| faults.expire_pages = false);
    expect(&mut feed.view, 1, &["a", "b", "c"]).await;
    assert_eq!(feed.view.lists[&Source::Services], 1);
    assert!(server.asked("services", Asked::List) >= 2);
}
