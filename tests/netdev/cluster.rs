//! Three network namespaces: a node, a pod on it, and the cluster's DNS behind it; and the programs in them.

use rustix::process::{Pid, Signal, geteuid, kill_process};
use std::{
    fs,
    process::{Child, Command, Output, Stdio, id},
    sync::atomic::{AtomicUsize, Ordering},
};
use tempfile::TempDir;

/// The server's own addresses.
pub(crate) const OWN: [&str; 2] = ["169.254.20.10", "fd00:a::10"];

/// The addresses of the cluster DNS's service.
pub(crate) const KUBE_DNS: [&str; 2] = ["10.96.0.10", "fd00:96::a"];

/// What who.example is, by who answers.
pub(crate) const NODE: &str = "192.0.2.1";
pub(crate) const CLUSTER_DNS: &str = "192.0.2.2";

pub(crate) const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/demo");
pub(crate) const GAPLESS: &str = env!("CARGO_BIN_EXE_gapless");

/// Questions until something must have happened.
const ATTEMPTS: usize = 60;

/// kube-proxy's part: questions to the service go to the cluster's DNS.
const RULES: &str = "
table inet proxy {
    chain services {
        ip daddr 10.96.0.10 meta l4proto { tcp, udp } th dport 53 dnat ip to 10.2.0.2
        ip6 daddr fd00:96::a meta l4proto { tcp, udp } th dport 53 dnat ip6 to fd02::2
    }
    chain prerouting { type nat hook prerouting priority dstnat; jump services; }
    chain output { type nat hook output priority -100; jump services; }
}";

pub(crate) struct Cluster {
    pub(crate) node: String,
    pub(crate) pod: String,
    pub(crate) dns: String,
    pub(crate) kind: &'static str,
    pub(crate) files: TempDir,
    cluster_dns: Option<Process>,
}

/// A running program; dropping it kills it.
pub(crate) struct Process(pub(crate) Child);

impl Cluster {
    /// Lays the wires, and starts the cluster's DNS.
    pub(crate) fn new(why: &str) -> Self {
        assert!(
            geteuid().is_root(),
            "network namespaces are root's to make: {why}"
        );
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let [node, pod, dns] =
            ["node", "pod", "dns"].map(|it| format!("gapless-{}-{number}-{it}", id()));
        let mut cluster = Self {
            node,
            pod,
            dns,
            kind: "dummy",
            files: tempfile::tempdir().unwrap(),
            cluster_dns: None,
        };
        for namespace in [&cluster.node, &cluster.pod, &cluster.dns] {
            host(&format!("ip netns add {namespace}"));
            cluster.run(namespace, "ip link set lo up");
        }
        for (network, other) in [(1, &cluster.pod), (2, &cluster.dns)] {
            let node = &cluster.node;
            host(&format!(
                "ip -n {node} link add wire{network} type veth peer name eth0 netns {other}"
            ));
            for (namespace, link, end) in [
                (node, format!("wire{network}"), 1),
                (other, "eth0".to_owned(), 2),
            ] {
                host(&format!(
                    "ip -n {namespace} address add 10.{network}.0.{end}/24 dev {link}"
                ));
                host(&format!(
                    "ip -n {namespace} address add fd0{network}::{end}/64 dev {link} nodad"
                ));
                host(&format!("ip -n {namespace} link set {link} up"));
            }
            host(&format!(
                "ip -n {other} route add default via 10.{network}.0.1"
            ));
            host(&format!(
                "ip -n {other} route add default via fd0{network}::1"
            ));
        }
        let node = &cluster.node;
        cluster.run(
            node,
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
        );
        // The node's own way to a service's address; kube-proxy turns it before it is gone.
        cluster.run(node, "ip route add 10.96.0.0/16 via 10.2.0.2");
        cluster.run(node, "ip route add fd00:96::/64 via fd02::2");
        let rules = cluster.files.path().join("rules");
        fs::write(&rules, RULES).unwrap();
        cluster.run(node, &format!("nft -f {}", rules.display()));
        // Some kernels, that of many a CI among them, have no dummy; a bridge without ports leads as little anywhere.
        if !execute(node, "ip link add try0 type dummy")
            .status
            .success()
        {
            cluster.kind = "bridge";
        }
        execute(node, "ip link del try0");
        let listen = [
            "--listen",
            "10.2.0.2:53",
            "--listen",
            "[fd02::2]:53",
            "--admin",
            "off",
        ];
        let started = cluster.start(&cluster.dns, CLUSTER_DNS, &listen);
        cluster.cluster_dns = Some(started);
        cluster.until_answered_by(CLUSTER_DNS);
        cluster
    }

    /// Starts a server that says who it is.
    fn start(&self, namespace: &str, who: &str, arguments: &[&str]) -> Process {
        let config = self.files.path().join(who);
        fs::write(
            &config,
            format!(
                "hosts: {{ttl: 0s, entries: [{{names: [who.example], addresses: [{who}]}}]}}\n"
            ),
        )
        .unwrap();
        let common = [
            "serve",
            "--manifests",
            DEMO,
            "--upstream",
            "127.0.0.1:9",
            "--config",
        ];
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", namespace, GAPLESS])
            .args(common)
            .arg(config)
            .args(arguments);
        Process(command.stderr(Stdio::null()).spawn().unwrap())
    }

    /// The server of the node, at all its addresses, wherever they are at the time.
    pub(crate) fn serve(&self) -> Process {
        let listen = OWN.iter().chain(&KUBE_DNS).flat_map(|address| {
            let socket = match address.contains(':') {
                true => format!("[{address}]:53"),
                false => format!("{address}:53"),
            };
            ["--listen".to_owned(), socket]
        });
        let listen: Vec<_> = listen.collect();
        let mut arguments: Vec<_> = listen.iter().map(String::as_str).collect();
        arguments.push("--freebind");
        let server = self.start(&self.node, NODE, &arguments);
        // It listens once its admin server is ready, whatever the addresses.
        self.until(|| {
            execute(&self.node, "curl -sf http://127.0.0.1:9533/readyz")
                .status
                .success()
        });
        server
    }

    pub(crate) fn watch(&self) -> Process {
        let flags = self.flags();
        let arguments = format!("netns exec {} {GAPLESS} netdev watch {flags}", self.node);
        let command = Command::new("ip")
            .args(arguments.split(' '))
            .stderr(Stdio::null())
            .spawn();
        Process(command.unwrap())
    }

    fn flags(&self) -> String {
        format!(
            "--kind {} --address {} --kube-dns {}",
            self.kind,
            OWN.join(","),
            KUBE_DNS.join(",")
        )
    }

    pub(crate) fn netdev(&self, command: &str) {
        self.run(
            &self.node,
            &format!("{GAPLESS} netdev {command} {}", self.flags()),
        );
    }

    /// What the command says that fails; later flags win.
    pub(crate) fn netdev_fails(&self, command: &str, flags: &[&str]) -> String {
        let output = execute(
            &self.node,
            &format!("{GAPLESS} netdev {command} {}", flags.join(" ")),
        );
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    }

    pub(crate) fn is_up(&self) -> bool {
        let status = execute(
            &self.node,
            &format!("{GAPLESS} netdev status {}", self.flags()),
        );
        status.status.success()
    }

    /// The node's links, addresses and rules, whether or not the kernel has found its own addresses to be unique by now.
    pub(crate) fn state(&self) -> String {
        ["ip -o address", "ip -o link", "nft list ruleset"]
            .map(|it| self.run(&self.node, it))
            .concat()
            .replace(" tentative", "")
    }

    /// The connections of DNS that the node tracks.
    pub(crate) fn tracked(&self) -> Vec<String> {
        let lists = ["conntrack -L", "conntrack -L -f ipv6"].map(|it| self.run(&self.node, it));
        let of_pod = |line: &&str| {
            line.contains("dport=53") && KUBE_DNS.iter().chain(&OWN).any(|it| line.contains(it))
        };
        lists
            .concat()
            .lines()
            .filter(of_pod)
            .map(str::to_owned)
            .collect()
    }

    /// Who answers this address, asked from there; dig takes no answer from another one.
    pub(crate) fn who(&self, from: &str, address: &str, over: &str) -> String {
        let dig = format!("dig +short +tries=1 +time=1 {over} @{address} who.example A");
        String::from_utf8(execute(from, &dig).stdout)
            .unwrap()
            .trim()
            .to_owned()
    }

    pub(crate) fn until_answered_by(&self, who: &str) {
        for address in KUBE_DNS {
            self.until_answered_at(address, who);
        }
    }

    pub(crate) fn until_answered_at(&self, address: &str, who: &str) {
        self.until(|| self.who(&self.pod, address, "+notcp") == who);
    }

    /// Each look takes some milliseconds, and up to a second where nobody answers.
    fn until(&self, happened: impl Fn() -> bool) {
        let mut left = ATTEMPTS * 10;
        while !happened() {
            left -= 1;
            assert!(left > 0, "it did not happen: {}", self.state());
            execute(&self.node, "sleep 0.05");
        }
    }

    pub(crate) fn run(&self, namespace: &str, command: &str) -> String {
        succeeded(command, execute(namespace, command))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.cluster_dns.take());
        for namespace in [&self.node, &self.pod, &self.dns] {
            // It is for the next tests' sake, and no reason to fail this one.
            drop(
                Command::new("ip")
                    .args(["netns", "delete", namespace])
                    .status(),
            );
        }
    }
}

impl Process {
    pub(crate) fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }

    pub(crate) fn ended(&mut self) {
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn execute(namespace: &str, command: &str) -> Output {
    let inside = ["netns", "exec", namespace]
        .into_iter()
        .chain(command.split(' '));
    Command::new("ip").args(inside).output().unwrap()
}

fn host(command: &str) {
    let (program, arguments) = command.split_once(' ').unwrap();
    succeeded(
        command,
        Command::new(program)
            .args(arguments.split(' '))
            .output()
            .unwrap(),
    );
}

fn succeeded(command: &str, output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {error}");
    String::from_utf8(output.stdout).unwrap()
}
