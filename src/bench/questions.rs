//! What is asked: questions from a file, from names or from a pattern, ready to be sent, and which of them comes next. It
//! sends nothing.

use super::answer::Expected;
use crate::wire::{CLASS_IN, Flags, HEADER_LEN, Header, MAX_UDP_PAYLOAD, NameKey, rtype};
use hickory_proto::rr::RecordType;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::sync::Arc;

/// Most questions of one run: each is some 150 octets, and a line of a file.
pub const QUESTIONS_MAX: usize = 10_000_000;

/// Octets of an OPT record without options.
const OPT_LEN: usize = 11;

/// One question, and what its answer has to be if that is known.
#[derive(Clone, Debug)]
pub struct Question {
    message: Box<[u8]>,
    /// Type of the records that are asked for.
    pub qtype: u16,
    /// What the answer has to be.
    pub expected: Option<Expected>,
}

/// Why there are no questions.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadQuestions {
    /// A line that is none.
    #[error("line {0}: {1}")]
    Line(usize, String),
    /// A file without a question, or more than can be held.
    #[error("expected 1 to {QUESTIONS_MAX} questions (`NAME TYPE`), there are {0}")]
    Count(usize),
}

impl Question {
    /// A query with RD set and an OPT record that offers 1232 octets, or without one.
    pub fn new(name: &NameKey, qtype: u16, edns: bool) -> Self {
        let header = Header {
            id: 0,
            flags: Flags(Flags::RD),
            counts: [1, 0, 0, u16::from(edns)],
        };
        let mut message = vec![0; HEADER_LEN];
        header
            .write(&mut message)
            .expect("twelve octets are a header");
        message.extend_from_slice(name.as_bytes());
        message.extend_from_slice(&qtype.to_be_bytes());
        message.extend_from_slice(&CLASS_IN.to_be_bytes());
        if edns {
            message.push(0);
            message.extend_from_slice(&rtype::OPT.to_be_bytes());
            message.extend_from_slice(&MAX_UDP_PAYLOAD.to_be_bytes());
            message.extend_from_slice(&[0; 6]);
        }
        Self {
            message: message.into(),
            qtype,
            expected: None,
        }
    }

    /// Writes the query with this ID, and with a label of its own in front of the name if there is a number for it.
    pub fn write(&self, id: u16, unique: Option<u64>, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&self.message[2..HEADER_LEN]);
        if let Some(number) = unique {
            out.push(16);
            out.extend_from_slice(format!("{number:016x}").as_bytes());
        }
        out.extend_from_slice(&self.message[HEADER_LEN..]);
    }

    /// Does a reply repeat this question, letters apart?
    pub fn is_repeated_by(&self, unique: Option<u64>, reply: &[u8]) -> bool {
        let own = unique.map_or(0, |_| 17);
        let question = &self.message[HEADER_LEN..self.question_end()];
        let at = HEADER_LEN + own;
        let repeated = reply.get(at..at + question.len());
        let label = reply.get(HEADER_LEN + 1..at);
        let labelled = unique.is_none_or(|number| {
            label.is_some_and(|it| it.eq_ignore_ascii_case(format!("{number:016x}").as_bytes()))
        });
        labelled && repeated.is_some_and(|it| it.eq_ignore_ascii_case(question))
    }

    /// The name asked for.
    pub fn name(&self) -> NameKey {
        let read = NameKey::read(&self.message, HEADER_LEN);
        read.expect("it was written from a name").0
    }

    fn question_end(&self) -> usize {
        let edns = self.message[HEADER_LEN - 1] == 1;
        self.message.len() - if edns { OPT_LEN } else { 0 }
    }

    /// `NAME TYPE`, as in a file.
    pub fn text(&self) -> String {
        format!("{} {}", self.name(), RecordType::from(self.qtype))
    }
}

/// Reads a file of questions as dnsperf has them: `NAME TYPE` a line, empty lines and those that begin with `;` or `#`
/// passed over. What stands behind the type is what the answer has to be: see [`Expected::from_words`].
pub fn from_file(text: &str, edns: bool) -> Result<Vec<Question>, BadQuestions> {
    let mut questions = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let bad = |reason| BadQuestions::Line(n + 1, reason);
        let mut words = line.split_whitespace();
        let Some(name) = words.next() else { continue };
        if name.starts_with([';', '#']) {
            continue;
        }
        let name = NameKey::from_text(name).map_err(|error| bad(error.to_string()))?;
        let qtype = words.next();
        let qtype = qtype.ok_or_else(|| bad("expected a type behind the name".to_owned()))?;
        let qtype = record_type(qtype).map_err(bad)?;
        let words: Vec<_> = words.collect();
        let expected = Expected::from_words(qtype, &words).map_err(bad)?;
        if questions.len() == QUESTIONS_MAX {
            return Err(BadQuestions::Count(questions.len() + 1));
        }
        questions.push(Question {
            expected,
            ..Question::new(&name, qtype, edns)
        });
    }
    match questions.len() {
        0 => Err(BadQuestions::Count(0)),
        _ => Ok(questions),
    }
}

/// Makes questions of names; `{}` in one stands for each number below `count`.
pub fn from_names(
    names: &[String],
    count: usize,
    qtype: u16,
    edns: bool,
) -> Result<Vec<Question>, String> {
    let mut questions = Vec::new();
    for name in names {
        let numbers = if name.contains("{}") { count } else { 1 };
        if numbers == 0 || questions.len() + numbers > QUESTIONS_MAX {
            let there_are = questions.len() + numbers;
            return Err(BadQuestions::Count(there_are).to_string());
        }
        for number in 0..numbers {
            let name = name.replace("{}", &number.to_string());
            let name = NameKey::from_text(&name).map_err(|error| error.to_string())?;
            questions.push(Question::new(&name, qtype, edns));
        }
    }
    Ok(questions)
}

/// The number of a type as people write it: `AAAA`, `TYPE65`.
pub fn record_type(text: &str) -> Result<u16, String> {
    let upper = text.to_ascii_uppercase();
    let number = upper.strip_prefix("TYPE").and_then(|it| it.parse().ok());
    let number = number.or_else(|| upper.parse::<RecordType>().ok().map(u16::from));
    number
        .filter(|it| *it != 0 && *it != rtype::OPT)
        .ok_or_else(|| format!("`{text}` is no record type; expected such as `A`, `AAAA`, `SRV`"))
}

/// A question that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Its place in the list.
    pub question: usize,
    /// The number in the label that makes the name its own.
    pub unique: Option<u64>,
}

/// In which order questions are asked.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Exponent of Zipf's law: the n-th question of the list is asked in proportion to n^-s. Without it, one after the other.
    pub zipf: Option<f64>,
    /// Share of questions with a label of their own in front of the name, which no cache can have.
    pub unique: f64,
    /// Where chance begins.
    pub seed: u64,
}

/// Chooses questions without end. Two with the same order choose the same ones.
#[derive(Debug)]
pub struct Picker {
    len: usize,
    next: usize,
    stride: usize,
    unique: f64,
    /// Sums of the questions' weights.
    sums: Option<Arc<[f64]>>,
    rng: StdRng,
}

impl Picker {
    /// A chooser among `len` questions: the `part`-th of so many that share the work.
    pub fn new(len: usize, order: &Order, part: usize, parts: usize) -> Self {
        let sums = order.zipf.map(|exponent| {
            let mut sum = 0.0;
            let weights = (1..=len).map(|n| (n as f64).powf(-exponent));
            let sums = weights.map(|weight| {
                sum += weight;
                sum
            });
            sums.collect()
        });
        Self {
            len,
            next: part % len,
            stride: parts,
            unique: order.unique,
            sums,
            rng: StdRng::seed_from_u64(order.seed.wrapping_add(part as u64)),
        }
    }

    /// The next question.
    pub fn pick(&mut self) -> Pick {
        let question = match &self.sums {
            None => {
                let next = self.next;
                self.next = (next + self.stride) % self.len;
                next
            }
            Some(sums) => {
                let all = sums.last().copied().unwrap_or_default();
                let drawn = self.rng.random::<f64>() * all;
                sums.partition_point(|sum| *sum <= drawn).min(self.len - 1)
            }
        };
        let own = self.unique > 0.0 && self.rng.random::<f64>() < self.unique;
        Pick {
            question,
            unique: own.then(|| self.rng.random()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Query;

    #[test]
    fn a_file_of_dnsperf_is_read_and_a_bad_line_is_named() {
        let text =
            "; a comment\n\nwww.example.org A\nexample.org\tSRV\nx.example TYPE65 NXDOMAIN\n";
        let questions = from_file(text, true).unwrap();
        let texts: Vec<_> = questions.iter().map(Question::text).collect();
        assert_eq!(
            texts,
            ["www.example.org. A", "example.org. SRV", "x.example. HTTPS"]
        );
        assert!(questions[0].expected.is_none() && questions[2].expected.is_some());
        let error = |text| from_file(text, true).unwrap_err().to_string();
        assert_eq!(error("a. A\nb."), "line 2: expected a type behind the name");
        assert!(error("a. B").starts_with("line 1: `B` is no record type"));
        assert!(error("a..b A").starts_with("line 1: `a..b` is not a domain name"));
        assert!(error("; nothing\n").contains("there are 0"));
    }

    #[test]
    fn a_question_is_a_query_with_its_id_and_a_label_of_its_own() {
        let question = &from_names(&["Web-{}.org".to_owned()], 3, 28, true).unwrap()[2];
        let mut out = vec![];
        question.write(0x1234, None, &mut out);
        let query = Query::parse(&out).unwrap();
        assert_eq!((query.header.id, query.question.qtype), (0x1234, 28));
        assert_eq!(query.question.name.to_string(), "web-2.org.");
        assert!(query.edns.is_some() && question.is_repeated_by(None, &out));
        question.write(1, Some(7), &mut out);
        let query = Query::parse(&out).unwrap();
        let name = query.question.name.to_string();
        assert_eq!(name, "0000000000000007.web-2.org.");
        assert!(question.is_repeated_by(Some(7), &out.to_ascii_uppercase()));
        assert!(!question.is_repeated_by(Some(8), &out));
        assert!(!question.is_repeated_by(None, &out));
    }

    #[test]
    fn parts_take_turns_and_zipf_prefers_the_first() {
        let order = Order::default();
        let picks = |part| {
            let mut picker = Picker::new(5, &order, part, 2);
            [(); 4].map(|()| picker.pick().question)
        };
        assert_eq!((picks(0), picks(1)), ([0, 2, 4, 1], [1, 3, 0, 2]));
        let order = Order {
            zipf: Some(1.0),
            unique: 0.25,
            seed: 3,
        };
        let mut picker = Picker::new(1000, &order, 0, 1);
        let picks: Vec<_> = (0..100_000).map(|_| picker.pick()).collect();
        let count = |n| picks.iter().filter(|it| it.question == n).count();
        // The sum of 1/n over a thousand is 7.485.
        assert!((12_900..13_900).contains(&count(0)), "{}", count(0));
        assert!((6_300..7_100).contains(&count(1)), "{}", count(1));
        let unique = picks.iter().filter(|it| it.unique.is_some()).count();
        assert!((24_000..26_000).contains(&unique), "{unique}");
    }
}
