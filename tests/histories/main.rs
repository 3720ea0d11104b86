//! Histories of a cluster by chance, each by its seed, and the answers given meanwhile. An answer is wrong if it was true
//! at no time within the published staleness: the time since a source was heard of, and the moment for which what vanished
//! is still given.
//!
//! `cargo test --test histories -- --include-ignored` plays ten thousand of them; `HISTORIES=100000` as many as one
//! likes, `HISTORY=17` one, aloud. `SERVED` and `SERVED_HISTORY` are the same for those with an API server.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and says how much it asked"
)]

#[path = "../support/api_server.rs"]
mod api_server;
mod asking;
mod cluster;
mod objects;
mod served;
#[path = "../support/mod.rs"]
mod support;
mod told;
mod truth;
mod watch;
#[path = "../api_faults/world.rs"]
mod world;

use std::{env, thread, time::Instant};

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap())
}

/// Plays so many histories on every CPU, and holds each to its answers.
fn play(count: u64) {
    #[allow(clippy::disallowed_methods, reason = "an Instant has no other source")]
    let begin = Instant::now();
    if let Some(seed) = number("HISTORY") {
        told::play(seed, begin, true).unwrap_or_else(|wrong| panic!("{wrong}"));
        return;
    }
    let count = number("HISTORIES").unwrap_or(count);
    let threads = thread::available_parallelism().map_or(1, |it| it.get() as u64);
    let share = |first: u64| {
        let (mut asked, mut passed_over) = (0, 0);
        let mut wrong = Vec::new();
        for seed in (first..count).step_by(threads as usize) {
            match told::play(seed, begin, false) {
                Ok(outcome) => {
                    asked += outcome.asked;
                    passed_over += outcome.passed_over;
                }
                Err(_) => wrong.push(seed),
            }
        }
        (asked, passed_over, wrong)
    };
    let shares = thread::scope(|scope| {
        #[allow(
            clippy::needless_collect,
            reason = "all are started before one is waited for"
        )]
        let threads: Vec<_> = (0..threads)
            .map(|first| scope.spawn(move || share(first)))
            .collect();
        let shares = threads.into_iter().map(|it| it.join().unwrap());
        shares.collect::<Vec<_>>()
    });
    let asked: usize = shares.iter().map(|it| it.0).sum();
    let passed_over: usize = shares.iter().map(|it| it.1).sum();
    let mut wrong: Vec<_> = shares.into_iter().flat_map(|it| it.2).collect();
    wrong.sort_unstable();
    println!(
        "{count} histories, {asked} answers; not asked about what a watch lost: {passed_over}"
    );
    if let Some(seed) = wrong.first() {
        let why = told::play(*seed, begin, true).unwrap_err();
        panic!(
            "{why}\n{} of {count}: HISTORY=n for n in {wrong:?}",
            wrong.len()
        );
    }
    assert!(
        passed_over < asked / 10,
        "what a watch lost is the exception"
    );
}

#[test]
fn no_answer_in_a_thousand_histories_was_true_at_no_time() {
    play(1_000);
}

#[test]
#[ignore = "a minute or two without optimization"]
fn no_answer_in_ten_thousand_histories_was_true_at_no_time() {
    play(10_000);
}

/// The same with an API server.
fn serve(count: u64) {
    let served = |seed, aloud| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(served::play(seed, aloud))
    };
    if let Some(seed) = number("SERVED_HISTORY") {
        served(seed, true).unwrap_or_else(|wrong| panic!("{wrong}"));
        return;
    }
    let mut asked = 0;
    let mut wrong = Vec::new();
    let count = number("SERVED").unwrap_or(count);
    for seed in 0..count {
        match served(seed, false) {
            Ok(of_seed) => asked += of_seed,
            Err(_) => wrong.push(seed),
        }
    }
    println!("{count} histories with an API server, {asked} answers");
    if let Some(seed) = wrong.first() {
        let why = served(*seed, true).unwrap_err();
        panic!(
            "{why}\n{} of {count}: SERVED_HISTORY=n for n in {wrong:?}",
            wrong.len()
        );
    }
}

#[test]
fn no_answer_in_histories_with_an_api_server_that_fails_was_true_at_no_time() {
    serve(20);
}

#[test]
#[ignore = "a minute or two without optimization"]
fn no_answer_in_two_hundred_histories_with_an_api_server_that_fails_was_true_at_no_time() {
    serve(200);
}
