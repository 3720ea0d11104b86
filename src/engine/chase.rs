//! An alias of the cluster whose target is somebody else's: the alias's records, and behind them those that were fetched.
//! The fetched answer is decoded and written anew, because its compression belongs to another message. Not a hot path.

use crate::{
    answer::{self, Answer, Context},
    forward::Held,
    wire::{Flags, HEADER_LEN, Header, Name, Query, Question, Reply, ReplyEdns, Section},
};
use hickory_proto::{
    op::Message,
    rr::Record,
    serialize::binary::{BinEncodable, BinEncoder, NameEncoding},
};
use std::time::Instant;

/// Writes `answer`'s aliases and `held`, which answers `question` about the last one's target. Says which response code
/// the reply has, or `None` if the fetched answer cannot be read.
pub(super) fn write(
    answer: &Answer<'_>,
    context: &Context<'_>,
    question: &Question,
    held: &Held,
    now: Instant,
    reply: &mut Reply<'_, '_>,
) -> Option<u8> {
    let fetched = decode(question, held, now)?;
    if answer::write(answer, context, reply).is_some() {
        for (section, records) in [
            (Section::Answer, &fetched.answers),
            (Section::Authority, &fetched.authorities),
        ] {
            for record in records {
                copy(record, section, reply)?;
            }
        }
    }
    if held.entry.is_truncated() {
        reply.set_flags(Flags::TC);
    }
    reply.set_upstream_rcode(held.entry.rcode());
    Some(held.entry.rcode())
}

/// The entry as a message, its TTLs as they are given now.
fn decode(question: &Question, held: &Held, now: Instant) -> Option<Message> {
    let mut asked = vec![0; HEADER_LEN];
    Header {
        id: 0,
        flags: Flags(Flags::RD),
        counts: [1, 0, 0, 0],
    }
    .write(&mut asked)?;
    asked.extend_from_slice(question.name.as_bytes());
    asked.extend_from_slice(&question.qtype.to_be_bytes());
    asked.extend_from_slice(&question.qclass.to_be_bytes());
    let query = Query::parse(&asked).ok()?;
    let mut message = vec![0; super::MAX_MESSAGE];
    let len = held.write(
        &query,
        ReplyEdns::default(),
        &mut message,
        super::MAX_MESSAGE,
        now,
    )?;
    Message::from_vec(message.get(..len)?).ok()
}

fn copy(record: &Record, section: Section, reply: &mut Reply<'_, '_>) -> Option<()> {
    let owner = uncompressed(&record.name)?;
    let rdata = uncompressed(&record.data)?;
    reply.record(
        section,
        Name::Wire(&owner),
        record.record_type().into(),
        record.ttl,
        |to| to.bytes(&rdata),
    );
    Some(())
}

fn uncompressed(part: &impl BinEncodable) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    part.emit(&mut encoder).ok()?;
    Some(bytes)
}
