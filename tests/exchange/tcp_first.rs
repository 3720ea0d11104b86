//! U8: datagrams do not come through, connections do.

use crate::over;
use crate::support::upstream::{Act, Asked, FakeUpstream};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Asks so many names that nobody asked before, one each 100 ms; how many ms each took.
async fn asked(bench: &crate::Bench, names: std::ops::Range<usize>) -> Vec<u128> {
    let mut took = vec![];
    for n in names {
        let begun = Instant::now();
        bench.ask(&format!("n{n}.example.org")).await.unwrap();
        took.push(begun.elapsed().as_millis() / 10 * 10);
        sleep(Duration::from_millis(100)).await;
    }
    took
}

#[tokio::test(start_paused = true)]
async fn after_two_losses_questions_go_by_tcp_at_once() {
    let upstream = FakeUpstream::start("").await;
    upstream.always(Act::TcpOnly);
    let bench = over(&[&upstream], |_| ());
    assert_eq!(asked(&bench, 0..1).await, [2000]);
    assert_eq!(bench.metric("upstream_tcp_first"), 1);
    // 60 s: after 10 and 30 s UDP is tried again.
    let mut took = asked(&bench, 1..601).await;
    took.sort_unstable();
    assert_eq!((took[300], took[597], &took[598..]), (0, 0, &[50, 50][..]));
    assert_eq!(upstream.asked(), Asked { udp: 4, tcp: 601 });
}

#[tokio::test(start_paused = true)]
async fn two_upstreams_behind_one_firewall_are_learnt_one_after_the_other() {
    let upstreams = [FakeUpstream::start("").await, FakeUpstream::start("").await];
    for upstream in &upstreams {
        upstream.always(Act::TcpOnly);
    }
    let bench = over(&[&upstreams[0], &upstreams[1]], |_| ());
    let took = asked(&bench, 0..100).await;
    let slow = took.iter().filter(|it| **it >= 2000).count();
    assert!((1..=3).contains(&slow), "{took:?}");
    let mut late = took[20..].to_vec();
    late.sort_unstable();
    assert_eq!(late[40], 0, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn when_tcp_fails_as_well_udp_has_its_turn_again() {
    let upstream = FakeUpstream::start("").await;
    upstream.always(Act::TcpOnly);
    let bench = over(&[&upstream], |options| options.case_randomization = false);
    asked(&bench, 0..2).await;
    // Over TCP it closes the connection; over UDP it answers.
    upstream.always(Act::LowerCaseWithoutTcp);
    asked(&bench, 2..3).await;
    assert_eq!(bench.metric("upstream_tcp_first"), 0);
}
