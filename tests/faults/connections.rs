//! U11: connections that break.

use crate::{
    stage::{Stage, upstreams},
    support::upstream::Act,
};

/// Length, header, question, one address, OPT.
const FRAMED: usize = 2 + 12 + 22 + 16 + 11;

#[tokio::test(start_paused = true)]
async fn u11_a_reset_at_each_octet_of_the_answer() {
    let stage = Stage::over(upstreams::<2>(1000).await);
    let mut cuts = (0..FRAMED).cycle();
    stage.upstreams[0].by(move |_, tcp| match tcp {
        true => Act::Reset(cuts.next().unwrap()),
        false => Act::Truncate,
    });
    let tally = stage.load(100..1000).await;
    assert_eq!(tally.right(), 900);
    assert!(tally.most_sends() <= 3);
    tally
        .row()
        .is_documented("u11_a_reset_at_each_octet_of_the_answer");
}

#[tokio::test(start_paused = true)]
async fn u11_connections_that_say_nothing() {
    let stage = Stage::over(upstreams::<2>(1000).await);
    stage.upstreams[0].by(|_, tcp| if tcp { Act::Silent } else { Act::Truncate });
    let tally = stage.load(0..1000).await;
    assert_eq!(tally.right(), 1000);
    assert!(tally.most_sends() <= 3);
    tally
        .row()
        .is_documented("u11_connections_that_say_nothing");
}
