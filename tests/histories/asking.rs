//! Questions as packets, and replies as answers.

use crate::{
    support::ask::Ask,
    truth::{Answer, Question, Type},
};
use gapless::{
    engine::{Ahead, Asked, Engine, Now, Recent},
    metrics::Transport,
};
use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Instant,
};

/// What a reply says, and whether it says that it may be stale.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    pub(crate) is_stale: bool,
}

fn text(question: &Question) -> String {
    let below = |(namespace, service): (&str, &str)| format!("{service}.{namespace}.svc");
    let name = |qtype: &Type| match qtype {
        Type::A => "A",
        Type::Aaaa => "AAAA",
        Type::Srv => "SRV",
        Type::Cname => "CNAME",
    };
    let of = |address: &IpAddr| if address.is_ipv4() { "A" } else { "AAAA" };
    match question {
        Question::Service(key, qtype) => format!("{}.cluster.local {}", below(*key), name(qtype)),
        Question::Host(key, label, qtype) => {
            format!("{label}.{}.cluster.local {}", below(*key), name(qtype))
        }
        Question::Port(key) => format!("_http._tcp.{}.cluster.local SRV", below(*key)),
        Question::Namespace(namespace) => format!("{namespace}.svc.cluster.local A"),
        Question::Pod(namespace, address) => {
            let label = crate::truth::dashed(*address);
            format!("{label}.{namespace}.pod.cluster.local {}", of(address))
        }
        Question::Reverse(IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa PTR")
        }
        Question::Reverse(IpAddr::V6(address)) => {
            let nibbles = address.octets().into_iter().rev();
            let nibbles = nibbles.flat_map(|it| [it & 15, it >> 4]);
            let spelled: String = nibbles.map(|it| format!("{it:x}.")).collect();
            format!("{spelled}ip6.arpa PTR")
        }
    }
}

/// The question as a client asks it.
pub(crate) fn question(question: &Question) -> Ask {
    Ask::new(&text(question), Some(1232))
}

/// Asks on the path that every listener takes first, and as a worker with a memory does, who gives the same octets.
pub(crate) fn ask(engine: &Engine, recent: &mut Recent, of: &Question, now: Instant) -> Reply {
    let packet = question(of).packet(1);
    let asked = Asked {
        packet: &packet,
        client: ([192, 0, 2, 7], 5353).into(),
        local: Ipv4Addr::LOCALHOST.into(),
        transport: Transport::Udp,
        rotation: 0,
    };
    let (mut out, mut remembered) = ([0; 1232], [0; 1232]);
    let given = engine.answer_now(&asked, now, &mut out);
    let snapshot = engine.snapshot();
    let mut view = engine.view(&snapshot, Some(recent));
    let again = view.answer_now(&asked, Ahead::default(), now, &mut remembered);
    assert_eq!((given, out), (again, remembered), "{of:?}");
    match given {
        Now::Reply(len) => read(Some(&out[..len])),
        Now::NeedsAsync => read(None),
        Now::Drop => panic!("an answer to {of:?}"),
    }
}

/// Reads a reply; none means that somebody else is to be asked.
pub(crate) fn read(reply: Option<&[u8]>) -> Reply {
    let Some(reply) = reply else {
        return Reply {
            answer: Answer::Elsewhere,
            is_stale: false,
        };
    };
    let number = |at: usize| u16::from_be_bytes([reply[at], reply[at + 1]]);
    assert_eq!(number(2) & 0x0200, 0, "nothing here is too long");
    let (rcode, answers) = (number(2) & 15, number(6));
    let records = answers + number(8) + number(10);
    let mut at = name(reply, 12).1 + 4;
    let mut found = BTreeSet::new();
    let mut is_stale = false;
    for nth in 0..records {
        at = name(reply, at).1;
        let (rtype, length) = (number(at), usize::from(number(at + 8)));
        at += 10;
        let data = &reply[at..at + length];
        if nth < answers {
            found.insert(match rtype {
                1 => Ipv4Addr::from(<[u8; 4]>::try_from(data).unwrap()).to_string(),
                28 => Ipv6Addr::from(<[u8; 16]>::try_from(data).unwrap()).to_string(),
                33 => format!("{} {}", number(at + 4), name(reply, at + 6).0),
                _ => name(reply, at).0,
            });
        }
        // An EDE (RFC 8914) is the only option.
        if rtype == 41 && length >= 6 {
            is_stale = matches!(number(at + 4), 3 | 19);
        }
        at += length;
    }
    let answer = match rcode {
        0 if answers == 0 => Answer::Empty,
        0 => Answer::Records(found),
        2 => Answer::Unsure,
        3 => Answer::Absent,
        other => panic!("response code {other}"),
    };
    Reply { answer, is_stale }
}

/// A name, and where it ends.
fn name(reply: &[u8], mut at: usize) -> (String, usize) {
    let (mut text, mut end) = (String::new(), None);
    loop {
        let length = usize::from(reply[at]);
        if length >= 192 {
            end.get_or_insert(at + 2);
            at = (length & 63) << 8 | usize::from(reply[at + 1]);
        } else if length == 0 {
            return (text, end.unwrap_or(at + 1));
        } else {
            text += str::from_utf8(&reply[at + 1..=at + length]).unwrap();
            text.push('.');
            at += 1 + length;
        }
    }
}
