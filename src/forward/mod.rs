//! Everything that leaves the node: a question without an answer in the cache goes to its route's upstreams, once for all
//! who ask it. It chooses no route, and does not know who asks.
//!
//! ```text
//! held ────▶ cache · failures ── known ─▶ entry        (any thread, without waiting)
//! resolve ─▶ inflight ─ first of its kind ─▶ cache · failures ─ unknown ─▶ exchange ─▶ upstream ─▶ sockets
//!               ▲                                                             │
//!               └─── waiters ◀──────────── outcome ◀── cache · failures ◀─────┘   (a task of its own)
//! ```

mod choice;
mod exchange;
mod failures;
mod inflight;
mod resolv_conf;
mod upstream;

pub use exchange::SENDS;
pub use inflight::Limits;
pub use resolv_conf::{BadLine, ResolvConf, SERVERS_MAX};

use crate::{
    cache::{self, Bounds, Cache, Entry, Key, Recent},
    lifecycle::Tasks,
    metrics::{self, Limit},
    wire::{Ede, Question},
};
use exchange::Upstreams;
use failures::Failures;
use inflight::{Flight, Inflight, Seat};
use rand::rngs::StdRng;
use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use upstream::Draw;

/// Where a question goes. An answer learnt on one route never serves another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// The upstreams for everything that has no other route.
    Default,
    /// The cluster's own DNS: for the cluster's names while the index cannot answer. No negative answer of it is kept.
    ClusterDns,
}

impl Route {
    const COUNT: usize = 2;

    const fn number(self) -> u16 {
        self as u16
    }
}

/// What the forwarder is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Upstreams of [`Route::Default`].
    pub upstreams: Vec<SocketAddr>,
    /// Upstreams of [`Route::ClusterDns`].
    pub cluster_dns: Vec<SocketAddr>,
    /// Octets of memory for answers.
    pub cache_bytes: u64,
    /// Octets of the longest message that is kept.
    pub cache_message_max: usize,
    /// For how long answers are kept; on [`Route::ClusterDns`] negative ones never are.
    pub bounds: Bounds,
    /// Is the AD bit of an upstream believed, and the way to it (RFC 6840 §5.8)?
    pub trust_ad: bool,
    /// How much may be under way.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            upstreams: Vec::new(),
            cluster_dns: Vec::new(),
            cache_bytes: cache::DEFAULT_BYTES,
            cache_message_max: cache::MESSAGE_MAX,
            bounds: Bounds::default(),
            trust_ad: false,
            limits: Limits::default(),
        }
    }
}

/// Why there is no answer. The asker gets SERVFAIL, and [`Failure::ede`] if it sent EDNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Upstreams were asked, and none answered in time.
    #[error("no upstream answered")]
    NoAnswer,
    /// No upstream could even be reached.
    #[error("no upstream could be reached")]
    Unreachable,
    /// A limit of this server's was met.
    #[error("too many questions under way")]
    Overloaded,
    /// The route has no upstreams.
    #[error("no upstream is configured")]
    NoUpstreams,
    /// The exchange ended without an outcome: the process ends, or it is at fault.
    #[error("the question was dropped")]
    Dropped,
}

impl Failure {
    /// The Extended DNS Error that says so (RFC 8914 §4).
    pub const fn ede(self) -> Ede<'static> {
        const OTHER: u16 = 0;
        const NO_REACHABLE_AUTHORITY: u16 = 22;
        const NETWORK_ERROR: u16 = 23;
        match self {
            Self::NoAnswer => Ede::new(NO_REACHABLE_AUTHORITY, "no upstream answered"),
            Self::Unreachable => Ede::new(NETWORK_ERROR, "no upstream could be reached"),
            Self::Overloaded => Ede::new(OTHER, "too many questions under way"),
            Self::NoUpstreams => Ede::new(OTHER, "no upstream is configured"),
            Self::Dropped => Ede::new(OTHER, "the question was dropped"),
        }
    }
}

/// What comes of a question.
pub type Outcome = Result<Arc<Entry>, Failure>;

/// The forwarder. Every clone is a handle to the same one.
#[derive(Clone, Debug)]
pub struct Forwarder {
    shared: Arc<Shared>,
    inflight: Arc<Inflight<Outcome>>,
    tasks: Tasks,
}

struct Shared {
    routes: [(Upstreams, Bounds); Route::COUNT],
    trust_ad: bool,
    cache: Cache,
    failures: Failures,
    rng: Mutex<StdRng>,
    metrics: metrics::Forward,
}

impl Forwarder {
    /// A forwarder with an empty cache. `rng` gives message IDs and ports: outside tests its seed is the system's.
    pub fn new(options: &Options, tasks: Tasks, metrics: metrics::Forward, rng: StdRng) -> Self {
        let cluster_bounds = Bounds {
            negative: 0,
            ..options.bounds
        };
        let cache = Cache::new(options.cache_bytes, options.cache_message_max);
        let measured = cache.clone();
        metrics.cache_size_from(move || {
            let size = measured.size();
            [size.entries, size.bytes, size.evicted]
        });
        let shared = Shared {
            routes: [
                (Upstreams::new(&options.upstreams), options.bounds),
                (Upstreams::new(&options.cluster_dns), cluster_bounds),
            ],
            trust_ad: options.trust_ad,
            cache,
            failures: Failures::new(),
            rng: Mutex::new(rng),
            metrics,
        };
        Self {
            shared: Arc::new(shared),
            inflight: Inflight::new(options.limits),
            tasks,
        }
    }

    /// Has this route any upstream?
    pub fn has_upstreams(&self, route: Route) -> bool {
        let (upstreams, _) = &self.shared.routes[route as usize];
        !upstreams.servers.is_empty()
    }

    /// The answer, if it is known at `now`; also an upstream's SERVFAIL or REFUSED while it is remembered. `recent` is the
    /// asking thread's own memory, if it has one.
    pub fn held(
        &self,
        question: &Question,
        route: Route,
        recent: Option<&mut Recent>,
        now: Instant,
    ) -> Option<Arc<Entry>> {
        let key = Key::new(question, route.number());
        match recent {
            Some(recent) => {
                let held = recent.get(&self.shared.cache, &key, now);
                held.or_else(|| self.shared.failures.get(&key, now)?.ok())
            }
            None => self.shared.known(&key, now)?.ok(),
        }
    }

    /// The answer, with whatever it takes, within some 4 s. Dropping the future leaves the question on its way, for others
    /// and for the cache.
    pub async fn resolve(&self, question: &Question, route: Route) -> Outcome {
        if !self.has_upstreams(route) {
            return Err(Failure::NoUpstreams);
        }
        let key = Key::new(question, route.number());
        let waiter = match self.inflight.join(&key) {
            Seat::Leader(flight, waiter) => {
                // The last flight may have landed since the asker looked.
                match self.shared.known(&key, now()) {
                    Some(outcome) => flight.land(outcome),
                    None => self.take_off(flight, question, route),
                }
                waiter
            }
            Seat::Waiter(waiter) => waiter,
            Seat::TooManyWaiters => {
                self.shared.metrics.limited(Limit::Waiters);
                return Err(Failure::Overloaded);
            }
            Seat::TooManyFlights => {
                self.shared.metrics.limited(Limit::Flights);
                return Err(Failure::Overloaded);
            }
        };
        waiter.outcome().await.unwrap_or(Err(Failure::Dropped))
    }

    /// Asks in a task of its own, which no asker can cancel.
    fn take_off(&self, flight: Flight<Outcome>, question: &Question, route: Route) {
        let (shared, question) = (Arc::clone(&self.shared), question.clone());
        drop(self.tasks.brief(async move {
            let outcome = shared.ask(&question, route).await;
            flight.land(outcome);
        }));
    }
}

impl Shared {
    fn known(&self, key: &Key, now: Instant) -> Option<Outcome> {
        let held = self.cache.get(key, now).map(Ok);
        held.or_else(|| self.failures.get(key, now))
    }

    /// Asks the upstreams, and keeps what may be kept.
    async fn ask(&self, question: &Question, route: Route) -> Outcome {
        let (upstreams, bounds) = &self.routes[route as usize];
        let asked = exchange::ask(upstreams, question, || self.draw(), &self.metrics).await;
        let (key, now) = (Key::new(question, route.number()), now());
        let (answered, outcome) = match asked {
            Ok(response) => {
                let answered = exchange::is_answer(&response);
                let entry = Entry::new(response, *bounds, self.trust_ad, now);
                (answered, Ok(Arc::new(entry)))
            }
            Err(failure) => (false, Err(failure)),
        };
        match &outcome {
            Ok(entry) if answered => {
                self.failures.forget(&key);
                self.cache.put(&key, Arc::clone(entry));
            }
            _ => self.failures.put(&key, outcome.clone(), now),
        }
        outcome
    }

    fn draw(&self) -> Draw {
        Draw::new(&mut *self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Shared {
    /// Without the generator's state.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("routes", &self.routes)
            .field("cache", &self.cache.size())
            .finish_non_exhaustive()
    }
}

/// The runtime's clock, which tests can hold.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
