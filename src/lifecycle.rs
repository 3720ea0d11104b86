//! How the process lives: supervised tasks, readiness as the absence of guards, and draining. It knows no part by name.

mod background;

pub use background::Background;
use std::{collections::BTreeMap, fmt, future::Future, io, sync::Arc, thread};
use tokio::{
    runtime::{Builder, Handle},
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
pub use tokio_util::sync::CancellationToken as Drain;
use tokio_util::task::TaskTracker;

/// Starts tasks and watches over them: an essential task that ends, in whatever way, is reported to [`Ended`], and the
/// composition root ends the process with it. No task is without an owner.
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    ended: mpsc::Sender<&'static str>,
    /// Whose they are, if not the caller's.
    runtime: Option<Handle>,
}

/// The other end of [`Tasks`]: hears which essential task ended first.
#[derive(Debug)]
pub struct Ended(mpsc::Receiver<&'static str>);

impl Tasks {
    /// A new, empty set.
    pub fn new() -> (Self, Ended) {
        // One report is enough to end the process; later ones may be lost.
        let (ended, reports) = mpsc::channel(1);
        (
            Self {
                tracker: TaskTracker::new(),
                ended,
                runtime: None,
            },
            Ended(reports),
        )
    }

    /// Another set, waited for by itself; its essential tasks report to the same [`Ended`].
    pub fn sibling(&self) -> Self {
        Self {
            tracker: TaskTracker::new(),
            ended: self.ended.clone(),
            runtime: None,
        }
    }

    /// The same set, for tasks of another runtime than the caller's.
    pub fn on(&self, runtime: &Handle) -> Self {
        Self {
            runtime: Some(runtime.clone()),
            ..self.clone()
        }
    }

    /// Starts a task that is to live as long as the process. Its end, a panic included, is reported under `name`.
    pub fn essential(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let report = ReportOnDrop {
            name,
            ended: self.ended.clone(),
        };
        let task = async move {
            let _report = report;
            task.await;
        };
        drop(self.spawn(task));
    }

    /// The same on a thread of its own in the [background](Background), with a clock and no sockets: for a task that computes
    /// for longer than others, or that is not to wait until they yield. It fails if there is no thread to be had.
    pub fn essential_thread(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let (ends, ended) = oneshot::channel::<()>();
        let thread = move || {
            let _ends = ends;
            background::stand_back();
            runtime.block_on(task);
        };
        thread::Builder::new()
            .name(format!("gapless-{name}"))
            .spawn(thread)?;
        // The sender is dropped, a panic included.
        self.essential(name, async move { drop(ended.await) });
        Ok(())
    }

    /// Starts a task that ends by itself, such as one exchange. The caller bounds how many there are.
    pub fn brief<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.spawn(task)
    }

    fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        match &self.runtime {
            Some(runtime) => self.tracker.spawn_on(task, runtime),
            None => self.tracker.spawn(task),
        }
    }

    /// Waits until every task has ended.
    pub async fn finished(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

impl Ended {
    /// The first essential task that ended.
    pub async fn first(&mut self) -> &'static str {
        self.0.recv().await.unwrap_or("every task")
    }
}

struct ReportOnDrop {
    name: &'static str,
    ended: mpsc::Sender<&'static str>,
}

impl Drop for ReportOnDrop {
    fn drop(&mut self) {
        // A full channel already holds the report that ends the process.
        if self.ended.try_send(self.name).is_err() {
            tracing::debug!(task = self.name, "task ended");
        }
    }
}

type Parts = BTreeMap<&'static str, usize>;

/// What the process still waits for. Ready is when nothing is left.
#[derive(Clone, Default)]
pub struct Readiness {
    /// For how many guards a part is awaited; one that is ready stays with 0.
    parts: Arc<watch::Sender<Parts>>,
}

/// Something that is awaited, until it is dropped.
#[derive(Debug)]
#[must_use = "dropping the guard says that the part is ready"]
pub struct Awaited {
    part: &'static str,
    readiness: Readiness,
}

impl Readiness {
    /// Makes the process unready until the guard is dropped.
    pub fn wait_for(&self, part: &'static str) -> Awaited {
        self.end(part);
        Awaited {
            part,
            readiness: self.clone(),
        }
    }

    /// Makes the process unready for good.
    pub fn end(&self, part: &'static str) {
        self.parts
            .send_modify(|parts| *parts.entry(part).or_default() += 1);
    }

    /// The parts still awaited, in alphabetical order.
    pub fn awaited(&self) -> Vec<&'static str> {
        awaited(&self.parts.borrow())
    }

    /// Every part that is or was awaited, in alphabetical order, and whether it is ready.
    pub fn parts(&self) -> Vec<(&'static str, bool)> {
        let parts = self.parts.borrow();
        parts
            .iter()
            .map(|(part, count)| (*part, *count == 0))
            .collect()
    }

    /// Waits until nothing is awaited.
    pub async fn reached(&self) {
        let mut parts = self.parts.subscribe();
        let reached = parts.wait_for(|parts| awaited(parts).is_empty()).await;
        drop(reached); // the sender lives in `self`
    }
}

fn awaited(parts: &Parts) -> Vec<&'static str> {
    let awaited = parts.iter().filter(|(_, count)| **count > 0);
    awaited.map(|(part, _)| *part).collect()
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Readiness").field(&self.awaited()).finish()
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.readiness.parts.send_modify(|parts| {
            let Some(count) = parts.get_mut(self.part) else {
                return;
            };
            *count -= 1;
            if *count == 0 {
                tracing::info!(part = self.part, still_awaited = ?awaited(parts), "ready");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn ready_is_when_the_last_guard_is_dropped() {
        let readiness = Readiness::default();
        let (first, second) = (readiness.wait_for("index"), readiness.wait_for("index"));
        let listeners = readiness.wait_for("listeners");
        drop(first);
        assert_eq!(readiness.awaited(), ["index", "listeners"]);
        drop(second);
        assert_eq!(readiness.parts(), [("index", true), ("listeners", false)]);
        drop(listeners);
        assert!(readiness.awaited().is_empty());
    }

    #[tokio::test]
    async fn an_essential_task_that_panics_is_reported() {
        let (tasks, mut ended) = Tasks::new();
        tasks.essential("lives", std::future::pending());
        tasks.essential("panics", async { panic!("on purpose") });
        assert_eq!(ended.first().await, "panics");
    }

    #[tokio::test]
    async fn an_essential_thread_that_panics_is_reported() {
        let (tasks, mut ended) = Tasks::new();
        let panics = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            panic!("on purpose");
        };
        tasks.essential_thread("panics", panics).unwrap();
        assert_eq!(ended.first().await, "panics");
    }

    #[tokio::test]
    async fn brief_tasks_are_waited_for_and_not_reported() {
        let (tasks, mut ended) = Tasks::new();
        let brief = tasks.brief(async { 7 });
        tasks.finished().await;
        assert_eq!(brief.await.unwrap(), 7);
        drop(tasks);
        assert_eq!(ended.first().await, "every task");
    }
}
