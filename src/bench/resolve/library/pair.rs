//! The queries for one name, and what a reply says to which of them. It sends nothing.

use crate::{
    bench::{answer::Answer, questions::Question},
    wire::NameKey,
};
use rand::RngExt as _;

/// A query for each family.
pub(super) struct Pair {
    questions: Vec<Question>,
    first_id: u16,
}

/// What matters of a reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    /// Which query it answers.
    pub(super) nth: usize,
    pub(super) rcode: u16,
    pub(super) truncated: bool,
    /// Is there anything in its answer section?
    pub(super) records: bool,
    pub(super) address: bool,
    /// Nothing in it, from a server that neither recurses nor is an authority.
    pub(super) referral: bool,
}

impl Pair {
    /// `None` if the name is none.
    pub(super) fn new(name: &str, families: &[u16], edns: bool) -> Option<Self> {
        let name = NameKey::from_text(name).ok()?;
        let questions = families.iter();
        let questions = questions.map(|qtype| Question::new(&name, *qtype, edns));
        Some(Self {
            questions: questions.collect(),
            first_id: rand::rng().random(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.questions.len()
    }

    fn id(&self, nth: usize) -> u16 {
        self.first_id.wrapping_add(nth as u16)
    }

    /// The query as it is sent, each time under the same ID.
    pub(super) fn query(&self, nth: usize) -> Vec<u8> {
        let mut packet = vec![];
        self.questions[nth].write(self.id(nth), None, &mut packet);
        packet
    }

    /// `None` if it answers neither, or is malformed.
    pub(super) fn read(&self, message: &[u8]) -> Option<Reply> {
        const AA: u8 = 0x04;
        const TC: u8 = 0x02;
        const RA: u8 = 0x80;
        let id = u16::from_be_bytes([*message.first()?, *message.get(1)?]);
        let nth = (0..self.len()).find(|nth| self.id(*nth) == id)?;
        if !self.questions[nth].is_repeated_by(None, message) {
            return None;
        }
        let nothing = Answer {
            rcode: (message[3] & 0x0f).into(),
            records: vec![],
        };
        let truncated = message[2] & TC > 0;
        let answer = match truncated {
            // It may end in the middle of a record.
            true => nothing,
            false => Answer::read(message)?,
        };
        let records = message[6..8] != [0, 0];
        let bare = !records && message[10..12] == [0, 0];
        Some(Reply {
            nth,
            rcode: answer.rcode,
            truncated,
            records,
            address: answer.addresses().next().is_some(),
            referral: answer.rcode == 0 && bare && message[2] & AA == 0 && message[3] & RA == 0,
        })
    }
}
