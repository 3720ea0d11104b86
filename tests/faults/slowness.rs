//! U3, U24: upstreams that take their time.

use crate::{
    stage::{ROUND_TRIP, Stage, upstreams},
    support::upstream::Act,
    tally::percent,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::time::Duration;
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn u3_one_of_two_takes_two_seconds() {
    let stage = Stage::over(upstreams::<2>(1200).await);
    stage.load(0..200).await;
    stage.upstreams[0].always(Act::Late(Duration::from_secs(2)));
    let tally = stage.load(200..1200).await;
    assert_eq!(tally.right(), 1000);
    // 50 s: the question that finds out, and probes after 1, 2, 4, 8, 16 and 30 s.
    assert!(tally.slower_than(ROUND_TRIP + Duration::from_millis(2)) <= 7);
    tally.row().is_documented("u3_one_of_two_takes_two_seconds");
}

#[tokio::test(start_paused = true)]
async fn u24_the_only_upstream_answers_after_three_to_five_seconds() {
    let [upstream] = upstreams::<1>(300).await;
    let mut rng = StdRng::seed_from_u64(1);
    upstream.by(move |_, _| Act::Late(Duration::from_millis(rng.random_range(3000..5000))));
    let stage = Stage::over([upstream]);
    let tally = stage.load(0..300).await;
    assert!(tally.worst() <= Duration::from_millis(4001));
    // What comes after the client's patience is kept for its next question.
    sleep(Duration::from_secs(6)).await;
    let again = stage.load(0..300).await;
    let besides = format!("{} of those who ask again", percent(again.right(), 300));
    let row = tally.row().besides(besides);
    row.is_documented("u24_the_only_upstream_answers_after_three_to_five_seconds");
}
