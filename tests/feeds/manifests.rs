//! What only a directory can do.

use crate::view::View;
use gapless::{
    feed::manifests::{Error, Manifests, Options, SOURCES},
    lifecycle::{Drain, Tasks},
    metrics::Metrics,
};
use std::{fs, io::Write, os::unix::fs::symlink, path::Path};
use tokio::sync::mpsc;

fn open(directory: &Path) -> Result<Manifests, Error> {
    let metrics = Metrics::new(&mut prometheus_client::registry::Registry::default()).feed;
    let directory = directory.to_owned();
    Manifests::open(&Options { directory }, &metrics)
}

fn start(directory: &Path, tasks: &Tasks) -> View {
    let (events, receiver) = mpsc::channel(64);
    let feed = open(directory).unwrap();
    tasks.essential("manifests", feed.run(events, Drain::new()));
    View::new(receiver)
}

fn namespace(name: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n")
}

#[tokio::test]
async fn a_directory_that_does_not_exist_is_an_error_at_the_start() {
    let error = open(Path::new("/nonexistent/manifests")).unwrap_err();
    assert!(matches!(error, Error::Directory(..)), "{error}");
    assert!(
        error.to_string().contains("/nonexistent/manifests"),
        "{error}"
    );
}

#[tokio::test]
async fn a_config_map_volume_is_followed_through_its_swap() {
    let volume = tempfile::tempdir().unwrap();
    let path = volume.path();
    for (version, name) in [("..1", "old"), ("..2", "new")] {
        fs::create_dir(path.join(version)).unwrap();
        fs::write(path.join(version).join("a.yaml"), namespace(name)).unwrap();
    }
    symlink("..1", path.join("..data")).unwrap();
    symlink("..data/a.yaml", path.join("a.yaml")).unwrap();
    let (tasks, _) = Tasks::new();
    let mut view = start(path, &tasks);
    view.until(SOURCES, 1, &["namespace old"]).await;
    symlink("..2", path.join("..data_tmp")).unwrap();
    fs::rename(path.join("..data_tmp"), path.join("..data")).unwrap();
    view.until(SOURCES, 2, &["namespace new"]).await;
}

#[tokio::test]
async fn a_half_written_file_deletes_no_names() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.yaml");
    let whole = format!("{}---\n{}", namespace("one"), namespace("two"));
    fs::write(&file, &whole).unwrap();
    let (tasks, _) = Tasks::new();
    let mut view = start(directory.path(), &tasks);
    view.until(SOURCES, 1, &["namespace one", "namespace two"])
        .await;
    // Within the name of the second document, so that the text is YAML all the same.
    fs::write(&file, &whole[..whole.len() - 8]).unwrap();
    fs::write(directory.path().join("b.yaml"), namespace("three")).unwrap();
    let all = ["namespace one", "namespace three", "namespace two"];
    view.until(SOURCES, 2, &all).await;
    fs::write(&file, namespace("four")).unwrap();
    view.until(SOURCES, 3, &["namespace four", "namespace three"])
        .await;
}

#[tokio::test]
async fn a_file_is_read_when_its_writer_closes_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.yaml");
    let whole = format!("{}---\n{}", namespace("one"), namespace("two"));
    fs::write(&file, &whole).unwrap();
    let (tasks, _) = Tasks::new();
    let mut view = start(directory.path(), &tasks);
    view.until(SOURCES, 1, &["namespace one", "namespace two"])
        .await;
    let mut writer = fs::File::create(&file).unwrap();
    writer.write_all(namespace("one").as_bytes()).unwrap();
    fs::write(directory.path().join("b.yaml"), namespace("three")).unwrap();
    writer
        .write_all(format!("---\n{}", namespace("two")).as_bytes())
        .unwrap();
    drop(writer);
    let all = ["namespace one", "namespace three", "namespace two"];
    view.until(SOURCES, 2, &all).await;
    assert_eq!(view.lists[&SOURCES[0]], 2);
}

#[tokio::test]
async fn a_file_that_is_no_yaml_costs_only_itself() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.yaml"), "kind: [\n").unwrap();
    fs::write(directory.path().join("b.yaml"), namespace("one")).unwrap();
    let (tasks, _) = Tasks::new();
    let mut view = start(directory.path(), &tasks);
    view.until(SOURCES, 1, &["namespace one"]).await;
}

#[tokio::test]
async fn endpoints_are_derived_from_pods_until_a_slice_is_given() {
    let directory = tempfile::tempdir().unwrap();
    let manifests = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: None, selector: {app: web}}
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, labels: {app: web}}
spec: {hostname: web-0, subdomain: web}
status:
  phase: Running
  podIP: 10.1.0.1
  conditions: [{type: Ready, status: 'True'}]
";
    fs::write(directory.path().join("web.yaml"), manifests).unwrap();
    let (tasks, _) = Tasks::new();
    let mut view = start(directory.path(), &tasks);
    let (pod, service) = (
        "pod default/web-0 [10.1.0.1]",
        "service default/web headless",
    );
    let derived = "slice default/web.derived.0 of web [10.1.0.1] web-0 web-0";
    view.until(SOURCES, 1, &[pod, service, derived]).await;
    let slice = "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.1.0.9]}]
";
    fs::write(directory.path().join("slice.yaml"), slice).unwrap();
    let given = "slice default/web-1 of web [10.1.0.9]";
    view.until(SOURCES, 2, &[pod, service, given]).await;
}

#[tokio::test]
async fn a_drain_ends_the_feed() {
    let directory = tempfile::tempdir().unwrap();
    let (events, _receiver) = mpsc::channel(64);
    let drain = Drain::new();
    let running = open(directory.path()).unwrap().run(events, drain.clone());
    drain.cancel();
    Box::pin(running).await;
}
