//! U19: an upstream that forwards to this server, as a node's resolver does that has this server in its resolv.conf.

use crate::{
    asking::{ask, metrics_once, until},
    running::{Running, demo},
};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    task::JoinSet,
    time::{Instant, timeout},
};

/// A resolver that forwards whatever it is asked, and counts.
struct Relay {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Relay {
    /// To this address, once it is there.
    async fn start(to: impl Future<Output = SocketAddr> + Send + 'static) -> Self {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = socket.local_addr().unwrap();
        let asked = Arc::<AtomicUsize>::default();
        let mut task = JoinSet::new();
        task.spawn(relay(socket, to, Arc::clone(&asked)));
        Self {
            address,
            asked,
            _task: task,
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

async fn relay(
    socket: Arc<UdpSocket>,
    to: impl Future<Output = SocketAddr>,
    asked: Arc<AtomicUsize>,
) {
    let to = to.await;
    let mut under_way = JoinSet::new();
    let mut query = [0; 1232];
    while let Ok((len, client)) = socket.recv_from(&mut query).await {
        asked.fetch_add(1, Ordering::Relaxed);
        let (socket, query) = (Arc::clone(&socket), query[..len].to_vec());
        under_way.spawn(async move {
            let onward = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            onward.connect(to).await.unwrap();
            onward.send(&query).await.unwrap();
            let mut reply = [0; 1232];
            // As long as forwarders wait.
            let heard = timeout(Duration::from_secs(5), onward.recv(&mut reply)).await;
            if let Ok(Ok(len)) = heard {
                socket.send_to(&reply[..len], client).await.unwrap();
            }
        });
    }
}

#[tokio::test]
async fn u19_a_loop_through_another_resolver_is_found_at_the_start_and_ends_no_process() {
    let (say, said) = tokio::sync::oneshot::channel();
    let relay = Relay::start(async { said.await.unwrap() }).await;
    let mut config = demo();
    config.forward.upstreams = vec![relay.address.into()];
    let began = Instant::now();
    let server = Running::start(config).await;
    say.send(server.dns).unwrap();
    until(server.admin, "/readyz", (200, "ok\n")).await;
    let line = format!(
        "gapless_upstream_looping{{upstream=\"{}\"}} 1\n",
        relay.address
    );
    metrics_once(server.admin, |page| page.contains(&line)).await;
    let (took, probes) = (began.elapsed(), relay.asked());
    assert_eq!(probes, 1, "found within {took:?}");
    // What would go in a circle is refused at once; the cluster's names are answered as ever.
    for n in 0..10 {
        let question = format!("{n}.example.org. A");
        assert_eq!(ask(server.dns, &question).await, ["ServFail EDE 0"]);
    }
    assert_eq!(relay.asked(), probes);
    let web = ask(server.dns, "web-0.nginx.default.svc.cluster.local. A").await;
    assert_eq!(web.len(), 2);
    server.end().await;
}
