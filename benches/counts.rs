//! What the parts cost in things that can be counted: instructions of an answer and of a change, under callgrind, and octets of an endpoint.
//! They are the same on a busy machine as on an idle one, so they are what regressions are caught by.
//!
//! `cargo bench --bench counts` compares them with `benches/counts.txt` and fails if something costs more; `cargo bench --bench counts -- --renew`
//! writes that file anew. It needs Debian's `valgrind`.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    unsafe_code,
    reason = "a measurement has a terminal, an allocator that counts, and ends with a panic if it cannot be made"
)]

#[path = "support/counting.rs"]
mod counting;
mod support;

use counting::HELD;
use gapless::model::{Change, Source};
use std::{
    collections::BTreeMap,
    env, fs,
    path::Path,
    process::{Command, ExitCode},
    sync::atomic::Ordering::Relaxed,
};
use support::{QUESTIONS, Questions, listed, slice};

/// Headless services and endpoints of each, of which one endpoint changes, and how often: so often that it does not show where
/// in its table of hashes each service is, which is another place in every run.
const CHANGES: [(&str, [usize; 2], u64); 3] = [
    ("change_of_10", [1000, 10], 600),
    ("change_of_100", [100, 100], 300),
    ("change_of_10000", [1, 10_000], 10),
];

/// By how much a count may exceed what is written down: other versions of the C library and of the allocator take other ways.
const TOLERANCE: f64 = 0.03;

/// Queries of a full batch; the others are of one.
const BATCH: usize = 64;
const BATCHED: &str = "batch_of_64_";

const HEAD: &str = "# What cargo bench --bench counts found when it was last run with -- --renew. Instructions are callgrind's, of one\n\
                    # answer, alone or in a batch, or of one change; bytes are the allocator's, of one endpoint in 150 services with 100 each.\n";

fn main() -> ExitCode {
    let words: Vec<_> = env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["run", what, rounds] => {
            run(what, rounds.parse().unwrap());
            ExitCode::SUCCESS
        }
        ["--renew"] => {
            let lines = counts()
                .into_iter()
                .map(|(name, count)| format!("{name} {count}\n"));
            fs::write(file(), format!("{HEAD}{}", lines.collect::<String>())).unwrap();
            ExitCode::SUCCESS
        }
        _ => check(),
    }
}

fn file() -> impl AsRef<Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/counts.txt")
}

fn check() -> ExitCode {
    let written = fs::read_to_string(file()).unwrap();
    let lines = written.lines().filter(|line| !line.starts_with('#'));
    let written: BTreeMap<_, f64> = lines
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, count)| (name.to_owned(), count.parse().unwrap()))
        .collect();
    let mut worse = 0;
    for (name, count) in counts() {
        let verdict = match written.get(&name) {
            None => "not in benches/counts.txt".into(),
            Some(was) if count as f64 > was * (1.0 + TOLERANCE) => {
                format!("MORE than the {was} of benches/counts.txt")
            }
            Some(was) if (count as f64) < was * (1.0 - TOLERANCE) => {
                println!(
                    "{name} {count}: less than the {was} of benches/counts.txt, which could be renewed"
                );
                continue;
            }
            Some(_) => {
                println!("{name} {count}");
                continue;
            }
        };
        eprintln!("{name} {count}: {verdict}");
        worse += 1;
    }
    if worse == 0 {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "If that is meant: cargo bench --bench counts -- --renew, and say in the commit what it buys."
    );
    ExitCode::FAILURE
}

fn counts() -> Vec<(String, u64)> {
    let questions = QUESTIONS.iter().map(|(what, _)| *what);
    let alone = questions.clone().map(|what| (what.to_owned(), 1000, 1));
    let batches = questions.map(|what| (format!("{BATCHED}{what}"), 100, BATCH as u64));
    let changes = CHANGES
        .iter()
        .map(|(what, _, rounds)| ((*what).to_owned(), *rounds, 1));
    let all = alone.chain(batches).chain(changes);
    let instructions = all.map(|(what, rounds, each)| {
        let count = instructions(&what, rounds) / (rounds * each);
        (format!("{what}_instructions"), count)
    });
    let mut counts: Vec<_> = instructions.collect();
    counts.push(("bytes_of_an_endpoint".to_owned(), bytes_of_an_endpoint()));
    counts
}

/// The instructions within [`counted`] of this program, run with `run`.
fn instructions(what: &str, rounds: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=counts::counted*")
        .arg(env::current_exe().unwrap())
        .args(["run", what, &rounds.to_string()])
        .output()
        .expect("valgrind starts: it is a Debian package");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let collected = said
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let count = collected
        .and_then(|(_, count)| count.trim().parse().ok())
        .expect("callgrind says what it collected");
    assert_ne!(count, 0, "the function that is counted has its name");
    count
}

/// What is counted: not what was set up before, whose cost is as chance has it, and millions of instructions.
#[inline(never)]
fn counted(rounds: usize, round: &mut dyn FnMut(usize)) {
    (0..rounds).for_each(round);
}

fn run(what: &str, rounds: usize) {
    if let Some((_, [services, endpoints], _)) = CHANGES.iter().find(|(name, ..)| *name == what) {
        let (mut index, _) = listed(*services, *services, *endpoints);
        let mut changed: Vec<_> = (0..rounds)
            .map(|round| Some(slice(round % services, *endpoints, round + 1)))
            .collect();
        counted(rounds, &mut |n| {
            let object = changed[n].take().unwrap();
            index.apply(Change::Apply(Source::EndpointSlices, object));
            assert_eq!(index.publish(2), 1, "a change rebuilds one service");
        });
        return;
    }
    let (what, batch) = match what.strip_prefix(BATCHED) {
        Some(what) => (what, BATCH),
        None => (what, 1),
    };
    let mut questions = Questions::new(what);
    (0..1000).for_each(|n| questions.ask(n, batch));
    counted(rounds, &mut |n| questions.ask(n, batch));
}

/// In the mean of several indexes: how full the tables of hashes are is chance (seen: 112 to 124 of one).
fn bytes_of_an_endpoint() -> u64 {
    const INDEXES: usize = 16;
    let of = |endpoints| {
        let before = HELD.load(Relaxed);
        let indexes: Vec<_> = (0..INDEXES).map(|_| listed(150, 150, endpoints)).collect();
        let held = HELD.load(Relaxed) - before;
        drop(indexes);
        held
    };
    ((of(100) - of(0)) / (INDEXES * 150 * 100)) as u64
}
