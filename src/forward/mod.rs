//! Everything that leaves the node: a question without an answer in the cache goes to its route's upstreams, once for all
//! who ask it. It chooses no route, and of who asks it knows the address whose share is counted.
//!
//! ```text
//! held ────▶ cache · failures ── known ─▶ entry        (any thread, without waiting)
//!               └─ popular and about to end ─▶ inflight, and nobody waits
//! resolve ─▶ inflight ─ first of its kind ─▶ cache · failures ─ unknown ─▶ exchange ─▶ upstream ─▶ sockets
//!               ▲                                                             │
//!               └─── waiters ◀──────────── outcome ◀── cache · failures ◀─────┘   (a task of its own)
//!                      └─ no outcome within 1.8 s, or a failure, and an answer past its time is held ─▶ that one
//! ```

mod choice;
mod exchange;
mod failure;
mod failures;
mod habit;
mod hedge;
mod held;
mod inflight;
mod loops;
mod options;
mod plan;
mod probing;
mod query;
mod resolv_conf;
mod server;
mod shares;
mod stale;
mod upstream;

pub use failure::Failure;
pub use held::Held;
pub use inflight::Limits;
pub use options::{Options, Route, ZoneRoute};
pub use plan::SENDS;
pub use resolv_conf::{BadLine, ResolvConf, SERVERS_MAX};
pub use server::{Server, Transport};
pub use upstream::{BadRoots, Roots};

use crate::{
    cache::{Bounds, Cache, Entry, Key},
    lifecycle::{Drain, Tasks},
    metrics::{self, Limit},
    wire::{Question, Response},
};
use arc_swap::ArcSwap;
use exchange::{Exchange, Upstreams};
use failures::Failures;
use inflight::{Flight, Inflight, Seat, Waiter};
use loops::Probes;
use query::Draw;
use rand::rngs::StdRng;
use shares::{Share, Shares};
use stale::{CLIENT_PATIENCE, State};
use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, sync::Notify, time::timeout};
use upstream::Dialer;

/// What comes of asking: an answer, or a part of it, or an upstream's word that it cannot answer.
type Outcome = Result<Arc<Entry>, Failure>;

/// The forwarder. Every clone is a handle to the same one.
#[derive(Clone, Debug)]
pub struct Forwarder {
    shared: Arc<Shared>,
    inflight: Arc<Inflight<Outcome>>,
    shares: Arc<Shares>,
    tasks: Tasks,
}

struct Shared {
    /// By [`Route::number`].
    routes: Box<[Configured]>,
    prefetch: bool,
    case_randomization: bool,
    cache: Cache,
    failures: Failures,
    probes: Arc<Probes>,
    /// An upstream is suspected that was not, or there are other ones.
    suspicion: Notify,
    rng: Mutex<StdRng>,
    metrics: metrics::Forward,
    /// Where questions are asked; known from the first one on, before which there is nothing to refresh.
    runtime: OnceLock<Handle>,
}

/// A route as it is configured.
#[derive(Debug)]
struct Configured {
    /// Questions under way stay with those that they began with.
    upstreams: Arc<ArcSwap<Upstreams>>,
    bounds: Bounds,
    trust_ad: bool,
}

impl Forwarder {
    /// A forwarder with an empty cache. `rng` gives message IDs and ports: outside tests its seed is the system's.
    pub fn new(options: &Options, tasks: Tasks, metrics: metrics::Forward, rng: StdRng) -> Self {
        let cluster_bounds = Bounds {
            negative: 0,
            ..options.bounds
        };
        let dialer = Dialer::new(&tasks, options.roots.clone(), metrics.clone());
        let configured = |upstreams: &[Server], bounds, trust_ad| Configured {
            upstreams: Arc::new(ArcSwap::from_pointee(Upstreams::new(upstreams, &dialer))),
            bounds,
            trust_ad,
        };
        let first = [
            configured(&options.upstreams, options.bounds, options.trust_ad),
            configured(&options.cluster_dns, cluster_bounds, options.trust_ad),
        ];
        let zones = options.routes.iter();
        let zones = zones.map(|it| configured(&it.upstreams, options.bounds, it.trust_ad));
        let cache = Cache::new(options.cache_bytes, options.cache_message_max);
        let measured = cache.clone();
        metrics.cache_size_from(move || {
            let sizes = measured.size();
            sizes.map(|size| [size.entries, size.bytes, size.evicted])
        });
        let shared = Shared {
            routes: first.into_iter().chain(zones).collect(),
            prefetch: options.prefetch,
            case_randomization: options.case_randomization,
            cache,
            failures: Failures::new(),
            probes: <_>::default(),
            suspicion: Notify::new(),
            rng: Mutex::new(rng),
            metrics,
            runtime: OnceLock::new(),
        };
        let routes = shared.routes.iter();
        let measured: Vec<_> = routes.map(|it| Arc::clone(&it.upstreams)).collect();
        shared
            .metrics
            .upstreams_from(move || measured.iter().flat_map(|it| it.load().known()).collect());
        Self {
            shared: Arc::new(shared),
            inflight: Inflight::new(options.limits),
            shares: Shares::new(options.limits.per_client),
            tasks,
        }
    }

    /// Looks for upstreams that send questions back here, until the drain: at the start, when there are other upstreams, and
    /// when a question came to no answer.
    pub async fn find_loops(self, drain: Drain) {
        drain.run_until_cancelled(self.shared.find_loops()).await;
    }

    /// Has this route any upstream?
    pub fn has_upstreams(&self, route: Route) -> bool {
        let configured = self.shared.configured(route);
        configured.is_some_and(|it| !it.upstreams.load().servers.is_empty())
    }

    /// Gives [`Route::Default`] other upstreams. What is known of those that stay is kept, and so is every answer; questions
    /// under way come to their end with the former ones.
    pub fn replace_upstreams(&self, servers: &[Server]) {
        if let Some(configured) = self.shared.configured(Route::Default) {
            let replaced = configured.upstreams.load().replaced_by(servers);
            configured.upstreams.store(Arc::new(replaced));
            self.shared.suspicion.notify_one();
        }
    }

    /// The answer, if it can be given at `now`; also an upstream's SERVFAIL or REFUSED while it is remembered. It
    /// neither allocates nor locks, but for the one hit in an answer's life that starts its refresh.
    pub fn held(&self, question: &Question, route: Route, now: Instant) -> Option<Held> {
        let key = Key::new(question, route.number());
        let Some(entry) = self.shared.cache.get(&key, now) else {
            let failure = self.shared.failures.get(&key, now)?.ok()?;
            return Some(Held::current(failure));
        };
        let times = entry.times(now);
        match stale::state(times) {
            State::Ending if self.shared.prefetch && entry.claim_refresh() => {
                if self.refresh(&key, question, route).is_none() {
                    entry.refresh_failed(now);
                }
                Some(Held::current(entry))
            }
            state @ (State::Fresh | State::Ending) => {
                entry.hit();
                let same_for = match state == State::Fresh && entry.is_popular() {
                    true => stale::same_for(times),
                    false => Duration::ZERO,
                };
                Some(Held {
                    same_for,
                    ..Held::current(entry)
                })
            }
            State::Unrefreshed => Some(Held::stale(entry)),
            State::RefreshDue | State::Dead => None,
        }
    }

    /// What is given at `now` to a question that must not be asked: one of this server's own that came back, or one of a client
    /// that has its share under way, which gets an older answer if one is held. `None` if it may be asked.
    pub fn refused(
        &self,
        question: &Question,
        route: Route,
        client: IpAddr,
        now: Instant,
    ) -> Option<Result<Held, Failure>> {
        if self.shared.probes.came_back(&question.name) {
            return Some(Err(Failure::Loop));
        }
        if !self.shares.is_used_up(client) {
            return None;
        }
        self.shared.metrics.limited(Limit::Client);
        let past = self
            .shared
            .cache
            .get(&Key::new(question, route.number()), now);
        let held = past.map(|entry| match entry.is_current(now) {
            true => Held::current(entry), // it has just come
            false => Held::stale(entry),
        });
        Some(held.ok_or(Failure::ShareUsedUp))
    }

    /// The answer, with whatever it takes: within some 4 s, or 1.8 s if an older one is held. Dropping the future leaves
    /// the question on its way, for others and for the cache, and in the client's share.
    pub async fn resolve(
        &self,
        question: &Question,
        route: Route,
        client: IpAddr,
    ) -> Result<Held, Failure> {
        if !self.has_upstreams(route) {
            return Err(Failure::NoUpstreams);
        }
        let asked_at = now();
        if let Some(held) = self.held(question, route, asked_at) {
            return Ok(held);
        }
        let key = Key::new(question, route.number());
        let past = self.shared.cache.get(&key, asked_at);
        let Some(stale) = past.filter(|entry| !entry.is_current(asked_at)) else {
            let waiter = self.board(&key, question, route, client)?;
            let outcome = waiter.outcome().await;
            let entry = outcome.unwrap_or(Err(Failure::Dropped))?;
            return Ok(Held::current(entry));
        };
        if let Ok(waiter) = self.board(&key, question, route, client) {
            match timeout(CLIENT_PATIENCE, waiter.outcome()).await {
                Ok(Some(Ok(entry))) if is_answer(&entry) => {
                    return Ok(Held::current(entry));
                }
                Ok(_) => {}
                // Who asks from now on need not wait as well; the newer answer may still come.
                Err(_) => stale.refresh_failed(now()),
            }
        }
        Ok(Held::stale(stale))
    }

    /// A seat on the flight of this question, which is under way by then. It is in the share of the client who leads, for as
    /// long as it takes; who waits needs a place in his for no longer than it takes to find that out.
    fn board(
        &self,
        key: &Key,
        question: &Question,
        route: Route,
        client: IpAddr,
    ) -> Result<Waiter<Outcome>, Failure> {
        let Some(share) = self.shares.take(client) else {
            self.shared.metrics.limited(Limit::Client);
            return Err(Failure::ShareUsedUp);
        };
        let met = match self.inflight.join(key) {
            Seat::Leader(flight, waiter) => {
                self.shared.runtime.get_or_init(Handle::current);
                // The last flight may have landed since the asker looked.
                match self.shared.known(key, now()) {
                    Some(outcome) => flight.land(outcome),
                    None => self.take_off(flight, question, route, Some(share)),
                }
                return Ok(waiter);
            }
            Seat::Waiter(waiter) => return Ok(waiter),
            Seat::TooManyWaiters => Limit::Waiters,
            Seat::TooManyFlights => Limit::Flights,
        };
        self.shared.metrics.limited(met);
        Err(Failure::Overloaded)
    }

    /// Asks again, for nobody who waits, from whatever thread; `None` if that cannot be done now.
    fn refresh(&self, key: &Key, question: &Question, route: Route) -> Option<()> {
        let runtime = self.shared.runtime.get()?;
        match self.inflight.join(key) {
            Seat::Leader(flight, _) => {
                let _within = runtime.enter();
                self.take_off(flight, question, route, None);
            }
            Seat::Waiter(_) | Seat::TooManyWaiters => {} // under way already
            Seat::TooManyFlights => {
                self.shared.metrics.limited(Limit::Flights);
                return None;
            }
        }
        Some(())
    }

    /// Asks in a task of its own, which no asker can cancel.
    fn take_off(
        &self,
        flight: Flight<Outcome>,
        question: &Question,
        route: Route,
        share: Option<Share>,
    ) {
        let (shared, question) = (Arc::clone(&self.shared), question.clone());
        drop(self.tasks.brief(async move {
            let _share = share;
            shared.fly(flight, &question, route).await;
        }));
    }
}

impl Shared {
    fn configured(&self, route: Route) -> Option<&Configured> {
        self.routes.get(usize::from(route.number()))
    }

    /// What needs no asking at `now`.
    fn known(&self, key: &Key, now: Instant) -> Option<Outcome> {
        let held = self.cache.get(key, now);
        let current = held.filter(|entry| entry.is_current(now)).map(Ok);
        current.or_else(|| self.failures.get(key, now))
    }

    /// Asks the upstreams, for those on this flight, and keeps what may be kept. A failure takes no answer's place; an answer
    /// that comes too late takes the failure's.
    async fn fly(&self, flight: Flight<Outcome>, question: &Question, route: Route) {
        let Some(configured) = self.configured(route) else {
            return flight.land(Err(Failure::NoUpstreams));
        };
        let key = Key::new(question, route.number());
        let (upstreams, draw) = (configured.upstreams.load_full(), || self.draw());
        if upstreams.all_loop() {
            return flight.land(Err(Failure::Loop));
        }
        let mut exchange = Exchange::new(&upstreams, question, draw, &self.metrics);
        let asked = exchange.outcome().await;
        let outcome = self.keep(&key, configured, asked);
        if outcome.as_ref().is_ok_and(is_answer) {
            return flight.land(outcome);
        }
        self.suspect(&upstreams, &question.name);
        flight.announce(outcome);
        if let Some(late) = exchange.late_answer().await {
            flight.land(self.keep(&key, configured, Ok(late)));
        }
    }

    /// Keeps what the upstreams said, or that they did not.
    fn keep(
        &self,
        key: &Key,
        configured: &Configured,
        asked: Result<Response, Failure>,
    ) -> Outcome {
        let now = now();
        let Configured {
            bounds, trust_ad, ..
        } = configured;
        let outcome =
            asked.map(|response| Arc::new(Entry::new(key, &response, *bounds, *trust_ad, now)));
        match &outcome {
            Ok(entry) if is_answer(entry) => {
                self.failures.forget(key);
                self.cache.put(Arc::clone(entry));
            }
            _ => {
                if let Some(held) = self.cache.get(key, now) {
                    held.refresh_failed(now);
                }
                self.failures.put(key, outcome.clone(), now);
            }
        }
        outcome
    }

    fn draw(&self) -> Draw {
        let draw = Draw::new(&mut *self.rng());
        match self.case_randomization {
            true => draw,
            false => draw.in_lower_case(),
        }
    }

    fn rng(&self) -> MutexGuard<'_, StdRng> {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Is it a whole answer, and not an upstream's word that it cannot answer?
fn is_answer(entry: &Arc<Entry>) -> bool {
    !entry.is_truncated() && exchange::is_answer(entry.rcode().into())
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
