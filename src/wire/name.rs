//! Domain names as they are compared: lower-cased wire form on the stack (RFC 4343), with their label boundaries.

use std::{fmt, hash};

/// Longest name in wire form, the root's zero octet included (RFC 1035 §2.3.4).
pub const MAX_NAME_LEN: usize = 255;
/// Most labels a name can have: 127 of one octet each, before the root.
const MAX_LABELS: usize = 127;

/// A name in lower-cased wire form, the root's zero octet included. It lives on the stack; making one allocates nothing.
#[derive(Clone)]
pub struct NameKey {
    octets: [u8; MAX_NAME_LEN],
    /// Where each label's length octet stands.
    starts: [u8; MAX_LABELS],
    len: u8,
    labels: u8,
}

/// Copies a name and folds its case on the way; the first octets of `to` are then the name. The labels' lengths stay as they
/// are: 63 is less than `A`. `None` if there is too little room.
///
/// Each octet goes through a register, and those of the last step may do so twice: to fold the copy where it stands would be to
/// read what was written just before in other pieces, and a processor waits some 40 cycles until such writes are done.
pub fn copy_lowercase<'t>(name: &[u8], to: &'t mut [u8]) -> Option<&'t [u8]> {
    let to = to.get_mut(..name.len())?;
    if !(fold::<16>(name, to) || fold::<4>(name, to)) {
        fold::<1>(name, to);
    }
    Some(to)
}

/// So many octets at once, the last ones whatever was done of them already; `false` if there are fewer.
fn fold<const N: usize>(name: &[u8], to: &mut [u8]) -> bool {
    let fold = |(from, to): (&[u8; N], &mut [u8; N])| {
        for (from, to) in from.iter().zip(to) {
            *to = from.to_ascii_lowercase(); // compiled into one step for all of them
        }
    };
    (name.as_chunks().0.iter().zip(to.as_chunks_mut().0)).for_each(fold);
    let last = name.last_chunk().zip(to.last_chunk_mut());
    last.map(fold).is_some()
}

/// Why a text is no domain name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a domain name: {reason}")]
pub struct InvalidName {
    text: String,
    reason: &'static str,
}

impl NameKey {
    /// Reads the uncompressed name that starts at `at` in `packet`, and says where it ends. `None` for a name that runs out
    /// of the packet, is longer than 255 octets, or holds a compression pointer or an unknown label type.
    pub fn read(packet: &[u8], at: usize) -> Option<(Self, usize)> {
        let mut name = Self::default();
        let end = name.read_again(packet, at)?;
        Some((name, end))
    }

    /// The same into this name, of which nothing is left: a whole one is too large to be handed over for each query.
    pub(super) fn read_again(&mut self, packet: &[u8], at: usize) -> Option<usize> {
        let rest = packet.get(at..)?;
        let (mut end, mut labels) = (0_u8, 0_u8);
        loop {
            let len = *rest.get(usize::from(end))?;
            let start = end;
            end = end.checked_add(1)?.checked_add(len)?;
            match len {
                0 => break,
                1..=63 => *self.starts.get_mut(usize::from(labels))? = start,
                _ => return None,
            }
            labels = labels.checked_add(1)?;
        }
        (self.len, self.labels) = (end, labels);
        let end = usize::from(end);
        copy_lowercase(rest.get(..end)?, &mut self.octets)?;
        at.checked_add(end)
    }

    /// Reads a name as people write it, with or without the last dot. Escapes (`\.`) are not known.
    pub fn from_text(text: &str) -> Result<Self, InvalidName> {
        let invalid = |reason| InvalidName {
            text: text.chars().take(80).collect(),
            reason,
        };
        let mut wire = Vec::with_capacity(text.len().saturating_add(2));
        let trimmed = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(invalid("it is empty"));
        }
        for label in trimmed.split('.').filter(|_| !trimmed.is_empty()) {
            if label.is_empty() {
                return Err(invalid("a label is empty"));
            }
            let len = u8::try_from(label.len()).ok().filter(|len| *len <= 63);
            wire.push(len.ok_or_else(|| invalid("a label is longer than 63 octets"))?);
            wire.extend_from_slice(label.as_bytes());
        }
        wire.push(0);
        let (name, _) =
            Self::read(&wire, 0).ok_or_else(|| invalid("it is longer than 255 octets"))?;
        Ok(name)
    }

    /// The octets, the root's zero included.
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// How many labels it has; the root has none.
    pub const fn label_count(&self) -> usize {
        self.labels as usize
    }

    /// Where the label `n` from the left starts, counted in octets from the name's first; the root's octet for `n` =
    /// [`Self::label_count`].
    pub fn label_start(&self, n: usize) -> Option<usize> {
        if n == self.label_count() {
            return usize::from(self.len).checked_sub(1);
        }
        self.starts
            .get(..self.label_count())?
            .get(n)
            .map(|start| usize::from(*start))
    }

    /// The label `n` from the left, without its length octet.
    pub fn label(&self, n: usize) -> Option<&[u8]> {
        let start = self.label_start(n).filter(|_| n < self.label_count())?;
        let len = usize::from(*self.octets.get(start)?);
        let from = start.checked_add(1)?;
        self.octets.get(from..from.checked_add(len)?)
    }

    /// The octets of the labels `from..to`, each with its length in front, without a root.
    pub fn labels(&self, from: usize, to: usize) -> Option<&[u8]> {
        self.octets
            .get(self.label_start(from)?..self.label_start(to)?)
    }

    /// If this name is `zone` or stands below it: how many labels stand left of the zone.
    pub fn labels_above(&self, zone: &Self) -> Option<usize> {
        let above = self.label_count().checked_sub(zone.label_count())?;
        (self.as_bytes().get(self.label_start(above)?..)? == zone.as_bytes()).then_some(above)
    }
}

impl Default for NameKey {
    /// The root.
    fn default() -> Self {
        Self {
            octets: [0; MAX_NAME_LEN],
            starts: [0; MAX_LABELS],
            len: 1,
            labels: 0,
        }
    }
}

impl PartialEq for NameKey {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for NameKey {}

impl hash::Hash for NameKey {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Display for NameKey {
    /// Presentation form with the last dot; octets that are not printable, dots and backslashes are escaped (RFC 1035 §5.1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.label_count() == 0 {
            return f.write_str(".");
        }
        for n in 0..self.label_count() {
            for octet in self.label(n).unwrap_or_default() {
                match octet {
                    b'.' | b'\\' => write!(f, "\\{}", char::from(*octet))?,
                    0x21..=0x7e => write!(f, "{}", char::from(*octet))?,
                    _ => write!(f, "\\{octet:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for NameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NameKey {
        NameKey::from_text(text).unwrap()
    }

    #[test]
    fn names_compare_without_case_and_know_their_labels() {
        let web = name("Web-0.NGINX.default.svc.cluster.local.");
        assert_eq!(web, name("web-0.nginx.default.svc.cluster.local"));
        assert_eq!(web.to_string(), "web-0.nginx.default.svc.cluster.local.");
        assert_eq!((web.label_count(), web.label(1)), (6, Some(&b"nginx"[..])));
        assert_eq!(web.labels(1, 3), Some(&b"\x05nginx\x07default"[..]));
        assert_eq!(web.label(6), None);
    }

    #[test]
    fn a_copy_in_lower_case_has_every_octet_whatever_the_length() {
        let octets: Vec<u8> = (0..=255).rev().collect();
        for len in 0..=octets.len() {
            let mut to = [0; 256];
            let copied = copy_lowercase(&octets[..len], &mut to).map(<[u8]>::to_vec);
            assert_eq!(copied, Some(octets[..len].to_ascii_lowercase()));
            assert!(to[len..].iter().all(|octet| *octet == 0), "{len}");
            let too_little = len.checked_sub(1).map(|room| &mut to[..room]);
            assert!(too_little.is_none_or(|to| copy_lowercase(&octets[..len], to).is_none()));
        }
    }

    #[test]
    fn a_zone_ends_at_a_label() {
        let zone = name("cluster.local");
        assert_eq!(name("a.svc.cluster.local").labels_above(&zone), Some(2));
        assert_eq!(zone.labels_above(&zone), Some(0));
        assert_eq!(name("xcluster.local").labels_above(&zone), None);
        assert_eq!(name("local").labels_above(&zone), None);
        assert_eq!(name("anything").labels_above(&name(".")), Some(1));
    }

    #[test]
    fn the_longest_name_has_255_octets() {
        let label = "x".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "x".repeat(61));
        assert_eq!(name(&longest).as_bytes().len(), 255);
        assert!(NameKey::from_text(&format!("{longest}x")).is_err());
        assert_eq!(name(&"a.".repeat(127)).label_count(), 127);
        assert!(NameKey::from_text(&"a.".repeat(128)).is_err());
        for bad in ["", "a..b", ".a", &"x".repeat(64)] {
            assert!(NameKey::from_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pointers_and_ends_of_packets_are_no_names() {
        for bad in [&b"\xc0\x0c"[..], b"\x03ab", b"\x01a", b"\x41", b""] {
            assert!(NameKey::read(bad, 0).is_none(), "{bad:?}");
        }
        assert!(NameKey::read(b"\x00", 7).is_none());
    }
}
