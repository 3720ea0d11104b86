//! The processes: etcd, kube-apiserver and kube-controller-manager, with the flags, ports and credentials that they are
//! given. It speaks to none of them.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// The tokens that the API server takes for gapless, all of them from its start on: it reads its token file only then.
/// A rotation is to put another one into the file that the kubeconfig names.
pub const GAPLESS_TOKENS: [&str; 2] = ["gapless-first", "gapless-second"];

const ADMIN_TOKEN: &str = "admin";

pub struct Ports {
    pub etcd: u16,
    pub etcd_peer: u16,
    pub api_server: u16,
}

/// A child process that dies with its handle.
pub struct Process {
    pub child: Child,
    log: PathBuf,
}

impl Process {
    pub fn start(program: &Path, arguments: &[String], log: PathBuf) -> Self {
        assert!(program.is_file(), "{} is not there", program.display());
        let output = fs::File::options().create(true).append(true).open(&log);
        let output = output.unwrap();
        // util-linux's `setpriv` does what would need `unsafe` here, and then becomes the program itself.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .expect("setpriv (util-linux) starts");
        Self { child, log }
    }

    /// All that it has written so far.
    pub fn whole_log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn log(&self) -> String {
        const LAST_LINES: usize = 20;
        let log = self.whole_log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only a process that is gone already cannot be killed or waited for.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A program of `KUBEBUILDER_ASSETS`.
pub fn asset(program: &str) -> PathBuf {
    let directory = std::env::var_os("KUBEBUILDER_ASSETS")
        .expect("KUBEBUILDER_ASSETS names the directory that tests/control-plane/build printed");
    Path::new(&directory).join(program)
}

pub fn free_ports() -> Ports {
    // Taken all at once, so that they differ.
    let held = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [etcd, etcd_peer, api_server] = held.map(|listener| listener.local_addr().unwrap().port());
    Ports {
        etcd,
        etcd_peer,
        api_server,
    }
}

pub fn write_credentials(directory: &Path, ports: &Ports) {
    let generated = Command::new("openssl")
        .args(["ecparam", "-name", "prime256v1", "-genkey", "-noout"])
        .output()
        .expect("openssl generates the key of service accounts");
    assert!(generated.status.success(), "openssl ecparam: {generated:?}");
    fs::write(directory.join("service-account.key"), generated.stdout).unwrap();
    write_tokens(directory, &GAPLESS_TOKENS);
    for (user, token) in [("admin", ADMIN_TOKEN), ("gapless", GAPLESS_TOKENS[0])] {
        fs::write(directory.join(format!("{user}.token")), token).unwrap();
        let kubeconfig = KUBECONFIG
            .replace("USER", user)
            .replace("PORT", &ports.api_server.to_string());
        fs::write(directory.join(format!("{user}.kubeconfig")), kubeconfig).unwrap();
    }
}

/// Relative paths count from the kubeconfig's own directory. The certificate is the one that the API server makes for
/// itself; the file holds the authority that signed it, too.
const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
current-context: test
contexts: [{name: test, context: {cluster: test, user: USER}}]
clusters: [{name: test, cluster: {server: 'https://127.0.0.1:PORT', certificate-authority: certificates/apiserver.crt}}]
users: [{name: USER, user: {tokenFile: USER.token}}]
";

pub fn write_tokens(directory: &Path, gapless: &[&str]) {
    // token,user,uid,"groups": the names by which a cluster knows the service account of SHIPPED_RBAC.
    let groups = "system:serviceaccounts,system:serviceaccounts:kube-system";
    let mut lines = format!("{ADMIN_TOKEN},admin,admin,\"system:masters\"\n");
    for token in gapless {
        lines +=
            &format!("{token},system:serviceaccount:kube-system:gapless,gapless,\"{groups}\"\n");
    }
    fs::write(directory.join("tokens.csv"), lines).unwrap();
}

pub fn start_etcd(program: &Path, directory: &Path, ports: &Ports) -> Process {
    let clients = format!("http://127.0.0.1:{}", ports.etcd);
    let peers = format!("http://127.0.0.1:{}", ports.etcd_peer);
    let arguments = [
        format!("--data-dir={}", directory.join("etcd").display()),
        format!("--listen-client-urls={clients}"),
        format!("--advertise-client-urls={clients}"),
        format!("--listen-peer-urls={peers}"),
        format!("--initial-advertise-peer-urls={peers}"),
        format!("--initial-cluster=default={peers}"),
        "--unsafe-no-fsync".into(),
    ];
    Process::start(program, &arguments, directory.join("etcd.log"))
}

pub fn start_api_server(directory: &Path, ports: &Ports, more_flags: &[&str]) -> Process {
    let file = |name: &str| directory.join(name).display().to_string();
    let mut arguments = vec![
        format!("--etcd-servers=http://127.0.0.1:{}", ports.etcd),
        "--bind-address=127.0.0.1".into(),
        "--advertise-address=127.0.0.1".into(),
        format!("--secure-port={}", ports.api_server),
        format!("--cert-dir={}", file("certificates")),
        "--service-cluster-ip-range=10.96.0.0/16,fd00:96::/112".into(),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-key-file={}", file("service-account.key")),
        format!(
            "--service-account-signing-key-file={}",
            file("service-account.key")
        ),
        format!("--token-auth-file={}", file("tokens.csv")),
        "--authorization-mode=RBAC".into(),
        // Nobody makes the default service accounts here, and pods are to be admitted without.
        "--disable-admission-plugins=ServiceAccount".into(),
        // The server's own endpoint would be a loopback address, which the API refuses.
        "--endpoint-reconciler-type=none".into(),
    ];
    arguments.extend(more_flags.iter().copied().map(str::to_owned));
    Process::start(
        &asset("kube-apiserver"),
        &arguments,
        directory.join("kube-apiserver.log"),
    )
}

/// Without the controllers that look after nodes: there is one node, and nobody who says that it lives.
pub fn start_controller_manager(directory: &Path) -> Process {
    let file = |name: &str| directory.join(name).display().to_string();
    let arguments = [
        format!("--kubeconfig={}", file("admin.kubeconfig")),
        format!(
            "--service-account-private-key-file={}",
            file("service-account.key")
        ),
        "--controllers=*,-nodeipam,-node-lifecycle-controller,-taint-eviction-controller".into(),
        "--leader-elect=false".into(),
        "--secure-port=0".into(),
    ];
    Process::start(
        &asset("kube-controller-manager"),
        &arguments,
        directory.join("kube-controller-manager.log"),
    )
}
