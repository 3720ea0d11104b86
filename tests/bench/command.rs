//! The command as it is typed: what it writes, how it exits, and what it says to bad input.

use crate::server::{Act, KnownServer};
use gapless::bench::output;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::Read as _,
    process::{Command, Output, Stdio},
    time::Duration,
};
use tiny_skia::{ColorU8, Pixmap};

pub(crate) fn bench(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
    command.env_clear().args(["bench", "load"]).args(arguments);
    command
}

pub(crate) fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

/// How many pixels have the colours of a picture of ours.
pub(crate) fn colours(drawn: &Pixmap) -> [(&'static str, usize); 3] {
    [
        ("paper", [255, 255, 255]),
        ("letters", [0, 0, 0]),
        ("a line", [0x00, 0x72, 0xb2]),
    ]
    .map(|(what, [red, green, blue])| {
        let wanted = ColorU8::from_rgba(red, green, blue, 255).premultiply();
        let count = drawn.pixels().iter().filter(|it| **it == wanted).count();
        (what, count)
    })
}

fn failure(arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = bench(arguments).output().unwrap();
    assert!([1, 2].contains(&status.code().unwrap()), "{status}");
    text(&stderr)
}

#[test]
fn a_run_prints_a_table_and_writes_json_csv_and_histograms() {
    let known = KnownServer::start(|_, _| Act::After(Duration::ZERO));
    let address = known.address.to_string();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).display().to_string();
    let (json, csv, hdr) = (file("a.json"), file("a.csv"), file("a.hlog"));
    let (svg, png, html) = (file("a.svg"), file("a.png"), file("a.html"));
    let files = ["--json", &json, "--csv", &csv, "--hdr", &hdr];
    let pictures = ["--svg", &svg, "--png", &png, "--html", &html];
    let load = [
        "--server",
        &address,
        "--name",
        "web-{}.example.org",
        "--names",
        "10",
    ];
    let fast = ["--rate", "200", "--duration", "1s"];
    let output = bench(&[&load[..], &fast, &files, &pictures].concat())
        .output()
        .unwrap();
    let table = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(
        table.starts_with("server ") && table.contains(&address),
        "{table}"
    );
    assert!(table.contains("answers: 200 positive"), "{table}");

    let report = output::from_json(&fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!((report.servers[0].sent, report.interrupted), (200, false));
    let value = serde_json::to_value(&report).unwrap();
    let keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
    let documented = fs::read_to_string("docs/bench.md").unwrap();
    for key in keys
        .iter()
        .chain(value["servers"][0].as_object().unwrap().keys())
    {
        assert!(
            documented.contains(&format!("`{key}`")),
            "docs/bench.md: {key}"
        );
    }

    let rows = fs::read_to_string(csv).unwrap();
    let rows: Vec<Vec<_>> = rows.lines().map(|row| row.split(',').collect()).collect();
    assert_eq!(rows.len(), 1 + 1 + 10);
    assert!(
        rows.iter().all(|row| row.len() == rows[0].len()),
        "{rows:?}"
    );
    let column = |name| rows[0].iter().position(|it| *it == name).unwrap();
    let of_parts = rows.iter().filter(|row| row[column("span")] == "part");
    let sent: u64 = of_parts
        .map(|row| row[column("sent")].parse::<u64>().unwrap())
        .sum();
    assert_eq!((rows[1][column("span")], sent), ("run", 200));

    let drawn = fs::read_to_string(svg).unwrap();
    assert_eq!(drawn.matches("font-weight").count(), 3, "titles");
    let drawn = Pixmap::decode_png(&fs::read(png).unwrap()).unwrap();
    // Three charts with legends of one, two and two lines, each pixel twice as fine.
    let height = 2 * (3 * 340 + 5 * 16 + 3 * 10);
    assert_eq!((drawn.width(), drawn.height()), (2 * 760, height));
    for (what, count) in colours(&drawn) {
        assert!(count > 1000, "{what}: {count} pixels");
    }
    let page = fs::read_to_string(html).unwrap();
    assert!(page.contains("<svg ") && page.contains(&address) && page.ends_with("</html>\n"));

    let log = fs::read(hdr).unwrap();
    let mut read = hdrhistogram::serialization::Deserializer::new();
    let intervals = hdrhistogram::serialization::interval_log::IntervalLogIterator::new(&log);
    let mut counted = 0;
    for entry in intervals {
        if let hdrhistogram::serialization::interval_log::LogEntry::Interval(interval) =
            entry.unwrap()
        {
            assert_eq!(interval.tag().unwrap().as_str(), address);
            let octets = base64::Engine::decode(
                &base64::engine::general_purpose::STANDARD,
                interval.encoded_histogram(),
            );
            let histogram = read.deserialize::<u64, _>(&mut &octets.unwrap()[..]);
            counted += histogram.unwrap().len();
        }
    }
    assert_eq!(counted, 200);
}

#[test]
fn two_reports_are_compared_and_drawn_on_one_page() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name).display().to_string();
    let (before, after, page) = (file("before.json"), file("after.json"), file("page.html"));
    for (json, held) in [(&before, 1), (&after, 30)] {
        let known = KnownServer::start(move |_, _| Act::After(Duration::from_millis(held)));
        let address = known.address.to_string();
        let load = ["--server", &address, "--name", "a.example", "--json", json];
        let output = bench(&[&load[..], &["--duration", "1s", "--rate", "100"]].concat()).output();
        assert_eq!(output.unwrap().status.code(), Some(0));
    }
    let mut compare = Command::new(env!("CARGO_BIN_EXE_gapless"));
    compare
        .env_clear()
        .args(["bench", "compare", &before, &after, "--html", &page]);
    let output = compare.output().unwrap();
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("\nlater 127.") && said.contains(" from earlier 127."),
        "{said}"
    );
    assert!(
        said.contains(": p50 ") && said.contains(" (95 %: "),
        "{said}"
    );
    let page = fs::read_to_string(page).unwrap();
    assert_eq!(page.matches("<svg ").count(), 3);
    // Nothing is fetched from anywhere.
    let elsewhere = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!elsewhere.contains("http"), "{elsewhere}");

    fs::write(&before, "{}").unwrap();
    let mut bad = Command::new(env!("CARGO_BIN_EXE_gapless"));
    let output = bad.args(["bench", "compare", &before, &after]).output();
    let said = text(&output.unwrap().stderr);
    assert!(said.contains("before.json: not a report of"), "{said}");
}

#[test]
fn names_are_looked_up_through_the_search_list() {
    let known = KnownServer::start(|_, _| Act::After(Duration::ZERO));
    let address = known.address.to_string();
    let directory = tempfile::tempdir().unwrap();
    let conf = directory.path().join("resolv.conf");
    fs::write(&conf, "search default.svc.cluster.local\noptions ndots:5\n").unwrap();
    let conf = conf.display().to_string();
    let json = directory.path().join("resolved.json").display().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
    command
        .env_clear()
        .args(["bench", "resolve", "web", "--resolv-conf", &conf]);
    command.args([
        "--server",
        &address,
        "--rate",
        "50",
        "--duration",
        "1s",
        "--json",
        &json,
    ]);
    command.args(["--fail", "not_found>0", "--fail", "p50>0us"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stdout);
    assert!(said.contains("FAILED glibc: p50>0us: it was "), "{said}");
    assert!(!said.contains("not_found>0"), "{said}");
    assert!(
        said.starts_with("50 names: 50 found, 0 not found, 0 failed"),
        "{said}"
    );
    assert!(said.contains("2 queries: 50 names (100.00 %)"), "{said}");
    let resolved = fs::read_to_string(json).unwrap();
    let resolved: gapless::bench::resolve::Resolved = serde_json::from_str(&resolved).unwrap();
    let in_buckets: u64 = resolved.buckets.iter().map(|(_, count)| count).sum();
    assert_eq!(in_buckets + resolved.longer, 50);
    command.args(["--server", "tcp://127.0.0.1"]);
    let said = text(&command.output().unwrap().stderr);
    assert!(said.contains("C libraries ask over UDP"), "{said}");
}

#[test]
fn a_condition_that_is_met_sets_the_exit_code_and_is_named() {
    let known = KnownServer::start(|n, _| match n % 2 {
        0 => Act::Lose,
        _ => Act::After(Duration::ZERO),
    });
    let address = known.address.to_string();
    let load = [
        "--server",
        &address,
        "--name",
        "a.example",
        "--rate",
        "50",
        "--timeout",
        "50ms",
    ];
    let wants = [
        "--duration",
        "200ms",
        "--no-probe",
        "--fail",
        "loss>0.1%",
        "--fail",
        "wrong>0",
    ];
    let output = bench(&[&load[..], &wants].concat()).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stdout);
    assert!(said.contains(": loss>0.1%: it was 50.000 %"), "{said}");
    assert!(!said.contains("wrong>0"), "{said}");
}

#[test]
fn an_interrupted_run_reports_what_it_measured() {
    let known = KnownServer::start(|_, _| Act::After(Duration::ZERO));
    let address = known.address.to_string();
    let load = [
        "--server",
        &address,
        "--name",
        "a.example",
        "--duration",
        "1h",
    ];
    let mut child = bench(&load)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while known.held().len() < 100 {
        std::thread::yield_now();
    }
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(id, Signal::INT).unwrap();
    let mut said = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(
        said.contains("interrupted after") && said.contains(" positive"),
        "{said}"
    );
}

#[test]
fn there_are_man_pages_and_completions_for_every_command() {
    let directory = tempfile::tempdir().unwrap();
    let gapless = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
        let output = command.env_clear().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    gapless(&["manual", directory.path().to_str().unwrap()]);
    for page in [
        "gapless",
        "gapless-serve",
        "gapless-bench-load",
        "gapless-bench-resolve",
        "gapless-completions",
    ] {
        let page = fs::read_to_string(directory.path().join(format!("{page}.1"))).unwrap();
        assert!(page.contains(".SH NAME"), "{page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            gapless(&["completions", shell]).contains("outstanding"),
            "{shell}"
        );
    }
}

#[test]
fn bad_input_is_refused_with_what_was_expected() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (empty, bad) = (
        file("empty", ""),
        file("bad", "a.example A\nb..example A\n"),
    );
    let closed = {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap().to_string()
    };
    let tcp = format!("tcp://{closed}");
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    let known = KnownServer::start(|_, _| Act::After(Duration::ZERO));
    let load = [
        "--server",
        &known.address.to_string(),
        "--name",
        "a.example",
    ];
    let fast = ["--duration", "100ms", "--json", "/nonexistent/report.json"];
    let Output { status, stdout, .. } = bench(&load).args(fast).output().unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(text(&stdout).contains(" positive"), "the report remains");
    let name = ["--name", "a.example"];
    for (arguments, expected) in [
        (vec!["--server", &closed], "nobody listens there over UDP"),
        (vec!["--server", &tcp], "no TCP connection"),
        (
            vec!["--server", &silent],
            "no answer to 3 queries for a.example. A within 3 s",
        ),
        (
            vec!["--server", "dns.example"],
            "is a name, whose address nobody would know",
        ),
        (
            vec!["--server", &closed, "--rate", "1e9"],
            "expected queries a second, 0.1 to 10000000",
        ),
        (
            vec!["--server", &closed, "--rate", "0"],
            "expected queries a second",
        ),
        (
            vec!["--server", &closed, "--fail", "p99>5"],
            "expected a figure",
        ),
        (
            vec!["--server", &closed, "--type", "B"],
            "`B` is no record type",
        ),
        (vec![], "--server"),
    ] {
        let said = failure(&[&arguments[..], &name].concat());
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    for (arguments, expected) in [
        (
            vec!["--queries", &empty],
            "empty: expected 1 to 10000000 questions",
        ),
        (
            vec!["--queries", &bad],
            "bad: line 2: `b..example` is not a domain name",
        ),
        (
            vec!["--queries", "/nonexistent"],
            "/nonexistent: No such file",
        ),
        (
            vec!["--name", "a..b"],
            "--name: `a..b` is not a domain name",
        ),
        (vec![], "--name"),
    ] {
        let said = failure(&[&["--server", &closed][..], &arguments].concat());
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}
