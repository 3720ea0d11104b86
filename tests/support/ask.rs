//! A question in one line and its reply as zone-file lines: how tests that go through sockets write both down.

use hickory_proto::{
    op::{Message, MessageType},
    rr::{RData, Record},
};
use std::collections::BTreeMap;

/// A question and what else the client sends along.
#[derive(Clone, Debug)]
pub struct Ask {
    pub name: String,
    pub rtype: u16,
    pub edns: Option<u16>,
    pub flags: u16,
}

impl Ask {
    /// `NAME TYPE`, with EDNS of this size or without.
    pub fn new(question: &str, edns: Option<u16>) -> Self {
        Self {
            edns,
            ..Self::parse(question)
        }
    }

    /// Parses `NAME TYPE [edns=SIZE] [do] [norec] [cd] [ad]`; EDNS of 1232 unless `noedns`.
    pub fn parse(text: &str) -> Self {
        let mut words = text.split_whitespace();
        let name = words.next().expect("a name").to_owned();
        let rtype = words.next().expect("a type");
        let rtype = match rtype.strip_prefix("TYPE") {
            Some(number) => number.parse().expect("a type's number"),
            None => rtype
                .parse::<hickory_proto::rr::RecordType>()
                .expect("a type")
                .into(),
        };
        let mut ask = Self {
            name,
            rtype,
            edns: Some(1232),
            flags: 0x0100,
        };
        for word in words {
            match word.split_once('=') {
                Some(("edns", size)) => ask.edns = Some(size.parse().expect("a size")),
                _ if word == "noedns" => ask.edns = None,
                _ if word == "norec" => ask.flags &= !0x0100,
                _ if word == "cd" => ask.flags |= 0x0010,
                _ if word == "ad" => ask.flags |= 0x0020,
                _ => panic!("no such option: {word}"),
            }
        }
        ask
    }

    /// The query in wire form.
    pub fn packet(&self, id: u16) -> Vec<u8> {
        let mut packet = [id.to_be_bytes(), self.flags.to_be_bytes()].concat();
        packet.extend([0, 1, 0, 0, 0, 0, 0, u8::from(self.edns.is_some())]);
        for label in self
            .name
            .trim_end_matches('.')
            .split('.')
            .filter(|label| !label.is_empty())
        {
            packet.push(u8::try_from(label.len()).expect("a label"));
            packet.extend_from_slice(label.as_bytes());
        }
        packet.push(0);
        packet.extend(self.rtype.to_be_bytes());
        packet.extend([0, 1]);
        if let Some(size) = self.edns {
            packet.extend([0, 0, 41]);
            packet.extend(size.to_be_bytes());
            packet.extend([0; 6]);
        }
        packet
    }
}

/// The expectation with its record lines sorted within their sections.
pub fn normal(expected: &str) -> String {
    let mut lines = expected
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let head = lines.next().expect("a response code").to_owned();
    let mut sections = BTreeMap::<u8, Vec<String>>::new();
    for line in lines {
        let rank = match line.split_once(": ") {
            Some(("auth", _)) => 1,
            Some(("add", _)) => 2,
            Some(("ede", _)) => 3,
            _ => 0,
        };
        sections
            .entry(rank)
            .or_default()
            .push(line.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    join(head, sections)
}

fn join(head: String, mut sections: BTreeMap<u8, Vec<String>>) -> String {
    sections.values_mut().for_each(|lines| lines.sort());
    [head]
        .into_iter()
        .chain(sections.into_values().flatten())
        .collect::<Vec<_>>()
        .join("\n")
}

/// A reply in the form of an expectation; whatever holds for every reply is asserted on the way.
pub fn describe(ask: &Ask, reply: &[u8]) -> String {
    let message = Message::from_vec(reply).expect("hickory-proto reads every reply");
    let meta = &message.metadata;
    assert_eq!(meta.message_type, MessageType::Response);
    assert!(
        meta.recursion_available,
        "RA says that this server forwards"
    );
    assert_eq!(
        meta.recursion_desired,
        ask.flags & 0x0100 != 0,
        "RD is copied"
    );
    assert_eq!(
        meta.checking_disabled,
        ask.flags & 0x0010 != 0,
        "CD is copied"
    );
    assert_eq!(
        message.edns.is_some(),
        ask.edns.is_some(),
        "OPT answers OPT"
    );
    if let Some(edns) = &message.edns {
        assert_eq!((edns.max_payload(), edns.version()), (1232, 0));
    }
    let mut head = format!("{:?}", meta.response_code).to_uppercase();
    for (flag, set) in [
        (" aa", meta.authoritative),
        (" tc", meta.truncation),
        (" ad", meta.authentic_data),
    ] {
        if set {
            head.push_str(flag);
        }
    }
    let line = |record: &Record| {
        let rdata = match &record.data {
            RData::TXT(text) => text
                .txt_data
                .iter()
                .map(|part| format!("\"{}\"", String::from_utf8_lossy(part)))
                .collect(),
            other => other.to_string(),
        };
        format!(
            "{} {} {} {} {}",
            record.name,
            record.ttl,
            record.dns_class,
            record.record_type(),
            rdata.trim()
        )
    };
    let section = |records: &[Record], prefix: &str| {
        records
            .iter()
            .map(|record| format!("{prefix}{}", line(record)))
            .collect::<Vec<_>>()
    };
    let mut sections = BTreeMap::from([
        (0, section(&message.answers, "")),
        (1, section(&message.authorities, "auth: ")),
        (2, section(&message.additionals, "add: ")),
    ]);
    sections.insert(3, ede(&message));
    join(head, sections)
}

fn ede(message: &Message) -> Vec<String> {
    use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
    let option = message
        .edns
        .as_ref()
        .and_then(|edns| edns.option(EdnsCode::from(15)).cloned());
    match option {
        Some(EdnsOption::Unknown(_, bytes)) => {
            let (code, text) = bytes.split_at(2);
            let code = u16::from_be_bytes([code[0], code[1]]);
            vec![format!("ede: {code} {}", String::from_utf8_lossy(text))]
        }
        Some(other) => panic!("an unexpected option: {other:?}"),
        None => Vec::new(),
    }
}
