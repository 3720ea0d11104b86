//! Single words: switches, numbers, choices, and texts of a certain use.

use super::{Word, quoted, quoted_if_needed};
use crate::{config::tree::Content, telemetry};
use std::{ops::RangeInclusive, path::PathBuf};

/// `true` or `false`.
pub(crate) struct Switch;

impl Word for Switch {
    type Value = bool;

    fn expected(&self) -> String {
        "`true` or `false`".to_owned()
    }

    fn parse(&self, text: &str) -> Option<bool> {
        text.parse().ok()
    }

    fn show(&self, value: &bool) -> String {
        value.to_string()
    }

    fn text<'n>(&self, content: &'n Content) -> Option<&'n str> {
        match content {
            Content::Bool(true) => Some("true"),
            Content::Bool(false) => Some("false"),
            _ => None,
        }
    }
}

/// A whole number.
pub(crate) struct Count(pub(crate) RangeInclusive<usize>);

impl Word for Count {
    type Value = usize;

    fn expected(&self) -> String {
        format!("a whole number, {} to {}", self.0.start(), self.0.end())
    }

    fn parse(&self, text: &str) -> Option<usize> {
        text.parse().ok().filter(|count| self.0.contains(count))
    }

    fn show(&self, value: &usize) -> String {
        value.to_string()
    }

    fn text<'n>(&self, content: &'n Content) -> Option<&'n str> {
        match content {
            Content::Number(text) => Some(text),
            _ => None,
        }
    }
}

/// One of a few words.
pub(crate) struct Choice<T: 'static>(pub(crate) &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> Word for Choice<T> {
    type Value = T;

    fn expected(&self) -> String {
        let words: Vec<_> = self.0.iter().map(|(word, _)| format!("`{word}`")).collect();
        words.join(" or ")
    }

    fn parse(&self, text: &str) -> Option<T> {
        let (_, value) = self.0.iter().find(|(word, _)| *word == text)?;
        Some(*value)
    }

    fn show(&self, value: &T) -> String {
        let word = self.0.iter().find(|(_, listed)| listed == value);
        word.map_or("", |(word, _)| word).to_owned()
    }
}

/// A file or directory; whether it exists is seen when it is used.
pub(crate) struct Path;

impl Word for Path {
    type Value = PathBuf;

    fn expected(&self) -> String {
        "a path".to_owned()
    }

    fn parse(&self, text: &str) -> Option<PathBuf> {
        (!text.is_empty() && !text.contains('\0')).then(|| text.into())
    }

    fn show(&self, value: &PathBuf) -> String {
        quoted_if_needed(&value.to_string_lossy())
    }
}

/// The path of a URI, as requests spell it.
pub(crate) struct UriPath;

impl Word for UriPath {
    type Value = String;

    fn expected(&self) -> String {
        "a path of a URI such as `/dns-query`, at most 255 octets: letters, digits and `/-._~`"
            .to_owned()
    }

    fn parse(&self, text: &str) -> Option<String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
        let fits = text.starts_with('/') && text.len() <= 255 && text.chars().all(plain);
        fits.then(|| text.to_owned())
    }

    fn show(&self, value: &String) -> String {
        quoted_if_needed(value)
    }
}

/// A text of 1 to `.0` octets.
pub(crate) struct Text(pub(crate) usize);

impl Word for Text {
    type Value = String;

    fn expected(&self) -> String {
        format!(
            "a text of 1 to {} octets, in quotes if it looks like a number",
            self.0
        )
    }

    fn parse(&self, text: &str) -> Option<String> {
        (1..=self.0).contains(&text.len()).then(|| text.to_owned())
    }

    fn show(&self, value: &String) -> String {
        quoted(value)
    }
}

/// What is logged.
pub(crate) struct LogFilter;

impl Word for LogFilter {
    type Value = String;

    fn expected(&self) -> String {
        "a level (`error`, `warn`, `info`, `debug`, `trace`, `off`), or levels by target such as `info,gapless::feed=debug`"
            .to_owned()
    }

    fn parse(&self, text: &str) -> Option<String> {
        telemetry::filter(text).ok().map(|_| text.to_owned())
    }

    fn show(&self, value: &String) -> String {
        quoted_if_needed(value)
    }
}
