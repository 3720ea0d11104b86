//! Watches that lose, forget, go back or say nothing.

use crate::{
    api_server::{Asked, Streaming},
    world::{CONTROLLER, DB, KINDS, World, seconds, service, shop, slice},
};
use gapless::{metrics::Restart, model::Source};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn k3_a_position_that_is_gone_leaves_no_empty_moment() {
    for streaming in [Streaming::On, Streaming::Refused] {
        let server = shop().await;
        for kind in KINDS {
            server.fault(kind, |faults| faults.streaming = streaming);
        }
        let world = World::start(server);
        world.until("db-0.db.shop", DB).await;
        for round in 0..5 {
            world
                .server
                .apply(&service(&format!("s{round}"), "10.96.1.1"));
            world.server.compact();
            world.server.cut_watches();
            world.throughout(1500, "db-0.db.shop", DB).await;
        }
        world.until("s4.shop", "NOERROR 10.96.1.1").await;
    }
}

#[tokio::test(start_paused = true)]
async fn k12_k13_what_was_deleted_or_made_anew_while_disconnected_is_right_after_the_list() {
    let world = World::start(shop().await);
    world.until("db-0.db.shop", DB).await;
    for kind in KINDS {
        world
            .server
            .fault(kind, |faults| faults.refuse = Some((503, None)));
    }
    world.server.cut_watches();
    seconds(5).await;
    world.server.delete("services", "shop", "api");
    world.server.delete("endpointslices", "shop", "db-1");
    // The same names, and other objects.
    world
        .server
        .apply(&slice("db-1", "db", CONTROLLER, &[("db-0", "10.1.0.9")]));
    world.server.compact();
    for kind in KINDS {
        world.server.fault(kind, |faults| faults.refuse = None);
    }
    world.until("db-0.db.shop", "NOERROR 10.1.0.9").await;
    world.until("api.shop", "NXDOMAIN").await;
    seconds(2).await;
    assert_eq!(world.ask("db-0.db.shop"), "NOERROR 10.1.0.9");
}

/// A server that breaks its promise not to list an older state is found out at the list's end, which does not count.
#[tokio::test(start_paused = true)]
async fn k16_an_api_server_that_is_behind_brings_nothing_back() {
    for lies in [false, true] {
        let server = shop().await;
        server.apply(&service("old", "10.96.0.40"));
        server.keep_state();
        let world = World::start(server);
        world.until("old.shop", "NOERROR 10.96.0.40").await;
        world.server.delete("services", "shop", "old");
        world.server.apply(&service("new", "10.96.0.41"));
        world.until("old.shop", "NXDOMAIN").await;
        world.server.fault("services", |faults| faults.lies = lies);
        if lies {
            world.server.compact();
        }
        world.server.fall_behind(true);
        let mut brought_back = 0;
        for _ in 0..600 {
            let answer = |name: &str| world.ask(name).split(" ede").next().unwrap().to_owned();
            assert_eq!(answer("new.shop"), "NOERROR 10.96.0.41");
            brought_back += usize::from(answer("old.shop") != "NXDOMAIN");
            seconds(1).await;
        }
        assert!(brought_back <= if lies { 10 } else { 0 }, "{brought_back}");
        world.server.fall_behind(false);
        world.server.apply(&service("newer", "10.96.0.42"));
        world.until("newer.shop", "NOERROR 10.96.0.42").await;
        assert_eq!(world.feed.rewinds_total("services"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn k17_an_etcd_restored_from_a_backup_is_followed() {
    for streaming in [Streaming::On, Streaming::Refused] {
        let server = shop().await;
        for kind in KINDS {
            server.fault(kind, |faults| faults.streaming = streaming);
        }
        server.apply(&service("old", "10.96.0.40"));
        server.keep_state();
        let world = World::start(server);
        world.until("old.shop", "NOERROR 10.96.0.40").await;
        world.server.delete("services", "shop", "old");
        for n in 0..100 {
            world.server.apply(&service("new", &format!("10.96.1.{n}")));
        }
        world.until("new.shop", "NOERROR 10.96.1.99").await;
        world.server.restore_state();
        let took = world.until("old.shop", "NOERROR 10.96.0.40").await;
        assert!(took <= Duration::from_secs(200), "{took:?}");
        world.until("new.shop", "NXDOMAIN").await;
        world.server.apply(&service("next", "10.96.0.43"));
        world.until("next.shop", "NOERROR 10.96.0.43").await;
        assert!(world.feed.rewinds_total("services") >= 1);
    }
}

/// The restored cluster reaches the old versions before anybody has noticed: only a comparison shows it.
#[tokio::test(start_paused = true)]
async fn k17_a_restored_etcd_that_overtakes_the_old_versions_is_repaired_within_the_period() {
    let server = shop().await;
    server.apply(&service("old", "10.96.0.40"));
    server.keep_state();
    let world = World::start(server);
    world.until("old.shop", "NOERROR 10.96.0.40").await;
    world.server.delete("services", "shop", "old");
    world.server.apply(&service("gone", "10.96.0.41"));
    world.until("old.shop", "NXDOMAIN").await;
    world.server.restore_state();
    for n in 0..10 {
        world
            .server
            .apply(&service("next", &format!("10.96.1.{n}")));
    }
    // From the versions that it had seen on, the watch goes on as if nothing had been.
    world.until("next.shop", "NOERROR 10.96.1.9").await;
    assert_eq!(world.ask("old.shop"), "NXDOMAIN");
    let took = world.until("old.shop", "NOERROR 10.96.0.40").await;
    assert!(took <= Duration::from_secs(31 * 60), "{took:?}");
    world.until("gone.shop", "NXDOMAIN").await;
    assert_eq!(world.said().repaired[&Source::Services], 2);
}

#[tokio::test(start_paused = true)]
async fn k18_a_watch_that_is_open_and_silent_is_opened_anew_and_then_listed() {
    let world = World::start(shop().await);
    world.until("db-0.db.shop", DB).await;
    // A balancer keeps the connections half open; new ones work.
    world.server.fault("services", |faults| faults.mute = true);
    world.server.apply(&service("new", "10.96.0.41"));
    seconds(1).await;
    assert_eq!(world.ask("new.shop"), "NXDOMAIN");
    seconds(70).await;
    world.server.fault("services", |faults| faults.mute = false);
    let took = world.until("new.shop", "NOERROR 10.96.0.41").await;
    assert!(took <= Duration::from_secs(66), "{took:?}");
    assert!(world.feed.restarts_total("services", Restart::Silent) >= 1);
    // By now the server has shown that it sends bookmarks, and is asked for longer watches.
    seconds(200).await;
    let asked = world.server.asked("services", Asked::Watch);
    seconds(200).await;
    assert!(world.server.asked("services", Asked::Watch) <= asked + 1);
    world.server.fault("services", |faults| faults.mute = true);
    let (muted, asked) = (Instant::now(), world.server.asked("services", Asked::Watch));
    let opened = world
        .server
        .until_asked("services", Asked::Watch, asked + 1);
    opened.await;
    assert!(
        muted.elapsed() <= Duration::from_secs(75),
        "{:?}",
        muted.elapsed()
    );
    // Every watch is silent, whatever its connection: lists are asked for.
    world.server.fault("services", |faults| faults.mute = true);
    world.server.cut_watches();
    let mut told = 0;
    for n in 0..10 {
        world.server.apply(&service("new", &format!("10.96.2.{n}")));
        let took = world
            .until("new.shop", &format!("NOERROR 10.96.2.{n}"))
            .await;
        assert!(took <= Duration::from_secs(190), "{took:?}");
        told += 1;
    }
    assert_eq!(told, 10);
}

#[tokio::test(start_paused = true)]
async fn k19_events_that_a_watch_lost_are_repaired_within_the_period_and_counted() {
    let server = shop().await;
    for n in 0..1000 {
        server.apply(&service(&format!("s{n}"), "10.96.1.1"));
    }
    let world = World::start(server);
    world.until("s999.shop", "NOERROR 10.96.1.1").await;
    world.server.apply_unheard(&service("lost", "10.96.0.50"));
    world.server.apply_unheard(&service("s1", "10.96.1.2"));
    world.server.delete_unheard("services", "shop", "s2");
    world
        .server
        .delete_unheard("endpointslices", "shop", "db-1");
    for n in 3..1000 {
        world.server.apply(&service(&format!("s{n}"), "10.96.1.3"));
    }
    world.until("s999.shop", "NOERROR 10.96.1.3").await;
    assert_eq!(world.ask("lost.shop"), "NXDOMAIN");
    let took = world.until("lost.shop", "NOERROR 10.96.0.50").await;
    assert!(took <= Duration::from_secs(31 * 60), "{took:?}");
    assert_eq!(world.ask("s1.shop"), "NOERROR 10.96.1.2");
    world.until("s2.shop", "NXDOMAIN").await;
    world.until("db-0.db.shop", "NXDOMAIN").await;
    let repaired = world.said().repaired;
    assert_eq!(repaired[&Source::Services], 3);
    assert_eq!(repaired[&Source::EndpointSlices], 1);
    // The next comparisons find nothing.
    seconds(2 * 1860).await;
    assert_eq!(world.said().repaired, repaired);
    assert_eq!(world.feed.restarts_total("services", Restart::Expired), 0);
}

/// What a comparison reads is older than what the watch tells meanwhile, or newer than what it told so far.
#[tokio::test(start_paused = true)]
async fn k19_a_comparison_beside_a_busy_watch_finds_nothing_and_undoes_nothing() {
    let server = shop().await;
    for n in 0..40 {
        server.apply(&service(&format!("s{n}"), "10.96.1.0"));
    }
    server.fault("services", |faults| {
        faults.page_size = Some(5);
        faults.pace = Some(Duration::from_millis(40));
    });
    let world = World::start(server);
    world.until("s39.shop", "NOERROR 10.96.1.0").await;
    let audits = |world: &World| usize::try_from(world.feed.audits_total("services")).unwrap();
    let mut round = 0_usize;
    while audits(&world) < 3 {
        round += 1;
        let [changed, other] = [round % 40, (round * 7) % 40].map(|n| format!("s{n}"));
        if round.is_multiple_of(3) {
            world.server.apply(&service(&other, "None"));
            world.server.delete("services", "shop", &other);
        }
        let address = format!("10.96.2.{}", round % 250);
        world.server.apply(&service(&changed, &address));
        world
            .until(&format!("{changed}.shop"), &format!("NOERROR {address}"))
            .await;
        if round.is_multiple_of(3) && other != changed {
            assert_eq!(world.ask(&format!("{other}.shop")), "NXDOMAIN", "{round}");
        }
        // Fast while pages come.
        let under_way = world.server.asked("services", Asked::List) > audits(&world);
        let pause = if under_way { 20 } else { 5_000 };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    assert_eq!(world.said().repaired[&Source::Services], 0);
}

/// There and back again.
const TOGGLES: usize = 1000;

#[tokio::test(start_paused = true)]
async fn k27_k28_slices_that_change_watch_and_services_that_change_kind_are_never_nxdomain() {
    let world = World::start(shop().await);
    world.until("db-0.db.shop", DB).await;
    for round in 0..TOGGLES {
        let manager = if round % 2 == 0 { "me" } else { CONTROLLER };
        world
            .server
            .apply(&slice("db-1", "db", manager, &[("db-0", "10.1.0.1")]));
        world.throughout(3, "db-0.db.shop", DB).await;
    }
    for round in 0..TOGGLES {
        let address = format!("10.96.3.{}", round % 250);
        // With a cluster IP, its slices leave the watch; headless again, they come back when the controller says so.
        let mut unlabelled = slice("db-1", "db", CONTROLLER, &[("db-0", "10.1.0.1")]);
        unlabelled["metadata"]["labels"]["service.kubernetes.io/headless"] =
            serde_json::json!(null);
        world.server.apply(&service("db", &address));
        world.server.apply(&unlabelled);
        world.until("db.shop", &format!("NOERROR {address}")).await;
        seconds(1).await;
        world.server.apply(&service("db", "None"));
        world.until("db.shop", "SERVFAIL").await;
        world.throughout(40, "db.shop", "SERVFAIL").await;
        world
            .server
            .apply(&slice("db-1", "db", CONTROLLER, &[("db-0", "10.1.0.1")]));
        world.until("db.shop", DB).await;
        // Another slice might have been labelled later.
        seconds(5).await;
        assert_eq!(world.ask("db-1.db.shop"), "NXDOMAIN");
    }
}
