//! The timed scripts: every `.case` file below this directory, run with tokio's clock held, over the synchronous path (which
//! declines where it has to) and over the asynchronous one. A script has one statement in a line; indented lines go on with
//! the statement above, one record in each; `#` begins a comment.
//!
//! ```text
//! set      KEY VALUE                      an option of the forwarder: max_ttl, max_negative_ttl, max_stale, prefetch
//! apply    NAME TARGET                    an ExternalName service of the namespace `default`
//! upstream NAME: RECORD | RCODE           what it answers from now on; `cluster-dns` is the cluster's own
//! silence  NAME                           it says nothing from now on
//! act      NAME HOW                       from now on it answers from its records, and: well, tcp-only, lower-case,
//!                                         lower-case-without-tcp, no-edns, bare-formerr, late TIME
//! ask      NAME TYPE -> RCODE RECORDS     a question over EDNS, and its whole answer: `ede=CODE`, `in=TIME` if not at once,
//!                                         records of the authority section behind `auth:`
//! asked    NAME TIMES                     how often this upstream was asked so far; `tcp=TIMES` of them by TCP
//! elapse   TIME
//! ```
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test may panic, and its modules have no other reader"
)]

#[path = "../support/mod.rs"]
mod support;

mod script;
mod world;

use script::Statement;
use std::{
    fs,
    path::{Path, PathBuf},
};
use world::{Way, World};

/// The scripts below a directory, in the order of their paths.
fn scripts(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(scripts(&path));
        } else if path
            .extension()
            .is_some_and(|extension| extension == "case")
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

async fn run(text: &str, way: Way) -> Result<(), (usize, String)> {
    let mut world = World::new(way);
    for (line, statement) in script::statements(text) {
        let done = match Statement::parse(&statement) {
            Ok(statement) => world.take(statement).await,
            Err(expected) => Err(expected),
        };
        done.map_err(|problem| (line, problem))?;
    }
    Ok(())
}

#[test]
fn every_script_holds_over_both_paths() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scripts = scripts(&root.join("tests/cases"));
    assert!(!scripts.is_empty());
    let mut failed = vec![];
    for path in scripts {
        let text = fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(root).unwrap().display();
        for way in [Way::Now, Way::Async] {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .start_paused(true)
                .build()
                .unwrap();
            if let Err((line, problem)) = runtime.block_on(run(&text, way)) {
                failed.push(format!("{path}:{line} ({way:?}): {problem}\n"));
            }
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.concat());
}
