//! One case of the specification battery: manifests in, zone-file lines out, the same over every way into the engine.

use crate::{
    stage::{Stage, Way},
    support::ask::{Ask, describe, normal},
};

/// A row of the battery.
pub struct Case<'s> {
    sentence: &'static str,
    stage: &'s mut Stage,
}

impl Stage {
    /// Begins a case about what stands on this stage.
    pub fn case(&mut self, sentence: &'static str) -> Case<'_> {
        Case {
            sentence,
            stage: self,
        }
    }
}

impl Case<'_> {
    /// Asks in every way, and compares code, flags and sections with `expected`: the code and the flags `aa`, `tc`, `ad` on
    /// the first line; then records as zone-file lines, those of the authority section behind `auth:`, of the additional
    /// section behind `add:`, and an Extended DNS Error as `ede: CODE TEXT`. The order of records is not compared.
    #[track_caller]
    pub fn ask(&mut self, question: &str, expected: &str) -> &mut Self {
        let ask = Ask::parse(question);
        let expected = normal(expected);
        let mut first: Option<Vec<u8>> = None;
        for way in Way::ALL {
            let packet = ask.packet(4711);
            let reply = self.stage.exchange(way, &packet);
            let reply = reply
                .unwrap_or_else(|| panic!("{}: {question} over {way:?}: no reply", self.sentence));
            assert_eq!(reply[..2], packet[..2], "the ID is the query's");
            let asked_end = packet.len() - if ask.edns.is_some() { 11 } else { 0 };
            assert_eq!(
                reply[12..asked_end],
                packet[12..asked_end],
                "the question is repeated byte for byte"
            );
            let text = describe(&ask, &reply);
            let truncates = text.lines().next().is_some_and(|line| line.contains(" tc"));
            if way == Way::Tcp && expected.contains(" tc") && !truncates {
                continue; // the client came by TCP for the rest
            }
            assert_eq!(text, expected, "{}: {question} over {way:?}", self.sentence);
            match (&first, way) {
                (None, _) => first = Some(reply),
                // Listeners rotate; the two ways into the engine are given the same rotation.
                (Some(first), Way::Async) => {
                    assert_eq!(&reply, first, "fast and plain give the same bytes")
                }
                _ => {}
            }
        }
        self
    }
}
