//! Zones with a number each, and which of them a name stands in: the longest wins. It knows names, and not what the
//! numbers mean.

use super::NameKey;
use std::{collections::HashMap, iter};

/// A table of zones. Looking a name up allocates nothing, and hashes as many suffixes as it has in common with some zone, and the next.
#[derive(Clone, Debug, Default)]
pub struct Zones {
    /// By lower-cased wire form; names above zones are here too, without a number. Who asks chooses no key that is in it, so the hash needs no secret.
    numbers: HashMap<Box<[u8]>, Option<u16>, foldhash::fast::RandomState>,
}

impl Zones {
    /// The longest zone that `name` is or stands below: how many labels the zone has, and its number.
    pub fn longest(&self, name: &NameKey) -> Option<(usize, u16)> {
        if self.numbers.is_empty() {
            return None;
        }
        let all = name.label_count();
        let number = |labels| {
            let start = name.label_start(all.checked_sub(labels)?)?;
            self.numbers.get(name.as_bytes().get(start..)?).copied()
        };
        let known = (1..=all).map_while(|labels| Some((labels, number(labels)?)));
        let all = iter::once((0, number(0).flatten())).chain(known);
        all.filter_map(|(labels, number)| Some((labels, number?)))
            .last()
    }

    /// Does it stand above a zone, and is none itself?
    pub fn is_above(&self, name: &NameKey) -> bool {
        self.numbers.get(name.as_bytes()) == Some(&None)
    }
}

impl<'z> FromIterator<(&'z NameKey, u16)> for Zones {
    /// Of a zone that comes twice, the last number counts.
    fn from_iter<I: IntoIterator<Item = (&'z NameKey, u16)>>(zones: I) -> Self {
        let mut table = Self::default();
        for (zone, number) in zones {
            for above in 1..zone.label_count() {
                let start = zone.label_start(above);
                let above = start.and_then(|start| zone.as_bytes().get(start..));
                table
                    .numbers
                    .entry(above.unwrap_or_default().into())
                    .or_default();
            }
            table.numbers.insert(zone.as_bytes().into(), Some(number));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NameKey {
        NameKey::from_text(text).unwrap()
    }

    #[test]
    fn the_longest_zone_wins_and_zones_end_at_labels() {
        let zones = ["corp.example", "eu.Corp.example", "10.in-addr.arpa"].map(name);
        let zones: Zones = zones.iter().zip(7..).collect();
        for (asked, expected) in [
            ("corp.example", Some((2, 7))),
            ("www.CORP.example", Some((2, 7))),
            ("a.b.eu.corp.example", Some((3, 8))),
            ("1.0.0.10.in-addr.arpa", Some((3, 9))),
            ("acorp.example", None),
            ("example", None),
            (".", None),
        ] {
            assert_eq!(zones.longest(&name(asked)), expected, "{asked}");
        }
        assert_eq!(Zones::default().longest(&name("example")), None);
    }

    #[test]
    fn names_above_zones_are_known_and_are_no_zones() {
        let zones = [(&name("a.b.example"), 1), (&name("b.example"), 2)];
        let zones: Zones = zones.into_iter().collect();
        let names = ["example", "b.example", "a.b.example", "c.example", "."];
        let above = names.map(|asked| zones.is_above(&name(asked)));
        assert_eq!(above, [true, false, false, false, false]);
        assert_eq!(zones.longest(&name("c.example")), None);
    }

    #[test]
    fn the_root_is_a_zone_of_every_name() {
        let zones: Zones = [(&name("."), 1), (&name("a.b"), 2)].into_iter().collect();
        let longest = ["x.a.b", "b", "."].map(|asked| zones.longest(&name(asked)));
        assert_eq!(longest, [Some((2, 2)), Some((0, 1)), Some((0, 1))]);
    }
}
