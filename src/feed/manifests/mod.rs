//! The feed from a directory of ordinary manifests, read whole at the start and again when something in it changes. It
//! knows files and their notifications; what the documents mean is said by [`convert`](super) and [`derive`].

mod derive;
mod directory;
mod document;

pub use directory::Error;

use super::{Closed, Rejections, Sink, now};
use crate::{
    lifecycle::Drain,
    metrics,
    model::{Event, Source},
};
use directory::Directory;
use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, sleep, timeout},
};

/// The sources that this feed lists.
pub const SOURCES: &[Source] = &[
    Source::Services,
    Source::EndpointSlices,
    Source::Namespaces,
    Source::Pods,
];

/// A file is read when its directory was quiet for this long: whoever writes is then mostly done.
const QUIET: Duration = Duration::from_millis(50);
/// It is read after this long even if the directory is never quiet.
const LONGEST_UNREST: Duration = Duration::from_millis(500);
/// The directory is read again after this long without a notification: those for what a symbolic link leads to, and for
/// a directory that was replaced, never come.
const REREAD_INTERVAL: Duration = Duration::from_secs(60);

/// Which manifests are read.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory; its sub-directories and hidden files are left alone, and symbolic links are followed, as the files
    /// of a ConfigMap volume are.
    pub directory: PathBuf,
}

/// A directory that was read once and is being watched.
#[derive(Debug)]
pub struct Manifests {
    directory: Directory,
    changed: Arc<Notify>,
    metrics: metrics::Feed,
    /// Notifies for as long as it lives.
    _watcher: RecommendedWatcher,
}

impl Manifests {
    /// Reads the directory. A file that cannot be used is named and passed over; a directory that cannot be read or
    /// watched, or holds more than it may, is an error.
    pub fn open(options: &Options, metrics: &metrics::Feed) -> Result<Self, Error> {
        let changed = Arc::new(Notify::new());
        let notified = Arc::clone(&changed);
        let watched = |error| Error::Watch(options.directory.clone(), error);
        let mut watcher = notify::recommended_watcher(move |event| {
            if is_change(&event) {
                notified.notify_one();
            }
        })
        .map_err(watched)?;
        let rejections = Rejections::new(metrics.clone());
        let mut directory = Directory::new(options.directory.clone(), rejections, metrics.clone());
        directory.read()?;
        watcher
            .watch(&options.directory, RecursiveMode::NonRecursive)
            .map_err(watched)?;
        // Once more, for what changed before it was watched.
        directory.read()?;
        Ok(Self {
            directory,
            changed,
            metrics: metrics.clone(),
            _watcher: watcher,
        })
    }

    /// Sends everything, and again after each change, until the drain begins or nobody receives.
    pub async fn run(self, events: mpsc::Sender<Event>, drain: Drain) {
        drain
            .run_until_cancelled(Box::pin(self.follow(events)))
            .await;
    }

    async fn follow(self, events: mpsc::Sender<Event>) {
        let sink = Sink {
            events,
            metrics: self.metrics,
        };
        let mut directory = self.directory;
        let mut received = now();
        let mut complaint = None;
        loop {
            if send(&sink, received, &mut directory).await.is_err() {
                return;
            }
            loop {
                settle(&self.changed).await;
                received = now();
                let reading = tokio::task::spawn_blocking(move || {
                    let changed = directory.read();
                    (directory, changed)
                });
                let Ok((back, changed)) = reading.await else {
                    return; // The runtime ends, or the reading panicked: either way this task does.
                };
                directory = back;
                match changed {
                    Ok(true) => break,
                    Ok(false) => complaint = None,
                    Err(error) => {
                        let text = error.to_string();
                        if complaint.as_ref() != Some(&text) {
                            tracing::warn!("{text}; what was read before stays");
                            complaint = Some(text);
                        }
                    }
                }
            }
        }
    }
}

async fn send(
    sink: &Sink,
    received: std::time::Instant,
    directory: &mut Directory,
) -> Result<(), Closed> {
    for change in directory.changes() {
        sink.send(received, change).await?;
    }
    Ok(())
}

/// Waits for a change, then for quiet.
async fn settle(changed: &Notify) {
    if timeout(REREAD_INTERVAL, changed.notified()).await.is_err() {
        return;
    }
    let latest = Instant::now() + LONGEST_UNREST;
    while Instant::now() < latest && timeout(QUIET, changed.notified()).await.is_ok() {
        sleep(QUIET).await;
    }
}

/// Reading is no change; otherwise each reading would cause the next.
fn is_change(event: &notify::Result<notify::Event>) -> bool {
    event.as_ref().map_or(true, |event| {
        !matches!(event.kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
    })
}
