//! `gapless bench resolve` beside the C libraries that it plays: the same name, the same resolv.conf, the same servers; what
//! each asks, in which order, from which ports, and what the program is told.
//!
//! It runs itself again in namespaces of its own, where /etc/resolv.conf and port 53 are free. It needs root or user
//! namespaces, Debian's `gcc`, `musl-dev` and `iproute2`, and the standard
//! library of Rust for musl (`rustup target add`).

mod scenarios;
mod servers;

use rustix::process::geteuid;
use scenarios::{SCENARIOS, Scenario};
use servers::{Over, Seen, Servers};
use std::{
    collections::BTreeMap, fmt::Write as _, fs, path::Path, process::Command, time::Duration,
};

const TEST: &str = "libraries::each_asks_and_says_what_the_library_does_that_it_plays";
const INSIDE: &str = "GAPLESS_IN_NAMESPACES";

/// What one look-up came to.
#[derive(Debug)]
struct Course {
    outcome: String,
    /// What each server saw, or what all saw one after the other.
    queries: Vec<String>,
    /// Not compared: it is the machine's as well.
    took: Duration,
}

#[test]
#[ignore = "root or user namespaces, gcc and musl-dev"]
fn each_asks_and_says_what_the_library_does_that_it_plays() {
    if std::env::var_os(INSIDE).is_none() {
        let directory = tempfile::tempdir().unwrap();
        compile(directory.path());
        return run_inside(directory.path());
    }
    let directory = Path::new(&std::env::var(INSIDE).unwrap()).to_owned();
    run("ip link set lo up");
    for (file, text) in [
        ("/etc/resolv.conf", ""),
        ("/etc/hosts", ""),
        ("/etc/nsswitch.conf", "hosts: dns\n"),
    ] {
        let own = directory.join(Path::new(file).file_name().unwrap());
        fs::write(&own, text).unwrap();
        run(&format!("mount --bind {} {file}", own.display()));
    }
    let servers = Servers::start();
    let mut differences = String::new();
    println!("| | glibc | musl |\n|---|---|---|");
    for scenario in SCENARIOS {
        fs::write("/etc/resolv.conf", scenario.conf).unwrap();
        let mut row = format!("| {} |", scenario.what);
        for library in ["glibc", "musl"] {
            let program = directory.join(library).display().to_string();
            let json = directory.join("resolved.json").display().to_string();
            let real = course(&servers, scenario, library, &[&program, scenario.name]);
            let bench = [env!("CARGO_BIN_EXE_gapless"), "bench", "resolve"];
            let once = ["--rate", "1", "--duration", "100ms", "--json", &json];
            let played = [&bench[..], &[scenario.name, "--library", library], &once].concat();
            let played = course(&servers, scenario, library, &played);
            let (secs, so) = (real.took.as_secs_f64(), played.took.as_secs_f64());
            write!(row, " {}, {secs:.1} s ({so:.1} s) |", real.in_short()).unwrap();
            let raced = library == "musl" && scenario.races_at_musl;
            if !raced && (&real.outcome, &real.queries) != (&played.outcome, &played.queries) {
                let what = scenario.what;
                writeln!(
                    differences,
                    "{what} at {library}:\n{real:#?}\nplayed as {played:#?}"
                )
                .unwrap();
            }
        }
        println!("{row}");
    }
    assert!(differences.is_empty(), "{differences}");
}

/// Debian's glibc, and the musl that Rust's own programs are linked with: it is newer than Debian's, whose headers do.
fn compile(into: &Path) {
    let source = "tests/bench/libraries/lookup.c";
    let program = |name| into.join(name).display().to_string();
    run(&format!("gcc -o {} {source}", program("glibc")));
    let arch = std::env::consts::ARCH;
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output();
    let sysroot = String::from_utf8(sysroot.unwrap().stdout).unwrap();
    let target = format!("{arch}-unknown-linux-musl");
    let musl = format!("{}/lib/rustlib/{target}/lib/self-contained", sysroot.trim());
    assert!(Path::new(&musl).exists(), "rustup target add {target}");
    run(&format!(
        "gcc -static -nostdlib -isystem /usr/include/{arch}-linux-musl -o {} {source} \
         {musl}/crt1.o {musl}/crti.o {musl}/libc.a -lgcc -lgcc_eh {musl}/crtn.o",
        program("musl")
    ));
}

fn run_inside(directory: &Path) {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount"]);
    if !geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", TEST, "--ignored", "--nocapture"]);
    let status = command.env(INSIDE, directory).status().unwrap();
    assert!(status.success(), "{status}");
}

fn run(command: &str) {
    let mut words = command.split_whitespace();
    let status = Command::new(words.next().unwrap()).args(words).status();
    assert!(status.unwrap().success(), "{command}");
}

/// One look-up by this command.
fn course(servers: &Servers, scenario: &Scenario, library: &str, command: &[&str]) -> Course {
    let mut program = Command::new("timeout");
    program.env_clear().arg("60").args(command);
    let began = std::time::Instant::now();
    let (output, mut seen) = servers.watch(scenario.script, || program.output().unwrap());
    let took = began.elapsed();
    assert!(output.status.success(), "{command:?}: {output:?}");
    let mut outcome = String::from_utf8(output.stdout).unwrap();
    if let Some(json) = command.iter().position(|it| *it == "--json") {
        let json = fs::read_to_string(command[json + 1]).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let told = ["found", "not_found", "failed"];
        let told = told.into_iter().find(|it| json[it] == 1).unwrap();
        outcome = told.replace('_', " ");
    }
    // glibc asks one after the other. What musl sends at once is read by each server in its own time.
    if library == "musl" {
        seen.sort_by_key(|it| it.server);
    }
    if scenario.conf.contains("rotate") && library == "glibc" {
        // Where it begins is chance.
        let first = seen.first().map_or(1, |it| it.server);
        let count = scenario.conf.matches("nameserver").count() as u8;
        for it in &mut seen {
            it.server = (it.server + count - first) % count + 1;
        }
    }
    Course {
        outcome: outcome.trim().to_owned(),
        queries: lines(&seen),
        took,
    }
}

/// A line for each query: ports are letters, in the order in which they appear.
fn lines(seen: &[Seen]) -> Vec<String> {
    let mut ports = BTreeMap::new();
    let line = |it: &Seen| {
        let next = b'a' + ports.len() as u8;
        let port = char::from(*ports.entry((it.over, it.port)).or_insert(next));
        let over = if it.over == Over::Tcp { " TCP" } else { "" };
        let edns = if it.edns { " EDNS" } else { "" };
        format!("{}{port}{over}{edns} {} {}", it.server, it.name, it.of())
    };
    seen.iter().map(line).collect()
}

impl Course {
    /// Types of one name that went to one server from one port stand together.
    fn in_short(&self) -> String {
        let mut groups: Vec<(&str, Vec<&str>)> = vec![];
        for query in &self.queries {
            let (to, of) = query.rsplit_once(' ').unwrap();
            match groups.last_mut() {
                Some((last, types)) if *last == to && !types.contains(&of) => types.push(of),
                _ => groups.push((to, vec![of])),
            }
        }
        let groups = groups
            .iter()
            .map(|(to, types)| format!("{to} {}", types.join("+")));
        format!(
            "{}: {}",
            groups.collect::<Vec<_>>().join("; "),
            self.outcome
        )
    }
}
