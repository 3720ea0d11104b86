//! What stands in the way of a start is said in one text, and the process ends with code 1.

use crate::{
    process::{Process, failure, gapless, serve},
    running::{DEMO, directory, text},
};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use tokio::process::Command;

const NO_CREDENTIALS: &str = "gapless: cannot reach the Kubernetes API: no credentials for a Kubernetes API server; \
    expected one of: a kubeconfig file named with --kubeconfig; the service account of a pod (KUBERNETES_SERVICE_HOST \
    and /var/run/secrets/kubernetes.io/serviceaccount/token, see automountServiceAccountToken); a file named by \
    KUBECONFIG or at ~/.kube/config\n";

const KUBECONFIG: &str = "
apiVersion: v1
kind: Config
current-context: one
clusters:
- {name: one, cluster: {server: 'https://192.0.2.1:6443'}}
contexts:
- {name: one, context: {cluster: one, user: me}}
- {name: two, context: {cluster: one, user: me}}
users:
- {name: me, user: {token: secret}}
";

fn with(listen: SocketAddr, admin: &str) -> Command {
    let listen = listen.to_string();
    gapless(&[
        "serve",
        "--manifests",
        DEMO,
        "--listen",
        &listen,
        "--admin",
        admin,
    ])
}

#[tokio::test]
async fn a_tcp_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let expected = format!(
        "gapless: cannot listen on {address} (TCP): port {} is already in use\n",
        address.port()
    );
    assert_eq!(failure(with(address, "off")).await, expected);
}

#[tokio::test]
async fn a_udp_port_of_another_program_is_named() {
    // Nobody else uses this address, so the port is free for TCP.
    let taken = UdpSocket::bind("127.0.0.2:0").unwrap();
    let address = taken.local_addr().unwrap();
    let expected = format!(
        "gapless: cannot listen on {address} (UDP): port {} is already in use\n",
        address.port()
    );
    assert_eq!(failure(with(address, "off")).await, expected);
}

#[tokio::test]
async fn an_admin_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let command = with("127.0.0.1:0".parse().unwrap(), &address);
    let expected = format!(
        "gapless: cannot listen on {address} (admin): Address already in use (os error 98)\n"
    );
    assert_eq!(failure(command).await, expected);
}

#[tokio::test]
async fn a_directory_of_manifests_that_does_not_exist_is_named() {
    let expected = "gapless: manifests /nonexistent: expected a directory that can be read: No such file or directory \
                    (os error 2)\n";
    let command = serve(&["--manifests", "/nonexistent"]);
    assert_eq!(failure(command).await, expected);
}

#[tokio::test]
async fn a_kubeconfig_that_does_not_exist_is_named() {
    let expected = "gapless: cannot reach the Kubernetes API: kubeconfig /nonexistent: cannot be read: No such file or \
                    directory (os error 2)\n";
    let command = serve(&["--kubeconfig", "/nonexistent"]);
    assert_eq!(failure(command).await, expected);
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_read_is_named_without_its_content() {
    let files = directory(&[("kubeconfig", "users: [{token: secret}\nclusters: []\n")]);
    let path = files.path().join("kubeconfig");
    let said = failure(serve(&["--kubeconfig", text(&path)])).await;
    let expected = format!(
        "gapless: cannot reach the Kubernetes API: kubeconfig {}: failed to parse kubeconfig YAML: ",
        path.display()
    );
    assert!(said.starts_with(&expected), "{said}");
    assert_eq!(
        (said.lines().count(), said.contains("secret")),
        (1, false),
        "{said}"
    );

    let said = failure(serve(&["--kubeconfig", "/"])).await;
    let expected = "gapless: cannot reach the Kubernetes API: kubeconfig /: cannot be read: Is a directory (os error 21)\n";
    assert_eq!(said, expected);
}

#[tokio::test]
async fn a_context_that_the_kubeconfig_does_not_have_is_named_with_those_it_has() {
    let files = directory(&[("kubeconfig", KUBECONFIG)]);
    let path = files.path().join("kubeconfig");
    let command = serve(&["--kubeconfig", text(&path), "--context", "three"]);
    let expected = format!(
        "gapless: cannot reach the Kubernetes API: kubeconfig {}: no context `three`; expected one of: one, two\n",
        path.display()
    );
    assert_eq!(failure(command).await, expected);
}

#[tokio::test]
async fn without_credentials_the_three_ways_to_give_them_are_named() {
    let home = directory(&[]);
    assert_eq!(failure(serve(&[])).await, NO_CREDENTIALS);
    let mut with_a_home = serve(&[]);
    with_a_home.env("HOME", home.path());
    assert_eq!(failure(with_a_home).await, NO_CREDENTIALS);
}

#[tokio::test]
async fn an_unknown_key_is_named_with_its_place() {
    let files = directory(&[("config.yaml", "cache:\n  max_tll: 5s\n")]);
    let path = files.path().join("config.yaml");
    let expected = format!(
        "gapless: {}:2:3: cache.max_tll: unknown key; did you mean `max_ttl`?\n    2 |   max_tll: 5s\n      |   ^\n",
        path.display()
    );
    assert_eq!(failure(serve(&["--config", text(&path)])).await, expected);
    assert_eq!(failure(gapless(&["check", text(&path)])).await, expected);
}

/// With limits of open files that the shell lowers before the server starts.
fn limited(ulimit: &str) -> Process {
    let mut command = Command::new("/bin/sh");
    let server = format!("{ulimit}; exec \"$@\"");
    let gapless = [
        "gapless",
        env!("CARGO_BIN_EXE_gapless"),
        "serve",
        "--manifests",
        DEMO,
    ];
    let addresses = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    command.env_clear().kill_on_drop(true);
    command.args(["-c", &server]).args(gapless).args(addresses);
    command.env("GAPLESS_UPSTREAM", "192.0.2.1");
    Process::start(command)
}

#[tokio::test]
async fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let server = limited("ulimit -Sn 500");
    server.admin().await;
    let (soft, hard) = server.file_limits();
    assert_ne!(hard, "500", "this machine's hard limit");
    assert_eq!(soft, hard);
}

#[tokio::test]
async fn a_limit_of_open_files_below_what_may_be_needed_is_said_with_numbers() {
    let server = limited("ulimit -n 500");
    let line = server.line("WARN").await;
    let (_, said) = line.split_once("at most ").unwrap();
    let (limit, rest) = said
        .split_once(" files can be open, and the configuration can need ")
        .unwrap();
    let (needed, _) = rest.split_once("; expected a higher hard limit").unwrap();
    assert_eq!(limit, "500");
    assert!(needed.parse::<u32>().unwrap() > 3 * 4096, "{needed}");
}
