//! The files of a directory and the last good content of each. It knows bytes and limits, not what documents mean
//! beyond their keys.

use super::{
    SOURCES, derive,
    document::{self, Item},
};
use crate::{
    feed::Rejections,
    metrics::Feed,
    model::{Change, Label, Object, ObjectKey, Source},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Most files of a directory. A ConfigMap holds 1 MiB, and even a file per object is well below this at the size for
/// which manifests are meant.
const MAX_FILES: usize = 4_096;
/// Largest file: 16 MiB hold about 30,000 Services.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// Most objects of a directory, twice the largest cluster whose figures are published (10,000 services, 150,000
/// endpoints in slices of up to 100, and their pods).
const MAX_OBJECTS: usize = 400_000;
/// How many keys that stand twice are named.
const MAX_NAMED: usize = 1_000;

/// Why a directory of manifests cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not exist or cannot be listed.
    #[error("manifests {0}: expected a directory that can be read: {1}")]
    Directory(PathBuf, #[source] io::Error),
    /// Its changes cannot be followed.
    #[error("manifests {0}: changes cannot be followed: {1}")]
    Watch(PathBuf, #[source] notify::Error),
    /// It holds more files than are read.
    #[error("manifests {0}: expected at most {MAX_FILES} files that end in .yaml, .yml or .json")]
    Files(PathBuf),
    /// It holds more objects than are read.
    #[error("manifests {0}: expected at most {MAX_OBJECTS} objects")]
    Objects(PathBuf),
}

/// What was read of a directory.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    files: BTreeMap<PathBuf, Content>,
    /// Whether anything was read since [`Directory::changes`] told everything.
    changed: bool,
    /// Keys that stand twice and were named.
    named: HashSet<(Source, ObjectKey)>,
    rejections: Rejections,
    metrics: Feed,
}

#[derive(Debug, Default)]
struct Content {
    /// The bytes that were last read, good or bad.
    bytes: Vec<u8>,
    /// Of the last content that parsed.
    items: Vec<Item>,
    /// What was last said about it.
    complaint: Option<String>,
}

impl Directory {
    /// Nothing is read yet.
    pub(super) fn new(path: PathBuf, rejections: Rejections, metrics: Feed) -> Self {
        Self {
            path,
            files: BTreeMap::new(),
            changed: false,
            named: HashSet::new(),
            rejections,
            metrics,
        }
    }

    /// Reads every file, and says whether any object may have changed since [`Directory::changes`]. Where a file cannot be used, what it held
    /// before stays.
    pub(super) fn read(&mut self) -> Result<bool, Error> {
        let paths = list(&self.path).map_err(|error| Error::Directory(self.path.clone(), error))?;
        if paths.len() > MAX_FILES {
            return Err(Error::Files(self.path.clone()));
        }
        let before = self.files.len();
        self.files.retain(|path, _| paths.contains(path));
        self.changed |= self.files.len() != before;
        for path in paths {
            let bytes = match read(&path) {
                Ok(bytes) => bytes,
                // It went away since the directory was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.changed |= self.files.remove(&path).is_some();
                    continue;
                }
                Err(error) => {
                    self.complain(path, error.to_string());
                    continue;
                }
            };
            if self
                .files
                .get(&path)
                .is_some_and(|file| file.bytes == bytes)
            {
                continue;
            }
            self.parse(path, bytes);
        }
        let objects: usize = self.files.values().map(|file| file.items.len()).sum();
        if objects > MAX_OBJECTS {
            return Err(Error::Objects(self.path.clone()));
        }
        Ok(self.changed)
    }

    fn parse(&mut self, path: PathBuf, bytes: Vec<u8>) {
        let file = self.files.entry(path.clone()).or_default();
        let parsed = match std::str::from_utf8(&bytes) {
            Ok(text) if text.trim().is_empty() && !file.items.is_empty() => {
                Err("expected manifests, and the file is empty".to_owned())
            }
            Ok(text) => document::parse(&path, text, &self.rejections),
            Err(error) => Err(format!("expected UTF-8: {error}")),
        };
        file.bytes = bytes;
        match parsed {
            Ok(items) => {
                if file.complaint.take().is_some() {
                    tracing::info!(file = %path.display(), "manifest can be used again");
                }
                file.items = items;
                self.changed = true;
            }
            Err(complaint) => self.complain(path, complaint),
        }
    }

    fn complain(&mut self, path: PathBuf, complaint: String) {
        self.metrics.unreadable_file();
        let file = self.files.entry(path.clone()).or_default();
        if file.complaint.as_ref() != Some(&complaint) {
            let kept = file.items.len();
            let file_name = path.display();
            tracing::warn!(
                "manifest {file_name} cannot be used: {complaint}; {kept} objects that it held stay"
            );
            file.complaint = Some(complaint);
        }
    }

    /// Everything that was read, as a list of each source.
    pub(super) fn changes(&mut self) -> Vec<Change> {
        self.changed = false;
        let mut merged: BTreeMap<(Source, &ObjectKey), &Item> = BTreeMap::new();
        for (path, file) in &self.files {
            for item in &file.items {
                let key = (item.source, &item.key);
                if merged.insert(key, item).is_none() || self.named.len() >= MAX_NAMED {
                    continue;
                }
                if self.named.insert((item.source, item.key.clone())) {
                    tracing::warn!(
                        source = item.source.name(),
                        object = %item.key,
                        file = %path.display(),
                        "object stands in the manifests more than once; the last one counts"
                    );
                }
            }
        }
        let derived = derive::endpoint_slices(&merged);
        let mut changes = Vec::with_capacity(merged.len() + derived.len() + 2 * SOURCES.len());
        for &source in SOURCES {
            changes.push(Change::ListStarted(source));
            let first = ObjectKey::new("", "");
            let of_source =
                (merged.range((source, &first)..)).take_while(|((it, _), _)| *it == source);
            let objects = of_source.filter_map(|(_, item)| item.object.clone());
            changes.extend(objects.map(|object| Change::Apply(source, object)));
            if source == Source::EndpointSlices {
                let slices = derived.iter().cloned().map(Object::EndpointSlice);
                changes.extend(slices.map(|slice| Change::Apply(source, slice)));
            }
            changes.push(Change::ListDone(source));
        }
        changes
    }
}

/// The services, by namespace, for which a slice is given.
pub(super) fn services_with_slices<'i>(
    items: impl Iterator<Item = &'i Item>,
) -> HashSet<(&'i str, &'i Label)> {
    let owner = |item: &'i Item| match &item.object {
        Some(Object::EndpointSlice(slice)) => Some((&*slice.key.namespace, &slice.service)),
        Some(Object::Unreadable(object)) => {
            Some((&*object.key.namespace, object.service.as_ref()?))
        }
        _ => None,
    };
    items.filter_map(owner).collect()
}

/// The manifests of a directory, in the order of their names.
fn list(directory: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut paths = BTreeSet::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let ending = path.extension().and_then(|ending| ending.to_str());
        if hidden || !matches!(ending, Some("yaml" | "yml" | "json")) {
            continue;
        }
        // Whatever is no plain file behind its links, a pipe or a directory, is none of ours.
        if path.metadata().is_ok_and(|metadata| metadata.is_file()) {
            paths.insert(path);
            if paths.len() > MAX_FILES {
                break;
            }
        }
    }
    Ok(paths)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let message = format!("expected a file of at most {MAX_FILE_BYTES} bytes");
        return Err(io::Error::other(message));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    const WEB: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: web}}";
    const API: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: api}}";

    fn directory(path: &Path) -> Directory {
        let mut registry = prometheus_client::registry::Registry::default();
        let metrics = Metrics::new(&mut registry).feed;
        let rejections = Rejections::new(metrics.clone());
        Directory::new(path.to_owned(), rejections, metrics)
    }

    /// Reads; `None` if nothing changed, else the names of the namespaces.
    fn read(directory: &mut Directory) -> Option<Vec<String>> {
        directory.read().unwrap().then(|| {
            let applied = |change| match change {
                Change::Apply(_, object) => Some(object.key().to_string()),
                _ => None,
            };
            directory
                .changes()
                .into_iter()
                .filter_map(applied)
                .collect()
        })
    }

    #[test]
    fn only_a_changed_content_is_a_change() {
        let files = tempfile::tempdir().unwrap();
        let file = files.path().join("a.yaml");
        let mut directory = directory(files.path());
        fs::write(&file, WEB).unwrap();
        assert_eq!(read(&mut directory), Some(vec!["web".to_owned()]));
        fs::write(&file, WEB).unwrap();
        assert_eq!(read(&mut directory), None);
        fs::write(&file, API).unwrap();
        assert_eq!(read(&mut directory), Some(vec!["api".to_owned()]));
        fs::remove_file(&file).unwrap();
        assert_eq!(read(&mut directory), Some(vec![]));
    }

    #[test]
    fn what_a_file_held_stays_while_it_cannot_be_used() {
        let files = tempfile::tempdir().unwrap();
        let file = files.path().join("a.yaml");
        let mut directory = directory(files.path());
        fs::write(&file, WEB).unwrap();
        fs::write(files.path().join("b.yaml"), "kind: [").unwrap();
        assert_eq!(read(&mut directory), Some(vec!["web".to_owned()]));
        for bad in [
            &b""[..],
            b"{apiVersion: v1, kind",
            b"\xff",
            &[b' '; (16 << 20) + 1],
        ] {
            fs::write(&file, bad).unwrap();
            assert_eq!(read(&mut directory), None);
        }
        fs::write(files.path().join("b.yaml"), API).unwrap();
        assert_eq!(
            read(&mut directory),
            Some(vec!["api".to_owned(), "web".to_owned()])
        );
    }

    #[test]
    fn only_visible_plain_files_with_the_right_ending_are_read() {
        let files = tempfile::tempdir().unwrap();
        for name in [".hidden.yaml", "readme.md", "a.yaml~", "a.yaml.swp"] {
            fs::write(files.path().join(name), WEB).unwrap();
        }
        fs::create_dir(files.path().join("directory.yaml")).unwrap();
        std::os::unix::fs::symlink("/nonexistent", files.path().join("dangling.yaml")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", files.path().join("device.yaml")).unwrap();
        let mut directory = directory(files.path());
        assert_eq!(read(&mut directory), None);
        fs::write(files.path().join("a.yml"), API).unwrap();
        assert_eq!(read(&mut directory), Some(vec!["api".to_owned()]));
    }

    #[test]
    fn of_two_objects_with_the_same_key_the_last_counts() {
        let files = tempfile::tempdir().unwrap();
        let service = |spec: &str| {
            format!("{{apiVersion: v1, kind: Service, metadata: {{name: web}}, spec: {spec}}}")
        };
        fs::write(files.path().join("a.yaml"), service("{clusterIP: None}")).unwrap();
        fs::write(
            files.path().join("b.yaml"),
            service("{clusterIP: 10.0.0.1}"),
        )
        .unwrap();
        let mut directory = directory(files.path());
        directory.read().unwrap();
        let Some(Change::Apply(_, Object::Service(last))) = directory.changes().into_iter().nth(1)
        else {
            panic!("expected a service");
        };
        let ips = ["10.0.0.1".parse().unwrap()].into();
        assert_eq!(last.kind, crate::model::ServiceKind::ClusterIp(ips));
    }

    #[test]
    fn too_many_files_and_no_directory_are_errors() {
        let files = tempfile::tempdir().unwrap();
        for number in 0..=MAX_FILES {
            fs::write(files.path().join(format!("{number}.yaml")), "").unwrap();
        }
        let error = directory(files.path()).read().unwrap_err();
        assert!(matches!(error, Error::Files(_)), "{error}");
        let error = directory(Path::new("/nonexistent")).read().unwrap_err();
        assert!(matches!(error, Error::Directory(..)), "{error}");
    }
}
