//! The values of the label `source`. A source is given by its name, which is one of [`SOURCES`].

/// In the order of `model::Source::ALL`.
pub(super) const SOURCES: [&str; 5] = [
    "services",
    "endpointslices",
    "foreign-endpointslices",
    "namespaces",
    "pods",
];

/// Where the source's handles stand.
pub(super) fn row(source: &str) -> usize {
    SOURCES
        .iter()
        .position(|name| *name == source)
        .expect("every source's name stands in the table; a test of the feed holds them together")
}
