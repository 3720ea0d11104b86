//! An upstream's packet: it never makes the parser or the cache's writer panic; where hickory-proto accepts it too, both
//! find the same records; and what is given to a client can be read again.
#![no_main]

use gapless::{
    cache::{Bounds, Entry, Key},
    wire::{Query, ReplyEdns, Response, Section},
};
use hickory_proto::{
    op::{Message, OpCode},
    rr::Record,
};
use libfuzzer_sys::fuzz_target;
use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);

fuzz_target!(|input: (u16, u16, &[u8])| {
    let (limit, age, packet) = input;
    let Some(response) = Response::parse(packet.to_vec()) else {
        return;
    };
    // Other opcodes have other rules for records; the forwarder takes none of them.
    let theirs = Message::from_vec(packet).ok();
    let theirs = theirs.filter(|theirs| theirs.metadata.op_code == OpCode::Query);
    if let Some(theirs) = &theirs {
        same(&response, Section::Answer, &theirs.answers);
        same(&response, Section::Authority, &theirs.authorities);
    }

    let mut asked = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
    asked.extend_from_slice(response.question_wire());
    let Ok(query) = Query::parse(&asked) else {
        return; // a type that nobody may ask for
    };
    let entry = Entry::new(
        &Key::new(&query.question, 0),
        &response,
        Bounds::default(),
        true,
        *NOW,
    );
    let (now, limit) = (
        *NOW + Duration::from_secs(age.into()),
        usize::from(limit).max(512),
    );
    let mut out = vec![0; 65_535];
    let Some(len) = entry.write(&query, ReplyEdns::default(), &mut out, limit, now) else {
        return;
    };
    assert!(len <= limit, "{len} octets, and the client takes {limit}");
    let written = out[..len].to_vec();
    assert!(
        Response::parse(written.clone()).is_some(),
        "{written:02x?} cannot be read again"
    );
});

fn same(ours: &Response, section: Section, theirs: &[Record]) {
    let ours = ours.marks().iter().filter(|mark| mark.section == section);
    let ours: Vec<_> = ours.map(|mark| (mark.rtype, mark.ttl)).collect();
    let theirs = theirs
        .iter()
        .map(|record| (record.record_type().into(), record.ttl));
    assert_eq!(ours, theirs.collect::<Vec<_>>());
}
