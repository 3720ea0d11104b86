//! The cache by itself, full and not: `cargo bench --bench cache`.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a measurement has a clock, and ends with a panic if it cannot be made"
)]

use criterion::{Criterion, criterion_group, criterion_main};
use gapless::{
    cache::{Bounds, Cache, Entry, Key, MESSAGE_MAX},
    wire::{NameKey, Question, Response},
};
use std::{hint::black_box, sync::Arc, time::Instant};

/// Room for some 28,000 answers.
const BYTES: u64 = 16 << 20;
const HELD: usize = 10_000;

fn question(name: &str) -> Question {
    Question {
        name: NameKey::from_text(name).unwrap(),
        qtype: 1,
        qclass: 1,
        dnssec_ok: false,
        checking_disabled: false,
    }
}

/// An answer of one A record with a TTL of an hour.
fn entry(name: &str, now: Instant) -> Arc<Entry> {
    let mut message = b"\0\0\x81\x80\0\x01\0\x01\0\0\0\0".to_vec();
    message.extend(NameKey::from_text(name).unwrap().as_bytes());
    message.extend(b"\0\x01\0\x01\xc0\x0c\0\x01\0\x01\0\0\x0e\x10\0\x04\xc0\0\x02\x01");
    let response = Response::parse(message).unwrap();
    let key = Key::new(&question(name), 0);
    Arc::new(Entry::new(&key, &response, Bounds::default(), false, now))
}

fn cache(criterion: &mut Criterion) {
    let now = Instant::now();
    let cache = Cache::new(BYTES, MESSAGE_MAX);
    let names: Vec<_> = (0..HELD).map(|n| format!("www{n}.example.org")).collect();
    for name in &names {
        cache.put(entry(name, now));
    }
    let questions: Vec<_> = names.iter().map(|name| question(name)).collect();
    let mut n = 0;
    let mut next = move |of: usize| {
        n += 1;
        n % of
    };
    criterion.bench_function("hit, shared, 10,000 names", |bencher| {
        bencher.iter(|| black_box(cache.get(&Key::new(&questions[next(HELD)], 0), now)).is_some());
    });
    let absent = Key::new(&question("absent.example.org"), 0);
    criterion.bench_function("miss", |bencher| {
        bencher.iter(|| black_box(cache.get(&absent, now)).is_none());
    });
    let many: Vec<_> = (0..100_000)
        .map(|n| entry(&format!("n{n}.example.org"), now))
        .collect();
    criterion.bench_function("insertion into a full cache", |bencher| {
        bencher.iter(|| cache.put(Arc::clone(&many[next(many.len())])));
    });
}

criterion_group!(benches, cache);
criterion_main!(benches);
