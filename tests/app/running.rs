//! The composition root within this process, until it is told to stop.

use crate::asking::within;
use gapless::{
    app::Bound,
    config::{Config, Source},
    lifecycle::Tasks,
    server::Inherited,
};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};

pub(crate) const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/demo");

pub(crate) struct Running {
    pub(crate) dns: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// Where DNS over HTTPS is answered first, if anywhere.
    pub(crate) https: Option<SocketAddr>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<anyhow::Result<()>>,
}

/// A configuration on free ports, with a resolv.conf that names nobody.
pub(crate) fn config(source: Source) -> Config {
    let free = "127.0.0.1:0".parse().unwrap();
    let mut config = Config {
        listen: vec![free],
        admin: Some(free),
        source,
        ..Config::default()
    };
    config.forward.resolv_conf = PathBuf::from("/dev/null");
    config
}

/// The same, with the manifests of the demo.
pub(crate) fn demo() -> Config {
    config(Source::Manifests(DEMO.into()))
}

/// A directory with these files.
pub(crate) fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

impl Running {
    pub(crate) async fn start(config: Config) -> Self {
        Self::at(config, Inherited::default()).await
    }

    /// The same, at sockets that are open already.
    pub(crate) async fn at(config: Config, inherited: Inherited) -> Self {
        let bound = Box::pin(Bound::at(config, inherited)).await.unwrap();
        let (dns, admin) = (bound.addresses()[0], bound.admin_address().unwrap());
        let https = bound.https_addresses().first().copied();
        let (stop, stopped) = oneshot::channel();
        let run = bound.run(async { drop(stopped.await) });
        let ended = Tasks::new().0.brief(run);
        Self {
            dns,
            admin,
            https,
            stop,
            ended,
        }
    }

    /// Stops it, and waits for its end.
    pub(crate) async fn end(self) {
        drop(self.stop);
        within("the end", self.ended).await.unwrap().unwrap();
    }
}
