//! When files are to be read again: after a notification, once whoever writes there seems to be done, and now and then
//! without one. It reads nothing itself.

use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};
use std::{
    collections::HashSet,
    fs, mem,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

/// Files are read when it was quiet for this long: tools that write several ones are then mostly done.
const QUIET: Duration = Duration::from_millis(50);
/// They are read after this long even if it is never quiet.
const LONGEST_UNREST: Duration = Duration::from_millis(500);
/// A file that somebody is writing is waited for no longer than this.
const LONGEST_WRITE: Duration = Duration::from_secs(5);
/// They are read again after this long without a notification: those for what a symbolic link leads to, and for a directory
/// that was replaced, never come.
const REREAD_INTERVAL: Duration = Duration::from_secs(60);
/// How many symbolic links are followed, as the kernel does (path_resolution(7)).
const LINKS_MAX: usize = 40;
/// How many files that are being written are kept in mind.
const MAX_WRITTEN: usize = 1_024;

/// Notifications of directories and files.
#[derive(Debug)]
pub struct Notices {
    shared: Arc<Shared>,
    /// Notifies for as long as it lives; there is none if the system has none to give.
    watcher: notify::Result<RecommendedWatcher>,
}

#[derive(Debug, Default)]
struct Shared {
    changed: Notify,
    /// Files that were written to and not closed since.
    written: Mutex<HashSet<PathBuf>>,
}

impl Notices {
    /// Watches nothing yet.
    pub fn none() -> Self {
        let shared = Arc::<Shared>::default();
        let hears = Arc::clone(&shared);
        let watcher = notify::recommended_watcher(move |event| hears.hear(event));
        Self { shared, watcher }
    }

    /// Watches this directory, or this one file, from now on. After an error it is still to be read every 60 s.
    pub fn watch(&mut self, path: &Path) -> notify::Result<()> {
        match &mut self.watcher {
            Ok(watcher) => watcher.watch(path, RecursiveMode::NonRecursive),
            Err(error) => Err(mem::replace(error, notify::Error::generic("no watcher"))),
        }
    }

    /// Watches every directory in which this file, or a link on the way to it, may be replaced, as the links lead now; and the file
    /// itself, which is written in place if it is mounted from elsewhere. What cannot be watched is still to be read every 60 s.
    fn watch_file(&mut self, path: &Path) {
        let mut path = path.to_owned();
        let mut note = |path: &Path| {
            if let Err(error) = self.watch(path) {
                tracing::debug!(path = %path.display(), %error, "not watched");
            }
        };
        for _ in 0..LINKS_MAX {
            let directory = match path.parent() {
                Some(parent) if parent != Path::new("") => parent,
                _ => Path::new("."),
            };
            note(directory);
            match fs::read_link(&path) {
                Ok(target) => path = directory.join(target),
                Err(_) => break,
            }
        }
        note(&path);
    }

    /// Waits until what is watched is to be read again.
    pub async fn next(&self) {
        self.shared.next().await;
    }
}

/// Has `read` read these files, now and whenever they may be others, and gives what it read to `take`. It ends with the runtime.
pub async fn follow<T: Send + 'static>(
    paths: Vec<PathBuf>,
    read: impl Fn() -> T + Clone + Send + 'static,
    mut take: impl FnMut(T),
) {
    loop {
        let (paths, read) = (paths.clone(), read.clone());
        // Watched anew each time, for where the links lead now, and read after that: nothing is missed between.
        let reading = tokio::task::spawn_blocking(move || {
            let mut notices = Notices::none();
            for path in &paths {
                notices.watch_file(path);
            }
            (notices, read())
        });
        let Ok((notices, read)) = reading.await else {
            return;
        };
        take(read);
        notices.next().await;
    }
}

impl Shared {
    fn hear(&self, event: notify::Result<notify::Event>) {
        // An error may stand for any change.
        let event = event.unwrap_or_default();
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        if event.kind.is_access() && event.kind != closed {
            // Reading is no change; otherwise each reading would cause the next.
            return;
        }
        let mut written = self.written();
        for path in event.paths {
            let is_write = matches!(event.kind, EventKind::Modify(ModifyKind::Data(_)));
            // Only Linux tells when a writer closes its file.
            if !is_write {
                written.remove(&path);
            } else if cfg!(target_os = "linux") && written.len() < MAX_WRITTEN {
                written.insert(path);
            }
        }
        drop(written);
        self.changed.notify_one();
    }

    async fn next(&self) {
        if timeout(REREAD_INTERVAL, self.changed.notified())
            .await
            .is_err()
        {
            return;
        }
        let began = Instant::now();
        loop {
            let quiet = timeout(QUIET, self.changed.notified()).await.is_err();
            let waited = began.elapsed();
            let done = quiet || waited >= LONGEST_UNREST;
            if (done && !self.is_written()) || waited >= LONGEST_WRITE {
                self.written().clear();
                return;
            }
        }
    }

    fn is_written(&self) -> bool {
        !self.written().is_empty()
    }

    fn written(&self) -> std::sync::MutexGuard<'_, HashSet<PathBuf>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::{Event, event::DataChange};

    fn written(file: &str) -> notify::Result<Event> {
        let kind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        Ok(Event::new(kind).add_path(file.into()))
    }

    fn accessed(kind: AccessKind, file: &str) -> notify::Result<Event> {
        Ok(Event::new(EventKind::Access(kind)).add_path(file.into()))
    }

    async fn time_of_next(shared: &Shared) -> Duration {
        let began = Instant::now();
        shared.next().await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_is_waited_for_until_its_writer_closes_it_or_takes_too_long() {
        let shared = Shared::default();
        shared.hear(written("a"));
        shared.hear(accessed(AccessKind::Close(AccessMode::Write), "a"));
        assert!(time_of_next(&shared).await < LONGEST_UNREST);
        shared.hear(written("a"));
        shared.hear(accessed(AccessKind::Close(AccessMode::Write), "b"));
        let waited = time_of_next(&shared).await;
        assert!(
            waited >= LONGEST_WRITE && waited < 2 * LONGEST_WRITE,
            "{waited:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn reading_is_no_change_and_without_one_the_directory_is_read_now_and_then() {
        let shared = Shared::default();
        shared.hear(accessed(AccessKind::Read, "a"));
        shared.hear(accessed(AccessKind::Close(AccessMode::Read), "a"));
        let waited = time_of_next(&shared).await;
        assert!(waited >= REREAD_INTERVAL, "{waited:?}");
    }
}
