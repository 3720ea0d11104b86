//! U3: a second question before the longest time-out is over, and what it may cost.

use crate::support::upstream::{Act, FakeUpstream};
use crate::{Bench, over};
use std::time::Duration;
use tokio::time::Instant;

const LATE: Act = Act::Late(Duration::from_millis(300));

/// Asks names that nobody asked before, of which every so manyth takes the upstream 300 ms.
async fn every_nth_is_late(upstream: &FakeUpstream, bench: &Bench, questions: usize, nth: usize) {
    for n in 0..questions {
        upstream.always(if n % nth == 0 { LATE } else { Act::Answer });
        bench.ask(&format!("n{n}.example.org")).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn with_well_upstreams_a_question_is_sent_once() {
    let upstream = FakeUpstream::start("").await;
    let bench = over(&[&upstream], |_| ());
    // Names that have to be looked up far away.
    every_nth_is_late(&upstream, &bench, 2000, 40).await;
    let sends = upstream.asked().udp;
    assert!((2000..=2100).contains(&sends), "{sends}");
    assert_eq!(upstream.asked().tcp, 0);
}

#[tokio::test(start_paused = true)]
async fn slow_upstreams_are_asked_twice_by_no_more_than_a_twentieth_of_the_questions() {
    let upstream = FakeUpstream::start("").await;
    let bench = over(&[&upstream], |_| ());
    every_nth_is_late(&upstream, &bench, 4000, 8).await;
    let hedges = |what| bench.metric(&format!("upstream_hedges_total{{hedge=\"{what}\"}}"));
    // A hundred in hand, and 4000 / 20.
    let (sent, deferred) = (hedges("sent"), hedges("deferred"));
    assert!((250..=300).contains(&sent), "{sent}");
    assert!(deferred >= 100, "{deferred}");
    assert_eq!(hedges("won"), 0);
    assert_eq!(upstream.asked().udp as u64, 4000 + sent);
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_is_asked_again_at_once_however_often() {
    let upstream = FakeUpstream::start("").await;
    let bench = over(&[&upstream], |_| ());
    for n in 0..10 {
        bench.ask(&format!("well{n}.example.org")).await.unwrap();
    }
    let begun = Instant::now();
    for n in 0..500 {
        upstream.next(Act::Silent);
        bench.ask(&format!("lost{n}.example.org")).await.unwrap();
    }
    assert_eq!(bench.metric("upstream_hedges_total{hedge=\"won\"}"), 500);
    assert_eq!(bench.metric("upstream_hedges_total{hedge=\"deferred\"}"), 0);
    assert!(begun.elapsed() < Duration::from_secs(30), "50 ms each");
}
