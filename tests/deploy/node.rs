//! The units of a plain node, as systemd reads them.

use crate::render::{project, run};
use std::{fs, process::Command};

/// `systemd-analyze` on our units, with this build in the place of the installed program.
fn analyze(arguments: &[&str], kinds: &[&str]) -> Result<String, String> {
    let here = tempfile::tempdir().unwrap();
    let mut command = Command::new("systemd-analyze");
    command.args(arguments);
    for entry in fs::read_dir(project("deploy/systemd")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if kinds.iter().any(|kind| name.ends_with(kind)) {
            let text = fs::read_to_string(&path).unwrap();
            let unit = here.path().join(name);
            fs::write(
                &unit,
                text.replace("/usr/bin/gapless", env!("CARGO_BIN_EXE_gapless")),
            )
            .unwrap();
            command.arg(unit);
        }
    }
    run(&mut command)
}

#[test]
#[ignore = "needs systemd-analyze"]
fn systemd_finds_nothing_to_complain_of_in_the_units() {
    let verify = ["verify", "--man=no", "--recursive-errors=one"];
    analyze(&verify, &[".service", ".socket"]).unwrap();
}

/// systemd's own measure of what a service may do that it need not: 0 is nothing, 10 everything.
#[test]
#[ignore = "needs systemd-analyze"]
fn the_service_may_do_little_else_than_serve() {
    let security = ["security", "--offline=yes", "--no-pager", "--threshold=20"];
    analyze(&security, &[".service"]).unwrap();
}
