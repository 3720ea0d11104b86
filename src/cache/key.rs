//! What separates two answers: name, type, class, DO, CD, and the route that they were learnt on. Compared in full, so
//! that no hash can give one question another's answer.

use crate::wire::{MAX_NAME_LEN, Question};

/// Type, class, the two bits and the route number, in front of the name.
const FIXED_LEN: usize = 7;

/// A key, built on the stack: looking something up allocates nothing.
#[derive(Clone, Debug)]
pub struct Key {
    octets: [u8; FIXED_LEN + MAX_NAME_LEN],
    len: usize,
}

impl Key {
    /// The key of a question that goes this route. Different keys have different octets: the fixed part has one length,
    /// and the name has its own end.
    pub fn new(question: &Question, route: u16) -> Self {
        let mut octets = [0; FIXED_LEN + MAX_NAME_LEN];
        let (front, name) = octets.split_at_mut(FIXED_LEN);
        let ([t0, t1], [c0, c1]) = (question.qtype.to_be_bytes(), question.qclass.to_be_bytes());
        let bits = u8::from(question.dnssec_ok) | u8::from(question.checking_disabled) << 1;
        let [r0, r1] = route.to_be_bytes();
        front.copy_from_slice(&[t0, t1, c0, c1, bits, r0, r1]);
        let asked = question.name.as_bytes();
        name[..asked.len()].copy_from_slice(asked);
        Self {
            octets,
            len: FIXED_LEN + asked.len(),
        }
    }

    /// Its octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::NameKey;

    #[test]
    fn everything_that_separates_answers_separates_keys() {
        let question = Question {
            name: NameKey::from_text("Example.org").unwrap(),
            qtype: 1,
            qclass: 1,
            dnssec_ok: false,
            checking_disabled: false,
        };
        let changed = |change: fn(&mut Question)| {
            let mut question = question.clone();
            change(&mut question);
            Key::new(&question, 0)
        };
        let mut keys = vec![
            Key::new(&question, 0),
            Key::new(&question, 1),
            changed(|it| it.name = NameKey::from_text("xample.org").unwrap()),
            changed(|it| it.qtype = 28),
            changed(|it| it.qclass = 3),
            changed(|it| it.dnssec_ok = true),
            changed(|it| it.checking_disabled = true),
        ];
        keys.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        keys.dedup_by(|a, b| a.as_bytes() == b.as_bytes());
        assert_eq!(keys.len(), 7);
        let spelled = changed(|it| it.name = NameKey::from_text("eXAMPLE.ORG.").unwrap());
        assert_eq!(spelled.as_bytes(), Key::new(&question, 0).as_bytes());
    }
}
