//! The resolvers that are compared, each a process of its own on loopback: gapless, and CoreDNS in the three ways in which
//! clusters run it. What each is given stands here and nowhere else.

use crate::{
    control_plane::{ControlPlane, Process, poll},
    support::ask::Ask,
};
use std::{
    fmt, fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::{Duration, timeout},
};

/// Before a resolver has this name, it is not ready.
const ALWAYS_THERE: &str = "kubernetes.default.svc.cluster.local.";

/// A process that answers.
pub struct Resolver {
    pub name: &'static str,
    pub address: SocketAddr,
    process: Process,
}

impl Resolver {
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }
}

/// gapless, which also says what it has.
pub struct Gapless {
    pub resolver: Resolver,
    admin: SocketAddr,
}

impl Gapless {
    /// `gapless serve` with its defaults. Its log goes into the kubeconfig's directory.
    pub async fn start(kubeconfig: &Path) -> Self {
        let arguments = [
            "serve",
            "--kubeconfig",
            kubeconfig.to_str().unwrap(),
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
        ];
        let process = Process::start(
            Path::new(env!("CARGO_BIN_EXE_gapless")),
            &arguments.map(str::to_owned),
            kubeconfig.with_file_name("gapless.log"),
        );
        let (address, admin) = poll("gapless listens", async || {
            let address = |of: &str| logged_address(&process.whole_log(), of);
            let both = address("answering over UDP and TCP").zip(address("admin server"));
            both.ok_or_else(|| process.log())
        })
        .await;
        let resolver = ready("gapless", address, process).await;
        let gapless = Self { resolver, admin };
        poll("gapless has listed everything", async || {
            let report = gapless.get("/readyz?verbose").await;
            report.ends_with("ok\n").then_some(()).ok_or(report)
        })
        .await;
        gapless
    }

    pub async fn metrics(&self) -> Page {
        Page(self.get("/metrics").await)
    }

    async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response
    }
}

/// A page of metrics.
pub struct Page(pub String);

impl Page {
    /// From a change's receipt to its answer.
    pub fn answerable(&self) -> Buckets {
        const BUCKET: &str = "gapless_index_answerable_seconds_bucket{le=\"";
        let lines = self.0.lines().filter_map(|line| line.strip_prefix(BUCKET));
        let buckets = lines.map(|line| {
            let (bound, rest) = line.split_once("\"} ").unwrap();
            (bound.parse().unwrap(), rest.parse().unwrap())
        });
        Buckets(buckets.collect())
    }

    /// The sum of all series whose names begin so.
    pub fn sum(&self, series: &str) -> u64 {
        let lines = self.0.lines().filter(|line| line.starts_with(series));
        lines
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum()
    }
}

/// A histogram: bounds in seconds, and how many times were within each.
pub struct Buckets(Vec<(f64, u64)>);

impl Buckets {
    /// What came since.
    pub fn since(&self, before: &Self) -> Self {
        let both = self.0.iter().zip(&before.0);
        Self(both.map(|(now, then)| (now.0, now.1 - then.1)).collect())
    }

    pub fn count(&self) -> u64 {
        self.0.last().unwrap().1
    }

    /// The bound, in milliseconds, of the bucket within which so many of 1,000 are.
    pub fn within(&self, of_1000: u64) -> f64 {
        let complete = |(_, count): &&(f64, u64)| count * 1000 >= self.count() * of_1000;
        self.0.iter().find(complete).unwrap().0 * 1e3
    }
}

impl fmt::Display for Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, p99, p999, all] = [500, 990, 999, 1000].map(|it| self.within(it));
        write!(
            f,
            "50 % {median} ms, 99 % {p99} ms, 99.9 % {p999} ms, 100 % {all} ms"
        )
    }
}

fn logged_address(log: &str, of: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains(of))?;
    line.split_once("address=")?.1.trim().parse().ok()
}

/// The `kubernetes` plugin as kubeadm sets it up, and nothing that stores an answer. CoreDNS has the rights of gapless.
pub async fn coredns_without_cache(control_plane: &ControlPlane) -> Resolver {
    coredns(
        "CoreDNS, no cache",
        control_plane,
        &kubernetes(control_plane),
    )
    .await
}

/// The same with the line that clusters had for years, and many have.
pub async fn coredns_with_cache(control_plane: &ControlPlane) -> Resolver {
    let plugins = format!("{}\ncache 30", kubernetes(control_plane));
    coredns("CoreDNS, cache 30", control_plane, &plugins).await
}

/// The cluster's block of NodeLocal DNSCache, which is CoreDNS in a wrapper, in front of another resolver.
pub async fn node_local(control_plane: &ControlPlane, behind: &Resolver) -> Resolver {
    let plugins = format!(
        "cache {{\n success 9984 30\n denial 9984 5\n}}\nforward . {} {{\n force_tcp\n}}",
        behind.address
    );
    coredns("NodeLocal's cache before it", control_plane, &plugins).await
}

fn kubernetes(control_plane: &ControlPlane) -> String {
    format!(
        "kubernetes cluster.local in-addr.arpa ip6.arpa {{
            kubeconfig {}
            pods insecure
            fallthrough in-addr.arpa ip6.arpa
            ttl 30
        }}
        loadbalance",
        control_plane.gapless_kubeconfig().display()
    )
}

async fn coredns(name: &'static str, control_plane: &ControlPlane, plugins: &str) -> Resolver {
    let address = free_address();
    let corefile = format!(
        "cluster.local:{} {{\nbind {}\nerrors\n{plugins}\n}}\n",
        address.port(),
        address.ip()
    );
    let file = |ending: &str| {
        let name = format!("coredns-{}.{ending}", address.port());
        control_plane.directory().join(name)
    };
    fs::write(file("corefile"), corefile).unwrap();
    let arguments = ["-conf", file("corefile").to_str().unwrap()].map(str::to_owned);
    let process = Process::start(&program(), &arguments, file("log"));
    ready(name, address, process).await
}

/// What `tests/control-plane/build-coredns` printed.
pub fn program() -> PathBuf {
    let program = std::env::var_os("COREDNS");
    PathBuf::from(program.expect("COREDNS names what tests/control-plane/build-coredns printed"))
}

/// An address whose port is free for UDP and TCP. It is let go before the process takes it.
fn free_address() -> SocketAddr {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        if std::net::UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

async fn ready(name: &'static str, address: SocketAddr, process: Process) -> Resolver {
    let question = Ask::new(&format!("{ALWAYS_THERE} A"), None).packet(1);
    poll(name, async || {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(address).await.unwrap();
        let mut reply = [0; 512];
        let exchange = async {
            socket.send(&question).await?;
            socket.recv(&mut reply).await
        };
        match timeout(Duration::from_secs(1), exchange).await {
            // NOERROR, and an answer.
            Ok(Ok(_)) if reply[3] & 0xf == 0 && reply[7] > 0 => Ok(()),
            other => Err(format!("{other:?}\n{}", process.log())),
        }
    })
    .await;
    Resolver {
        name,
        address,
        process,
    }
}
