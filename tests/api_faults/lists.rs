//! Lists that break off, are malformed, or large.

use crate::{
    api_server::{ApiServer, Asked, Streaming},
    world::{CONTROLLER, DB, World, service, shop, slice},
};
use serde_json::json;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn k6_a_list_cut_at_any_octet_is_never_taken_for_the_whole() {
    for streaming in [Streaming::On, Streaming::Refused] {
        for cut in (0..1000).step_by(10) {
            let server = ApiServer::start().await;
            for n in 0..6 {
                server.apply(&service(&format!("s{n}"), &format!("10.96.1.{n}")));
            }
            server.fault("services", |faults| {
                faults.streaming = streaming;
                faults.page_size = Some(4);
                faults.cut = Some(cut);
            });
            let world = World::start(server);
            // As long as the list is not whole, no name is said not to exist.
            while world.ask("none.shop") == "SERVFAIL" {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            for n in 0..6 {
                assert_eq!(
                    world.ask(&format!("s{n}.shop")),
                    format!("NOERROR 10.96.1.{n}")
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn k8_what_a_newer_cluster_adds_is_ignored() {
    let server = shop().await;
    let mut of_names = slice("db-names", "db", CONTROLLER, &[]);
    of_names["addressType"] = json!("FQDN");
    of_names["endpoints"] = json!([{"addresses": ["example.org"], "hints": {"forMoons": [1]}}]);
    let mut newer = service("newer", "10.96.0.60");
    newer["spec"]["trafficDistribution"] = json!({"prefer": ["Moon"]});
    newer["spec"]["type"] = json!("LunarIP");
    newer["spec"]["ports"] =
        json!([{"name": "q", "port": 443, "protocol": "QUIC", "appProtocol": {}}]);
    server.apply(&of_names);
    server.apply(&newer);
    let world = World::start(server);
    world.until("newer.shop", "NOERROR 10.96.0.60").await;
    world.until("db.shop", DB).await;
    assert_eq!(world.ask("other.db.shop"), "NXDOMAIN");
    assert_eq!(world.feed.rejected_total("services"), 0);
    assert_eq!(world.feed.rejected_total("endpointslices"), 0);
}

/// A question never waits for them: it reads what was published last.
#[tokio::test(start_paused = true)]
async fn k14_ten_thousand_deletes_of_a_namespace_are_published_in_batches() {
    let server = shop().await;
    for n in 0..10_000 {
        let mut service = service(&format!("s{n}"), "10.96.1.1");
        service["metadata"]["namespace"] = json!("old");
        server.apply(&service);
    }
    let world = World::start(server);
    world.until("s9999.old", "NOERROR 10.96.1.1").await;
    let before = world.said().publications;
    for n in 0..10_000 {
        world.server.delete("services", "old", &format!("s{n}"));
    }
    let took = world.until("s9999.old", "NXDOMAIN").await;
    assert!(took <= Duration::from_secs(1), "{took:?}");
    for n in (0..10_000).step_by(10) {
        assert_eq!(world.ask(&format!("s{n}.old")), "NXDOMAIN");
    }
    let said = world.said();
    let publications = said.publications - before;
    println!(
        "{publications} publications of at most {} events",
        said.largest
    );
    assert!(publications <= 10_000 / 32, "{publications}");
    assert!(said.largest <= 256, "{}", said.largest);
    world.until("db.shop", DB).await;
}

/// Ten thousand events a second for as many seconds, all of them changes of one of a hundred services' endpoints.
async fn k15(seconds: usize) {
    let server = shop().await;
    let change = |n: usize, octet: usize| {
        let address = format!("10.2.{}.{octet}", n % 100);
        let service = format!("s{}", n % 100);
        slice(
            &format!("{service}-1"),
            &service,
            CONTROLLER,
            &[("h", &address)],
        )
    };
    for n in 0..100 {
        server.apply(&service(&format!("s{n}"), "None"));
        server.apply(&change(n, 0));
    }
    let world = World::start(server);
    world.until("h.s99.shop", "NOERROR 10.2.99.0").await;
    for second in 1..=seconds {
        for n in 0..10_000 {
            world.server.apply(&change(n, (second + n / 100) % 250));
        }
        let last = (second + 99) % 250;
        let took = world
            .until("h.s99.shop", &format!("NOERROR 10.2.99.{last}"))
            .await;
        assert!(took <= Duration::from_secs(1), "{second}: {took:?}");
        for n in 0..100 {
            let name = format!("h.s{n}.shop");
            assert_eq!(world.ask(&name), format!("NOERROR 10.2.{n}.{last}"));
        }
        assert_eq!(world.ask("db-0.db.shop"), DB);
        world.server.compact(); // what a watch has told needs no memory here
    }
    let said = world.said();
    println!(
        "{} publications of at most {} events",
        said.publications, said.largest
    );
    assert!(said.largest <= 256, "{}", said.largest);
    let lists = world.server.asked("endpointslices", Asked::Stream);
    assert_eq!(
        lists, 2,
        "nothing was listed anew: the two watches began with their lists"
    );
}

#[tokio::test(start_paused = true)]
async fn k15_ten_thousand_events_a_second_are_published_in_batches_and_none_is_lost() {
    k15(1).await;
}

#[tokio::test(start_paused = true)]
#[ignore = "cargo test --release --test api_faults -- --ignored --nocapture k15"]
async fn k15_ten_thousand_events_a_second_for_a_minute() {
    k15(60).await;
}

/// No reader sees a part of what changes among the slices of one service.
#[tokio::test(start_paused = true)]
async fn k23_a_service_of_ten_thousand_endpoints_that_all_change_is_whole_at_any_time() {
    let server = shop().await;
    server.apply(&service("big", "None"));
    let slice_of = |n: usize, round: usize| {
        let endpoints: Vec<_> = (0..100)
            .map(|host| (format!("h-{n}-{host}"), format!("10.{round}.{n}.{host}")))
            .collect();
        let endpoints: Vec<_> = endpoints.iter().map(|(h, a)| (&**h, &**a)).collect();
        slice(&format!("big-{n}"), "big", CONTROLLER, &endpoints)
    };
    for n in 0..100 {
        server.apply(&slice_of(n, 0));
    }
    let world = World::start(server);
    world.until("h-99-99.big.shop", "NOERROR 10.0.99.99").await;
    world.until("none.shop", "NXDOMAIN").await;
    for n in 0..100 {
        // Before the change and right after it, of each slice's hosts either all are as they were or all have changed.
        world.server.apply(&slice_of(n, 1));
        for _ in 0..2 {
            for of in [0, n, (n + 1) % 100, 99] {
                let round_of = |host| {
                    let answer = world.ask(&format!("h-{of}-{host}.big.shop"));
                    let round = [0, 1]
                        .into_iter()
                        .find(|round| answer == format!("NOERROR 10.{round}.{of}.{host}"));
                    round.unwrap_or_else(|| panic!("{answer}"))
                };
                assert_eq!(round_of(0), round_of(99), "slice {of} after {n}");
                assert_eq!(round_of(0), round_of(50), "slice {of} after {n}");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(
            world.ask(&format!("h-{n}-7.big.shop")),
            format!("NOERROR 10.1.{n}.7")
        );
    }
}

/// And the other 1,999 are right: one object's fault is its own.
#[tokio::test(start_paused = true)]
async fn k7_the_names_of_one_malformed_object_among_two_thousand_are_unsure() {
    let server = shop().await;
    for n in 0..2_000 {
        server.apply(&service(&format!("s{n}"), "10.96.1.1"));
    }
    let mut malformed = service("s1000", "10.96.1.1");
    malformed["metadata"]["labels"] = json!(17);
    server.apply(&malformed);
    let mut slice = slice("db-2", "db", CONTROLLER, &[]);
    slice["metadata"]["labels"] = json!(17);
    server.apply(&slice);
    let world = World::start(server);
    world.until("s1999.shop", "NOERROR 10.96.1.1").await;
    for n in (0..2_000).filter(|n| *n != 1000) {
        assert_eq!(world.ask(&format!("s{n}.shop")), "NOERROR 10.96.1.1");
    }
    assert_eq!(world.ask("s1000.shop"), "SERVFAIL");
    assert_eq!(world.ask("none.shop"), "NXDOMAIN");
    assert_eq!(world.feed.rejected_total("services"), 1);
}
