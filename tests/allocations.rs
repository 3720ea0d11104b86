//! What an answer costs in allocations, counted for each thread by the allocator of this binary.
#![allow(
    clippy::unwrap_used,
    unsafe_code,
    reason = "an allocator that counts is an unsafe trait; no code of the server is here"
)]

#[path = "support/mod.rs"]
mod support;

use gapless::{
    engine::{Asked, Engine, Now, Recent},
    forward,
    metrics::Transport,
    wire::NameKey,
};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    net::Ipv4Addr,
    time::{Duration, Instant},
};
use support::upstream::{Act, FakeUpstream};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const HITS: usize = 20_000;

/// Allocations of this thread in so many rounds, after as many rounds in which everybody gets what is needed once.
fn allocations(mut round: impl FnMut(usize)) -> usize {
    (0..HITS).for_each(&mut round);
    let before = ALLOCATIONS.get();
    (0..HITS).for_each(&mut round);
    ALLOCATIONS.get() - before
}

fn query(name: &str, qtype: u8) -> Vec<u8> {
    let mut packet = b"\0\x07\x01\0\0\x01\0\0\0\0\0\x01".to_vec();
    packet.extend_from_slice(NameKey::from_text(name).unwrap().as_bytes());
    packet.extend_from_slice(&[0, qtype, 0, 1]);
    packet.extend_from_slice(b"\0\0\x29\x04\xd0\0\0\0\0\0\0");
    packet
}

/// How many allocations it takes to answer this query so often, on a thread with or without a memory of its own.
fn answering(
    engine: &Engine,
    packet: &[u8],
    mut recent: Option<&mut Recent>,
    expected_rcode: u8,
    now: Instant,
) -> usize {
    let mut out = vec![0; 1232];
    allocations(|rotation| {
        let asked = Asked {
            packet,
            client: (Ipv4Addr::LOCALHOST, 5353).into(),
            local: Ipv4Addr::LOCALHOST.into(),
            transport: Transport::Udp,
            rotation,
        };
        let snapshot = engine.snapshot();
        let mut view = engine.view(&snapshot, recent.as_deref_mut());
        let ahead = view.read_ahead([packet; 4].into_iter());
        let answer = view.answer_now(&asked, ahead.nth(3), now, &mut out);
        assert!(matches!(answer, Now::Reply(_)), "{answer:?}");
        assert_eq!(out[3] & 15, expected_rcode);
    })
}

#[test]
fn the_synchronous_path_allocates_nothing() {
    let engine = support::engine::with_objects(&[
        support::objects::cluster_ip("kube-dns", &["10.96.0.10", "fd00:96::a"]),
        support::objects::headless("nginx"),
        support::objects::slice("nginx", 200),
        support::objects::external_name("alias", "kube-dns.default.svc.cluster.local"),
    ]);
    for (name, qtype, rcode) in [
        ("kube-dns.default.svc.cluster.local", 1, 0),
        ("kube-dns.default.svc.cluster.local", 16, 0),
        ("nginx.default.svc.cluster.local", 1, 0),
        ("h-7.nginx.default.svc.cluster.local", 1, 0),
        ("_p._tcp.nginx.default.svc.cluster.local", 33, 0),
        ("alias.default.svc.cluster.local", 28, 0),
        ("7.0.1.10.in-addr.arpa", 12, 0),
        ("10-1-0-7.default.pod.cluster.local", 1, 0),
        ("cluster.local", 2, 0),
        ("h-9.nginx.default.svc.cluster.local", 1, 3),
        ("example.com.default.svc.cluster.local", 1, 3),
        ("localhost", 1, 0),
        ("static.example", 1, 0),
        ("static.example", 16, 0),
        ("10.2.0.192.in-addr.arpa", 12, 0),
        ("example.com", 255, 0),
    ] {
        assert_eq!(
            answering(&engine, &query(name, qtype), None, rcode, now()),
            0,
            "{name} {qtype}"
        );
    }
}

#[test]
fn a_cache_hit_allocates_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let upstream = runtime.block_on(FakeUpstream::start("www.example.org. 3600 IN A 192.0.2.7"));
    let upstreams = forward::Options {
        upstreams: vec![upstream.address.into()],
        ..<_>::default()
    };
    let engine = support::engine::synced(&[], &upstreams);
    let packet = query("www.example.org", 1);
    let asked = Asked {
        packet: &packet,
        client: (Ipv4Addr::LOCALHOST, 5353).into(),
        local: Ipv4Addr::LOCALHOST.into(),
        transport: Transport::Udp,
        rotation: 0,
    };
    let answer_after = |time| {
        runtime.block_on(async {
            tokio::time::sleep(time).await;
            engine.answer(asked, &mut vec![0; 1232]).await.unwrap();
            tokio::time::Instant::now().into_std()
        })
    };
    let fresh = answer_after(Duration::ZERO);

    // The refresh of an answer that is about to end is started by the first hit, which is not among those that count.
    for now in [fresh, fresh + Duration::from_secs(3599)] {
        let shared = answering(&engine, &packet, None, 0, now);
        let own = answering(&engine, &packet, Some(&mut Recent::default()), 0, now);
        assert_eq!([shared, own], [0, 0]);
    }
    assert_eq!(upstream.asked().udp, 1);

    upstream.always(Act::Silent);
    let stale = answer_after(Duration::from_secs(3601));
    let own = answering(&engine, &packet, Some(&mut Recent::default()), 0, stale);
    assert_eq!(own, 0);
}

#[allow(clippy::disallowed_methods, reason = "an Instant has no other source")]
fn now() -> Instant {
    Instant::now()
}
