//! The API server is down, denies, asks to wait, or is slow.

use crate::{
    api_server::{ApiServer, Asked, Streaming},
    world::{API, DB, KINDS, World, seconds, service, shop},
};
use gapless::{index::Staleness, model::Source};
use std::time::Duration;

fn refuse(server: &ApiServer, kinds: &[&str], status: Option<u16>) {
    for kind in kinds {
        server.fault(kind, |faults| {
            faults.refuse = status.map(|code| (code, None))
        });
    }
}

#[tokio::test(start_paused = true)]
async fn k1_an_api_server_that_is_down_at_the_start_costs_no_wrong_answer() {
    for (forwards, meanwhile) in [(true, "forwarded"), (false, "SERVFAIL")] {
        let server = shop().await;
        refuse(&server, &KINDS, Some(503));
        let world = World::with(server, |choices| choices.forwards = forwards);
        for _ in 0..1000 {
            for name in ["db-0.db.shop", "api.shop", "none.shop", "none"] {
                assert_eq!(world.ask(name), meanwhile, "{name}");
            }
            seconds(1).await;
        }
        refuse(&world.server, &KINDS, None);
        let took = world.until("db-0.db.shop", DB).await;
        assert!(took <= Duration::from_secs(31), "{took:?}");
        world.until("none.shop", "NXDOMAIN").await;
    }
}

#[tokio::test(start_paused = true)]
async fn k2_an_api_server_that_goes_down_is_served_from_what_was_known_with_its_age_and_ede_3() {
    let world = World::start(shop().await);
    world.until("db-0.db.shop", DB).await;
    world.until("none.shop", "NXDOMAIN").await;
    refuse(&world.server, &KINDS, Some(503));
    world.server.cut_watches();
    for second in 0..3600 {
        let stale = if second >= 300 {
            [" ede 3", " ede 19"]
        } else {
            [""; 2]
        };
        if !(298..=302).contains(&second) {
            assert_eq!(world.ask("db-0.db.shop"), format!("{DB}{}", stale[0]));
            assert_eq!(world.ask("none.shop"), format!("NXDOMAIN{}", stale[1]));
        }
        for age in world.ages().values() {
            assert!(age.abs_diff(Duration::from_secs(second)) <= Duration::from_secs(1));
        }
        seconds(1).await;
    }
    refuse(&world.server, &KINDS, None);
    world.server.apply(&service("new", "10.96.0.31"));
    seconds(31).await;
    assert!(world.ask("new.shop").starts_with("NOERROR 10.96.0.31"));
    // Until each kind has said something, if only that nothing has happened.
    let took = world.until("db-0.db.shop", DB).await;
    assert!(took <= Duration::from_secs(61), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn k2_an_index_that_is_stale_is_not_answered_from_if_the_operator_wants_it_so() {
    let world = World::with(shop().await, |choices| {
        choices.forwards = true;
        choices.staleness = Staleness {
            after: Duration::from_secs(180),
            unsure: true,
        };
    });
    world.until("db-0.db.shop", DB).await;
    refuse(&world.server, &KINDS, Some(503));
    world.server.cut_watches();
    seconds(178).await;
    assert_eq!(world.ask("db-0.db.shop"), DB);
    seconds(4).await;
    assert_eq!(world.ask("db-0.db.shop"), "forwarded");
    assert_eq!(world.ask("none.shop"), "forwarded");
    refuse(&world.server, &KINDS, None);
    world.until("db-0.db.shop", DB).await;
}

#[tokio::test(start_paused = true)]
async fn a_quiet_cluster_is_never_stale() {
    let world = World::start(shop().await);
    world.until("db-0.db.shop", DB).await;
    for _ in 0..600 {
        seconds(1).await;
        assert_eq!(world.ask("db-0.db.shop"), DB);
        for age in world.ages().values() {
            // A bookmark each minute, and the last one of a watch two seconds before its end.
            assert!(*age <= Duration::from_secs(63), "{age:?}");
        }
    }
    assert_eq!(world.server.asked("services", Asked::Stream), 1);
}

#[tokio::test(start_paused = true)]
async fn k4_refused_credentials_keep_what_is_known_and_new_ones_sync_within_thirty_seconds() {
    let world = World::start(shop().await);
    world.until("db-0.db.shop", DB).await;
    refuse(&world.server, &KINDS, Some(401));
    world.server.cut_watches();
    for _ in 0..120 {
        seconds(1).await;
        assert_eq!(
            (world.ask("api.shop"), world.ask("none.shop")),
            (API.into(), "NXDOMAIN".into())
        );
    }
    world.server.apply(&service("new", "10.96.0.31"));
    refuse(&world.server, &KINDS, None);
    let took = world.until("new.shop", "NOERROR 10.96.0.31").await;
    assert!(took <= Duration::from_secs(30), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn k5_a_list_that_takes_five_minutes_comes_to_its_end() {
    for streaming in [Streaming::On, Streaming::Refused] {
        let server = shop().await;
        for n in 0..60 {
            server.apply(&service(&format!("s{n}"), &format!("10.96.1.{n}")));
        }
        for kind in KINDS {
            server.fault(kind, |faults| {
                faults.streaming = streaming;
                faults.page_size = Some(6);
                // 62 lines, or 11 pages.
                faults.pace = Some(Duration::from_secs(if streaming == Streaming::On {
                    5
                } else {
                    28
                }));
            });
        }
        let world = World::start(server);
        let begin = tokio::time::Instant::now();
        while world.ask("s7.shop") == "SERVFAIL" {
            assert_eq!(world.ask("none.shop"), "SERVFAIL");
            seconds(1).await;
        }
        assert_eq!(world.ask("s7.shop"), "NOERROR 10.96.1.7");
        world.until("none.shop", "NXDOMAIN").await;
        assert!(
            begin.elapsed() >= Duration::from_secs(300),
            "{:?}",
            begin.elapsed()
        );
        assert!(
            begin.elapsed() <= Duration::from_secs(900),
            "{:?}",
            begin.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn k22_a_kind_that_is_denied_makes_its_own_names_unsure_and_no_others() {
    for (forwards, unsure) in [(true, "forwarded"), (false, "SERVFAIL")] {
        let world = World::with(shop().await, |choices| choices.forwards = forwards);
        world.until("db-0.db.shop", DB).await;
        refuse(&world.server, &["endpointslices"], Some(403));
        world.server.cut_watches();
        world.until("db-0.db.shop", unsure).await;
        assert_eq!(
            (world.ask("api.shop"), world.ask("none.shop")),
            (API.into(), "NXDOMAIN".into())
        );
        refuse(&world.server, &["endpointslices"], None);
        world.until("db-0.db.shop", DB).await;
    }
}

#[tokio::test(start_paused = true)]
async fn k24_a_server_that_asks_to_wait_is_left_alone_for_so_long() {
    let world = World::start(shop().await);
    world.until("db-0.db.shop", DB).await;
    let before = world.server.requests();
    world
        .server
        .fault("services", |faults| faults.refuse = Some((429, Some(10))));
    world.server.cut_watches();
    seconds(100).await;
    let services = (world.server.targets()[before..].iter())
        .filter(|target| target.starts_with("/api/v1/services"))
        .count();
    assert!((4..=11).contains(&services), "{services} in 100 s");
    world.throughout(10, "api.shop", API).await;
    world.server.apply(&service("new", "10.96.0.31"));
    world
        .server
        .fault("services", |faults| faults.refuse = None);
    let took = world.until("new.shop", "NOERROR 10.96.0.31").await;
    assert!(took <= Duration::from_secs(30), "{took:?}");
    assert!(world.ages()[&Source::Services] <= Duration::from_secs(1));
}
