//! Whole numbers with a unit: durations and sizes.

use super::Word;
use std::{ops::RangeInclusive, time::Duration};

/// A time span: a whole number and one of the units that it lists.
pub(crate) struct Span {
    pub(crate) range: RangeInclusive<Duration>,
    /// TTLs are whole seconds on the wire.
    pub(crate) whole_seconds: bool,
}

const SPAN_UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl Word for Span {
    type Value = Duration;

    fn expected(&self) -> String {
        let (min, max) = (
            Word::show(self, self.range.start()),
            Word::show(self, self.range.end()),
        );
        let whole = if self.whole_seconds {
            "in whole seconds, "
        } else {
            ""
        };
        format!("a duration such as `10s`, {whole}{min} to {max}")
    }

    fn parse(&self, text: &str) -> Option<Duration> {
        let duration = Duration::from_millis(with_unit(text, &SPAN_UNITS)?);
        let whole = !self.whole_seconds || duration.subsec_nanos() == 0;
        (whole && self.range.contains(&duration)).then_some(duration)
    }

    fn show(&self, value: &Duration) -> String {
        let milliseconds = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
        if milliseconds == 0 {
            return "0s".to_owned();
        }
        in_units(milliseconds, &SPAN_UNITS)
    }
}

/// A size in octets: a whole number and a unit.
pub(crate) struct Size(pub(crate) RangeInclusive<u64>);

const SIZE_UNITS: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

impl Word for Size {
    type Value = u64;

    fn expected(&self) -> String {
        let (min, max) = (
            Word::show(self, self.0.start()),
            Word::show(self, self.0.end()),
        );
        format!("a size such as `64MiB`, {min} to {max}")
    }

    fn parse(&self, text: &str) -> Option<u64> {
        with_unit(text, &SIZE_UNITS).filter(|size| self.0.contains(size))
    }

    fn show(&self, value: &u64) -> String {
        in_units(*value, &SIZE_UNITS)
    }
}

/// `text` in the smallest of the units.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn in_units(value: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, factor): &&(&str, u64)| value.is_multiple_of(*factor);
    let (name, factor) = units.iter().find(fits).unwrap_or(&("", 1));
    format!("{}{name}", value / factor)
}
