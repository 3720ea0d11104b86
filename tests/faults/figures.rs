//! The table of docs/reliability.md: the words are the document's, the figures are the tests'. It measures nothing.

use std::{env, fs, sync::Mutex};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reliability.md");

/// One test writes at a time.
static WRITING: Mutex<()> = Mutex::new(());

/// The figures of one situation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub questions: usize,
    pub answered: String,
    pub sends: String,
    pub p99: String,
    pub worst: String,
    pub besides: String,
}

impl Row {
    /// The same, with more to say.
    pub fn besides(mut self, besides: impl Into<String>) -> Self {
        self.besides = besides.into();
        self
    }

    /// Holds the row that names this test equal to these figures; with `FIGURES=write`, makes it so.
    pub fn is_documented(&self, test: &str) {
        let _one_at_a_time = WRITING.lock();
        let document = fs::read_to_string(DOCUMENT).unwrap();
        let named = format!(" `{test}` |");
        let line = document.lines().find(|line| line.contains(&named));
        let line = line.unwrap_or_else(|| panic!("docs/reliability.md has no row of {test}"));
        let (words, _) = line.split_once(&named).unwrap();
        let Self {
            questions,
            answered,
            sends,
            p99,
            worst,
            besides,
        } = self;
        let expected = format!(
            "{words}{named} {questions} | {answered} | {sends} | {p99} | {worst} | {besides} |"
        );
        if env::var("FIGURES").is_ok_and(|it| it == "write") {
            fs::write(DOCUMENT, document.replace(line, &expected)).unwrap();
        } else {
            assert_eq!(line, expected, "docs/reliability.md");
        }
    }
}

#[test]
fn every_fault_has_a_row_in_the_order_of_their_numbers() {
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let faults = document.lines().filter_map(|line| {
        let (fault, _) = line.strip_prefix("| U")?.split_once(' ')?;
        Some(fault.parse::<u8>().unwrap())
    });
    let mut faults: Vec<_> = faults.collect();
    assert!(faults.is_sorted(), "{faults:?}");
    faults.dedup();
    assert_eq!(faults, (1..=24).collect::<Vec<_>>());
}
