//! draft-vixie-dnsext-dns0x20: the letters of a question by UDP get random case, which its reply repeats, and which no client sees.

use crate::over;
use crate::support::upstream::{Act, Asked, FakeUpstream, Lie};
use std::collections::HashSet;

const ZONE: &str = "
    www.example.org. 60 IN A 192.0.2.1
    alias.example.org. 60 IN CNAME www.example.org.";

/// The names as the upstream saw them.
fn spellings(upstream: &FakeUpstream) -> Vec<String> {
    let seen = upstream.seen();
    let names = seen.iter().map(|(_, query)| query.queries[0].name());
    names.map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn the_letters_of_a_question_get_random_case() {
    let upstream = FakeUpstream::start(ZONE).await;
    let bench = over(&[&upstream], |_| ());
    for n in 0..100 {
        bench.ask(&format!("n{n}.example.org")).await.unwrap();
    }
    let spellings = spellings(&upstream);
    let domains: HashSet<_> = spellings
        .iter()
        .map(|it| it.split_once('.').unwrap().1)
        .collect();
    assert!(domains.len() > 90, "{domains:?}");
    let letters = spellings.iter().flat_map(|it| it.chars());
    let letters: Vec<_> = letters.filter(char::is_ascii_alphabetic).collect();
    let upper = letters.iter().filter(|it| it.is_ascii_uppercase()).count();
    assert_eq!(letters.len(), 1100);
    assert!((450..650).contains(&upper), "{upper}");
}

#[tokio::test(start_paused = true)]
async fn by_tcp_and_without_the_key_letters_are_in_lower_case() {
    let upstream = FakeUpstream::start(ZONE).await;
    upstream.always(Act::Truncate);
    let bench = over(&[&upstream], |_| ());
    bench.ask("WWW.example.org").await.unwrap();
    assert_eq!(spellings(&upstream)[1], "www.example.org.");
    let bench = over(&[&upstream], |options| options.case_randomization = false);
    bench.ask("WWW.example.org").await.unwrap();
    assert_eq!(spellings(&upstream)[2..], ["www.example.org."; 2]);
}

#[tokio::test(start_paused = true)]
async fn every_client_sees_its_own_spelling() {
    let upstream = FakeUpstream::start(ZONE).await;
    let bench = over(&[&upstream], |_| ());
    for name in ["www.example.org", "WWW.eXample.org", "www.EXAMPLE.ORG"] {
        let answer = bench.ask(name).await.unwrap();
        assert_eq!(answer.queries[0].name().to_string(), format!("{name}."));
        let record = answer.answers[0].to_string();
        assert_eq!(record, format!("{name}. 60 IN A 192.0.2.1"));
    }
    let answer = bench.ask("ALIAS.example.org").await.unwrap();
    assert_eq!(answer.answers[0].name.to_string(), "ALIAS.example.org.");
    assert_eq!(upstream.asked(), Asked { udp: 2, tcp: 0 });
}

#[tokio::test(start_paused = true)]
async fn a_reply_in_other_letters_is_not_believed_and_moves_the_question_to_tcp() {
    let upstream = FakeUpstream::start(ZONE).await;
    upstream.always(Act::Lie(vec![Lie::Spelling; 20]));
    let bench = over(&[&upstream], |_| ());
    let answer = bench.ask("www.example.org").await.unwrap();
    let lines: Vec<_> = answer.answers.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["www.example.org. 60 IN A 192.0.2.1"]);
    assert_eq!(upstream.asked(), Asked { udp: 1, tcp: 1 });
    assert_eq!(
        bench.metric("upstream_outcomes_total{outcome=\"recased\"}"),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_changes_letters_is_shown() {
    for (act, sends) in [(Act::LowerCase, 2), (Act::LowerCaseWithoutTcp, 3)] {
        let upstream = FakeUpstream::start(ZONE).await;
        upstream.always(act);
        let bench = over(&[&upstream], |_| ());
        for n in 1..=3 {
            assert_eq!(bench.metric("upstream_lower_case"), 0);
            bench.ask(&format!("n{n}.example.org")).await.unwrap();
            let asked = upstream.asked();
            assert_eq!(asked.udp + asked.tcp, sends * n);
        }
        assert_eq!(bench.metric("upstream_lower_case"), 1);
        bench.ask("n4.example.org").await.unwrap();
        let asked = upstream.asked();
        assert_eq!(asked.udp + asked.tcp, sends * 3 + 1);
    }
}
