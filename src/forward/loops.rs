//! Does an upstream send questions back to this server, be it through others? When that is asked, by which name, and what
//! follows from it. It sends nothing and reads no clock; chance comes in with each probe.
//!
//! ```text
//!            a question without an answer, or the start       it came back, and was not answered
//!  asked ────────────────────────────────────────▶ probe ──────────────────────────────────▶ set aside
//!    ▲                                                └── otherwise                            │ 30 s
//!    └─────────────────────────────────────────────────────────────────────────── probe ◀─────┘
//! ```

use crate::wire::NameKey;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// From one probe of an upstream to the next: what it costs when all questions fail for another reason, and how long an
/// upstream is set aside after the end of a loop.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_secs(30);
/// What a probe may take, as much as a question.
pub(super) const PROBE_PATIENCE: Duration = Duration::from_secs(4);

/// What is probed below at the start, before any question has failed: a top-level domain that does not exist, and says whose
/// it is to those who find it in a log. Resolvers pass it on, where they answer `invalid` and single labels themselves; the
/// root denies it for them at once.
pub(super) const FIRST_SUSPECT: &str = "gapless-probe";

/// Where one upstream of one route stands.
#[derive(Debug, Default)]
pub(super) struct Standing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    loops: bool,
    /// What is probed below, for as long as there is a suspicion. A server may forward some zones in a circle, and others not.
    suspect: Option<NameKey>,
    probed_at: Option<Instant>,
}

impl Standing {
    /// Is it set aside?
    pub(super) fn loops(&self) -> bool {
        self.state().loops
    }

    /// Was it never probed, nor suspected?
    pub(super) fn is_new(&self) -> bool {
        let state = self.state();
        state.suspect.is_none() && state.probed_at.is_none()
    }

    /// This question came to no answer. Says whether that is news.
    pub(super) fn suspect(&self, name: &NameKey) -> bool {
        let mut state = self.state();
        let news = state.suspect.is_none();
        state.suspect.get_or_insert_with(|| name.clone());
        news
    }

    /// When it is to be probed, if it is.
    pub(super) fn probe_at(&self, now: Instant) -> Option<Instant> {
        let state = self.state();
        state.suspect.as_ref()?;
        Some(state.probed_at.map_or(now, |at| at + PROBE_INTERVAL))
    }

    /// Begins a probe, if its time has come: what is to be probed below.
    pub(super) fn begin(&self, now: Instant) -> Option<NameKey> {
        self.probe_at(now).filter(|at| *at <= now)?;
        let mut state = self.state();
        state.probed_at = Some(now);
        state.suspect.clone()
    }

    /// Takes the outcome of a probe; says whether it changes anything. One that came back and is answered all the same has
    /// found another way: the upstream asks several servers, of which this one is one.
    pub(super) fn judge(&self, came_back: bool, answered: bool) -> bool {
        let mut state = self.state();
        let loops = came_back && !answered;
        if !loops {
            state.suspect = None;
        }
        std::mem::replace(&mut state.loops, loops) != loops
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The probes under way, by their names, and whether they came back: one for each upstream at most.
#[derive(Debug, Default)]
pub(super) struct Probes(Mutex<HashMap<NameKey, bool>>);

/// A probe under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Probe {
    name: NameKey,
    probes: Arc<Probes>,
}

impl Probes {
    /// A probe below this name, or below [`FIRST_SUSPECT`] if that leaves no room. Its first label is `chance`, which nobody
    /// can know but those on its way: who could guess it could have an upstream set aside (CVE-2026-26018).
    pub(super) fn begin(self: &Arc<Self>, chance: u128, below: &NameKey) -> Probe {
        let label = format!("{chance:032x}");
        let wire = [&[32], label.as_bytes(), below.as_bytes()].concat();
        let name = NameKey::read(&wire, 0).map_or_else(
            || NameKey::from_text(&format!("{label}.{FIRST_SUSPECT}")).expect("a name"),
            |(name, _)| name,
        );
        self.probes().insert(name.clone(), false);
        let probes = Arc::clone(self);
        Probe { name, probes }
    }

    /// Is this question one of the probes? Then it came back.
    pub(super) fn came_back(&self, name: &NameKey) -> bool {
        let mut probes = self.probes();
        let probe = probes.get_mut(name);
        probe.map(|came_back| *came_back = true).is_some()
    }

    fn probes(&self) -> MutexGuard<'_, HashMap<NameKey, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Probe {
    /// What is asked.
    pub(super) const fn name(&self) -> &NameKey {
        &self.name
    }

    /// Was it asked here?
    pub(super) fn came_back(&self) -> bool {
        self.probes.probes().get(&self.name) == Some(&true)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.probes.probes().remove(&self.name);
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "an Instant has no other source")]
mod tests {
    use super::*;

    fn name(text: &str) -> NameKey {
        NameKey::from_text(text).unwrap()
    }

    #[test]
    fn a_suspicion_costs_one_probe_in_30_seconds() {
        let (standing, now) = (Standing::default(), Instant::now());
        assert!(standing.is_new());
        assert_eq!(standing.begin(now), None);
        assert!(standing.suspect(&name("a.example")));
        assert!(!standing.suspect(&name("b.example")));
        assert_eq!(standing.begin(now), Some(name("a.example")));
        assert!(!standing.judge(false, true));
        assert!(standing.suspect(&name("c.example")));
        let next = now + PROBE_INTERVAL;
        assert_eq!(standing.probe_at(now), Some(next));
        assert_eq!(standing.begin(next - Duration::from_millis(1)), None);
        assert_eq!(standing.begin(next), Some(name("c.example")));
    }

    #[test]
    fn who_loops_is_set_aside_and_probed_by_the_same_name_until_it_does_not() {
        let (standing, mut now) = (Standing::default(), Instant::now());
        standing.suspect(&name("a.example"));
        for probe in 0..3 {
            assert_eq!(standing.begin(now), Some(name("a.example")));
            assert_eq!(standing.judge(true, false), probe == 0);
            assert!(standing.loops());
            now += PROBE_INTERVAL;
        }
        assert!(standing.begin(now).is_some());
        assert!(standing.judge(false, true));
        assert!(!standing.loops());
        assert_eq!(standing.probe_at(now + PROBE_INTERVAL), None);
    }

    #[test]
    fn who_answers_what_it_sent_back_or_is_silent_does_not_loop() {
        let standing = Standing::default();
        for (came_back, answered) in [(true, true), (false, false), (false, true)] {
            assert!(!standing.judge(came_back, answered));
            assert!(!standing.loops());
        }
    }

    #[test]
    fn a_probe_is_known_by_its_whole_name_while_it_is_under_way() {
        let probes = Arc::<Probes>::default();
        let probe = probes.begin(0xab, &name("a.example"));
        let label = format!("{:032x}", 0xab);
        assert_eq!(*probe.name(), name(&format!("{label}.a.example")));
        assert!(!probes.came_back(&name("a.example")));
        assert!(!probe.came_back());
        assert!(probes.came_back(&name(&format!("{}.A.example", label.to_uppercase()))));
        assert!(probe.came_back());
        let asked = probe.name().clone();
        drop(probe);
        assert!(!probes.came_back(&asked));
    }

    #[test]
    fn below_a_name_without_room_for_a_label_another_one_is_probed() {
        let long = vec!["a".repeat(63); 3].join(".") + "." + &"b".repeat(40);
        let probe = Arc::<Probes>::default().begin(1, &name(&long));
        let expected = format!("{:032x}.{FIRST_SUSPECT}", 1);
        assert_eq!(*probe.name(), name(&expected));
    }
}
