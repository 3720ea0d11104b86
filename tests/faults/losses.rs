//! U4, U8: datagrams that do not arrive.

use crate::{
    stage::{ROUND_TRIP, Stage, upstreams},
    support::upstream::Act,
    tally::Tally,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::time::Duration;

/// 1,000 questions to two upstreams that do not hear, or are not heard, so often.
async fn lossy(share: f64) -> Tally {
    let upstreams = upstreams::<2>(1000).await;
    for (seed, upstream) in (0..).zip(&upstreams) {
        let mut rng = StdRng::seed_from_u64(seed);
        upstream.by(move |_, tcp| match !tcp && rng.random_bool(share) {
            true => Act::Silent,
            false => Act::Answer,
        });
    }
    Stage::over(upstreams).load(0..1000).await
}

#[tokio::test(start_paused = true)]
async fn u4_one_datagram_in_ten_is_lost() {
    let tally = lossy(0.1).await;
    assert!(tally.right() >= 998 && tally.most_sends() <= 3);
    assert!(tally.quantile(0.98) < Duration::from_millis(300));
    tally.row().is_documented("u4_one_datagram_in_ten_is_lost");
}

#[tokio::test(start_paused = true)]
async fn u4_three_datagrams_in_ten_are_lost() {
    let tally = lossy(0.3).await;
    assert!(tally.right() >= 965 && tally.most_sends() <= 3);
    tally
        .row()
        .is_documented("u4_three_datagrams_in_ten_are_lost");
}

#[tokio::test(start_paused = true)]
async fn u8_no_datagram_comes_through() {
    let upstreams = upstreams::<2>(1000).await;
    for upstream in &upstreams {
        upstream.always(Act::TcpOnly);
    }
    let tally = Stage::over(upstreams).load(0..1000).await;
    assert_eq!(tally.right(), 1000);
    // As long as an answer by TCP takes; not so for those who find out, and who try UDP again.
    assert!(tally.quantile(0.5) <= ROUND_TRIP + Duration::from_millis(2));
    tally.row().is_documented("u8_no_datagram_comes_through");
}
