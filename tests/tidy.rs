//! The shape of the tree, as assertions: who may name whom, where `unsafe` stands, and what each file says it is for.

use gapless::metrics::Metrics;
use prometheus_client::{encoding::text, registry::Registry};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Which top-level module may name which others. ARCHITECTURE.md draws it.
const MAY_NAME: &[(&str, &[&str])] = &[
    // Bytes, plain data, plumbing.
    ("memory", &[]),
    ("wire", &[]),
    ("model", &[]),
    ("metrics", &[]),
    ("lifecycle", &[]),
    ("telemetry", &[]),
    ("notices", &[]),
    ("handover", &["metrics"]),
    ("netdev", &[]),
    ("convert", &[]),
    // State.
    ("index", &["model", "wire"]),
    ("cache", &["wire"]),
    // Where changes come from, and what is decided.
    ("feed", &["lifecycle", "metrics", "model", "notices"]),
    ("answer", &["index", "model", "wire"]),
    ("forward", &["cache", "lifecycle", "metrics", "wire"]),
    // The only way from a query's bytes to an answer's.
    (
        "engine",
        &[
            "answer",
            "cache",
            "forward",
            "index",
            "lifecycle",
            "metrics",
            "wire",
        ],
    ),
    // Edges.
    ("server", &["engine", "lifecycle", "metrics", "wire"]),
    ("admin", &["lifecycle", "metrics"]),
    // It asks, and serves nobody.
    (
        "bench",
        &["forward", "lifecycle", "model", "server", "wire"],
    ),
];

/// They put the rest together, and nobody names them.
const ROOTS: &[&str] = &["main", "lib", "app", "cli", "config"];

const UNSAFE_LIVES_IN: [&str; 2] = ["server/sys.rs", "memory.rs"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file below a directory of the project.
fn sources(directory: &str) -> Vec<(PathBuf, String)> {
    files(directory, "rs")
}

/// Every file with this ending below a directory of the project, as its path from there and its text.
fn files(directory: &str, ending: &str) -> Vec<(PathBuf, String)> {
    let base = root().join(directory);
    let (mut found, mut open) = (vec![], vec![base.clone()]);
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == ending)
            {
                let text = fs::read_to_string(&path).expect("UTF-8");
                let relative = path.strip_prefix(&base).expect("below the base");
                found.push((relative.to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// The top-level modules that a text names: `crate::x` and `use crate::{x, y::z}` give x and y.
fn named(text: &str) -> BTreeSet<&str> {
    text.split("crate::")
        .skip(1)
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(group) => first_words(group),
            None => vec![word(rest)],
        })
        .filter(|name| !name.is_empty())
        .collect()
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// The first word of each member of a `{…}` group that is already open.
fn first_words(group: &str) -> Vec<&str> {
    let (mut depth, mut words) = (0, vec![word(group.trim_start())]);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => words.push(word(group[at + 1..].trim_start())),
            _ => {}
        }
    }
    words
}

#[test]
fn groups_and_single_paths_are_read() {
    let read = |text| named(text).into_iter().collect::<Vec<_>>();
    assert_eq!(
        read("use crate::{\n    a,\n    b::{c, d},\n    e::f,\n};\nuse g;"),
        ["a", "b", "e"]
    );
    assert_eq!(
        read("use crate::x::y; /// [`crate::w`]\ncrate::z()"),
        ["w", "x", "z"]
    );
}

#[test]
fn imports_point_down() {
    for (path, text) in sources("src") {
        let first = path.iter().next().and_then(|part| part.to_str());
        let module = first.expect("a name").trim_end_matches(".rs");
        if ROOTS.contains(&module) {
            continue;
        }
        let path = path.display();
        let rule = MAY_NAME.iter().find(|(name, _)| *name == module);
        let (_, allowed) = rule.unwrap_or_else(|| panic!("{path}: add {module} to MAY_NAME"));
        assert!(
            !text.contains("super::super::"),
            "{path}: write crate::… instead of super::super::…"
        );
        // A doc link may point anywhere: it imports nothing.
        let code: String = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .flat_map(|line| [line, "\n"])
            .collect();
        for name in named(&code) {
            assert!(
                name == module || allowed.contains(&name),
                "{path}: {module} names {name}, and may name {allowed:?}"
            );
        }
    }
}

#[test]
fn unsafe_stands_in_one_file() {
    for directory in ["src", "tests", "benches"] {
        if !root().join(directory).exists() {
            continue;
        }
        for (path, text) in sources(directory) {
            let switched_on = ["allow(", "expect("]
                .iter()
                .any(|form| text.contains(&format!("{form}unsafe_code")));
            assert!(
                !switched_on
                    || (directory == "src" && UNSAFE_LIVES_IN.iter().any(|it| path.ends_with(it))),
                "{directory}/{}: unsafe belongs into {UNSAFE_LIVES_IN:?} of src",
                path.display()
            );
        }
    }
}

#[test]
fn every_file_begins_with_what_it_is_for() {
    for directory in ["src", "tests"] {
        for (path, text) in sources(directory) {
            assert!(
                text.starts_with("//! "),
                "{directory}/{}: begin with a `//!` line",
                path.display()
            );
        }
    }
}

/// Three documents name tests in backquotes, by the function's name alone or after its path (`a::b::name`).
/// A name there is a word of lower-case letters, digits and at least two underscores; test names are sentences.
#[test]
fn documents_name_tests_that_exist() {
    let code: String = ["src", "tests"]
        .into_iter()
        .flat_map(sources)
        .map(|(_, text)| text)
        .collect();
    let is_sentence = |name: &&str| {
        name.matches('_').count() >= 2
            && name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            && !name.starts_with('_')
            && !name.starts_with("gapless_")
    };
    for document in [
        "docs/spec-coverage.md",
        "docs/operations.md",
        "docs/reliability.md",
    ] {
        let text = fs::read_to_string(root().join(document)).expect(document);
        let quoted = text.split('`').skip(1).step_by(2);
        let names = quoted.filter_map(|text| text.rsplit("::").next());
        for name in names.filter(is_sentence) {
            assert!(
                code.contains(&format!("fn {name}(")),
                "{document} names {name}, and there is no such test"
            );
        }
    }
}

/// The table of limits has a cell for everything, and its keys are the configuration's.
#[test]
fn the_table_of_limits_names_keys_that_exist() {
    let read = |document| fs::read_to_string(root().join(document)).expect(document);
    let (operations, configuration) = (read("docs/operations.md"), read("docs/configuration.md"));
    let (_, limits) = operations.split_once("## Limits\n").expect("the table");
    let rows = limits.lines().filter(|line| line.starts_with("| "));
    for row in rows.skip(1) {
        let cells: Vec<_> = row.split(" | ").collect();
        assert_eq!(cells.len(), 7, "{row}");
        for key in cells[3].split('`').skip(1).step_by(2) {
            assert!(
                configuration.contains(&format!("| `{key}` |")),
                "docs/operations.md: there is no key {key}"
            );
        }
    }
}

/// A metric is named by its family, or by a sample of it.
#[test]
fn documents_name_metrics_that_exist() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    // A family without a sample is not encoded.
    metrics.index.set_objects("services", 0, false);
    let mut page = String::new();
    text::encode(&mut page, &registry).expect("a page");
    let families: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    for (path, text) in files("docs", "md") {
        for found in text.split("gapless_").skip(1) {
            let name = format!("gapless_{}", word(found));
            let family = ["_total", "_bucket", "_count", "_sum"]
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix))
                .unwrap_or(&name);
            assert!(
                families.contains(family) || name.ends_with('_'),
                "docs/{}: there is no metric {name}",
                path.display()
            );
        }
    }
}
