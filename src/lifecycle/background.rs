//! Threads whose turn comes after those that answer queries: for what computes long and is waited for by nobody within
//! microseconds. It knows nothing of what they do.

use std::{
    io,
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Handle, Runtime};

/// How much nicer than the process (nice(2)): a third of the weight of a thread that answers, where both want one core
/// (sched(7)). Measured by `benches/churn/run`, `docs/decisions/0021-the-api-behind-the-answers.md`.
#[cfg(target_os = "linux")]
const NICER: i32 = 5;

/// A yield that takes so long has met somebody who fills the core.
const LONG: Duration = Duration::from_millis(1);
/// For so many times what that took, there is no other: a tenth of the time is lost by it at the most.
const LONG_TIMES: u32 = 9;

/// Between two pieces of work, lets whoever waits for this core have it (`give_way`, sched_yield(2)): on a kernel that is not preempted,
/// a thread that wakes does not get it by itself. On a core that others fill this would cost a whole slice each time, as Linux
/// takes it for giving up the rest of one's own; so not again for a while then.
pub fn resting(clock: impl Fn() -> Instant, mut give_way: impl FnMut()) -> impl FnMut() {
    let mut not_before = None;
    move || {
        let before = clock();
        if not_before.is_some_and(|at| before < at) {
            return;
        }
        give_way();
        let after = clock();
        let away = after.saturating_duration_since(before);
        not_before = (away >= LONG).then(|| after + away * LONG_TIMES);
    }
}

/// A runtime of one such thread.
#[derive(Debug)]
pub struct Background(Option<Runtime>);

impl Background {
    /// Starts the thread.
    pub fn start(name: &'static str) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(name)
            .on_thread_start(stand_back)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Where its tasks are spawned; what they spawn stays there.
    pub fn handle(&self) -> &Handle {
        self.0.as_ref().expect("it is taken by drop").handle()
    }
}

impl Drop for Background {
    /// Its tasks end where they stand, and without being waited for: a task may drop it.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Has the calling thread stand back. Where that is refused it does all the same, with the turn of any other; and where
/// niceness is the whole process's, as everywhere but on Linux.
pub(super) fn stand_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICER) {
        tracing::debug!(%error, "a background thread keeps its priority");
    }
}

#[cfg(test)]
mod rests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn on_a_core_that_others_fill_a_tenth_of_the_time_is_given_away() {
        let start = tokio::time::Instant::now().into_std();
        for (away, share) in [(10, 1.0), (999, 1.0), (9_000, 0.1)] {
            let (worked, given) = (Cell::new(Duration::ZERO), Cell::new(0));
            let away = Duration::from_micros(away);
            let clock = || start + worked.get() + away * given.get();
            let mut rest = resting(clock, || given.set(given.get() + 1));
            while clock() < start + Duration::from_secs(10) {
                worked.set(worked.get() + Duration::from_micros(20));
                rest();
            }
            let (pieces, times) = (worked.get().as_micros() / 20, given.get());
            if share == 1.0 {
                assert_eq!(pieces, u128::from(times), "{away:?}: after each piece");
            } else {
                let given = away * times;
                assert!(given <= Duration::from_millis(1010), "{away:?}: {given:?}");
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_spawned_stands_back_and_who_spawns_does_not() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        let background = Background::start("behind").unwrap();
        let (said, heard) = std::sync::mpsc::channel();
        background
            .handle()
            .spawn(async move { said.send(niceness()) });
        let expected = (before + NICER).min(19);
        assert_eq!((heard.recv().unwrap(), niceness()), (expected, before));
    }
}
