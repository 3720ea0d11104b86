//! U1, U2, U22: upstreams that are gone.

use crate::{
    stage::{EVERY, Question, ROUND_TRIP, Stage, address, ask, ede, outcome, upstreams},
    support::{
        self, objects,
        upstream::{Act, FakeUpstream},
    },
    tally::{Outcome, Tally, percent, time},
};
use gapless::{
    answer::{self, Scope},
    forward,
};
use prometheus_client::registry::Registry;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{collections::HashMap, time::Duration};
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn u1_nobody_answers_and_nothing_is_held() {
    let stage = Stage::over(upstreams::<2>(0).await);
    for upstream in &stage.upstreams {
        upstream.always(Act::Silent);
    }
    let tally = stage.load(0..1000).await;
    assert_eq!(tally.failures(), [(("SERVFAIL", Some(22)), 1000)].into());
    assert!(tally.worst() <= Duration::from_millis(4001));
    assert_eq!(tally.most_sends(), 3);
    tally
        .row()
        .is_documented("u1_nobody_answers_and_nothing_is_held");
}

/// Names by chance, the first ones the most often (Zipf's law).
struct Zipf {
    /// Up to each name: the sum of the shares.
    sums: Vec<f64>,
    rng: StdRng,
}

impl Zipf {
    fn new(names: u32) -> Self {
        let mut sum = 0.0;
        let sums = (1..=names).map(|rank| {
            sum += 1.0 / f64::from(rank);
            sum
        });
        Self {
            sums: sums.collect(),
            rng: StdRng::seed_from_u64(1),
        }
    }

    fn draw(&mut self) -> u32 {
        let at = self.rng.random_range(0.0..self.sums[self.sums.len() - 1]);
        u32::try_from(self.sums.partition_point(|sum| *sum <= at)).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn u1_all_upstreams_are_dead_for_ten_minutes() {
    const NAMES: u32 = 5000;
    const MINUTES_10: u32 = 12_000; // one question each 50 ms
    let ttls = [5, 30, 60, 300, 3600];
    let ttl_of = |n: u32| ttls[n as usize % ttls.len()];
    let zone: String = (0..NAMES)
        .map(|n| format!("n{n}.example.org. {} IN A {}\n", ttl_of(n), address(n)))
        .collect();
    let upstreams = upstreams::<2>(0).await;
    upstreams.iter().for_each(|it| it.zone(&zone));
    let stage = Stage::over(upstreams);
    let mut zipf = Zipf::new(NAMES);
    let mut draw = |count: u32| (0..count).map(|_| zipf.draw()).collect::<Vec<_>>();

    let before = stage.ask_each(draw(MINUTES_10), EVERY).await;
    assert_eq!(before.right(), before.asked());
    let mut good_until = HashMap::new();
    for asked in before.each {
        let until = asked.ended + Duration::from_secs(asked.ttl.into());
        good_until
            .entry(asked.number)
            .and_modify(|it: &mut Instant| *it = until.max(*it))
            .or_insert(until);
    }
    for upstream in &stage.upstreams {
        upstream.always(Act::Silent);
    }
    let names = draw(MINUTES_10);
    let held = names.iter().filter(|n| good_until.contains_key(n)).count();
    let during = stage.ask_each(names, EVERY).await;

    assert_eq!(during.right() + during.stale(), held);
    let never_asked_before = [(("SERVFAIL", Some(22)), during.asked() - held)];
    assert_eq!(during.failures(), never_asked_before.into());
    let stale = during.each.iter().filter(|it| it.outcome == Outcome::Stale);
    let oldest = stale.map(|it| it.ended - good_until[&it.number]).max();
    let besides = format!(
        "100 % of the names held; {} past their time, by at most {}",
        percent(during.stale(), during.asked()),
        time(oldest.unwrap())
    );
    let row = during.row().besides(besides);
    row.is_documented("u1_all_upstreams_are_dead_for_ten_minutes");

    for upstream in &stage.upstreams {
        upstream.always(Act::Answer);
    }
    // Whoever was asked for in vain is asked for again 30 s later.
    sleep(Duration::from_secs(35)).await;
    let after = stage.ask_each(draw(1200), EVERY).await;
    assert_eq!(after.right(), after.asked());
}

#[tokio::test(start_paused = true)]
async fn u2_one_of_three_is_dead() {
    let stage = Stage::over(upstreams::<3>(1200).await);
    stage.load(0..200).await;
    stage.upstreams[0].always(Act::Silent);
    let tally = stage.load(200..1200).await;
    // 50 s: the question that finds out, and probes after 1, 2, 4, 8, 16 and 30 s.
    assert_eq!(tally.right(), 1000);
    assert!(tally.slower_than(ROUND_TRIP + Duration::from_millis(2)) <= 7);
    tally.row().is_documented("u2_one_of_three_is_dead");
}

#[tokio::test(start_paused = true)]
async fn u22_the_cluster_dns_is_gone_and_the_index_is_good() {
    let cluster_dns = FakeUpstream::start("api.default.svc.cluster.local. 5 IN A 10.96.0.30").await;
    let objects = [objects::headless("web"), objects::slice("web", 9)];
    let rules = answer::Options {
        scope: Scope::Headless,
        ..support::engine::answer_options()
    };
    let upstreams = forward::Options {
        cluster_dns: vec![cluster_dns.address.into()],
        ..forward::Options::default()
    };
    let index = support::engine::index_of(&objects);
    let engine = support::engine::under(rules, index, &upstreams, &mut Registry::default());
    let others = Question::a("api.default.svc.cluster.local");
    assert_eq!(ask(&engine, &others).await.answers.len(), 1);
    cluster_dns.always(Act::Silent);
    let mut tally = Tally::default();
    for n in 0..1000 {
        let begun = Instant::now();
        let host = n % 9;
        let name = format!("h-{host}.web.default.svc.cluster.local");
        let reply = ask(&engine, &Question::a(&name)).await;
        let outcome = outcome(&reply, [10, 1, 0, host as u8].into());
        tally.add(host, outcome, 1, begun);
        sleep(EVERY).await;
    }
    assert_eq!((tally.right(), cluster_dns.asked().udp), (1000, 1));
    // A name that the index does not have: the answer held, or else a failure in time.
    let (held, begun) = (ask(&engine, &others).await, Instant::now());
    assert_eq!((held.answers.len(), ede(&held)), (1, Some(3)));
    let unknown = ask(&engine, &Question::a("new.default.svc.cluster.local")).await;
    assert_eq!(ede(&unknown), Some(22));
    assert!(begun.elapsed() <= Duration::from_millis(4001));
    tally
        .row()
        .is_documented("u22_the_cluster_dns_is_gone_and_the_index_is_good");
}
