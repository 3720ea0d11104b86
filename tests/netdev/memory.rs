//! A group of processes that is out of memory, as the kernel sees it: a neighbour takes all there is, and the server is who
//! has to go.

use crate::cluster::Process;
use std::{
    fs,
    io::Write as _,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio, id},
};

const LIMIT: &str = "67108864";

/// A control group with a limit, of the first or the second version.
struct Group(PathBuf);

impl Group {
    fn new() -> Self {
        let first = Path::new("/sys/fs/cgroup/memory");
        let (parent, limit) = match first.exists() {
            true => (first, "memory.limit_in_bytes"),
            false => (Path::new("/sys/fs/cgroup"), "memory.max"),
        };
        let group = Self(parent.join(format!("gapless-{}", id())));
        fs::create_dir(&group.0).unwrap();
        fs::write(group.0.join(limit), LIMIT).unwrap();
        group
    }

    fn take(&self, process: u32) {
        fs::write(self.0.join("cgroup.procs"), process.to_string()).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(fs::remove_dir(&self.0)); // what is left of it is in nobody's way
    }
}

/// Ends as the kernel ends the server for want of memory.
pub(crate) fn run_out(server: &mut Process) {
    let group = Group::new();
    let server_id = server.0.id();
    fs::write(format!("/proc/{server_id}/oom_score_adj"), "1000").unwrap();
    group.take(server_id);
    // It begins when it is told, in the group, and keeps what it reads until a line ends, and none does.
    let mut neighbour = Command::new("sh")
        .args(["-c", "read begin; exec tail /dev/zero"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    group.take(neighbour.id());
    neighbour.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert_eq!(server.0.wait().unwrap().signal(), Some(9));
    neighbour.kill().unwrap();
    neighbour.wait().unwrap();
}
