//! What the cache promises whoever fills it: how much memory it takes, and whose answers stay.
//!
//! The figures with ten million names: `cargo test --release --test cache -- --ignored --nocapture`.
#![allow(
    clippy::unwrap_used,
    unsafe_code,
    reason = "an allocator that counts is an unsafe trait; no code of the server is here"
)]

use gapless::{
    cache::{Bounds, Cache, Entry, Key, MESSAGE_MAX},
    wire::{NameKey, Question, Response},
};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Instant,
};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(
            HELD.fetch_add(layout.size(), Relaxed) + layout.size(),
            Relaxed,
        );
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Held by each test: the allocator counts for all of them.
static ALONE: Mutex<()> = Mutex::new(());

const MIB: u64 = 1024 * 1024;

fn key(name: &str) -> Key {
    let question = Question {
        name: NameKey::from_text(name).unwrap(),
        qtype: 16,
        qclass: 1,
        dnssec_ok: false,
        checking_disabled: false,
    };
    Key::new(&question, 0)
}

/// An answer with TTL 60: one record with this much text, or NXDOMAIN with a SOA.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Text(u16),
    NxDomain,
}

fn entry(name: &str, answer: Answer, now: Instant) -> Arc<Entry> {
    let (rcode, counts, rtype, data) = match answer {
        Answer::Text(len) => (0, [0, 1, 0, 0], 16, vec![0; len.into()]),
        // Two names that are the root, and five times 60.
        Answer::NxDomain => (
            3,
            [0, 0, 0, 1],
            6,
            [0, 0].into_iter().chain([0, 0, 0, 60].repeat(5)).collect(),
        ),
    };
    let mut message = vec![0, 0, 0x81, 0x80 | rcode, 0, 1];
    message.extend(counts);
    message.extend([0, 0]);
    message.extend(NameKey::from_text(name).unwrap().as_bytes());
    message.extend([0, 16, 0, 1]);
    message.extend([0xc0, 12, 0, rtype, 0, 1, 0, 0, 0, 60]);
    message.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    message.extend(data);
    let response = Response::parse(message).unwrap();
    Arc::new(Entry::new(
        &key(name),
        &response,
        Bounds::default(),
        false,
        now,
    ))
}

/// A name is asked: is its answer held? If not, it comes and is kept.
fn ask(cache: &Cache, name: &str, now: Instant, answer: Answer) -> bool {
    let held = cache.get(&key(name), now).is_some();
    if !held {
        cache.put(entry(name, answer, now));
    }
    held
}

#[allow(clippy::disallowed_methods, reason = "an Instant has no other source")]
fn now() -> Instant {
    Instant::now()
}

/// A cache with room for some 28,000 answers, and who asks it: in a round each of so many popular names once, and between
/// them so many questions for names that nobody else asks for, each of which comes `times` times.
struct Crowd {
    cache: Cache,
    popular: usize,
    flood: usize,
    times: usize,
    rounds: usize,
    now: Instant,
}

impl Crowd {
    /// A day like any other: the cache is full of what nobody asks for any more, and the popular names are in it.
    fn new(popular: usize) -> Self {
        let now = now();
        let mut crowd = Self {
            cache: Cache::new(16 * MIB, MESSAGE_MAX),
            popular,
            flood: 0,
            times: 1,
            rounds: 0,
            now,
        };
        for n in 0..40_000 {
            crowd.ask(&format!("n{n}.yesterday.example"));
        }
        crowd.round();
        assert_eq!(crowd.round(), popular, "before the flood");
        crowd
    }

    fn ask(&self, name: &str) -> bool {
        ask(&self.cache, name, self.now, Answer::Text(40))
    }

    /// Hits of the popular names in one round.
    fn round(&mut self) -> usize {
        let mut hits = 0;
        for popular in 0..self.popular {
            for n in 0..self.flood / self.popular / self.times {
                let name = format!("n{n}.{popular}.{}.flood.example", self.rounds);
                for _ in 0..self.times {
                    self.ask(&name);
                }
            }
            let name = format!("www{popular}.example.org");
            hits += usize::from(self.ask(&name));
        }
        self.rounds += 1;
        hits
    }
}

#[test]
fn b4_a_million_names_asked_once_push_out_no_popular_answer() {
    let _alone = ALONE.lock();
    let mut crowd = Crowd::new(2000);
    crowd.flood = 40_000;
    let hits: usize = (0..25).map(|_| crowd.round()).sum();
    assert_eq!(hits, 25 * 2000);
}

#[test]
fn b4_nor_do_names_asked_twice() {
    let _alone = ALONE.lock();
    let mut crowd = Crowd::new(2000);
    (crowd.flood, crowd.times) = (40_000, 2);
    let hits: usize = (0..5).map(|_| crowd.round()).sum();
    assert_eq!(hits, 5 * 2000);
}

#[test]
fn b4_names_that_become_popular_during_a_flood_get_in() {
    let _alone = ALONE.lock();
    let mut crowd = Crowd::new(2000);
    (crowd.flood, crowd.popular) = (20_000, 4000);
    let hits = [0; 3].map(|_| crowd.round());
    assert_eq!(hits, [2000, 2000, 4000], "asked once, asked again, held");
}

#[test]
fn rfc_2308_negatives_take_a_quarter_of_the_memory_and_no_answers_place() {
    let _alone = ALONE.lock();
    let (cache, now) = (Cache::new(4 * MIB, MESSAGE_MAX), now());
    let held = |answer, zone: &str, count: usize| {
        let names = (0..count).map(|n| format!("{n}.{zone}"));
        let asked = names.filter(|name| ask(&cache, name, now, answer));
        asked.count()
    };
    const DATA: Answer = Answer::Text(40);
    held(DATA, "example.org", 5000);
    held(Answer::NxDomain, "gone.example", 40_000);
    let [positive, negative] = cache.size();
    assert!(
        (MIB * 9 / 10..=MIB).contains(&negative.bytes),
        "{negative:?}"
    );
    assert_eq!(negative.entries + negative.evicted, 40_000);
    assert_eq!((positive.entries, positive.evicted), (5000, 0));
    assert_eq!(held(DATA, "example.org", 5000), 5000);
}

/// B9 row 16: what is allowed beyond the configured octets.
const SLACK: f64 = 1.3;

/// Floods a cache with answers under so many different names, from four threads at once. Gives the octets that were
/// allocated at the most, as a share of those configured.
fn flood(bytes: u64, names: usize, kinds: [Answer; 2]) -> f64 {
    let (before, now) = (HELD.load(Relaxed), now());
    PEAK.store(before, Relaxed);
    let cache = Cache::new(bytes, MESSAGE_MAX);
    thread::scope(|scope| {
        for thread in 0..4 {
            let cache = &cache;
            scope.spawn(move || {
                for n in (thread..names).step_by(4) {
                    let name = format!("{n}.example");
                    ask(cache, &name, now, kinds[n / 4 % 2]);
                }
            });
        }
    });
    (PEAK.load(Relaxed) - before) as f64 / bytes as f64
}

#[test]
fn b9_16_the_cache_allocates_no_more_than_it_was_given() {
    use Answer::{NxDomain, Text};
    let _alone = ALONE.lock();
    for kinds in [
        [Text(2), NxDomain],
        [Text(400), NxDomain],
        [Text(8000), NxDomain],
    ] {
        for (mib, names) in [(1, 10_000), (4, 30_000)] {
            let share = flood(mib * MIB, names, kinds);
            println!("{mib} MiB, {kinds:?}: {share:.2}");
            assert!(
                (0.7..SLACK).contains(&share),
                "{mib} MiB, {kinds:?}: {share:.2}"
            );
        }
    }
}

#[test]
#[ignore = "a measurement that takes minutes: what the process takes under ten million names"]
fn b9_16_ten_million_names_leave_the_process_within_1_3_times_the_configured_size() {
    use Answer::{NxDomain, Text};
    let _alone = ALONE.lock();
    println!("MiB configured | answers | allocated | resident, of those configured");
    // Small caches first: what the allocator keeps of one counts for the next.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = resident();
    for mib in [16, 64, 256] {
        for kinds in [
            [Text(2), Text(2)],
            [Text(2), NxDomain],
            [Text(400), Text(8000)],
        ] {
            fs::write("/proc/self/clear_refs", "5").unwrap();
            let allocated = flood(mib * MIB, 10_000_000, kinds);
            let resident = (resident() - before) as f64 / (mib * MIB) as f64;
            println!("{mib:14} | {kinds:?} | {allocated:.2} | {resident:.2}");
            assert!(allocated < SLACK && resident < SLACK);
        }
    }
}

/// The most octets that the process has had in memory.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    1024 * kib.parse::<usize>().unwrap()
}
