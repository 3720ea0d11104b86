//! Whatever bytes come in, whatever was read ahead and was asked before: the fast path gives the bytes of the plain one or
//! declines, hickory-proto can read every reply, and no reply is longer than its client takes.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/mod.rs"]
mod support;

use gapless::{
    engine::{Ahead, Asked, Engine, Now, Recent},
    metrics::Transport,
    wire::{Query, Unanswerable},
};
use hickory_proto::op::{Message, MessageType};
use proptest::prelude::*;
use std::{cell::RefCell, net::Ipv4Addr, sync::LazyLock, time::Instant};
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
});

/// Names of every kind, without an upstream: what would be forwarded fails at once.
static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    support::engine::with_objects(&[
        support::objects::cluster_ip("kube-dns", &["10.96.0.10", "fd00:96::a"]),
        support::objects::headless("nginx"),
        support::objects::slice("nginx", 40),
        support::objects::headless("few"),
        support::objects::slice("few", 3),
        support::objects::external_name("alias", "kube-dns.default.svc.cluster.local"),
        support::objects::external_name("outside", "www.example.org"),
        support::objects::external_name("loop", "loop.default.svc.cluster.local"),
    ])
});

thread_local! {
    /// A worker's memory, in which the replies of all cases stand.
    static RECENT: RefCell<Recent> = RefCell::default();
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    const LABELS: [&[u8]; 26] = [
        b"default",
        b"svc",
        b"pod",
        b"cluster",
        b"local",
        b"kube-dns",
        b"nginx",
        b"few",
        b"h-7",
        b"h-99",
        b"_p",
        b"_tcp",
        b"_udp",
        b"alias",
        b"outside",
        b"loop",
        b"10-1-0-7",
        b"in-addr",
        b"arpa",
        b"10",
        b"96",
        b"0",
        b"localhost",
        b"dns-version",
        b"ns",
        b"dns",
    ];
    let words = prop::sample::select(&LABELS[..]).prop_map(<[u8]>::to_vec);
    let label = prop_oneof![8 => words, 1 => prop::collection::vec(any::<u8>(), 1..64)];
    const TAILS: [&[u8]; 6] = [
        b"\x03svc\x07cluster\x05local",
        b"\x07default\x03svc\x07cluster\x05local",
        b"\x03few\x07default\x03svc\x07cluster\x05local",
        b"\x05nginx\x07default\x03svc\x07cluster\x05local",
        b"\x08kube-dns\x07default\x03svc\x07cluster\x05local",
        b"",
    ];
    let tail = prop::sample::select(&TAILS[..]);
    (prop::collection::vec(label, 0..4), tail, any::<bool>()).prop_map(|(labels, tail, upper)| {
        let mut wire = Vec::new();
        for label in labels {
            wire.push(u8::try_from(label.len()).unwrap());
            wire.extend_from_slice(&label);
        }
        wire.extend_from_slice(tail);
        wire.push(0);
        if upper {
            wire.to_ascii_uppercase()
        } else {
            wire
        }
    })
}

/// A query with everything that clients vary, sometimes with one octet changed or cut off.
fn packet() -> impl Strategy<Value = Vec<u8>> {
    let qtype = prop_oneof![
        prop::sample::select(&[1_u16, 28, 33, 12, 5, 6, 2, 16, 255, 65, 252][..]),
        any::<u16>(),
    ];
    let options = prop::collection::vec(any::<u8>(), 0..12);
    let opt = (
        any::<u16>(),
        prop::sample::select(&[0_u8, 0, 0, 1][..]),
        any::<bool>(),
        prop_oneof![Just(vec![]), options],
    );
    let spoil = prop::option::weighted(
        0.2,
        (any::<prop::sample::Index>(), any::<u8>(), any::<bool>()),
    );
    let flags = prop_oneof![3 => Just(0x0100_u16), 1 => any::<u16>()];
    (name(), qtype, prop::option::of(opt), flags, spoil).prop_map(
        |(name, qtype, opt, flags, spoil)| {
            let mut packet = [
                &[0x12, 0x34][..],
                &flags.to_be_bytes(),
                &[0, 1, 0, 0, 0, 0, 0, opt.is_some().into()],
            ]
            .concat();
            packet.extend_from_slice(&name);
            packet.extend_from_slice(&qtype.to_be_bytes());
            packet.extend_from_slice(&[0, 1]);
            if let Some((size, version, dnssec_ok, options)) = opt {
                packet.extend_from_slice(&[0, 0, 41]);
                packet.extend_from_slice(&size.to_be_bytes());
                packet.extend_from_slice(&[0, version, if dnssec_ok { 0x80 } else { 0 }, 0]);
                packet.extend_from_slice(&u16::try_from(options.len()).unwrap().to_be_bytes());
                packet.extend_from_slice(&options);
            }
            if let Some((at, octet, cut)) = spoil {
                let at = at.index(packet.len());
                packet[at] = octet;
                packet.truncate(if cut { at } else { packet.len() });
            }
            packet
        },
    )
}

/// Everything that a query can have is left over from this one.
const BEFORE: &[u8] = b"\0\x01\x01\x30\0\x01\0\0\0\0\0\x01\
    \x3da-label-that-is-longer-than-most-of-the-packets-that-are-none\x09localhost\0\0\x01\0\x01\
    \0\0\x29\x04\xd0\0\0\x80\0\0\0";

fn check(packet: &[u8], transport: Transport, rotation: usize) -> Result<(), TestCaseError> {
    let asked = Asked {
        packet,
        client: (Ipv4Addr::LOCALHOST, 5353).into(),
        local: Ipv4Addr::LOCALHOST.into(),
        transport,
        rotation,
    };
    let mut plain = vec![0xbb; 65_535];
    let answered = RUNTIME.block_on(ENGINE.answer(asked, &mut plain));
    let snapshot = ENGINE.snapshot();
    let mut view = ENGINE.view(&snapshot, None);
    let before = Asked {
        packet: BEFORE,
        ..asked
    };
    view.answer_now(&before, Ahead::default(), now(), &mut [0; 1232]);
    let others: &[u8] =
        b"\0\0\0\0\0\x01\0\0\0\0\0\0\x03h-7\x05nginx\x07default\x03svc\x07cluster\x05local\0";
    let ahead = view.read_ahead([packet, others, packet, others].into_iter());
    for ahead in [Ahead::default(), ahead.nth(0), ahead.nth(1), ahead.nth(64)] {
        let mut fast = vec![0xaa; 65_535];
        match view.answer_now(&asked, ahead, now(), &mut fast) {
            Now::Reply(len) => {
                prop_assert_eq!(answered, Some(len));
                prop_assert_eq!(&fast[..len], &plain[..len]);
            }
            Now::Drop => prop_assert_eq!(answered, None),
            Now::NeedsAsync => prop_assert!(answered.is_some()),
        }
    }
    if transport == Transport::Udp && packet.len() > 1 {
        check_recent(&asked, answered.map(|len| &plain[..len]))?;
    }
    let Some(len) = answered else {
        return Ok(());
    };
    let reply = Message::from_vec(&plain[..len]);
    let reply =
        reply.map_err(|error| TestCaseError::fail(format!("{error}: {:?}", &plain[..len])))?;
    prop_assert_eq!(reply.metadata.message_type, MessageType::Response);
    prop_assert_eq!(&plain[..2], &packet[..2]);
    let size = match (Query::parse(packet), transport) {
        (_, Transport::Tcp | Transport::Https) => 65_535,
        (Ok(query), Transport::Udp) => query.edns.map_or(512, |edns| edns.payload.min(1232)).into(),
        (Err(_), Transport::Udp) => 12,
    };
    prop_assert!(
        len <= size,
        "{} octets for a client that takes {}",
        len,
        size
    );
    Ok(())
}

/// A worker that gave this reply to another client, from another address and in another turn, gives these octets.
fn check_recent(asked: &Asked<'_>, answered: Option<&[u8]>) -> Result<(), TestCaseError> {
    let id = [0x43, 0x21];
    let earlier = [&id, &asked.packet[2..]].concat();
    let earlier = Asked {
        packet: &earlier,
        client: (Ipv4Addr::new(192, 0, 2, 7), 53).into(),
        local: Ipv4Addr::new(127, 0, 0, 2).into(),
        rotation: asked.rotation + 1,
        ..*asked
    };
    let snapshot = ENGINE.snapshot();
    RECENT.with_borrow_mut(|recent| {
        let mut out = [0xcc; 1232];
        for asked in [&earlier, asked] {
            let mut view = ENGINE.view(&snapshot, Some(recent));
            let before = Asked {
                packet: BEFORE,
                ..*asked
            };
            view.answer_now(&before, Ahead::default(), now(), &mut out);
            let ahead = view.read_ahead([asked.packet; 4].into_iter());
            let (nth, now) = (asked.rotation % 4, now());
            let given = view.answer_now(asked, ahead.nth(nth), now, &mut out);
            if let Now::Reply(len) = given
                && asked.packet[..2] != id
            {
                prop_assert_eq!(Some(&out[..len]), answered);
            }
            let from_nowhere = Asked {
                client: (Ipv4Addr::LOCALHOST, 0).into(),
                ..*asked
            };
            let dropped = view.answer_now(&from_nowhere, ahead.nth(nth), now, &mut out);
            prop_assert_eq!(dropped, Now::Drop);
        }
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fast_equals_plain_on_queries(packet in packet(), tcp in any::<bool>(), rotation in 0_usize..100) {
        check(&packet, if tcp { Transport::Tcp } else { Transport::Udp }, rotation)?;
    }

    #[test]
    fn fast_equals_plain_on_arbitrary_bytes(packet in prop::collection::vec(any::<u8>(), 0..600)) {
        check(&packet, Transport::Udp, 0)?;
    }

    #[test]
    fn a_query_is_read_as_hickory_proto_reads_it(packet in packet()) {
        match (Query::parse(&packet), Message::from_vec(&packet)) {
            (Ok(query), Ok(message)) => {
                prop_assert_eq!(query.header.id, message.metadata.id);
                let asked = &message.queries[0];
                prop_assert_eq!(query.question.qtype, u16::from(asked.query_type()));
                let labels = asked.name().iter().map(<[u8]>::to_ascii_lowercase);
                let ours = (0..query.question.name.label_count()).map(|n| query.question.name.label(n).unwrap().to_vec());
                prop_assert_eq!(ours.collect::<Vec<_>>(), labels.collect::<Vec<_>>());
                prop_assert_eq!(query.edns.is_some(), message.edns.is_some());
                if let (Some(ours), Some(theirs)) = (query.edns, &message.edns) {
                    prop_assert_eq!(ours.dnssec_ok, theirs.flags().dnssec_ok);
                    prop_assert_eq!(ours.payload, theirs.max_payload().max(512));
                    prop_assert_eq!(ours.version, theirs.version());
                }
            }
            // What hickory-proto reads and we do not: a second look says which rule of ours refused it.
            (Err(Unanswerable::HeaderOnly(..) | Unanswerable::Silence), _) | (Ok(_), Err(_)) => {}
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "an Instant has no other source")]
fn now() -> Instant {
    Instant::now()
}
