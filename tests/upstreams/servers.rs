//! The servers under comparison: how each is configured and started. It knows nothing of gapless but how an upstream is
//! written down.

use crate::{
    data::{KEY, dnsmasq, zone},
    programs::{Program, own_address},
};
use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

const PORT: u16 = 5353;
const TLS_PORT: u16 = 8853;
const HTTPS_PORT: u16 = 8443;
/// What the certificate says.
const NAME: &str = "dns.up.example";

pub(crate) struct Server {
    pub(crate) name: &'static str,
    /// Where it answers over UDP and TCP.
    pub(crate) address: SocketAddr,
    /// How it is written down as an upstream, once for each transport.
    pub(crate) upstreams: Vec<String>,
    /// Are its answers the same in whatever letters it is asked? One that signs as it answers puts them into its NSEC.
    pub(crate) ignores_case: bool,
    directory: TempDir,
    _program: Program,
}

impl Server {
    /// An `auth-zone`; other names are refused, as there is nobody to ask.
    pub(crate) fn unbound() -> Self {
        let (address, directory) = (address(1), directory());
        let path = directory.path();
        let text = format!(
            "server:
  interface: {ip}@{PORT}
  interface: {ip}@{TLS_PORT}
  tls-port: {TLS_PORT}
  tls-service-key: key.pem
  tls-service-pem: certificate.pem
  access-control: 127.0.0.0/8 allow
  do-daemonize: no
  username: \"\"
  chroot: \"\"
  directory: {path}
  pidfile: \"\"
  use-syslog: no
  module-config: iterator
  local-zone: elsewhere.example. always_refuse
remote-control:
  control-enable: no
auth-zone:
  name: up.example.
  zonefile: up.zone
  for-downstream: yes
  for-upstream: yes
",
            ip = address.ip(),
            path = path.display()
        );
        fs::write(path.join("unbound.conf"), text).unwrap();
        let mut command = Command::new(program("unbound"));
        command.arg("-d").arg("-c").arg(path.join("unbound.conf"));
        Self::start("Unbound", address, directory, command, &["tls"])
    }

    /// Its own records; it has no TLS.
    pub(crate) fn dnsmasq() -> Self {
        let (address, directory) = (address(2), directory());
        let path = directory.path().join("dnsmasq.conf");
        fs::write(&path, dnsmasq()).unwrap();
        let mut command = Command::new(program("dnsmasq"));
        let user = env::var("USER").unwrap_or_else(|_| "root".to_owned());
        command
            .args([
                "--keep-in-foreground",
                "--no-resolv",
                "--no-hosts",
                "--bind-interfaces",
            ])
            .args([format!("--user={user}"), format!("--port={PORT}")])
            .args([
                format!("--listen-address={}", address.ip()),
                "--pid-file=".to_owned(),
            ])
            .arg(format!("--conf-file={}", path.display()));
        Self::start("dnsmasq", address, directory, command, &[])
    }

    /// A zone file.
    pub(crate) fn coredns() -> Self {
        let (address, directory) = (address(3), directory());
        let zone = format!("bind {}\n file up.zone", address.ip());
        let encrypted = format!("{zone}\n tls certificate.pem key.pem");
        let text = format!(
            "up.example:{PORT} {{\n {zone}\n}}
tls://up.example:{TLS_PORT} {{\n {encrypted}\n}}
https://up.example:{HTTPS_PORT} {{\n {encrypted}\n}}
"
        );
        Self::start_coredns(address, directory, &text, &["tls", "https"])
    }

    /// Another zone file, whose answers it signs. Each of its listeners makes signatures of its own, so there is one.
    pub(crate) fn signing_coredns() -> Self {
        let (address, directory) = (address(4), directory());
        for (part, text) in ["key", "private"].iter().zip(KEY) {
            fs::write(directory.path().join(format!("Ksigned.{part}")), text).unwrap();
        }
        let text = format!(
            "signed.example:{PORT} {{\n bind {}\n file signed.zone\n dnssec {{\n key file Ksigned\n }}\n}}\n",
            address.ip()
        );
        Self {
            ignores_case: false,
            ..Self::start_coredns(address, directory, &text, &[])
        }
    }

    fn start_coredns(
        address: SocketAddr,
        directory: TempDir,
        text: &str,
        encrypted: &[&str],
    ) -> Self {
        fs::write(directory.path().join("Corefile"), text).unwrap();
        let coredns = env::var("COREDNS")
            .expect("COREDNS: the last line that tests/control-plane/build-coredns prints");
        let mut command = Command::new(coredns);
        command.current_dir(directory.path());
        Self::start("CoreDNS", address, directory, command, encrypted)
    }

    fn start(
        name: &'static str,
        address: SocketAddr,
        directory: TempDir,
        mut command: Command,
        encrypted: &[&str],
    ) -> Self {
        let log = directory.path().join("server.log");
        let program = Program::start(&mut command, &log, address);
        let ip = address.ip();
        let mut upstreams = vec![address.to_string(), format!("tcp://{address}")];
        upstreams.extend(encrypted.iter().map(|scheme| match *scheme {
            "tls" => format!("tls://{ip}:{TLS_PORT}#{NAME}"),
            _ => format!("https://{ip}:{HTTPS_PORT}/dns-query#{NAME}"),
        }));
        Self {
            ignores_case: true,
            name,
            address,
            upstreams,
            directory,
            _program: program,
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

fn address(nth: u8) -> SocketAddr {
    (own_address(nth), PORT).into()
}

/// A directory with the zones, and a certificate with its key.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| fs::write(directory.path().join(name), text).unwrap();
    write("up.zone", zone("up.example"));
    write("signed.zone", zone("signed.example"));
    let signed = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    write("certificate.pem", signed.cert.pem());
    write("key.pem", signed.signing_key.serialize_pem());
    directory
}

/// A program of a Debian package; daemons stand outside an ordinary user's PATH.
fn program(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = directories
        .map(|directory| directory.join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed; .ci/run names its package"))
}
