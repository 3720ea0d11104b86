//! Corefiles as clusters have them, and what `gapless convert` makes of them. A case is two files: `NAME.in`, and
//! `NAME.out` with the configuration, and below `---` what is said of lines that are not simply in it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path, process::Command};

/// Runs `gapless` with nothing in its environment: its code, and what it says to both sides.
fn gapless(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gapless"));
    let output = command.env_clear().args(arguments).output().unwrap();
    let text = |octets| String::from_utf8(octets).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn every_file_becomes_the_configuration_beside_it_which_is_accepted() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/convert");
    let here = tempfile::tempdir().unwrap();
    let entries = fs::read_dir(cases)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut inputs: Vec<_> = entries
        .filter(|it| it.extension().is_some_and(|it| it == "in"))
        .collect();
    inputs.sort();
    assert!(inputs.len() >= 8, "{inputs:?}");
    for input in inputs {
        let name = input.to_str().unwrap();
        let (code, configuration, remarks) = gapless(&["convert", name]);
        assert_eq!(code, Some(0), "{name}: {remarks}");
        let remarks = remarks.replace(&format!("{name}: "), "");
        let expected = fs::read_to_string(input.with_extension("out")).unwrap_or_default();
        let found = format!("{configuration}---\n{remarks}");
        assert!(
            found == expected,
            "{name}\nexpected:\n{expected}\nfound:\n{found}"
        );

        let file = here.path().join("config.yaml");
        fs::write(&file, configuration).unwrap();
        let (code, _, said) = gapless(&["check", file.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{name}: {said}");
    }
}

#[test]
fn what_cannot_be_read_or_is_not_accepted_ends_with_a_code() {
    let here = tempfile::tempdir().unwrap();
    let file = here.path().join("Corefile");
    let name = file.to_str().unwrap();
    let refused = |text: &str| {
        fs::write(&file, text).unwrap();
        let (code, _, said) = gapless(&["convert", name]);
        assert_eq!(code, Some(1), "{said}");
        said
    };
    let nothing = "expected a Corefile, or a ConfigMap with `Corefile`, `stubDomains` or `upstreamNameservers`";
    assert_eq!(
        refused("# nothing\n"),
        format!("gapless: {name}: {nothing}\n")
    );
    assert_eq!(
        refused(".:53 {\n"),
        format!("gapless: {name}: line 1: the block is not closed\n")
    );
    let map = "kind: ConfigMap\ndata: {stubDomains: '{'}\n";
    assert!(refused(map).contains("stubDomains: not the JSON that kube-dns reads"));
    // A server that asks itself: both are what the file says, and they do not go together.
    let itself = refused(".:53 {\n bind 192.0.2.1\n forward . 192.0.2.1\n}\n");
    assert!(
        itself.contains("what became of it is not accepted yet"),
        "{itself}"
    );
    let (code, _, said) = gapless(&["convert", "/nonexistent"]);
    assert_eq!(
        (code, said.contains("/nonexistent: cannot be read")),
        (Some(1), true)
    );
}
