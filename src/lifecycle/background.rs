//! Threads whose turn comes after those that answer queries: for what computes long and is waited for by nobody within
//! microseconds. It knows nothing of what they do.

use std::io;
use tokio::runtime::{Builder, Handle, Runtime};

/// How much nicer than the process (nice(2)): a third of the weight of a thread that answers, where both want one core
/// (sched(7)). Measured by `benches/churn/run`, `docs/decisions/0021-the-api-behind-the-answers.md`.
#[cfg(target_os = "linux")]
const NICER: i32 = 5;

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
