//! U20: resolv.conf is followed, in whatever way it changes.

use crate::{
    asking::metrics_once,
    running::{Running, demo, directory},
};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// A server whose resolv.conf is in a directory of the test's.
struct Following {
    server: Running,
    conf: PathBuf,
    _files: TempDir,
}

impl Following {
    async fn start(lay: impl FnOnce(&Path)) -> Self {
        let files = directory(&[]);
        let conf = files.path().join("resolv.conf");
        lay(&conf);
        let mut config = demo();
        config.forward.resolv_conf.clone_from(&conf);
        let server = Running::start(config).await;
        Self {
            server,
            conf,
            _files: files,
        }
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.conf.with_file_name(name)
    }

    /// Waits until the metrics name these upstreams, and no others.
    async fn until_asked_are(&self, upstreams: &[&str]) {
        self.until(|page| asked(page) == upstreams).await;
    }

    async fn until(&self, met: impl Fn(&str) -> bool) {
        metrics_once(self.server.admin, met).await;
    }
}

fn asked(metrics: &str) -> Vec<&str> {
    let lines = metrics.lines();
    let known = lines.filter_map(|line| line.strip_prefix("gapless_upstream_down{upstream=\""));
    known
        .filter_map(|rest| Some(rest.split_once(":53\"")?.0))
        .collect()
}

fn changes(metrics: &str, outcome: &str) -> bool {
    metrics.contains(&format!(
        "gapless_forward_resolv_conf_changes_total{{outcome=\"{outcome}\"}} 1\n"
    ))
}

fn write(path: &Path, server: &str) {
    fs::write(path, format!("nameserver {server}\n")).unwrap();
}

#[tokio::test]
async fn u20_a_file_written_in_place_or_renamed_over_is_taken() {
    let following = Following::start(|conf| write(conf, "192.0.2.1")).await;
    following.until_asked_are(&["192.0.2.1"]).await;
    write(&following.conf, "192.0.2.2");
    following.until_asked_are(&["192.0.2.2"]).await;
    for server in ["192.0.2.3", "192.0.2.4"] {
        let new = following.beside("resolv.conf.new");
        write(&new, server);
        fs::rename(new, &following.conf).unwrap();
        following.until_asked_are(&[server]).await;
    }
    following.server.end().await;
}

#[tokio::test]
async fn u20_links_are_followed_wherever_they_lead() {
    let run = directory(&[("stub.conf", "nameserver 192.0.2.1\n")]);
    let stub = run.path().join("stub.conf");
    let following = Following::start(|conf| symlink(&stub, conf).unwrap()).await;
    following.until_asked_are(&["192.0.2.1"]).await;
    write(&run.path().join("new"), "192.0.2.2");
    fs::rename(run.path().join("new"), &stub).unwrap();
    following.until_asked_are(&["192.0.2.2"]).await;
    write(&following.beside("static.conf"), "192.0.2.3");
    symlink("static.conf", following.beside("link")).unwrap();
    fs::rename(following.beside("link"), &following.conf).unwrap();
    following.until_asked_are(&["192.0.2.3"]).await;
    write(&following.beside("static.conf"), "192.0.2.4");
    following.until_asked_are(&["192.0.2.4"]).await;
    following.server.end().await;
}

/// As in a container whose resolv.conf is mounted from elsewhere: the directory says nothing about it.
#[tokio::test]
async fn u20_a_file_that_has_another_name_elsewhere_is_followed_too() {
    let host = directory(&[("resolv.conf", "nameserver 192.0.2.1\n")]);
    let elsewhere = host.path().join("resolv.conf");
    let following = Following::start(|conf| fs::hard_link(&elsewhere, conf).unwrap()).await;
    following.until_asked_are(&["192.0.2.1"]).await;
    write(&elsewhere, "192.0.2.2");
    following.until_asked_are(&["192.0.2.2"]).await;
    following.server.end().await;
}

#[tokio::test]
async fn u20_while_it_names_nobody_the_former_upstreams_are_asked() {
    let following = Following::start(|conf| write(conf, "192.0.2.1")).await;
    following.until_asked_are(&["192.0.2.1"]).await;
    fs::remove_file(&following.conf).unwrap();
    following.until(|page| changes(page, "unusable")).await;
    following.until_asked_are(&["192.0.2.1"]).await;
    write(&following.conf, "192.0.2.2");
    following.until(|page| changes(page, "taken")).await;
    following.until_asked_are(&["192.0.2.2"]).await;
    following.server.end().await;
}

#[tokio::test]
async fn u20_a_file_that_comes_later_is_taken() {
    let following = Following::start(|_| {}).await;
    following.until_asked_are(&[]).await;
    write(&following.conf, "192.0.2.1");
    following.until_asked_are(&["192.0.2.1"]).await;
    following.server.end().await;
}
