//! The walk over a document's sections: each key is read where it is declared, and so the declaration is the schema, the
//! validation and the documentation. It knows no key.

use super::{
    error::Problem,
    tree::{Content, Node, Place},
    value::Kind,
};

/// A key as it was declared, for the documentation and for printing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Sections and name, such as `cluster.ttl.service`.
    pub path: String,
    /// The default as YAML.
    pub default: String,
    /// The value of this document as YAML.
    pub value: String,
    /// Form and range.
    pub expected: String,
    /// Why it exists and why its default is what it is.
    pub reason: &'static str,
}

/// What the walk has found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) keys: Vec<Key>,
    pub(super) problems: Vec<Problem>,
    /// Path of the section, the key that no declaration asked for, and its place.
    unknown: Vec<(String, String, Place)>,
}

/// One mapping of the document, or its absence.
pub(super) struct Section<'a> {
    found: &'a mut Found,
    path: String,
    place: Option<Place>,
    /// Taken away as declarations ask for them.
    entries: Vec<(&'a str, Place, &'a Node)>,
}

/// Reads a document by its declaration.
pub(super) fn walk<T>(
    document: Option<&Node>,
    declare: impl FnOnce(&mut Section<'_>) -> T,
) -> (T, Found) {
    walk_at(String::new(), document, declare)
}

fn walk_at<T>(
    path: String,
    node: Option<&Node>,
    declare: impl FnOnce(&mut Section<'_>) -> T,
) -> (T, Found) {
    let mut found = Found::default();
    let value = Section::open(&mut found, path, node).read(declare);
    found.suggest();
    (value, found)
}

impl<'a> Section<'a> {
    fn open(found: &'a mut Found, path: String, node: Option<&'a Node>) -> Self {
        let mut entries: Vec<(&str, Place, &Node)> = Vec::new();
        match node.map(|node| (node.place, &node.content)) {
            None | Some((_, Content::Null)) => {}
            Some((_, Content::Map(map))) => {
                for (key, value) in map {
                    let problem = match &key.content {
                        Content::Text(name) => {
                            match entries.iter().find(|(known, ..)| known == name) {
                                Some((_, first, _)) => {
                                    format!("`{name}` stands twice, first in line {}", first.line)
                                }
                                None => {
                                    entries.push((name, key.place, value));
                                    continue;
                                }
                            }
                        }
                        other => format!("expected a key; found {}", other.describe()),
                    };
                    found.problem(&path, Some(key.place), problem);
                }
            }
            Some((place, other)) => {
                let problem = format!(
                    "expected keys with their values; found {}",
                    other.describe()
                );
                found.problem(&path, Some(place), problem);
            }
        }
        Self {
            found,
            path,
            place: node.map(|node| node.place),
            entries,
        }
    }

    fn read<T>(mut self, declare: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let value = declare(&mut self);
        for (name, place, _) in self.entries {
            self.found
                .unknown
                .push((self.path.clone(), name.to_owned(), place));
        }
        value
    }

    fn take(&mut self, name: &str) -> Option<(Place, &'a Node)> {
        let at = self.entries.iter().position(|(known, ..)| *known == name)?;
        let (_, place, node) = self.entries.remove(at);
        Some((place, node))
    }

    /// Declares a section below this one, and reads it.
    pub(super) fn section<T>(
        &mut self,
        name: &str,
        declare: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        let node = self.take(name).map(|(_, node)| node);
        Section::open(self.found, below(&self.path, name), node).read(declare)
    }

    /// Declares a key, and reads it. A value that does not fit is a problem, and the default stands in for it.
    pub(super) fn key<K: Kind>(
        &mut self,
        name: &str,
        kind: K,
        default: K::Value,
        reason: &'static str,
    ) -> K::Value {
        let path = below(&self.path, name);
        let shown = kind.show(&default);
        let value = match self.take(name).map(|(_, node)| kind.read(node)) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(misfits)) => {
                for (place, problem) in misfits {
                    self.found.problem(&path, Some(place), problem);
                }
                default
            }
        };
        self.found.keys.push(Key {
            path,
            default: shown,
            value: kind.show(&value),
            expected: kind.expected(),
            reason,
        });
        value
    }

    /// Declares a key that holds up to `max` mappings, and reads each as a section of its own. Their keys and reasons are
    /// the form of this one.
    pub(super) fn mappings<T>(
        &mut self,
        name: &str,
        max: usize,
        reason: &'static str,
        mut declare: impl FnMut(&mut Section<'_>) -> T,
    ) -> Vec<T> {
        let path = below(&self.path, name);
        let (_, form) = walk(None, &mut declare);
        let keys = form.keys.iter();
        let keys = keys.map(|key| format!("`{}`, {}: {}", key.path, key.reason, key.expected));
        let keys: Vec<_> = keys.collect();
        let expected = format!("a list of 0 to {max} mappings of {}", keys.join("; "));
        let nodes = match self.take(name).map(|(_, node)| (node.place, &node.content)) {
            None => &[],
            Some((_, Content::List(nodes))) if nodes.len() <= max => &nodes[..],
            Some((place, other)) => {
                let found = match other {
                    Content::List(nodes) => format!("{} of them", nodes.len()),
                    other => other.describe(),
                };
                let problem = format!("expected {expected}; found {found}");
                self.found.problem(&path, Some(place), problem);
                &[]
            }
        };
        let (mut values, mut shown) = (Vec::new(), Vec::new());
        for (nth, node) in nodes.iter().enumerate() {
            let section = format!("{path}[{nth}]");
            let inside = below(&section, "");
            let (value, found) = walk_at(section, Some(node), &mut declare);
            let keys = found.keys.iter();
            let keys = keys.map(|key| {
                let name = key.path.strip_prefix(&inside).unwrap_or(&key.path);
                format!("{name}: {}", key.value)
            });
            shown.push(format!("{{{}}}", keys.collect::<Vec<_>>().join(", ")));
            self.found.problems.extend(found.problems);
            values.push(value);
        }
        self.found.keys.push(Key {
            path,
            default: "[]".to_owned(),
            value: format!("[{}]", shown.join(", ")),
            expected,
            reason,
        });
        values
    }

    /// Where this section stands in the file.
    pub(super) const fn place(&self) -> Option<Place> {
        self.place
    }

    /// Notes what is wrong between keys of this section, flags included. Nothing is said about values that were already
    /// refused one by one.
    pub(super) fn require(&mut self, holds: bool, otherwise: &str) {
        if !holds && self.found.problems.is_empty() {
            self.found
                .problem(&self.path, self.place, otherwise.to_owned());
        }
    }
}

impl Found {
    fn problem(&mut self, key: &str, place: Option<Place>, message: String) {
        self.problems.push(Problem {
            key: key.to_owned(),
            place,
            message,
        });
    }

    /// Turns unknown keys into problems, with the known key that was probably meant.
    fn suggest(&mut self) {
        for (section, name, place) in std::mem::take(&mut self.unknown) {
            let name: String = name.chars().take(80).collect();
            // At most every third character wrong.
            let limit = (name.chars().count() / 3).max(1);
            let nearest = |known: &mut dyn Iterator<Item = (&str, &str)>| {
                known
                    .map(|(part, meant)| (strsim::osa_distance(part, &name), meant.to_owned()))
                    .filter(|(distance, _)| *distance <= limit)
                    .min_by_key(|(distance, _)| *distance)
                    .map(|(_, meant)| meant)
            };
            let paths = || self.keys.iter().map(|key| key.path.as_str());
            let inside = below(&section, "");
            let mut siblings = paths().filter_map(|path| {
                let part = path.strip_prefix(&inside)?.split('.').next()?;
                Some((part, part))
            });
            let mut anywhere = paths().map(|path| (path.rsplit('.').next().unwrap_or(path), path));
            let message = match nearest(&mut siblings).or_else(|| nearest(&mut anywhere)) {
                Some(meant) => format!("unknown key; did you mean `{meant}`?"),
                None => "unknown key".to_owned(),
            };
            let key = below(&section, &super::tree::shown(&name));
            self.problem(&key, Some(place), message);
        }
        self.problems.sort_by_key(|problem| problem.place);
    }
}

fn below(section: &str, name: &str) -> String {
    if section.is_empty() {
        name.to_owned()
    } else {
        format!("{section}.{name}")
    }
}
