//! The feed from a directory of ordinary manifests, read whole at the start and again when something in it changes. It
//! knows files and their notifications; what the documents mean is said elsewhere.

mod derive;
mod directory;
mod document;

pub use directory::Error;

use super::{Closed, Rejections, Sink, now};
use crate::{
    lifecycle::Drain,
    metrics,
    model::{Event, Source},
    notices::Notices,
};
use directory::Directory;
use std::path::PathBuf;
use tokio::sync::mpsc;

/// The sources that this feed lists.
pub const SOURCES: &[Source] = &[
    Source::Services,
    Source::EndpointSlices,
    Source::Namespaces,
    Source::Pods,
];

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
    notices: Notices,
    metrics: metrics::Feed,
}

impl Manifests {
    /// Reads the directory. A file that cannot be used is named and passed over; a directory that cannot be read or
    /// watched, or holds more than it may, is an error.
    pub fn open(options: &Options, metrics: &metrics::Feed) -> Result<Self, Error> {
        let rejections = Rejections::new(metrics.clone());
        let mut directory = Directory::new(options.directory.clone(), rejections, metrics.clone());
        directory.read()?;
        let mut notices = Notices::none();
        notices
            .watch(&options.directory)
            .map_err(|error| Error::Watch(options.directory.clone(), error))?;
        // Once more, for what changed before it was watched.
        directory.read()?;
        Ok(Self {
            directory,
            notices,
            metrics: metrics.clone(),
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
                self.notices.next().await;
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
