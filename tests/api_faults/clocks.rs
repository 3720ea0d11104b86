//! Clocks that jump, and one that stands.

use crate::{
    api_server::Asked,
    support::ask::Ask,
    world::{API, DB, KINDS, World, seconds, service, shop},
};
use std::{sync::atomic::Ordering::Relaxed, time::Duration};
use tokio::time::Instant;

/// Everything but the zone's serial number, which is the time of the last change.
#[tokio::test(start_paused = true)]
async fn k9_a_wall_clock_that_jumps_by_an_hour_changes_no_answer_no_age_and_no_request() {
    let mut seen = Vec::new();
    for jumps in [[0, 0, 0], [3_600, -3_600, 0]] {
        let world = World::start(shop().await);
        world.until("db-0.db.shop", DB).await;
        world.until("none.shop", "NXDOMAIN").await;
        let mut replies = Vec::new();
        for (round, jump) in jumps.into_iter().enumerate() {
            world.wall.store(jump, Relaxed);
            world
                .server
                .apply(&service("new", &format!("10.96.1.{round}")));
            for _ in 0..200 {
                seconds(1).await;
                for name in ["db-0.db.shop", "db.shop", "api.shop", "new.shop"] {
                    let ask = Ask::parse(&format!("{name}.svc.cluster.local. A"));
                    // TTLs and all.
                    replies.push(world.reply(&ask).unwrap());
                }
                assert_eq!(world.ask("none.shop"), "NXDOMAIN");
                for age in world.ages().values() {
                    // A bookmark each minute, and the last one of a watch two seconds before its end.
                    assert!(*age <= Duration::from_secs(63), "{age:?}");
                }
            }
        }
        let asked = [Asked::List, Asked::Stream, Asked::Watch];
        let asked = asked.map(|asked| KINDS.map(|kind| world.server.asked(kind, asked)));
        seen.push((replies, asked));
    }
    assert!(seen[0] == seen[1], "{:?} and {:?}", seen[0].1, seen[1].1);
}

/// As after a pause of the whole machine that the monotonic clock counts: every deadline is over at once.
#[tokio::test(start_paused = true)]
async fn k9_a_monotonic_clock_that_jumps_by_an_hour_ends_nothing_but_the_watches() {
    let world = World::start(shop().await);
    world.until("db-0.db.shop", DB).await;
    world.until("none.shop", "NXDOMAIN").await;
    for round in 0..5 {
        let before = world.server.requests();
        let address = format!("10.96.1.{round}");
        world.server.cut_watches();
        world.server.apply(&service("new", &address));
        tokio::time::advance(Duration::from_secs(3600)).await;
        let jumped = Instant::now();
        let mut took = None;
        while jumped.elapsed() < Duration::from_secs(65) {
            for (name, right) in [("db-0.db.shop", DB), ("api.shop", API)] {
                let answer = world.ask(name);
                let stale = format!("{right} ede 3");
                assert!(answer == right || answer == stale, "{answer}");
            }
            if world.ask("new.shop").contains(&address) {
                took.get_or_insert_with(|| jumped.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(
            took.is_some_and(|it| it <= Duration::from_secs(31)),
            "{took:?}"
        );
        assert_eq!(world.ask("db-0.db.shop"), DB, "known to be fresh");
        // A watch of each of four sources, and a comparison of one after the other.
        let requests = world.server.requests() - before;
        assert!(requests <= 16, "{requests}");
    }
}

/// As in a suspended machine: the world goes on for an hour, and no time passes.
#[tokio::test(start_paused = true)]
async fn k9_a_monotonic_clock_that_stands_for_an_hour_is_caught_up_with() {
    let world = World::start(shop().await);
    world.until("db-0.db.shop", DB).await;
    for round in 0..20 {
        for n in 0..60 {
            world
                .server
                .apply(&service("new", &format!("10.96.{n}.{round}")));
        }
        world
            .server
            .apply(&service(&format!("old{round}"), "10.96.0.77"));
        world.server.compact();
        world.server.cut_watches();
        let took = world
            .until("new.shop", &format!("NOERROR 10.96.59.{round}"))
            .await;
        assert!(took <= Duration::from_secs(31), "{took:?}");
        world
            .until(&format!("old{round}.shop"), "NOERROR 10.96.0.77")
            .await;
        world
            .server
            .delete("services", "shop", &format!("old{round}"));
        world.until(&format!("old{round}.shop"), "NXDOMAIN").await;
        assert_eq!(world.ask("db-0.db.shop"), DB);
        seconds(30).await;
    }
}
