//! A YAML document as a tree whose every node knows where it stands. It knows the language, and no key.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Spanned};
use std::fmt;

/// Line and column in the file, both counted from 1; the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

/// One value of the document.
#[derive(Debug)]
pub(crate) struct Node {
    pub(super) place: Place,
    pub(super) content: Content,
}

/// Numbers are kept as text: what they may be is their key's business.
#[derive(Debug)]
pub(crate) enum Content {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// Deeper than any key stands, and shallow enough for recursion.
const MAX_DEPTH: usize = 16;
/// Nodes in the document, aliases written out: twice what the longest lists that are accepted need.
const MAX_NODES: usize = 160_000;

/// Reads one document; an empty one is [`Content::Null`].
pub(super) fn parse(text: &str) -> Result<Node, (Option<Place>, String)> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_NODES },
        // Found with both places by the reader of sections.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        // Otherwise `off` is a boolean.
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
        emit_comments: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().map(|location| Place {
            line: location.line(),
            column: location.column(),
        });
        if matches!(error, serde_saphyr::Error::MultipleDocuments { .. }) {
            return (place, "expected one document; found another".to_owned());
        }
        let message = error.to_string();
        // The place is said in front of the message.
        let message = match message.rfind(" at line ") {
            Some(end) if place.is_some() => message[..end].to_owned(),
            _ => message,
        };
        (place, format!("not YAML: {message}"))
    })
}

impl Content {
    /// What stands there, for messages: shortened, with nothing in it that a terminal would obey.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => format!("`{value}`"),
            Self::Number(text) => format!("the number {}", shown(text)),
            Self::Text(text) => format!("the text `{}`", shown(text)),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// A stranger's text as it may be printed.
pub(super) fn shown(text: &str) -> String {
    const MAX_CHARACTERS: usize = 100;
    let mut shown: String = text
        .chars()
        .take(MAX_CHARACTERS)
        .flat_map(|character| {
            let escape = character.is_control() || character == '\u{feff}';
            let plain = (!escape).then_some(character);
            let escaped = escape.then(|| character.escape_default());
            plain.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect();
    if text.chars().nth(MAX_CHARACTERS).is_some() {
        shown.push('…');
    }
    shown
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self {
            place: Place {
                line: spanned.referenced.line(),
                column: spanned.referenced.column(),
            },
            content: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Contents)
    }
}

struct Contents;

impl<'de> Visitor<'de> for Contents {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        // `{:?}` keeps the point of 4.0, so that it is no whole number.
        Ok(Content::Number(format!("{value:?}")))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Content::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut nodes = Vec::new();
        while let Some(entry) = map.next_entry()? {
            nodes.push(entry);
        }
        Ok(Content::Map(nodes))
    }
}
