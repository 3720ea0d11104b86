//! gapless in this process, fed by a real API server: started, asked by DNS over UDP, read by its metrics. Sockets and
//! HTTP are all that it knows of it.

use crate::{
    control_plane::poll,
    support::ask::{Ask, describe, normal},
};
use gapless::{
    app::Bound,
    config::{Config, Source},
    lifecycle::Tasks,
};
use std::{collections::BTreeSet, net::SocketAddr, path::Path, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    sync::oneshot,
    task::JoinSet,
    time::timeout,
};

/// Fails a test whose reply was lost; a question that is forwarded may take 4 s.
const LOST_AFTER: Duration = Duration::from_secs(20);

/// It runs until this is dropped.
pub struct Gapless {
    pub address: SocketAddr,
    admin: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Gapless {
    /// Starts it with the defaults and this kubeconfig, and waits for nothing.
    pub async fn start(kubeconfig: &Path, choose: impl FnOnce(&mut Config)) -> Self {
        let any = "127.0.0.1:0".parse().unwrap();
        let mut config = Config {
            listen: vec![any],
            admin: Some(any),
            source: Source::Kubernetes {
                kubeconfig: Some(kubeconfig.to_owned()),
                context: None,
            },
            ..Config::default()
        };
        config.forward.resolv_conf = "/dev/null".into();
        choose(&mut config);
        let bound = Bound::new(config).await.unwrap();
        let (address, admin) = (bound.addresses()[0], bound.admin_address().unwrap());
        let (_stop, stopped) = oneshot::channel::<()>();
        Tasks::new().0.brief(Box::pin(async {
            bound.run(async { drop(stopped.await) }).await.unwrap();
        }));
        Self {
            address,
            admin,
            _stop,
        }
    }

    /// The same, and waits until it is ready.
    pub async fn synced(kubeconfig: &Path, choose: impl FnOnce(&mut Config)) -> Self {
        let gapless = Self::start(kubeconfig, choose).await;
        gapless.ready().await;
        gapless
    }

    pub async fn ready(&self) {
        poll("gapless is ready", async || {
            let report = self.get("/readyz?verbose").await;
            (report == "ok\n").then_some(()).ok_or(report)
        })
        .await;
    }

    /// See [`ask`].
    pub async fn ask(&self, question: &str) -> String {
        ask(self.address, question).await
    }

    /// Asks once, and compares.
    pub async fn expect(&self, question: &str, expected: &str) {
        assert_eq!(self.ask(question).await, normal(expected), "{question}");
    }

    /// Asks until the answer is as expected.
    pub async fn until(&self, question: &str, expected: &str) {
        let expected = normal(expected);
        poll(&expected, async || {
            let answer = self.ask(question).await;
            (answer == expected).then_some(()).ok_or(answer)
        })
        .await;
    }

    /// The value of one series, such as `gapless_feed_lists_total{source="services"}`.
    pub async fn metric(&self, series: &str) -> u64 {
        let metrics = self.metrics().await;
        let line = metrics.lines().find_map(|line| line.strip_prefix(series));
        let value = line.unwrap_or_else(|| panic!("{series} in\n{metrics}"));
        value.trim().parse().expect("a whole number")
    }

    /// Waits until a series is as it should be.
    pub async fn until_metric(&self, series: &str, is_right: impl Fn(u64) -> bool) {
        poll(series, async || {
            let value = self.metric(series).await;
            is_right(value)
                .then_some(())
                .ok_or_else(|| value.to_string())
        })
        .await;
    }

    pub async fn metrics(&self) -> String {
        self.get("/metrics").await
    }

    async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        let (_, body) = response.split_once("\r\n\r\n").expect("a whole response");
        body.to_owned()
    }
}

/// Asks a question such as `web.default.svc.cluster.local. A` once. The reply is in the form of the specification battery,
/// without its authority section: the SOA's serial number is the time.
pub async fn ask(server: SocketAddr, question: &str) -> String {
    let ask = Ask::parse(question);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    socket.send(&ask.packet(4711)).await.unwrap();
    let mut reply = vec![0; 1232];
    let received = timeout(LOST_AFTER, socket.recv(&mut reply)).await;
    reply.truncate(received.expect("a reply").unwrap());
    let text = describe(&ask, &reply);
    let lines = text.lines().filter(|line| !line.starts_with("auth: "));
    lines.collect::<Vec<_>>().join("\n")
}

/// Asks without a pause until it is finished; says which answers there were.
pub struct Asking {
    finish: oneshot::Sender<()>,
    asking: JoinSet<BTreeSet<String>>,
}

impl Asking {
    pub fn start(gapless: &Gapless, question: &str) -> Self {
        let (finish, mut finished) = oneshot::channel();
        let (server, question) = (gapless.address, question.to_owned());
        let mut asking = JoinSet::new();
        asking.spawn(async move {
            let mut answers = BTreeSet::new();
            while finished.try_recv().is_err() {
                answers.insert(ask(server, &question).await);
            }
            answers
        });
        Self { finish, asking }
    }

    pub async fn finish(mut self) -> BTreeSet<String> {
        self.finish.send(()).unwrap();
        self.asking.join_next().await.expect("one task").unwrap()
    }
}
