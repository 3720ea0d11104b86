//! Programs that answer DNS, as children of the test: a server under comparison, or the built gapless before it.

use crate::{
    reply::{Asked, Over},
    servers::Server,
};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A running program; dropping it kills it.
pub(crate) struct Program {
    child: Child,
}

impl Program {
    /// Starts it with its output in a file, and waits until it answers about `www.up.example`.
    pub(crate) fn start(command: &mut Command, log: &Path, address: SocketAddr) -> Self {
        let file = fs::File::create(log).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file);
        let child = command.spawn();
        let child = child
            .unwrap_or_else(|error| panic!("{command:?}: {error}; see tests/upstreams/main.rs"));
        let mut program = Self { child };
        let asked = Asked::parse("ready.up.example. A");
        // A minute of such intervals.
        let answers = (0..300).any(|_| {
            let ended = program.child.try_wait().unwrap();
            assert_eq!(
                ended,
                None,
                "{command:?}: {}",
                fs::read_to_string(log).unwrap()
            );
            asked
                .within(Duration::from_millis(200), address, Over::Udp)
                .is_some()
        });
        assert!(answers, "{command:?}: {}", fs::read_to_string(log).unwrap());
        program
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A gapless before one upstream.
pub(crate) struct Gapless {
    pub(crate) address: SocketAddr,
    pub(crate) upstream: String,
    _program: Program,
}

impl Gapless {
    pub(crate) fn start(upstream: &str, server: &Server, nth: u16) -> Self {
        let directory = server.directory();
        let address: SocketAddr = (server.address.ip(), 5300 + nth).into();
        let config = directory.join(format!("gapless-{nth}.yaml"));
        let text = format!(
            "listen: [\"{address}\"]
admin: off
source: {{manifests: {}}}
forward: {{upstreams: [\"{upstream}\"], tls_ca: {}, case_randomization: {}}}
",
            concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/demo"),
            directory.join("certificate.pem").display(),
            server.ignores_case,
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
        command.env_clear().args(["serve", "--config"]).arg(&config);
        let log = directory.join(format!("gapless-{nth}.log"));
        Self {
            _program: Program::start(&mut command, &log, address),
            address,
            upstream: upstream.to_owned(),
        }
    }
}

/// A loopback address that no other test on this machine uses at the same time.
pub(crate) fn own_address(nth: u8) -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 100 + nth, high, low.clamp(1, 254))
}
