//! What the feeds count, by source.

use super::source::{SOURCES, row};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// Why a watch was opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// The server ended it, as it does after the time it was asked for.
    Ended,
    /// The connection was cut or could not be made.
    Broken,
    /// Nothing came for longer than the server may be silent.
    Silent,
    /// The position is no longer known to the server (410).
    Expired,
    /// The server refused, with a status other than 410.
    Refused,
    /// The server answered with an older state than it had told before.
    Behind,
}

const RESTARTS: [&str; 6] = ["ended", "broken", "silent", "expired", "refused", "behind"];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RestartLabels {
    source: &'static str,
    reason: &'static str,
}

/// Counters of what arrives from the cluster or from manifests.
#[derive(Clone, Debug)]
pub struct Feed {
    changes: [Counter; SOURCES.len()],
    rejected: [Counter; SOURCES.len()],
    lists: [Counter; SOURCES.len()],
    audits: [Counter; SOURCES.len()],
    rewinds: [Counter; SOURCES.len()],
    restarts: [[Counter; RESTARTS.len()]; SOURCES.len()],
    unreadable_files: Counter,
}

impl Feed {
    /// Registers the families and makes every handle.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let mut by_source = |name: &str, help: &str| {
            let family = Family::<[(&str, &str); 1], Counter>::default();
            let counters = SOURCES.map(|it| family.get_or_create_owned(&[("source", it)]));
            registry.register(name, help, family);
            counters
        };
        let changes = by_source("feed_changes", "Objects applied or deleted, by source");
        let rejected = by_source(
            "feed_rejected_objects",
            "Malformed objects, whose names are unsure, by source",
        );
        let lists = by_source("feed_lists", "Lists that were completed, by source");
        let audits = by_source(
            "feed_audits",
            "Comparisons of what is held with a consistent list, by source",
        );
        let rewinds = by_source(
            "feed_rewinds",
            "Consistent lists that were older than what had been told before, by source",
        );
        let family = Family::<RestartLabels, Counter>::default();
        let restarts = SOURCES.map(|source| {
            RESTARTS.map(|reason| family.get_or_create_owned(&RestartLabels { source, reason }))
        });
        registry.register(
            "feed_watch_restarts",
            "Watches opened again, by source and reason",
            family,
        );
        let unreadable_files = Counter::default();
        registry.register(
            "feed_unreadable_files",
            "Readings of manifest files that could not be used",
            unreadable_files.clone(),
        );
        Self {
            changes,
            rejected,
            lists,
            audits,
            rewinds,
            restarts,
            unreadable_files,
        }
    }

    /// Counts an object that was applied or deleted.
    pub fn changed(&self, source: &str) {
        self.changes[row(source)].inc();
    }

    /// Counts a malformed object.
    pub fn rejected(&self, source: &str) {
        self.rejected[row(source)].inc();
    }

    /// Counts a list that was completed.
    pub fn listed(&self, source: &str) {
        self.lists[row(source)].inc();
    }

    /// Counts a comparison that was completed.
    pub fn audited(&self, source: &str) {
        self.audits[row(source)].inc();
    }

    /// Counts a cluster that was put back to an earlier state.
    pub fn rewound(&self, source: &str) {
        self.rewinds[row(source)].inc();
    }

    /// How often a watch was opened again for this reason so far.
    pub fn restarts_total(&self, source: &str, reason: Restart) -> u64 {
        self.restarts[row(source)][reason as usize].get()
    }

    /// Counts a watch that is opened again.
    pub fn restarted(&self, source: &str, reason: Restart) {
        self.restarts[row(source)][reason as usize].inc();
    }

    /// Counts a manifest file that could not be read or parsed.
    pub fn unreadable_file(&self) {
        self.unreadable_files.inc();
    }

    /// How many comparisons were completed so far.
    pub fn audits_total(&self, source: &str) -> u64 {
        self.audits[row(source)].get()
    }

    /// How often a cluster was put back to an earlier state so far.
    pub fn rewinds_total(&self, source: &str) -> u64 {
        self.rewinds[row(source)].get()
    }

    /// How many malformed objects were met so far.
    pub fn rejected_total(&self, source: &str) -> u64 {
        self.rejected[row(source)].get()
    }
}
