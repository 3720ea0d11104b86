//! A process takes the sockets of the one before, while questions come without a pause.

use crate::{
    asking::{ask, metrics_once, until, within},
    load::Load,
    process::{Process, failure, gapless},
    running::{DEMO, directory, text},
};
use rustix::process::Signal;
use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    sync::atomic::Ordering::Relaxed,
    time::Duration,
};
use tempfile::TempDir;
use tokio::process::Command;

const NAME: &str = "kubernetes.default.svc.cluster.local. A";

/// A question for [`NAME`], with ID 0.
const QUESTION: &[u8] =
    b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x0akubernetes\x07default\x03svc\x07cluster\x05local\0\0\x01\0\x01";

/// Addresses that are free now, for UDP and TCP.
fn free() -> (SocketAddr, SocketAddr) {
    let dns = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = dns.local_addr().unwrap();
    let (_udp, admin) = (
        UdpSocket::bind(address),
        TcpListener::bind("127.0.0.1:0").unwrap(),
    );
    (address, admin.local_addr().unwrap())
}

fn serve(dns: SocketAddr, admin: SocketAddr, path: &Path, config: &Path) -> Command {
    let (dns, admin) = (dns.to_string(), admin.to_string());
    let common = ["serve", "--manifests", DEMO, "--upstream", "127.0.0.1:9"];
    let own = [
        "--listen",
        &dns,
        "--admin",
        &admin,
        "--handover",
        text(path),
        "--config",
        text(config),
    ];
    gapless(&[common.as_slice(), &own].concat())
}

/// Where one process follows the other.
struct Place {
    files: TempDir,
    dns: SocketAddr,
    admin: SocketAddr,
}

impl Place {
    fn new(config: &str) -> Self {
        let (dns, admin) = free();
        let files = directory(&[("config", config)]);
        Self { files, dns, admin }
    }

    fn sockets(&self) -> PathBuf {
        self.files.path().join("sockets")
    }

    fn start(&self) -> Process {
        let config = self.files.path().join("config");
        Process::start(serve(self.dns, self.admin, &self.sockets(), &config))
    }

    /// A process whose index is never listed: its API server is nobody.
    fn start_never_ready(&self) -> Process {
        let nobody = "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}]\n\
            users: []\ncontexts: [{name: x, context: {cluster: c, user: ''}}]\ncurrent-context: x\n";
        let kubeconfig = self.files.path().join("kubeconfig");
        std::fs::write(&kubeconfig, nobody).unwrap();
        let (dns, admin) = (self.dns.to_string(), self.admin.to_string());
        let sockets = self.sockets();
        let common = ["serve", "--upstream", "127.0.0.1:9", "--kubeconfig"];
        let own = [
            text(&kubeconfig),
            "--listen",
            &dns,
            "--admin",
            &admin,
            "--handover",
            text(&sockets),
        ];
        Process::start(gapless(&[common.as_slice(), &own].concat()))
    }

    async fn answers(&self) {
        assert_eq!(ask(self.dns, NAME).await[0], "NoError");
    }
}

/// The metrics say this of one process before, or after.
async fn counted(admin: SocketAddr, side: &str, outcome: &str) {
    let sample =
        format!("gapless_handover_outcomes_total{{side=\"{side}\",outcome=\"{outcome}\"}} 1\n");
    metrics_once(admin, |page| page.contains(&sample)).await;
}

/// Ends well.
async fn ended(process: Process) {
    let (code, log) = process.end().await;
    assert_eq!(code, Some(0), "{log:#?}");
}

async fn upgrades(times: usize, per_second: u64, connections: usize) {
    // Another number of workers each time: what a socket holds is to be read by somebody, however many there are.
    let workers = [2, 4, 1].map(|it| format!("udp: {{workers: {it}}}\ntcp: {{max_connections: 1024, max_connections_per_client: 1024}}\n"));
    let files = directory(&[("0", &workers[0]), ("1", &workers[1]), ("2", &workers[2])]);
    let path = files.path().join("sockets");
    let (dns, admin) = free();
    let start = |number: usize| {
        let config = files.path().join((number % 3).to_string());
        Process::start(serve(dns, admin, &path, &config))
    };
    let mut server = start(0);
    server.line("admin server").await;
    until(admin, "/readyz", (200, "ok\n")).await;
    let load = Load::start(dns, QUESTION, per_second, connections);
    for number in 1..=times {
        // A second's questions before, so that each process has answered.
        let enough = load.answered() + per_second;
        let answers = async {
            while load.answered() < enough {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        within("answers", answers).await;
        let next = start(number);
        next.line("took over from the former process").await;
        until(admin, "/readyz", (200, "ok\n")).await;
        counted(admin, "former", "taken").await;
        server.line("drained; waiting for the signal to end").await;
        server.signal(Signal::TERM);
        ended(server).await;
        server = next;
    }
    let tally = load.end().await;
    println!("{times} upgrades at {per_second} queries/s and {connections} connections: {tally:?}");
    let bad = [&tally.lost, &tally.wrong, &tally.resets].map(|it| it.load(Relaxed));
    assert_eq!(bad, [0, 0, 0], "lost, wrong, resets of {tally:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k25_three_upgrades_under_load_lose_no_question_and_reset_no_connection() {
    upgrades(3, 1000, 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of a minute: a release build, and net.core.rmem_max of at least 8388608"]
async fn k25_twenty_upgrades_at_20000_queries_a_second_and_200_connections() {
    upgrades(20, 20_000, 200).await;
}

#[tokio::test]
async fn k25_a_process_that_waits_for_its_index_leaves_the_other_to_answer_and_ends_without_the_sockets()
 {
    let place = Place::new("");
    let server = place.start();
    server.line("the next process finds this one").await;
    server.line("admin server").await;
    until(place.admin, "/readyz", (200, "ok\n")).await;
    let next = place.start_never_ready();
    next.line("another process has the sockets").await;
    place.answers().await;
    next.signal(Signal::TERM);
    ended(next).await;
    server
        .line("the next process has left without the sockets")
        .await;
    counted(place.admin, "next", "left").await;
    place.answers().await;
}

#[tokio::test]
async fn k25_a_process_whose_predecessor_is_killed_answers_at_once() {
    let place = Place::new("");
    let server = place.start();
    server.line("the next process finds this one").await;
    server.signal(Signal::STOP); // it has the sockets, and passes nothing
    let next = place.start();
    next.line("another process has the sockets").await;
    server.signal(Signal::KILL);
    next.line("admin server").await;
    counted(place.admin, "former", "ended").await;
    until(place.admin, "/readyz", (200, "ok\n")).await;
    place.answers().await;
}

#[tokio::test]
async fn k25_a_process_that_is_told_to_end_answers_until_one_of_those_who_wait_can() {
    let place = Place::new("");
    let server = place.start();
    server.line("the next process finds this one").await;
    server.line("admin server").await;
    let stuck = place.start_never_ready();
    stuck.line("another process has the sockets").await;
    server.signal(Signal::TERM);
    server.line("the next process is there").await;
    place.answers().await;
    let next = place.start();
    next.line("took over from the former process").await;
    ended(server).await;
    place.answers().await;
}

#[tokio::test]
async fn a_lame_duck_says_no_and_answers_until_its_time_is_over() {
    let place = Place::new("lameduck: 1s\n");
    let server = place.start();
    server.line("admin server").await;
    until(place.admin, "/readyz", (200, "ok\n")).await;
    server.signal(Signal::TERM);
    until(place.admin, "/readyz", (503, "[-] draining\nnot ready\n")).await;
    place.answers().await;
    ended(server).await;
}

#[tokio::test]
async fn sockets_of_systemd_keep_what_comes_while_the_process_is_restarted() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let dns = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind(dns).unwrap();
    let address = dns.to_string();
    let start = || {
        let arguments = [
            "--manifests",
            DEMO,
            "--upstream",
            "127.0.0.1:9",
            "--listen",
            &address,
            "--admin",
            "off",
        ];
        Process::start(activated(
            &arguments,
            [
                udp.try_clone().unwrap().into(),
                tcp.try_clone().unwrap().into(),
            ],
        ))
    };
    let server = start();
    server.line("still_awaited=[]").await;
    assert_eq!(ask(dns, NAME).await[0], "NoError");
    server.signal(Signal::TERM);
    assert_eq!(server.end().await.0, Some(0));
    // Nobody reads now, and the port is open.
    let asked = ask(dns, NAME);
    let answers = async {
        let server = start();
        server.line("answering over UDP and TCP").await;
        server
    };
    let (answer, _server) = tokio::join!(asked, answers);
    assert_eq!(answer[0], "NoError", "{answer:?}");
}

/// `gapless serve` with open sockets, as sd_listen_fds(3) has them: from 3 on, and counted for this process.
fn activated(arguments: &[&str], [udp, tcp]: [std::os::fd::OwnedFd; 2]) -> Command {
    let script = "exec 3<&0 4<&1 0</dev/null 1>/dev/null; LISTEN_PID=$$ LISTEN_FDS=2 exec \"$@\"";
    let mut command = Command::new("sh");
    command
        .env_clear()
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_gapless"), "serve"]);
    command
        .args(arguments)
        .stdin(udp)
        .stdout(tcp)
        .kill_on_drop(true);
    command
}

#[tokio::test]
async fn a_handover_that_cannot_be_listened_at_is_named() {
    let files = directory(&[("0", "")]);
    let (dns, admin) = free();
    let path = files.path().join("missing").join("sockets");
    let failed = failure(serve(dns, admin, &path, &files.path().join("0"))).await;
    let start = format!("gapless: handover {}: cannot listen", path.display());
    assert!(failed.starts_with(&start), "{failed}");
}
