//! A road to the API server that can be cut and closed: a relay of TCP connections, and a kubeconfig that leads to it. It
//! knows nothing of what it carries.

use std::path::{Path, PathBuf};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

pub struct Relay {
    pub kubeconfig: PathBuf,
    /// Whether it is open; connections end with every word on it.
    road: watch::Sender<bool>,
    _accepting: JoinSet<()>,
}

impl Relay {
    /// Starts it before the server of a kubeconfig, and puts another kubeconfig beside that one.
    pub async fn start(kubeconfig: &Path) -> Self {
        let text = std::fs::read_to_string(kubeconfig).unwrap();
        let (_, rest) = text.split_once("https://").expect("a server");
        let server = rest.split('\'').next().expect("an address").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().to_string();
        let relayed = kubeconfig.with_extension("relayed");
        std::fs::write(&relayed, text.replace(&server, &here)).unwrap();

        let road = watch::Sender::new(true);
        let seen = road.subscribe();
        let mut _accepting = JoinSet::new();
        _accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(relay(client, server.clone(), seen.clone()));
            }
        });
        Self {
            kubeconfig: relayed,
            road,
            _accepting,
        }
    }

    /// Breaks every connection; new ones are let through.
    pub fn cut(&self) {
        self.road.send_replace(true);
    }

    /// Breaks every connection, and new ones at once, until the next [`cut`](Self::cut).
    pub fn close(&self) {
        self.road.send_replace(false);
    }
}

async fn relay(mut client: TcpStream, server: String, mut road: watch::Receiver<bool>) {
    if !*road.borrow_and_update() {
        return;
    }
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    // Whichever ends first, both connections end with this task.
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = road.changed() => {}
    }
}
