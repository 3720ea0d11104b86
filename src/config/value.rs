//! How values are written: each kind says what it expects, reads it, and writes it back. Files and flags use the same
//! kinds. It knows no key.

use super::tree::{Content, Node, Place};
use crate::{telemetry, wire::NameKey};
use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

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
    /// The text of a node of the right YAML type.
    fn text<'n>(&self, content: &'n Content) -> Option<&'n str> {
        match content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Reads a flag.
    fn flag(&self, text: &str) -> Result<Self::Value, String> {
        self.parse(text)
            .ok_or_else(|| format!("expected {}", self.expected()))
    }
}

impl<W: Word> Kind for W {
    type Value = W::Value;

    fn expected(&self) -> String {
        Word::expected(self)
    }

    fn read(&self, node: &Node) -> Result<W::Value, Vec<(Place, String)>> {
        let value = self.text(&node.content).and_then(|text| self.parse(text));
        value.ok_or_else(|| vec![misfit(node, &Word::expected(self))])
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

/// `true` or `false`.
pub(super) struct Switch;

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
pub(super) struct Count(pub(super) RangeInclusive<usize>);

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
pub(crate) struct Choice<T: 'static>(pub(super) &'static [(&'static str, T)]);

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

/// A time span: a whole number and one of the units that it lists.
pub(super) struct Span {
    pub(super) range: RangeInclusive<Duration>,
    /// TTLs are whole seconds on the wire.
    pub(super) whole_seconds: bool,
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
pub(super) struct Size(pub(super) RangeInclusive<u64>);

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

/// An address to listen at; port 0 lets the system choose.
pub(crate) struct Listener;

impl Word for Listener {
    type Value = SocketAddr;

    fn expected(&self) -> String {
        "an address `IP:PORT`, IPv6 as `\"[IP]:PORT\"`".to_owned()
    }

    fn parse(&self, text: &str) -> Option<SocketAddr> {
        text.parse().ok()
    }

    fn show(&self, value: &SocketAddr) -> String {
        quoted_if_needed(&value.to_string())
    }
}

/// The address of another DNS server; without a port it is 53.
pub(crate) struct Server;

impl Word for Server {
    type Value = SocketAddr;

    fn expected(&self) -> String {
        "an address `IP` or `IP:PORT`, IPv6 with a port as `\"[IP]:PORT\"`".to_owned()
    }

    fn parse(&self, text: &str) -> Option<SocketAddr> {
        let bare = |ip: IpAddr| SocketAddr::new(ip, 53);
        let server = text
            .parse()
            .or_else(|_| text.parse().map(bare))
            .ok()
            .filter(|server: &SocketAddr| server.port() != 0)?;
        let someone = !server.ip().is_unspecified() && !server.ip().is_multicast();
        someone.then_some(server)
    }

    fn show(&self, value: &SocketAddr) -> String {
        quoted_if_needed(&value.to_string())
    }
}

/// Longest cluster domain, in octets of its wire form. A name holds 255: what is left takes the longest service,
/// namespace and `svc`, or the SOA's `hostmaster`, beside it.
const MAX_CLUSTER_DOMAIN: usize = 180;

/// The domain that a cluster's names stand below.
pub(crate) struct ClusterDomain;

impl Word for ClusterDomain {
    type Value = NameKey;

    fn expected(&self) -> String {
        format!(
            "a domain name such as `cluster.local`: labels of letters, digits and `-`, at most {MAX_CLUSTER_DOMAIN} octets"
        )
    }

    fn parse(&self, text: &str) -> Option<NameKey> {
        let legal = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
        let name = NameKey::from_text(text).ok()?;
        let len = 2..=MAX_CLUSTER_DOMAIN;
        (text.bytes().all(legal) && len.contains(&name.as_bytes().len())).then_some(name)
    }

    fn show(&self, value: &NameKey) -> String {
        quoted_if_needed(value.to_string().trim_end_matches('.'))
    }
}

/// Any zone, the root included.
pub(super) struct Zone;

impl Word for Zone {
    type Value = NameKey;

    fn expected(&self) -> String {
        "a zone such as `corp.cluster.local`, or `.`".to_owned()
    }

    fn parse(&self, text: &str) -> Option<NameKey> {
        NameKey::from_text(text).ok()
    }

    fn show(&self, value: &NameKey) -> String {
        quoted_if_needed(&value.to_string())
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

/// A text of 1 to `.0` octets.
pub(crate) struct Text(pub(super) usize);

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

fn quoted_if_needed(text: &str) -> String {
    let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=".contains(c);
    let is_text = || {
        matches!(
            super::tree::parse(text).map(|node| node.content),
            Ok(Content::Text(_))
        )
    };
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
