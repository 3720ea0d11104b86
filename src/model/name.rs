//! Names of objects, checked once where they enter: everything behind the door may take a [`Label`] for what it says.

use smallvec::SmallVec;
use std::{borrow::Borrow, fmt};

/// A DNS label in lower case: 1–63 octets of `a-z`, `0-9`, `-` and (as in port names and some hosts) `_`, so that it
/// can stand in a wire name as it is (RFC 1035 §2.3.4).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(SmallVec<[u8; ROOM]>);

/// As many octets stand in a label itself: the names of all ports, and of most services, which are read without waiting once more.
const ROOM: usize = 16;

/// Why a text is no [`Label`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a DNS label (1 to 63 of a-z, 0-9 and -)")]
pub struct InvalidName(pub String);

impl Label {
    /// Checks `text`; upper case is refused, as Kubernetes refuses it.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        if (1..=63).contains(&text.len()) && text.bytes().all(legal) {
            Ok(Self(text.as_bytes().into()))
        } else {
            Err(InvalidName(text.chars().take(80).collect()))
        }
    }

    /// Its octets, without a length in front.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a label holds ASCII")
    }
}

impl Borrow<[u8]> for Label {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Namespace and name of an object; the namespace is empty for what stands in none. Names of Services and Namespaces
/// are [`Label`]s where they enter the index; names of slices and pods may hold dots and serve only as keys.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// `metadata.namespace`.
    pub namespace: Box<str>,
    /// `metadata.name`.
    pub name: Box<str>,
}

impl ObjectKey {
    /// A key of its two parts.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_what_may_stand_in_a_name() {
        for good in ["a", "web-0", "0", "_http", &"x".repeat(63)] {
            assert_eq!(
                Label::new(good)
                    .map(|label| label.as_str().to_owned())
                    .as_deref(),
                Ok(good)
            );
        }
        for bad in ["", "A", "a.b", "é", "a b", &"x".repeat(64)] {
            assert!(Label::new(bad).is_err(), "{bad}");
        }
    }
}
