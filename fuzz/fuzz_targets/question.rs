//! A client's packet: it never makes the parser panic, and where hickory-proto accepts it too, both read the same.
#![no_main]

use gapless::wire::Query;
use hickory_proto::{op::Message, rr::Name, serialize::binary::BinEncodable};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| {
    let (Ok(ours), Ok(theirs)) = (Query::parse(packet), Message::from_vec(packet)) else {
        return;
    };
    let [query] = theirs.queries.as_slice() else {
        panic!(
            "one question by its count, and {} by hickory-proto",
            theirs.queries.len()
        );
    };
    assert_eq!(ours.header.id, theirs.metadata.id);
    assert_eq!(
        ours.question.name.as_bytes(),
        wire(&query.name().to_lowercase())
    );
    assert_eq!(ours.question.qtype, u16::from(query.query_type()));
    assert_eq!(ours.question.qclass, u16::from(query.query_class()));
    assert_eq!(
        ours.question.checking_disabled,
        theirs.metadata.checking_disabled
    );
    let edns = theirs.edns.as_ref();
    assert_eq!(
        ours.edns
            .map(|edns| (edns.payload, edns.version, edns.dnssec_ok)),
        edns.map(|edns| (
            edns.max_payload().max(512),
            edns.version(),
            edns.flags().dnssec_ok
        )),
    );
});

fn wire(name: &Name) -> Vec<u8> {
    let mut name = name.clone();
    name.set_fqdn(true);
    name.to_bytes()
        .expect("a name that was read can be written")
}
