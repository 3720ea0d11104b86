//! What the server says about itself in class CH (RFC 4892): nothing, unless switched on.

use crate::wire::{Flags, HEADER_LEN, Name, Question, Reply, Section, rtype};

/// The texts given to those who ask; what is `None` is refused.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// For `version.bind` and `version.server`.
    pub version: Option<Box<str>>,
    /// For `id.server` and `hostname.bind`.
    pub id: Option<Box<str>>,
}

impl Identity {
    /// The text for a question of class CH.
    pub(super) fn text(&self, question: &Question) -> Option<&str> {
        let labels = [question.name.label(0)?, question.name.label(1)?];
        let text = match labels {
            [b"version", b"bind" | b"server"] => &self.version,
            [b"id", b"server"] | [b"hostname", b"bind"] => &self.id,
            _ => return None,
        };
        text.as_deref()
            .filter(|_| question.qtype == rtype::TXT && question.name.label_count() == 2)
    }
}

/// Writes the text as the question's TXT record of class CH, with TTL 0.
pub(super) fn write(text: &str, reply: &mut Reply<'_, '_>) {
    let bytes = text.as_bytes().get(..255).unwrap_or(text.as_bytes());
    let len = [bytes.len() as u8];
    reply.set_flags(Flags::AA);
    reply.record(
        Section::Answer,
        Name::At(HEADER_LEN),
        rtype::TXT,
        0,
        |rdata| rdata.bytes(&len) && rdata.bytes(bytes),
    );
}
