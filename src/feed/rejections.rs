//! The malformed objects that were named so far, so that each is named once in the life of the process. It knows nothing
//! of how they were found.

use super::convert::Malformed;
use crate::{
    metrics::Feed,
    model::{ObjectKey, Source},
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

/// How many objects are named at most. Somebody who reads a thousand names fixes the cause, not the next object.
const MAX_NAMED: usize = 1_000;

/// Names malformed objects once each and counts every time one is met. Clones share what was named.
#[derive(Clone, Debug)]
pub(super) struct Rejections {
    named: Arc<Mutex<HashSet<(Source, ObjectKey)>>>,
    metrics: Feed,
}

impl Rejections {
    /// Nothing is named yet.
    pub(super) fn new(metrics: Feed) -> Self {
        Self {
            named: Arc::default(),
            metrics,
        }
    }

    /// What the object says is unknown.
    pub(super) fn reject(&self, source: Source, malformed: &Malformed) {
        self.metrics.rejected(source.name());
        if self.is_new(source, malformed) {
            tracing::warn!(
                source = source.name(),
                object = %malformed.key,
                field = malformed.field,
                "malformed object, its names are unsure: {}",
                malformed.expected
            );
        }
    }

    /// The object is served, without the field.
    pub(super) fn ignore(&self, source: Source, malformed: &Malformed) {
        if self.is_new(source, malformed) {
            tracing::warn!(
                source = source.name(),
                object = %malformed.key,
                field = malformed.field,
                "field ignored: {}",
                malformed.expected
            );
        }
    }

    fn is_new(&self, source: Source, malformed: &Malformed) -> bool {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() >= MAX_NAMED {
            return false;
        }
        let new = named.insert((source, malformed.key.clone()));
        if new && named.len() == MAX_NAMED {
            tracing::warn!(
                "{MAX_NAMED} malformed objects were named; further ones are only counted"
            );
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn an_object_is_named_once_and_counted_every_time() {
        let metrics = Metrics::new(&mut prometheus_client::registry::Registry::default());
        let rejections = Rejections::new(metrics.feed.clone());
        let malformed = |name: &str| Malformed {
            key: ObjectKey::new("shop", name),
            field: "spec".to_owned(),
            expected: "something else".to_owned(),
        };
        assert!(rejections.is_new(Source::Services, &malformed("web")));
        assert!(!rejections.is_new(Source::Services, &malformed("web")));
        assert!(rejections.is_new(Source::Pods, &malformed("web")));
        rejections.reject(Source::Services, &malformed("web"));
        rejections.reject(Source::Services, &malformed("web"));
        assert_eq!(metrics.feed.rejected_total("services"), 2);
        for number in 0..2 * MAX_NAMED {
            rejections.is_new(Source::Services, &malformed(&number.to_string()));
        }
        assert_eq!(rejections.named.lock().unwrap().len(), MAX_NAMED);
    }
}
