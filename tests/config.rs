//! The configuration: what is documented is what is read, and what is wrong is refused with its place.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use clap::{CommandFactory, Parser};
use gapless::{
    cli::{Cli, Command, Environment, Serve},
    config::{self, Config, Place, Scope, Source},
    forward::Server,
    telemetry::Format,
    wire::NameKey,
};
use proptest::prelude::*;
use std::{fs, net::SocketAddr, path::Path, process, time::Duration};

const DOCUMENT: &str = include_str!("../docs/configuration.md");
const DEFAULTS: &str = include_str!("../deploy/config/default.yaml");

fn flags(flags: &[&str]) -> Serve {
    let command = ["gapless", "serve"].iter().chain(flags);
    let Command::Serve(serve) = Cli::try_parse_from(command).unwrap().command else {
        panic!("these are flags of serve");
    };
    Serve {
        environment: Environment::default(),
        ..*serve
    }
}

fn parse(text: &str) -> Result<Config, config::Errors> {
    Config::parse(text.as_bytes(), &Serve::default()).map(|(config, _)| config)
}

fn refusal(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

fn server(text: &str) -> Server {
    address(text).into()
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The fenced blocks of the document.
fn examples() -> Vec<&'static str> {
    let blocks = DOCUMENT.split("```yaml\n").skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap())
        .collect()
}

#[test]
fn the_shipped_file_is_every_key_at_its_default() {
    let (comment, body) = DEFAULTS.split_once("\n\n").unwrap();
    assert!(
        comment.lines().all(|line| line.starts_with('#')),
        "{comment}"
    );
    assert_eq!(body, config::print(&config::keys()));
    assert_eq!(parse(DEFAULTS), Ok(Config::default()));
    assert_eq!(parse(""), Ok(Config::default()));
}

#[test]
fn the_document_lists_every_key_and_no_other() {
    let row = |key: &config::Key| {
        format!(
            "| `{}` | `{}` | {} | {} |",
            key.path, key.default, key.expected, key.reason
        )
    };
    let expected: Vec<_> = config::keys().iter().map(row).collect();
    let table = DOCUMENT
        .lines()
        .skip_while(|line| !line.starts_with("| Key"));
    let rows: Vec<_> = table
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert_eq!(rows.join("\n"), expected.join("\n"));
}

#[test]
fn the_document_lists_every_flag_with_its_variable_and_its_key() {
    let keys = config::keys();
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `--"));
    let documented: Vec<Vec<&str>> = rows
        .map(|row| {
            row.split('|')
                .map(|cell| cell.trim().trim_matches('`'))
                .collect()
        })
        .collect();
    let command = Cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    let visible: Vec<_> = serve
        .get_arguments()
        .filter(|flag| !flag.is_hide_set())
        .collect();
    assert_eq!(documented.len(), visible.len());
    for (row, flag) in documented.iter().zip(visible) {
        let (long, variable) = (flag.get_long().unwrap(), flag.get_env().unwrap());
        let expected = format!("GAPLESS_{}", long.to_uppercase().replace('-', "_"));
        assert_eq!(variable.to_str(), Some(expected.as_str()));
        assert_eq!(row[1..3], [format!("--{long}"), expected]);
        let key = keys.iter().find(|key| key.path == row[3]);
        assert!(key.is_some() || long == "config", "{row:?}");
        let help = flag.get_help().unwrap().to_string();
        let default = help
            .split("[default: ")
            .nth(1)
            .and_then(|rest| rest.strip_suffix(']'));
        if let Some(default) = default.filter(|_| long != "upstream") {
            assert_eq!(
                default,
                key.unwrap().default.trim_matches(['[', ']']),
                "{long}"
            );
        }
    }
}

#[test]
fn every_example_is_read_and_reads_back_as_it_prints() {
    for example in examples() {
        let (config, keys) = Config::parse(example.as_bytes(), &Serve::default()).expect(example);
        assert_eq!(parse(&config::print(&keys)), Ok(config), "{example}");
    }
    assert!(examples().len() >= 5);
}

#[test]
fn a_misspelt_key_in_any_mapping_is_refused_with_its_place_and_the_key_that_was_meant() {
    for document in examples().into_iter().chain([DEFAULTS]) {
        for (nth, line) in document.lines().enumerate() {
            let name = line.trim_start();
            let indent = line.len() - name.len();
            let Some((name, _)) = name
                .split_once(':')
                .filter(|_| !name.starts_with(['#', '-']))
            else {
                continue;
            };
            let mut lines: Vec<_> = document.lines().map(str::to_owned).collect();
            lines.insert(nth, format!("{}{name}x: 1", " ".repeat(indent)));
            let errors = parse(&lines.join("\n")).unwrap_err();
            let place = Place {
                line: nth as u64 + 1,
                column: indent as u64 + 1,
            };
            let [problem] = &errors.problems[..] else {
                panic!("{errors}");
            };
            assert_eq!(problem.place, Some(place), "{errors}");
            let suggestion = format!("unknown key; did you mean `{name}`?");
            assert_eq!(problem.message, suggestion, "{errors}");
        }
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_line() {
    let wrong = "\
listen: [127.0.0.1:53, nope, 127.0.0.1:53]
admin: off
admin: off
workers: 4
tcp: 5
udp:
  worker: 4
cluster:
  dns: [[::1]:53]
  ttl:
    pod: 1500ms
identity: {id: 1.10, version: no}
1: 2
";
    let expected = "\
1:24: listen: expected an address `IP:PORT`, IPv6 as `\"[IP]:PORT\"`; found the text `nope`
    1 | listen: [127.0.0.1:53, nope, 127.0.0.1:53]
      |                        ^
1:30: listen: the text `127.0.0.1:53` stands twice
    1 | listen: [127.0.0.1:53, nope, 127.0.0.1:53]
      |                              ^
3:1: `admin` stands twice, first in line 2
    3 | admin: off
      | ^
4:1: workers: unknown key; did you mean `udp.workers`?
    4 | workers: 4
      | ^
5:6: tcp: expected keys with their values; found the number 5
    5 | tcp: 5
      |      ^
7:3: udp.worker: unknown key; did you mean `workers`?
    7 |   worker: 4
      |   ^
9:9: cluster.dns: expected an address `IP` or `IP:PORT`, IPv6 with a port as `\"[IP]:PORT\"`; or `tcp://ADDRESS`, `tls://ADDRESS#NAME`, `https://ADDRESS/PATH#NAME`; found a mapping
    9 |   dns: [[::1]:53]
      |         ^
11:10: cluster.ttl.pod: expected a duration such as `10s`, in whole seconds, 0s to 1h; found the text `1500ms`
   11 |     pod: 1500ms
      |          ^
12:16: identity.id: expected `null` or a text of 1 to 255 octets, in quotes if it looks like a number; found the number 1.1
   12 | identity: {id: 1.10, version: no}
      |                ^
12:31: identity.version: expected `true` or `false`; found the text `no`
   12 | identity: {id: 1.10, version: no}
      |                               ^
13:1: expected a key; found the number 1
   13 | 1: 2
      | ^";
    assert_eq!(refusal(wrong), expected);
}

#[test]
fn what_is_no_yaml_is_refused_with_its_place() {
    let cases = [
        ("listen: [\n", "1:9: not YAML: unclosed bracket '['"),
        (
            "a: b: c\n",
            "1:5: not YAML: mapping values are not allowed in this context",
        ),
        (
            "udp: {}\n---\nudp: {}\n",
            "3:1: expected one document; found another",
        ),
        (
            "udp: &a {workers: *a}\n",
            "1:19: not YAML: recursive references require weak recursion types",
        ),
        ("udp: !x {}\n", "1:9: not YAML: unsupported tag `!x`"),
        (
            "just text",
            "1:1: expected keys with their values; found the text `just text`",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(refusal(text).lines().next(), Some(expected));
    }
    let deep = "[".repeat(100_000);
    assert!(
        refusal(&deep).contains("recursion limit"),
        "{}",
        refusal(&deep)
    );
}

#[test]
fn keys_that_exclude_or_need_each_other_are_refused_over_file_and_flags() {
    let cases: [(&str, &[&str], &str); 8] = [
        (
            "source: {manifests: a, kubeconfig: b}",
            &[],
            "1:9: source: manifests excludes",
        ),
        (
            "source: {manifests: a}",
            &["--kubeconfig", "b"],
            "1:9: source: manifests excludes",
        ),
        (
            "source: {context: a}",
            &["--manifests", "b"],
            "1:9: source: manifests excludes",
        ),
        (
            "",
            &["--manifests", "a", "--kubeconfig", "b"],
            "source: manifests excludes",
        ),
        ("", &["--context", "a"], "source: context needs kubeconfig"),
        (
            "",
            &["--scope", "headless"],
            "cluster: scope headless needs",
        ),
        (
            "https: {listen: [\"[::]:443\"], key: k}",
            &[],
            "1:8: https: listen needs certificate and key",
        ),
        (
            "listen: [10.0.0.10:53]",
            &["--upstream", "10.0.0.10"],
            "1:1: a server of forward.upstreams",
        ),
    ];
    for (text, arguments, expected) in cases {
        let errors = Config::parse(text.as_bytes(), &flags(arguments)).expect_err(expected);
        assert!(errors.to_string().starts_with(expected), "{errors}");
    }
    let with_environment = Serve {
        environment: Environment {
            kubeconfig: Some("somewhere".into()),
        },
        ..flags(&["--context", "a"])
    };
    assert_eq!(
        Config::load(None, &with_environment).unwrap().source,
        Source::Kubernetes {
            kubeconfig: None,
            context: Some("a".to_owned()),
        }
    );
}

#[test]
fn routes_are_refused_with_their_place() {
    let wrong = "\
cluster: {domain: k8s.example}
forward:
  routes:
    - zones: [a.example, b.example]
      upstreams: [192.0.2.1]
    - {zones: [B.example.], upstreams: [192.0.2.1]}
    - zones: [c.example]
    - {zones: [k8s.example], upstreams: [192.0.2.1]}
    - {zones: [], upstreams: [0.0.0.0], zone: x}
    - x
    -
";
    let expected = [
        "6:7: forward.routes[1]: the zone `b.example.` has a route already, in line 4",
        "7:7: forward.routes[2]: a route needs zones and upstreams",
        "8:7: forward.routes[3]: the cluster domain has no route: key cluster.scope says which of its names are answered here, and cluster.dns who is asked for the others",
        "9:15: forward.routes[4].zones: expected a list of 1 to 64: a zone such as `corp.cluster.local`, or `.`; found 0 of them",
        "9:31: forward.routes[4].upstreams: expected an address `IP` or `IP:PORT`, IPv6 with a port as `\"[IP]:PORT\"`; or `tcp://ADDRESS`, `tls://ADDRESS#NAME`, `https://ADDRESS/PATH#NAME`; found the text `0.0.0.0`: nobody can be at `0.0.0.0`",
        "9:41: forward.routes[4].zone: unknown key; did you mean `zones`?",
        "10:7: forward.routes[5]: expected keys with their values; found the text `x`",
        "11:6: forward.routes[6]: a route needs zones and upstreams",
    ];
    let said = refusal(wrong);
    let problems: Vec<_> = said.lines().filter(|line| !line.contains(" | ")).collect();
    assert_eq!(problems, expected);

    let own = "listen: [10.0.0.10:53]\nforward: {routes: [{zones: [a], upstreams: [10.0.0.10]}]}\n";
    let expected = "1:1: a server of forward.upstreams, forward.routes or cluster.dns";
    assert!(refusal(own).starts_with(expected), "{}", refusal(own));

    let routes = |count: usize, zones: usize| {
        let route = |route| {
            let zones: Vec<_> = (0..zones).map(|zone| format!("z{zone}.r{route}")).collect();
            let upstreams: Vec<_> = (1..=16).map(|nth| format!("192.0.2.{nth}")).collect();
            let (zones, upstreams) = (zones.join(", "), upstreams.join(", "));
            format!("  - {{zones: [{zones}], upstreams: [{upstreams}]}}\n")
        };
        let routes: String = (0..count).map(route).collect();
        parse(&format!("forward:\n  routes:\n{routes}"))
    };
    assert_eq!(routes(256, 64).unwrap().forward.routes.len(), 256);
    assert!(routes(257, 1).is_err() && routes(1, 65).is_err());
}

#[test]
fn static_names_are_refused_with_their_place() {
    let wrong = "\
cluster: {domain: k8s.example}
hosts:
  entries:
    - names: [a.example, b.example]
      addresses: [192.0.2.1, 2001:db8::1]
    - {names: [B.example.], addresses: [192.0.2.1]}
    - {names: [c.example]}
    - {names: [web.shop.svc.k8s.example], addresses: [192.0.2.1]}
    - {names: [\"*.example\"], addresses: [192.0.2.1:53], name: x}
";
    let expected = [
        "6:7: hosts.entries[1]: the name `b.example.` has addresses already, in line 4",
        "7:7: hosts.entries[2]: a static name needs names and addresses",
        "8:7: hosts.entries[3]: the name `web.shop.svc.k8s.example.` is the cluster's to give",
        "9:16: hosts.entries[4].names: expected a name such as `db.corp.example`: labels of letters, digits, `-` and `_`; found the text `*.example`",
        "9:42: hosts.entries[4].addresses: expected an address `IP`; found the text `192.0.2.1:53`",
        "9:57: hosts.entries[4].name: unknown key; did you mean `names`?",
    ];
    let said = refusal(wrong);
    let problems: Vec<_> = said.lines().filter(|line| !line.contains(" | ")).collect();
    assert_eq!(problems, expected);

    let hosts = |entries: usize, names: usize| {
        let entry = |entry| {
            let names: Vec<_> = (0..names).map(|name| format!("n{name}.h{entry}")).collect();
            let names = names.join(", ");
            format!("  - {{names: [{names}], addresses: [192.0.2.1, 2001:db8::1]}}\n")
        };
        let entries: String = (0..entries).map(entry).collect();
        parse(&format!("hosts:\n  entries:\n{entries}"))
    };
    assert_eq!(hosts(10_000, 1).unwrap().hosts.entries.len(), 10_000);
    assert!(hosts(10_001, 1).is_err() && hosts(1, 17).is_err());
    let said = hosts(626, 16).unwrap_err().to_string();
    assert!(said.contains("more than 10000 static names"), "{said}");
}

#[test]
fn flags_take_the_place_of_keys() {
    let file = "listen: [10.0.0.1:53]\ncluster: {domain: other.example, ttl: {pod: 2s}}\nlog: {format: json}\n";
    let serve = flags(&[
        "--listen",
        "127.0.0.1:0",
        "--listen",
        "[::1]:5300",
        "--upstream",
        "192.0.2.1,192.0.2.2:5353",
        "--cluster-dns",
        "10.96.0.10",
        "--admin",
        "off",
        "--cluster-domain",
        "Cluster.Example.",
        "--scope",
        "headless",
        "--log-format",
        "text",
        "--log-level",
        "gapless=debug,warn",
        "--manifests",
        "deploy/demo",
    ]);
    let (config, _) = Config::parse(file.as_bytes(), &serve).unwrap();
    let mut expected = Config {
        listen: vec![address("127.0.0.1:0"), address("[::1]:5300")],
        admin: None,
        source: Source::Manifests("deploy/demo".into()),
        ..Config::default()
    };
    expected.forward.upstreams = vec![server("192.0.2.1:53"), server("192.0.2.2:5353")];
    expected.cluster.dns = vec![server("10.96.0.10:53")];
    expected.cluster.domain = NameKey::from_text("cluster.example").unwrap();
    expected.cluster.scope = Scope::Headless;
    expected.cluster.ttl.pod = Duration::from_secs(2);
    expected.log.format = Format::Text;
    expected.log.level = "gapless=debug,warn".to_owned();
    assert_eq!(config, expected);
}

#[test]
fn an_upstream_is_written_with_its_transport_and_the_name_that_it_proves() {
    let cases = [
        ("192.0.2.1", "192.0.2.1:53"),
        ("2001:db8::1", "[2001:db8::1]:53"),
        ("tcp://192.0.2.1", "tcp://192.0.2.1:53"),
        ("tls://192.0.2.1", "tls://192.0.2.1:853"),
        ("tls://192.0.2.1#192.0.2.1", "tls://192.0.2.1:853"),
        (
            "tls://[2001:db8::1]:8853#dns.example",
            "tls://[2001:db8::1]:8853#dns.example",
        ),
        ("https://192.0.2.1", "https://192.0.2.1:443/dns-query"),
        (
            "https://192.0.2.1:8443/a?b#dns.example",
            "https://192.0.2.1:8443/a?b#dns.example",
        ),
    ];
    for (written, shown) in cases {
        for text in [written, shown] {
            let config = parse(&format!("forward: {{upstreams: ['{text}']}}")).unwrap();
            assert_eq!(config.forward.upstreams[0].to_string(), shown, "{text}");
        }
    }
}

#[test]
fn what_is_no_upstream_is_refused_with_what_may_be_meant() {
    let cases = [
        ("tlS://192.0.2.1", "did you mean `tls://`?"),
        ("dot://192.0.2.1", "did you mean `tls://`?"),
        ("http://192.0.2.1", "did you mean `https://`?"),
        ("udp://192.0.2.1", "UDP is what an address alone says"),
        ("quic://192.0.2.1", "there is no such transport"),
        ("://192.0.2.1", "there is no such transport"),
        (
            "192.0.2.1#dns.example",
            "a name stands with `tls://` or `https://` only",
        ),
        (
            "tcp://192.0.2.1#dns.example",
            "a name stands with `tls://` or `https://` only",
        ),
        (
            "dns.example",
            "`dns.example` is a name, whose address nobody would know; it stands after `#`",
        ),
        (
            "https://dns.example/dns-query",
            "`dns.example` is a name, whose address nobody would know; it stands after `#`",
        ),
        ("tls://192.0.2.1#", "`` is the name of no server"),
        (
            "tls://192.0.2.1/dns-query",
            "`192.0.2.1/dns-query` is no address",
        ),
        ("https://192.0.2.1/a b", "no URI has such a path"),
        ("tls://0.0.0.0", "nobody can be at `0.0.0.0`"),
        ("192.0.2.1:0", "nobody can be at `192.0.2.1:0`"),
    ];
    for (text, hint) in cases {
        let refused = parse(&format!("cluster: {{dns: ['{text}']}}")).unwrap_err();
        let refused = refused.to_string();
        assert!(
            refused.contains(&format!(": {hint}\n")),
            "{text}: {refused}"
        );
    }
}

#[test]
fn a_flag_is_refused_as_its_key_is() {
    let cases = [
        (["--listen", "127.0.0.1"], "expected an address `IP:PORT`"),
        (
            ["--upstream", "tpc://192.0.2.1"],
            "PATH#NAME`: did you mean `tcp://`?",
        ),
        (["--scope", "all"], "expected `cluster` or `headless`"),
        (["--cluster-domain", "."], "expected a domain name"),
        (["--log-level", "infoo"], "expected a level"),
        (["--admin", "on"], "expected `off` or an address `IP:PORT`"),
    ];
    for (arguments, expected) in cases {
        let refused =
            Cli::try_parse_from(["gapless", "serve"].iter().chain(&arguments)).unwrap_err();
        assert!(refused.to_string().contains(expected), "{refused}");
    }
}

#[test]
fn check_says_what_it_found_and_ends_with_a_code() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let check = |path: &Path| {
        let mut command = process::Command::new(env!("CARGO_BIN_EXE_gapless"));
        let output = command.arg("check").arg(path).output().unwrap();
        let text = |bytes| {
            String::from_utf8(bytes)
                .unwrap()
                .replace(&path.display().to_string(), "FILE")
        };
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let says = |code, out: &str, err: &str| (Some(code), out.to_owned(), err.to_owned());

    assert_eq!(
        check(&file("good", b"udp: {workers: 2}")),
        says(0, "FILE: ok\n", "")
    );
    assert_eq!(
        check(&file("bad", b"udp:\n  wokers: 2\n")),
        says(
            1,
            "",
            "gapless: FILE:2:3: udp.wokers: unknown key; did you mean `workers`?\n    2 |   wokers: 2\n      |   ^\n"
        )
    );
    assert_eq!(
        check(&file("binary", b"udp:\n  workers: \xff\n")),
        says(
            1,
            "",
            "gapless: FILE:2:12: not UTF-8: the octet 0xff stands here\n    2 |   workers: \n      |            ^\n"
        )
    );
    assert_eq!(
        check(&directory.path().join("missing")),
        says(
            1,
            "",
            "gapless: FILE: cannot be read: No such file or directory (os error 2)\n"
        )
    );
    assert_eq!(
        check(directory.path()),
        says(
            1,
            "",
            "gapless: FILE: cannot be read: Is a directory (os error 21)\n"
        )
    );
    assert_eq!(
        check(&file("long", &vec![b'#'; (1 << 20) + 1])),
        says(
            1,
            "",
            "gapless: FILE: cannot be read: it is longer than 1 MiB\n"
        )
    );
}

#[test]
fn limits_are_inclusive() {
    let label = "x".repeat(63);
    // Three octets of a label's text stand for the length octets and the root's.
    let longest = format!("{label}.{label}.{}", "x".repeat(180 - 2 * 64 - 2));
    for good in [
        format!("cluster: {{domain: {longest}}}"),
        "cache: {size: 1MiB, max_answer: 64KiB, max_ttl: 0s}".to_owned(),
        "cache: {size: 64GiB, max_ttl: 60m}".to_owned(),
        "udp: {workers: 64}".to_owned(),
        "tcp: {idle_timeout: 1000ms}".to_owned(),
    ] {
        assert!(parse(&good).is_ok(), "{}", refusal(&good));
    }
    for bad in [
        format!("cluster: {{domain: {longest}x}}"),
        "cluster: {domain: .}".to_owned(),
        "cluster: {domain: a b}".to_owned(),
        "cache: {size: 1023KiB}".to_owned(),
        "cache: {size: 67108864}".to_owned(),
        "cache: {size: 99999999999999999999GiB}".to_owned(),
        "cache: {size: 17179869184GiB}".to_owned(),
        "udp: {workers: 0}".to_owned(),
        "udp: {workers: 65}".to_owned(),
        "udp: {workers: 4.0}".to_owned(),
        "udp: {workers: -1}".to_owned(),
        "udp: {workers: \"4\"}".to_owned(),
        "udp: {workers: null}".to_owned(),
        "tcp: {idle_timeout: 999ms}".to_owned(),
        "tcp: {idle_timeout: 10}".to_owned(),
        "listen: []".to_owned(),
        "listen: 127.0.0.1:53".to_owned(),
        "identity: {id: \"\"}".to_owned(),
        "cluster: {fallthrough: [corp example]}".to_owned(),
        "cluster: {fallthrough: ['corp\\example']}".to_owned(),
        "https: {path: dns-query}".to_owned(),
        "https: {path: \"/?\"}".to_owned(),
    ] {
        assert!(parse(&bad).is_err(), "{bad}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(
        document in 0..=examples().len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8, any::<u8>()), 0..12),
    ) {
        let mut bytes = examples().get(document).copied().unwrap_or(DEFAULTS).as_bytes().to_vec();
        for (index, edit, byte) in edits {
            let at = index.index(bytes.len().max(1));
            match edit {
                _ if bytes.is_empty() => bytes.push(byte),
                0 => bytes[at] = byte,
                1 => bytes.insert(at, b"\n :-[]{}&*!|>#'\"%@`,?\t<~0x"[usize::from(byte) % 26]),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at),
            }
        }
        match Config::parse(&bytes, &Serve::default()) {
            Ok((config, keys)) => {
                let printed = config::print(&keys);
                prop_assert_eq!(parse(&printed), Ok(config), "{}", printed);
            }
            Err(errors) => prop_assert!(!errors.to_string().is_empty()),
        }
    }
}
