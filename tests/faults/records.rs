//! U12, U14–U17: answers whose records are unusual.

use crate::{
    stage::{EVERY, Question, Stage, address, numbered, upstreams},
    support::upstream::Act,
    tally::{Outcome, Tally},
};
use gapless::wire::rtype;
use hickory_proto::{
    op::Message,
    rr::{RData, RecordType},
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn u12_signatures_come_with_do_and_each_of_do_and_cd_has_an_answer_of_its_own() {
    const SIGNATURE: &str =
        "000108030000012c6a0000006900000012340765786d61706c65036f726700deadbeef";
    let stage = Stage::over(upstreams::<1>(0).await);
    let signed = |n| format!("n{n}.example.org. 300 IN RRSIG {SIGNATURE}\n");
    let signatures: String = (0..100).map(signed).collect();
    stage.upstreams[0].zone(&(numbered(100, 300) + &signatures));
    let mut tally = Tally::default();
    let bits = [(false, false), (true, false), (false, true), (true, true)];
    for n in 0..1000 {
        let (name, (dnssec_ok, checking_disabled)) = (n / 4 % 100, bits[n as usize % 4]);
        let begun = Instant::now();
        let question = Question {
            dnssec_ok,
            checking_disabled,
            ..Question::a(&format!("n{name}.example.org"))
        };
        let reply = stage.ask(&question).await;
        let mut signatures = reply.answers.iter().filter_map(|it| match &it.data {
            RData::Unknown {
                code: RecordType::RRSIG,
                rdata,
            } => Some(rdata.anything.as_slice()),
            _ => None,
        });
        let hex = |bytes: &[u8]| {
            bytes
                .iter()
                .map(|it| format!("{it:02x}"))
                .collect::<String>()
        };
        let expected = dnssec_ok.then(|| SIGNATURE.to_owned());
        assert_eq!(signatures.next().map(hex), expected);
        assert_eq!(reply.answers[0].data, RData::A(address(name).into()));
        assert!(!reply.metadata.authentic_data);
        tally.add(name, Outcome::Right, 300, begun);
        sleep(EVERY).await;
    }
    tally.sends = stage.sends_since(&[0]);
    let asked: Vec<_> = stage.upstreams[0]
        .seen()
        .into_iter()
        .map(|(_, it)| it)
        .collect();
    for (n, query) in asked.iter().enumerate() {
        let sent = (
            query.edns.as_ref().unwrap().flags().dnssec_ok,
            query.metadata.checking_disabled,
        );
        assert_eq!(sent, bits[n % 4]);
    }
    assert_eq!(asked.len(), 400);
    tally.row().is_documented(
        "u12_signatures_come_with_do_and_each_of_do_and_cd_has_an_answer_of_its_own",
    );
}

#[tokio::test(start_paused = true)]
async fn u14_a_ttl_of_0_is_for_those_who_wait() {
    let [upstream] = upstreams::<1>(0).await;
    upstream.zone(&numbered(100, 0));
    let stage = Stage::over([upstream]);
    // Ten ask for each name while its answer is on the way, and ten later.
    let names = (0..2000).map(|n| n / 10 % 100);
    let tally = stage.ask_each(names, Duration::from_millis(2)).await;
    assert_eq!(tally.right(), 2000);
    assert_eq!(stage.upstreams[0].asked().udp, 200);
    assert!(tally.each.iter().all(|it| it.ttl == 0));
    tally
        .row()
        .is_documented("u14_a_ttl_of_0_is_for_those_who_wait");
}

#[tokio::test(start_paused = true)]
async fn u16_no_records_and_no_soa_is_not_kept() {
    let stage = Stage::over(upstreams::<1>(0).await);
    stage.upstreams[0].always(Act::Says(<_>::default()));
    let mut tally = Tally::default();
    for n in 0..1000 {
        let begun = Instant::now();
        let question = Question::new(&format!("n{}.example.org", n % 500), rtype::A);
        let reply = stage.ask(&question).await;
        assert_eq!(u16::from(reply.metadata.response_code), 0);
        assert!(reply.answers.is_empty() && reply.authorities.is_empty());
        tally.add(n, Outcome::Right, 0, begun);
        sleep(EVERY).await;
    }
    tally.sends = stage.sends_since(&[0]);
    assert_eq!(stage.upstreams[0].asked().udp, 1000);
    tally
        .row()
        .is_documented("u16_no_records_and_no_soa_is_not_kept");
}

#[tokio::test(start_paused = true)]
async fn u17_a_ttl_of_2_to_the_31_and_more_is_0() {
    let [upstream] = upstreams::<1>(0).await;
    upstream.zone(&numbered(100, 1 << 31));
    let stage = Stage::over([upstream]);
    let tally = stage.ask_each((0..1000).map(|n| n % 100), EVERY).await;
    assert_eq!(tally.right(), 1000);
    assert!(tally.each.iter().all(|it| it.ttl == 0));
    assert_eq!(stage.upstreams[0].asked().udp, 1000);
    tally
        .row()
        .is_documented("u17_a_ttl_of_2_to_the_31_and_more_is_0");
}

#[tokio::test(start_paused = true)]
async fn u15_chains_of_1_to_64_aliases_and_a_circle() {
    const LONGEST: u32 = 64;
    let stage = Stage::over(upstreams::<1>(0).await);
    let mut zone = String::new();
    for aliases in 1..=LONGEST {
        for nth in 0..aliases {
            let next = nth + 1;
            zone += &format!("c{nth}.n{aliases}.org. 300 IN CNAME c{next}.n{aliases}.org.\n");
        }
        zone += &format!("c{aliases}.n{aliases}.org. 300 IN A {}\n", address(aliases));
    }
    zone += "c0.n0.org. 300 IN CNAME c1.n0.org.\nc1.n0.org. 300 IN CNAME c0.n0.org.";
    stage.upstreams[0].zone(&zone);
    let mut tally = Tally::default();
    for aliases in (0..=LONGEST).chain(0..=LONGEST) {
        let begun = Instant::now();
        let question = Question::a(&format!("c0.n{aliases}.org"));
        let reply = stage.ask(&question).await;
        if aliases > 0 {
            assert_eq!(reply.answers.len(), aliases as usize + 1);
            let last = &reply.answers.last().unwrap().data;
            assert_eq!(*last, RData::A(address(aliases).into()));
        }
        tally.add(aliases, Outcome::Right, 300, begun);
        sleep(EVERY).await;
    }
    // Up to 16 aliases are kept.
    tally.sends = stage.sends_since(&[0]);
    let sent = |name: &str| {
        let is_it = |query: &Message| query.queries[0].name().to_ascii().to_lowercase() == name;
        let seen = stage.upstreams[0].seen();
        seen.iter().filter(|(_, query)| is_it(query)).count()
    };
    assert_eq!([sent("c0.n16.org."), sent("c0.n17.org.")], [1, 2]);
    let row = tally.row();
    row.is_documented("u15_chains_of_1_to_64_aliases_and_a_circle");
}
