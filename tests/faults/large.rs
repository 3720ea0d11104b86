//! U6, U13: answers that do not fit into a datagram.

use crate::{
    stage::{EVERY, Question, ROUND_TRIP, Stage, ede, upstreams},
    support::upstream::Act,
    tally::{Outcome, Tally},
};
use gapless::{metrics::Transport, wire::rtype};
use hickory_proto::{op::ResponseCode, rr::RData};
use std::time::Duration;
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

/// Three addresses, of which a datagram is to hold one.
const THREE: &str = "big.example.org. 1 IN A 192.0.2.1
    big.example.org. 1 IN A 192.0.2.2
    big.example.org. 1 IN A 192.0.2.3";

/// Code, TC, how many answers, and the Extended DNS Error, by each transport.
async fn by_udp_and_tcp(stage: &Stage) -> [(ResponseCode, bool, usize, Option<u16>); 2] {
    let mut said = vec![];
    for transport in [Transport::Udp, Transport::Tcp] {
        let reply = stage
            .ask_by(transport, &Question::a("big.example.org"))
            .await;
        let (code, truncated) = (reply.metadata.response_code, reply.metadata.truncation);
        said.push((code, truncated, reply.answers.len(), ede(&reply)));
    }
    said.try_into().unwrap()
}

#[tokio::test(start_paused = true)]
async fn u6_what_no_upstream_gives_by_tcp_is_truncated_for_datagrams_and_never_kept() {
    let stage = Stage::over(upstreams::<2>(0).await);
    for upstream in &stage.upstreams {
        upstream.zone(THREE);
        upstream.by(|_, tcp| if tcp { Act::Close } else { Act::Part });
    }
    let asked = || {
        stage
            .upstreams
            .iter()
            .map(|it| it.seen().len())
            .sum::<usize>()
    };
    let part = [
        (ResponseCode::NoError, true, 1, Some(23)),
        (ResponseCode::ServFail, false, 0, Some(23)),
    ];
    let begun = Instant::now();
    assert_eq!(by_udp_and_tcp(&stage).await, part);
    assert!(
        begun.elapsed() < ROUND_TRIP * 5,
        "both upstreams were asked in vain, and nobody else is there"
    );
    let sends = asked();
    assert_eq!(by_udp_and_tcp(&stage).await, part);
    assert_eq!(asked(), sends, "as a failure it is remembered for a second");
    for upstream in &stage.upstreams {
        upstream.always(Act::Truncate);
    }
    sleep(Duration::from_secs(1)).await;
    let whole = (ResponseCode::NoError, false, 3, None);
    assert_eq!(by_udp_and_tcp(&stage).await, [whole; 2]);
}

#[tokio::test(start_paused = true)]
async fn u6_an_older_whole_answer_is_given_rather_than_a_part() {
    let stage = Stage::over(upstreams::<1>(0).await);
    stage.upstreams[0].zone(THREE);
    let whole = (ResponseCode::NoError, false, 3, None);
    assert_eq!(by_udp_and_tcp(&stage).await, [whole; 2]);
    stage.upstreams[0].by(|_, tcp| if tcp { Act::Close } else { Act::Part });
    sleep(Duration::from_secs(2)).await;
    let stale = (ResponseCode::NoError, false, 3, Some(3));
    assert_eq!(by_udp_and_tcp(&stage).await, [stale; 2]);
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
