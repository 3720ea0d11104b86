//! U5, U10, U18, U21: datagrams that are not the reply, before it and after it.

use crate::{
    stage::{ROUND_TRIP, Stage, upstreams},
    support::upstream::{Act, Lie},
    tally::Tally,
};
use std::{iter, time::Duration};

/// Questions to an upstream before whose true answers these arrive.
async fn lied_to(
    questions: u32,
    mut lies: impl FnMut() -> Vec<Lie> + Send + 'static,
) -> (Stage, Tally) {
    let stage = Stage::over(upstreams::<1>(questions).await);
    stage.upstreams[0].by(move |_, _| Act::Lie(lies()));
    let tally = stage.load(0..questions).await;
    assert_eq!(tally.right(), questions as usize);
    assert!(tally.worst() <= ROUND_TRIP * 2);
    (stage, tally)
}

#[tokio::test(start_paused = true)]
async fn u5_a_million_guesses_at_the_id() {
    let (stage, tally) = lied_to(2000, || vec![Lie::Id; 500]).await;
    // The first one moves the question to TCP, where nobody guesses.
    assert_eq!(stage.upstreams[0].asked().tcp, 2000);
    tally.row().is_documented("u5_a_million_guesses_at_the_id");
}

#[tokio::test(start_paused = true)]
async fn u5_wrong_questions_spellings_sources_and_queries() {
    let lies = [Lie::Question, Lie::Spelling, Lie::Source, Lie::Query];
    let (stage, tally) = lied_to(1000, move || lies.repeat(5)).await;
    // Three questions move to TCP because of their letters; those after them are in lower case.
    assert_eq!(stage.upstreams[0].asked().tcp, 3);
    tally
        .row()
        .is_documented("u5_wrong_questions_spellings_sources_and_queries");
}

#[tokio::test(start_paused = true)]
async fn u10_a_reply_cut_at_each_octet() {
    // Up to the length of the shortest whole one.
    let mut cuts = (0..59).cycle();
    let (stage, tally) =
        lied_to(1000, move || cuts.by_ref().take(10).map(Lie::Cut).collect()).await;
    assert_eq!(stage.upstreams[0].asked().tcp, 0);
    tally.row().is_documented("u10_a_reply_cut_at_each_octet");
}

#[tokio::test(start_paused = true)]
async fn u10_replies_of_random_octets() {
    let mut seeds = 0..;
    let noise = move || {
        iter::from_fn(|| Some(Lie::Noise(seeds.next()?)))
            .take(30)
            .collect()
    };
    let (_, tally) = lied_to(1000, noise).await;
    tally.row().is_documented("u10_replies_of_random_octets");
}

#[tokio::test(start_paused = true)]
async fn u21_every_reply_comes_twice_and_late() {
    let stage = Stage::over(upstreams::<2>(1000).await);
    // The question's time-out is over when the first reply comes: both upstreams reply, twice each.
    stage.upstreams[0].always(Act::Late(Duration::from_millis(900)));
    stage.upstreams[1].always(Act::Twice(Duration::from_millis(100)));
    let tally = stage.load(0..1000).await;
    assert_eq!(tally.right(), 1000);
    assert!(tally.most_sends() <= 2);
    tally
        .row()
        .is_documented("u21_every_reply_comes_twice_and_late");
}

#[tokio::test(start_paused = true)]
async fn u18_the_upstreams_change_the_letters_of_the_question() {
    let stage = Stage::over(upstreams::<2>(1000).await);
    for upstream in &stage.upstreams {
        upstream.always(Act::LowerCase);
    }
    let tally = stage.load(0..1000).await;
    assert_eq!(tally.right(), 1000);
    // Three questions each, and no more.
    let by_tcp = stage.upstreams.iter().map(|it| it.asked().tcp);
    assert_eq!(by_tcp.collect::<Vec<_>>(), [3, 3]);
    let row = tally.row();
    row.is_documented("u18_the_upstreams_change_the_letters_of_the_question");
}
