//! The built binary as a child process: its log, its addresses, its end.

use crate::asking::within;
use rustix::process::{Pid, Signal, kill_process};
use std::{net::SocketAddr, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
    task::JoinSet,
};

/// A running server; dropping it kills it.
pub(crate) struct Process {
    child: Child,
    log: watch::Receiver<Vec<String>>,
    reading: JoinSet<()>,
}

/// `gapless` with nothing in its environment.
pub(crate) fn gapless(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
    command.env_clear().args(arguments).kill_on_drop(true);
    command
}

/// `gapless serve` on free ports.
pub(crate) fn serve(arguments: &[&str]) -> Command {
    let free = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    gapless(&[&["serve"], arguments, &free].concat())
}

/// What a command that fails says, log lines left out.
pub(crate) async fn failure(mut command: Command) -> String {
    let output = within("the failure", command.output()).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"");
    let text = String::from_utf8(output.stderr).unwrap();
    let at = text.find("gapless: ").expect("an error");
    text[at..].to_owned()
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (lines, log) = watch::channel(Vec::new());
        let stderr = child.stderr.take().unwrap();
        let mut reading = JoinSet::new();
        reading.spawn(read(stderr, lines));
        Self {
            child,
            log,
            reading,
        }
    }

    /// The first line of the log that holds this text.
    pub(crate) async fn line(&self, text: &str) -> String {
        let mut log = self.log.clone();
        let find = |lines: &Vec<String>| lines.iter().find(|line| line.contains(text)).cloned();
        let found = within(text, log.wait_for(|lines| find(lines).is_some())).await;
        let found = found.map(|lines| find(&lines).expect("it was found"));
        found.unwrap_or_else(|_| panic!("no `{text}` in {:#?}", self.log.borrow()))
    }

    /// How many lines of the log so far hold this text.
    pub(crate) fn count(&self, text: &str) -> usize {
        let log = self.log.borrow();
        log.iter().filter(|line| line.contains(text)).count()
    }

    async fn address(&self, text: &str) -> SocketAddr {
        let line = self.line(text).await;
        let (_, address) = line
            .split_once("address=")
            .expect("the line has an address");
        address.parse().unwrap()
    }

    /// Where it answers queries.
    pub(crate) async fn dns(&self) -> SocketAddr {
        self.address("answering over UDP and TCP").await
    }

    /// Where its admin server is.
    pub(crate) async fn admin(&self) -> SocketAddr {
        self.address("admin server").await
    }

    /// The soft and the hard limit of open files.
    pub(crate) fn file_limits(&self) -> (String, String) {
        let id = self.child.id().expect("it runs");
        let limits = std::fs::read_to_string(format!("/proc/{id}/limits")).unwrap();
        let row = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"));
        let mut words = row.expect("a row").split_whitespace().map(str::to_owned);
        (words.next().unwrap(), words.next().unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        kill_process(Pid::from_raw(id.expect("it runs")).unwrap(), signal).unwrap();
    }

    /// Its exit code, once it has ended, and its log.
    pub(crate) async fn end(mut self) -> (Option<i32>, Vec<String>) {
        let status = within("the end", self.child.wait()).await.unwrap();
        drop(within("the end of the log", self.reading.join_next()).await);
        let log = self.log.borrow().clone();
        (status.code(), log)
    }
}

async fn read(stderr: impl AsyncRead + Unpin, lines: watch::Sender<Vec<String>>) {
    let mut stderr = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = stderr.next_line().await {
        lines.send_modify(|lines| lines.push(line));
    }
}
