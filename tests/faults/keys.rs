//! Answers that are for another question: what separates two answers, and what a liar says of names that were not asked for.

use crate::{
    stage::{Question, Stage, upstreams},
    support::upstream::{Act, FORGED, FakeUpstream},
};
use gapless::{
    forward::{Forwarder, Options, Route, ZoneRoute},
    lifecycle::Tasks,
    metrics::Metrics,
    wire::{self, NameKey, rtype},
};
use hickory_proto::rr::{Name, RData, RecordType, rdata::A};
use prometheus_client::registry::Registry;
use rand::{SeedableRng as _, rngs::StdRng};
use std::{collections::HashSet, net::Ipv4Addr, sync::Arc};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn answers_of_2_names_2_types_2_classes_do_cd_and_3_routes_are_96_answers() {
    let mut upstreams = vec![];
    for _ in 0..3 {
        let upstream = FakeUpstream::start("").await;
        upstream.by(|query, _| {
            let asked = &query.queries[0];
            let data = match asked.query_type() {
                RecordType::A => "A 192.0.2.1",
                _ => "TXT x",
            };
            Act::Says([
                format!("{} 300 IN {data}", asked.name()),
                String::new(),
                String::new(),
            ])
        });
        upstreams.push(upstream);
    }
    let options = Options {
        upstreams: vec![upstreams[0].address.into()],
        cluster_dns: vec![upstreams[1].address.into()],
        routes: vec![ZoneRoute {
            upstreams: vec![upstreams[2].address.into()],
            trust_ad: false,
        }],
        ..Options::default()
    };
    let metrics = Metrics::new(&mut Registry::default()).forward;
    let rng = StdRng::seed_from_u64(1);
    let forwarder = Forwarder::new(&options, Tasks::new().0, metrics, rng);
    let mut questions = vec![];
    for n in 0..96_u16 {
        let bit = |nth: u16| n >> nth & 1 == 1;
        let question = wire::Question {
            name: NameKey::from_text(if bit(0) {
                "a.example.org"
            } else {
                "A.example.orG.x"
            })
            .unwrap(),
            qtype: if bit(1) { rtype::TXT } else { rtype::A },
            qclass: if bit(2) { 1 } else { 3 },
            dnssec_ok: bit(3),
            checking_disabled: bit(4),
        };
        let route = [Route::Default, Route::ClusterDns, Route::Zone(0)][usize::from(n >> 5)];
        questions.push((question, route));
    }
    let now = || Instant::now().into_std();
    for (nth, (question, route)) in questions.iter().enumerate() {
        let held = forwarder.held(question, *route, now());
        assert!(held.is_none(), "{question:?} {route:?}");
        let client = Ipv4Addr::LOCALHOST.into();
        forwarder.resolve(question, *route, client).await.unwrap();
        let asked: usize = upstreams.iter().map(|it| it.asked().udp).sum();
        assert_eq!(asked, nth + 1);
    }
    let entries = questions.iter().map(|(question, route)| {
        let held = forwarder.held(question, *route, now());
        Arc::as_ptr(&held.expect("it is kept").entry)
    });
    assert_eq!(entries.collect::<HashSet<_>>().len(), 96);
}

/// What a liar says of a name, in every way that records can.
fn lies(name: &str) -> Vec<String> {
    let forged = Ipv4Addr::from(FORGED);
    vec![
        format!("{name} 3600 IN A {forged}"),
        format!("{name} 3600 IN CNAME liar.example."),
        format!("{name} 3600 IN NS liar.example.\nliar.example. 3600 IN A {forged}"),
        format!("{name} 3600 IN SOA liar.example. liar.example. 1 2 3 4 3600"),
    ]
}

/// Whoever is asked about these names …
const ASKED: [&str; 2] = ["liar.routed.cluster.local", "liar.example.org"];
/// … speaks of these: the very one's neighbour, its zone, everything, somebody else's, and the cluster's.
const VICTIMS: [&str; 6] = [
    "www.example.org",
    "example.org",
    "org",
    "www.example.com",
    "web.default.svc.cluster.local",
    "other.cluster.local",
];

/// Row 11 and 12 of the attacks: records of other names in every section, from the upstream that has the victims as well, and
/// from the one of another route (MaginotDNS).
#[tokio::test(start_paused = true)]
async fn records_of_names_that_were_not_asked_for_are_nobodys_answer() {
    let mut scripts = 0;
    for asked in ASKED {
        for victim in VICTIMS {
            for lie in lies(&format!("{victim}.")) {
                for section in 0..3 {
                    is_harmless(asked, victim, &lie, section).await;
                    scripts += 1;
                }
            }
        }
    }
    assert_eq!(scripts, 144);
}

async fn is_harmless(asked: &str, victim: &str, lie: &str, section: usize) {
    let mut sections = [
        format!("{asked}. 300 IN A 192.0.2.1\n"),
        String::new(),
        String::new(),
    ];
    sections[section].push_str(lie);
    let [default, routed] = upstreams::<2>(0).await;
    let routed_address = routed.address;
    for upstream in [&default, &routed] {
        let (asked, sections) = (
            Name::from_ascii(format!("{asked}.")).unwrap(),
            sections.clone(),
        );
        upstream.by(move |query, _| match *query.queries[0].name() == asked {
            true => Act::Says(sections.clone()),
            false => Act::Answer,
        });
    }
    default.zone(&format!("{victim}. 60 IN A 192.0.2.7"));
    let stage = Stage::with([default, routed], |options| {
        options.upstreams.truncate(1);
        options.routes = vec![ZoneRoute {
            upstreams: vec![routed_address.into()],
            trust_ad: false,
        }];
    });
    stage.ask(&Question::a(asked)).await;
    let reply = stage.ask(&Question::a(victim)).await;
    let given: Vec<_> = reply.answers.iter().map(|it| &it.data).collect();
    match victim.ends_with("cluster.local") {
        true => assert!(given.is_empty(), "{lie}: {reply}"),
        false => assert_eq!(given, [&RData::A(A::new(192, 0, 2, 7))], "{lie}"),
    }
}
