//! How values are written: each kind says what it expects, reads it, and writes it back. Files and flags use the same
//! kinds. It knows no key.

mod addresses;
mod units;
mod upstream;
mod words;

use super::tree::{Content, Node, Place, parse};
pub(crate) use addresses::{Address, ClusterDomain, HostName, Listener, Zone};
use std::ops::RangeInclusive;
pub(crate) use units::{Size, Span};
pub(crate) use upstream::Upstream;
pub(crate) use words::{Choice, Count, LogFilter, Path, Switch, Text, UriPath};

/// What may stand as the value of a key.
pub(super) trait Kind {
    type Value;
    /// For messages and the documentation: form and range.
    fn expected(&self) -> String;
    /// Reads it, or names every place that is wrong.
    fn read(&self, node: &Node) -> Result<Self::Value, Vec<(Place, String)>>;
    /// The value as YAML that [`Self::read`] reads back.
    fn show(&self, value: &Self::Value) -> String;
}

/// A [`Kind`] of one word, which a flag can hold too.
pub(crate) trait Word {
    type Value;
    fn expected(&self) -> String;
    fn parse(&self, text: &str) -> Option<Self::Value>;
    fn show(&self, value: &Self::Value) -> String;
    /// What is wrong with a text that is no such word, where more can be said than what was expected.
    fn hint(&self, _text: &str) -> Option<String> {
        None
    }
    /// The text of a node of the right YAML type.
    fn text<'n>(&self, content: &'n Content) -> Option<&'n str> {
        match content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Reads a flag.
    fn flag(&self, text: &str) -> Result<Self::Value, String> {
        self.parse(text).ok_or_else(|| {
            let hint = self.hint(text).map(|hint| format!(": {hint}"));
            format!("expected {}{}", self.expected(), hint.unwrap_or_default())
        })
    }
}

impl<W: Word> Kind for W {
    type Value = W::Value;

    fn expected(&self) -> String {
        Word::expected(self)
    }

    fn read(&self, node: &Node) -> Result<W::Value, Vec<(Place, String)>> {
        let text = self.text(&node.content);
        text.and_then(|text| self.parse(text)).ok_or_else(|| {
            let (place, problem) = misfit(node, &Word::expected(self));
            let hint = text.and_then(|text| self.hint(text));
            let hint = hint.map(|hint| format!(": {hint}")).unwrap_or_default();
            vec![(place, problem + &hint)]
        })
    }

    fn show(&self, value: &W::Value) -> String {
        Word::show(self, value)
    }
}

fn misfit(node: &Node, expected: &str) -> (Place, String) {
    let found = node.content.describe();
    (node.place, format!("expected {expected}; found {found}"))
}

/// A list of words, each at most once.
pub(crate) struct List<W> {
    pub(super) of: W,
    pub(super) len: RangeInclusive<usize>,
}

impl<W: Word<Value: PartialEq>> Kind for List<W> {
    type Value = Vec<W::Value>;

    fn expected(&self) -> String {
        let (min, max) = (self.len.start(), self.len.end());
        format!("a list of {min} to {max}: {}", self.of.expected())
    }

    fn read(&self, node: &Node) -> Result<Self::Value, Vec<(Place, String)>> {
        let Content::List(nodes) = &node.content else {
            return Err(vec![misfit(node, &self.expected())]);
        };
        if !self.len.contains(&nodes.len()) {
            let (expected, found) = (self.expected(), nodes.len());
            return Err(vec![(
                node.place,
                format!("expected {expected}; found {found} of them"),
            )]);
        }
        let (mut values, mut misfits) = (Vec::with_capacity(nodes.len()), Vec::new());
        for node in nodes {
            match Kind::read(&self.of, node) {
                Ok(value) if values.contains(&value) => {
                    misfits.push((
                        node.place,
                        format!("{} stands twice", node.content.describe()),
                    ));
                }
                Ok(value) => values.push(value),
                Err(wrong) => misfits.extend(wrong),
            }
        }
        if misfits.is_empty() {
            Ok(values)
        } else {
            Err(misfits)
        }
    }

    fn show(&self, values: &Self::Value) -> String {
        let values: Vec<_> = values.iter().map(|value| self.of.show(value)).collect();
        format!("[{}]", values.join(", "))
    }
}

/// A word that says that there is no value, or a value.
pub(crate) struct Or<W>(pub(super) &'static str, pub(super) W);

impl<W: Word> Word for Or<W> {
    type Value = Option<W::Value>;

    fn expected(&self) -> String {
        format!("`{}` or {}", self.0, self.1.expected())
    }

    fn parse(&self, text: &str) -> Option<Self::Value> {
        if text == self.0 {
            Some(None)
        } else {
            self.1.parse(text).map(Some)
        }
    }

    fn show(&self, value: &Self::Value) -> String {
        match value {
            None => self.0.to_owned(),
            Some(value) => self.1.show(value),
        }
    }

    fn text<'n>(&self, content: &'n Content) -> Option<&'n str> {
        match content {
            Content::Null if self.0 == "null" => Some(self.0),
            // A quoted "null" is a text like any other, and `parse` could not tell.
            Content::Text(text) if text == self.0 && self.0 == "null" => None,
            Content::Text(text) if text == self.0 => Some(text),
            _ => self.1.text(content),
        }
    }
}

/// Plain where YAML reads it as the same text.
fn quoted_if_needed(text: &str) -> String {
    let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=".contains(c);
    let is_text = || matches!(parse(text).map(|node| node.content), Ok(Content::Text(_)));
    if starts && text.chars().all(plain) && !text.ends_with(':') && is_text() {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// JSON's strings are YAML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
