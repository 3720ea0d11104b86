//! Services whose records are to be made anew, and what is known of why. It knows neither slices nor records.

use crate::model::ObjectKey;
use std::collections::{BTreeSet, HashMap};

/// With more names than this a service is made anew whole: so many are a tenth of the largest services, where nothing is
/// gained by it any more.
const MOST_NAMES: usize = 1000;

/// What of a service is to be made anew.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Touched {
    /// All of it.
    Whole,
    /// What its slices say about these labels, and nothing else.
    Names(BTreeSet<Box<[u8]>>),
}

#[derive(Debug, Default)]
pub(super) struct Dirty(HashMap<ObjectKey, Touched>);

impl Dirty {
    pub(super) fn touch(&mut self, service: ObjectKey) {
        self.0.insert(service, Touched::Whole);
    }

    /// Slices say something else about these labels.
    pub(super) fn touch_names(
        &mut self,
        service: ObjectKey,
        labels: impl Iterator<Item = Box<[u8]>>,
    ) {
        let nothing = || Touched::Names(BTreeSet::new());
        let touched = self.0.entry(service).or_insert_with(nothing);
        if let Touched::Names(names) = touched {
            names.extend(labels);
            if names.len() > MOST_NAMES {
                *touched = Touched::Whole;
            }
        }
    }
}

impl IntoIterator for Dirty {
    type Item = (ObjectKey, Touched);
    type IntoIter = std::collections::hash_map::IntoIter<ObjectKey, Touched>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touched(touch: impl FnOnce(&mut Dirty, ObjectKey)) -> Vec<Touched> {
        let mut dirty = Dirty::default();
        touch(&mut dirty, ObjectKey::new("shop", "web"));
        dirty.into_iter().map(|(_, touched)| touched).collect()
    }

    fn names(numbers: std::ops::Range<usize>) -> impl Iterator<Item = Box<[u8]>> {
        numbers.map(|n| n.to_string().into_bytes().into())
    }

    #[test]
    fn names_add_up_until_the_whole_service_is_touched() {
        let some = |dirty: &mut Dirty, web: ObjectKey| {
            dirty.touch_names(web.clone(), names(0..7));
            dirty.touch_names(web, names(5..MOST_NAMES));
        };
        assert_eq!(
            touched(some),
            [Touched::Names(names(0..MOST_NAMES).collect())]
        );
        let too_many = |dirty: &mut Dirty, web: ObjectKey| {
            dirty.touch_names(web.clone(), names(0..MOST_NAMES));
            dirty.touch_names(web, names(MOST_NAMES..MOST_NAMES + 1));
        };
        assert_eq!(touched(too_many), [Touched::Whole]);
    }

    #[test]
    fn a_service_that_is_touched_whole_stays_so() {
        let before = |dirty: &mut Dirty, web: ObjectKey| {
            dirty.touch(web.clone());
            dirty.touch_names(web, names(0..1));
        };
        let after = |dirty: &mut Dirty, web: ObjectKey| {
            dirty.touch_names(web.clone(), names(0..1));
            dirty.touch(web);
        };
        assert_eq!(touched(before), [Touched::Whole]);
        assert_eq!(touched(after), [Touched::Whole]);
    }
}
