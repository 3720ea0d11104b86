//! U7, U9: upstreams that say that they cannot answer.

use crate::{
    stage::{Question, ROUND_TRIP, Stage, upstreams},
    support::upstream::Act,
};
use hickory_proto::op::ResponseCode;

#[tokio::test(start_paused = true)]
async fn u7_one_of_two_says_servfail_refused_or_notimp() {
    let stage = Stage::over(upstreams::<2>(1000).await);
    let mut codes = [2, 5, 4].into_iter().cycle();
    stage.upstreams[0].by(move |_, _| Act::Rcode(codes.next().unwrap()));
    let tally = stage.load(0..1000).await;
    assert_eq!(tally.right(), 1000);
    assert!(tally.worst() < ROUND_TRIP * 3 && tally.most_sends() == 2);
    tally
        .row()
        .is_documented("u7_one_of_two_says_servfail_refused_or_notimp");
}

#[tokio::test(start_paused = true)]
async fn u7_everybody_says_servfail_of_one_name() {
    let stage = Stage::over(upstreams::<2>(1000).await);
    for upstream in &stage.upstreams {
        upstream.by(|query, _| {
            match query.queries[0].name().to_lowercase().to_utf8() == "bad.example.org." {
                true => Act::Rcode(2),
                false => Act::Answer,
            }
        });
    }
    let bad = stage.ask(&Question::a("bad.example.org")).await;
    assert_eq!(bad.metadata.response_code, ResponseCode::ServFail);
    let sent = |stage: &Stage| {
        stage
            .upstreams
            .iter()
            .map(|it| it.asked().udp)
            .sum::<usize>()
    };
    assert_eq!(sent(&stage), 2);
    for _ in 0..100 {
        stage.ask(&Question::a("bad.example.org")).await;
    }
    assert_eq!(sent(&stage), 2);
    let tally = stage.load(0..1000).await;
    assert_eq!(tally.right(), 1000);
    tally
        .row()
        .is_documented("u7_everybody_says_servfail_of_one_name");
}

#[tokio::test(start_paused = true)]
async fn u9_the_upstreams_know_no_edns() {
    let stage = Stage::over(upstreams::<2>(1000).await);
    stage.upstreams[0].always(Act::FormErrToEdns);
    stage.upstreams[1].by(|query, _| match query.edns {
        Some(_) => Act::Bare(1),
        None => Act::Answer,
    });
    let tally = stage.load(0..1000).await;
    assert_eq!(tally.right(), 1000);
    assert!(tally.most_sends() == 2 && tally.worst() < ROUND_TRIP * 3);
    tally.row().is_documented("u9_the_upstreams_know_no_edns");
}

/// CVE-2026-52690: whoever spoofs one FORMERR takes EDNS from all who ask this upstream later.
#[tokio::test(start_paused = true)]
async fn u9_one_formerr_takes_edns_from_nobody_else() {
    let stage = Stage::over(upstreams::<1>(10).await);
    stage.upstreams[0].next(Act::Bare(1));
    stage.load(0..10).await;
    let seen = stage.upstreams[0].seen();
    let bare = seen.iter().filter(|(_, query)| query.edns.is_none());
    assert_eq!((bare.count(), seen.len()), (1, 11));
}
