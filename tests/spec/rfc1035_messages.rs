//! RFC 1035 (with 4343, 8906, 9619): messages, sizes, truncation, and what is not answered.

use crate::stage::{Stage, Way};
use hickory_proto::{op::Message, rr::RData};
use std::fmt::Write;

/// A headless service `big` with this many ready endpoints.
pub fn big(endpoints: usize) -> String {
    let mut text = "
apiVersion: v1
kind: Service
metadata: {name: big, namespace: default}
spec: {clusterIP: None}
"
    .to_owned();
    for slice in 0..endpoints.div_ceil(1000) {
        write!(
            text,
            "---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: big-{slice}, namespace: default, labels: {{kubernetes.io/service-name: big}}}}
addressType: IPv4
ports: [{{name: p, port: 1, protocol: TCP}}]
endpoints:
"
        )
        .unwrap();
        for n in slice * 1000..endpoints.min((slice + 1) * 1000) {
            writeln!(
                text,
                "- {{addresses: [10.{}.{}.{}], hostname: big-{n}}}",
                n >> 16,
                n >> 8 & 255,
                n & 255
            )
            .unwrap();
        }
    }
    text
}

fn ask(stage: &mut Stage, way: Way, question: &str, edns: Option<u16>) -> (usize, Message) {
    let packet = crate::support::ask::Ask::new(question, edns).packet(1);
    let reply = stage.exchange(way, &packet).unwrap();
    (reply.len(), Message::from_vec(&reply).unwrap())
}

#[test]
fn udp_carries_as_many_whole_records_as_fit_and_tc() {
    let mut stage = Stage::new(&big(200));
    for (edns, limit) in [
        (None, 512),
        (Some(512), 512),
        (Some(100), 512),
        (Some(900), 900),
        (Some(4096), 1232),
    ] {
        for way in [Way::Now, Way::Async, Way::Udp] {
            let (len, message) = ask(&mut stage, way, "big.default.svc.cluster.local. A", edns);
            let opt = if edns.is_some() { 11 } else { 0 };
            let fit = (limit - 12 - 35 - opt) / 16;
            assert!(
                message.metadata.truncation && len <= limit,
                "{edns:?} {way:?}"
            );
            assert_eq!(
                (message.answers.len(), message.edns.is_some()),
                (fit, edns.is_some()),
                "{edns:?} {way:?}"
            );
        }
    }
    let (_, message) = ask(
        &mut stage,
        Way::Tcp,
        "big.default.svc.cluster.local. A",
        None,
    );
    assert_eq!(
        (message.answers.len(), message.metadata.truncation),
        (200, false),
        "then the client comes by TCP"
    );
}

#[test]
fn srv_that_does_not_fit_is_truncated_and_its_additional_records_never_set_tc() {
    let mut stage = Stage::new(&big(40));
    let (len, message) = ask(
        &mut stage,
        Way::Udp,
        "_p._tcp.big.default.svc.cluster.local. SRV",
        Some(1232),
    );
    assert!(message.metadata.truncation && len <= 1232 && !message.answers.is_empty());
    let mut stage = Stage::new(&big(18));
    let (len, message) = ask(
        &mut stage,
        Way::Udp,
        "_p._tcp.big.default.svc.cluster.local. SRV",
        Some(1232),
    );
    assert!(!message.metadata.truncation && len <= 1232);
    assert_eq!(message.answers.len(), 18);
    assert!(message.additionals.len() < 18, "as many as fit");
}

#[test]
fn ten_thousand_pods_are_answered_by_records_never_nxdomain() {
    let mut stage = Stage::new(&big(10_000));
    for way in Way::ALL {
        let (len, message) = ask(
            &mut stage,
            way,
            "big.default.svc.cluster.local. A",
            Some(1232),
        );
        assert_eq!(u16::from(message.metadata.response_code), 0, "{way:?}");
        assert!(message.metadata.truncation && len > 1200, "{way:?}");
        let (_, message) = ask(
            &mut stage,
            way,
            "big-9999.big.default.svc.cluster.local. A",
            Some(1232),
        );
        assert_eq!(message.answers.len(), 1, "{way:?}");
    }
    let (len, message) = ask(
        &mut stage,
        Way::Tcp,
        "big.default.svc.cluster.local. A",
        Some(1232),
    );
    assert_eq!(
        (len > 65_000, message.answers.len()),
        (true, (65_535 - 12 - 35 - 11) / 16)
    );
    let (_, message) = ask(
        &mut stage,
        Way::Tcp,
        "_p._tcp.big.default.svc.cluster.local. SRV",
        Some(1232),
    );
    assert!(message.answers.len() > 700 && message.metadata.truncation);
    let weights = message.answers.iter().map(|record| match &record.data {
        RData::SRV(srv) => srv.weight,
        other => panic!("{other}"),
    });
    assert!(weights.into_iter().all(|weight| weight == 1), "never 0");
}

#[test]
fn answers_of_several_addresses_are_rotated() {
    let mut stage = Stage::new(&big(3));
    let mut first = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let (_, message) = ask(
            &mut stage,
            Way::Udp,
            "big.default.svc.cluster.local. A",
            Some(1232),
        );
        first.insert(message.answers[0].data.to_string());
    }
    assert_eq!(
        first.len(),
        3,
        "each address comes first once in three answers"
    );
}

/// A query for `cluster.local. SOA`, to be spoilt.
const GOOD: &[u8] = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x07cluster\x05local\0\0\x06\0\x01";

fn spoilt(at: usize, byte: u8) -> Vec<u8> {
    let mut packet = GOOD.to_vec();
    packet[at] = byte;
    packet
}

#[test]
fn what_is_no_query_is_answered_by_a_code_or_by_silence() {
    let mut stage = Stage::empty();
    let code = |reply: Vec<u8>| (reply[..2].to_vec(), reply[3] & 15);
    for way in Way::ALL {
        for (sentence, packet, expected) in [
            ("opcode STATUS is NOTIMP", spoilt(2, 0x10), 4),
            ("QDCOUNT 0 is FORMERR (RFC 9619)", spoilt(5, 0), 1),
            ("QDCOUNT 2 is FORMERR (RFC 9619)", spoilt(5, 2), 1),
            ("a label of an unknown type is FORMERR", spoilt(12, 0x47), 1),
            ("a pointer in QNAME is FORMERR", spoilt(12, 0xc0), 1),
            (
                "a question that is cut off is FORMERR",
                GOOD[..GOOD.len() - 1].to_vec(),
                1,
            ),
            (
                "a record that is announced and missing is FORMERR",
                spoilt(11, 1),
                1,
            ),
            ("class CH is REFUSED", spoilt(GOOD.len() - 1, 3), 5),
            ("class ANY is REFUSED", spoilt(GOOD.len() - 1, 255), 5),
            (
                "octets after the message are ignored",
                [GOOD, b"xyz"].concat(),
                0,
            ),
        ] {
            let reply = stage
                .exchange(way, &packet)
                .unwrap_or_else(|| panic!("{sentence}: {way:?}"));
            assert_eq!(code(reply), (vec![0, 7], expected), "{sentence}: {way:?}");
        }
        for (sentence, packet) in [
            ("a response is not answered", spoilt(2, 0x81)),
            ("less than a header is not answered", GOOD[..11].to_vec()),
            ("nothing is not answered", vec![]),
        ] {
            assert_eq!(stage.exchange(way, &packet), None, "{sentence}: {way:?}");
        }
    }
}

#[test]
fn a_query_from_port_0_is_not_answered() {
    let mut stage = Stage::empty();
    stage.client.set_port(0);
    for way in [Way::Now, Way::Async] {
        assert_eq!(stage.exchange(way, GOOD), None, "{way:?}");
    }
}

#[test]
fn the_server_says_who_it_is_only_when_told_to_rfc4892() {
    let version = [&GOOD[..12], b"\x07version\x04bind\0\0\x10\0\x03"].concat();
    let id = [&GOOD[..12], b"\x02id\x06server\0\0\x10\0\x03"].concat();
    let mut stage = Stage::empty();
    assert_eq!(stage.exchange(Way::Now, &version).unwrap()[3] & 15, 5);
    let mut stage = Stage::with("", |options| {
        options.identity.version = Some("gapless 1".into())
    });
    for way in Way::ALL {
        let reply = stage.exchange(way, &version).unwrap();
        assert!(
            reply.ends_with(b"\xc0\x0c\0\x10\0\x03\0\0\0\0\0\x0a\x09gapless 1"),
            "{way:?}"
        );
        assert_eq!(stage.exchange(way, &id).unwrap()[3] & 15, 5, "{way:?}");
    }
}
