//! What an answer costs that waits for nothing, without sockets: `cargo bench --bench hot_path`. Times are this machine's;
//! `benches/counts.rs` has the figures that do not shake.

mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use support::{GROWTH, QUESTIONS, Questions};

fn answers(criterion: &mut Criterion) {
    for (what, _) in QUESTIONS.into_iter().chain(GROWTH) {
        let (mut questions, mut n) = (Questions::new(what), 0);
        criterion.bench_function(what, |bencher| {
            bencher.iter(|| {
                n += 1;
                questions.ask(n, 1);
            });
        });
    }
}

criterion_group!(hot_path, answers);
criterion_main!(hot_path);
