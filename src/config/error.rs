//! What is wrong with a configuration: where, and what was expected there.

use super::tree::{Place, shown};
use std::{error, fmt, path::PathBuf};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, such as `cluster.ttl.service`; empty for the file as a whole.
    pub key: String,
    /// Where in the file; nowhere for what flags did, and for a file that cannot be read.
    pub place: Option<Place>,
    /// What was expected.
    pub message: String,
}

/// Everything that was found wrong, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    /// The file, if there was one.
    pub file: Option<PathBuf>,
    /// At least one.
    pub problems: Vec<Problem>,
    /// The lines that are shown beside the problems.
    pub(super) text: String,
}

/// More than this is noise: the file is probably not a configuration at all.
const MAX_SHOWN: usize = 20;

impl error::Error for Errors {}

impl fmt::Display for Errors {
    /// A line for each problem, `FILE:LINE:COLUMN: KEY: what was expected`, with the line of the file below it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, problem) in self.problems.iter().take(MAX_SHOWN).enumerate() {
            if nth > 0 {
                f.write_str("\n")?;
            }
            if let Some(file) = &self.file {
                write!(f, "{}:", file.display())?;
            }
            if let Some(Place { line, column }) = problem.place {
                write!(f, "{line}:{column}:")?;
            }
            if self.file.is_some() || problem.place.is_some() {
                f.write_str(" ")?;
            }
            if !problem.key.is_empty() {
                write!(f, "{}: ", problem.key)?;
            }
            f.write_str(&problem.message)?;
            if let Some(Place { line, column }) = problem.place {
                self.show_line(f, line, column)?;
            }
        }
        match self.problems.len().checked_sub(MAX_SHOWN) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, "\nand {more} more"),
        }
    }
}

impl Errors {
    /// A problem of the file as a whole.
    pub(super) fn one(place: Option<Place>, message: String, text: &str) -> Self {
        let key = String::new();
        Self {
            file: None,
            problems: vec![Problem {
                key,
                place,
                message,
            }],
            text: text.to_owned(),
        }
    }

    fn show_line(&self, f: &mut fmt::Formatter<'_>, line: u64, column: u64) -> fmt::Result {
        let nth = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(text) = self.text.lines().nth(nth).filter(|text| !text.is_empty()) else {
            return Ok(());
        };
        write!(f, "\n{line:>5} | {}", shown(text))?;
        let before = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
        // Only where the mark meets its character: in front of it nothing was escaped or cut.
        let start: String = text.chars().take(before).collect();
        if shown(text).starts_with(&start) {
            write!(f, "\n      | {:before$}^", "")?;
        }
        Ok(())
    }
}
