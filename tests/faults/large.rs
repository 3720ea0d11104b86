//! U6, U13: answers that do not fit into a datagram.

use crate::{
    stage::{EVERY, Question, ROUND_TRIP, Stage, upstreams},
    support::upstream::Act,
    tally::{Outcome, Tally},
};
use gapless::wire::rtype;
use hickory_proto::rr::RData;
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn u6_every_answer_is_truncated() {
    let stage = Stage::over(upstreams::<2>(1000).await);
    for upstream in &stage.upstreams {
        upstream.always(Act::Truncate);
    }
    let tally = stage.load(0..1000).await;
    assert_eq!(tally.right(), 1000);
    assert!(tally.worst() < ROUND_TRIP * 3 && tally.most_sends() == 2);
    let asked = stage.upstreams.iter().map(|it| it.asked().tcp);
    assert_eq!(asked.sum::<usize>(), 1000);
    tally.row().is_documented("u6_every_answer_is_truncated");
}

#[tokio::test(start_paused = true)]
async fn u13_a_text_of_65000_octets() {
    const TEXT_LEN: usize = 65_000;
    let stage = Stage::over(upstreams::<1>(0).await);
    let strings = format!(" \"{}\"", "x".repeat(249)).repeat(TEXT_LEN / 250);
    stage.upstreams[0].zone(&format!("big.example.org. 300 IN TXT{strings}"));
    let mut tally = Tally::default();
    for number in 0..100 {
        let begun = Instant::now();
        let reply = stage
            .ask(&Question::new("big.example.org", rtype::TXT))
            .await;
        let [RData::TXT(text)] = &reply
            .answers
            .iter()
            .map(|it| it.data.clone())
            .collect::<Vec<_>>()[..]
        else {
            panic!("not one text: {reply}");
        };
        let octets: usize = text.txt_data.iter().map(|part| part.len() + 1).sum();
        assert_eq!(octets, TEXT_LEN);
        tally.add(number, Outcome::Right, 300, begun);
        sleep(EVERY).await;
    }
    // Each comes from the upstream: what is longer than 8 KiB is not kept.
    let asked = stage.upstreams[0].asked();
    assert_eq!((asked.udp, asked.tcp), (100, 100));
    tally.sends = vec![2; 100];
    tally.row().is_documented("u13_a_text_of_65000_octets");
}
