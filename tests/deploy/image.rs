//! The image that is made without a container engine: what is in it, as other tools read it.

use crate::render::{project, run};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};

/// Stands for gapless, which takes a minute to pack in a debug build.
const PROGRAM: &str = "a program";

fn program(name: &str, arguments: &[&str]) -> String {
    run(Command::new(name).args(arguments)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Makes an image of a program for both architectures, and unpacks it.
fn build(directory: &Path) -> Vec<u8> {
    let (image, unpacked) = (directory.join("image.tar"), directory.join("image"));
    let gapless = directory.join("program");
    fs::write(&gapless, PROGRAM).unwrap();
    let gapless = gapless.display();
    let script = project("deploy/image/build").display().to_string();
    let programs = ["amd64", "arm64"].map(|architecture| format!("{architecture}={gapless}"));
    program(
        "python3",
        &[&script, image.to_str().unwrap(), &programs[0], &programs[1]],
    );
    fs::create_dir(&unpacked).unwrap();
    program(
        "tar",
        &[
            "-xf",
            image.to_str().unwrap(),
            "-C",
            unpacked.to_str().unwrap(),
        ],
    );
    fs::read(image).unwrap()
}

/// A blob's path, once its octets are as many, and have the digest, that its descriptor says.
fn blob(directory: &Path, descriptor: &Value) -> String {
    let digest = descriptor["digest"]
        .as_str()
        .unwrap()
        .strip_prefix("sha256:")
        .unwrap();
    let path = directory.join("image/blobs/sha256").join(digest);
    assert_eq!(
        fs::metadata(&path).unwrap().len(),
        descriptor["size"].as_u64().unwrap()
    );
    let path = path.to_str().unwrap().to_owned();
    assert!(program("sha256sum", &[&path]).starts_with(digest), "{path}");
    path
}

fn json_of(path: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
#[ignore = "needs python3"]
fn the_image_holds_the_program_alone_for_a_user_that_is_not_root() {
    let here = tempfile::tempdir().unwrap();
    build(here.path());
    let layout = json_of(here.path().join("image/oci-layout").to_str().unwrap());
    assert_eq!(layout, json!({"imageLayoutVersion": "1.0.0"}));
    let index = json_of(here.path().join("image/index.json").to_str().unwrap());
    let index = json_of(&blob(here.path(), &index["manifests"][0]));
    let manifests = index["manifests"].as_array().unwrap();
    assert_eq!(manifests.len(), 2);
    for (manifest, architecture) in manifests.iter().zip(["amd64", "arm64"]) {
        let platform = json!({"architecture": architecture, "os": "linux"});
        assert_eq!(manifest["platform"], platform);
        let manifest = json_of(&blob(here.path(), manifest));
        let config = json_of(&blob(here.path(), &manifest["config"]));
        assert_eq!(config["architecture"], architecture);
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Entrypoint"], json!(["/gapless"]));
        assert_eq!(config["config"]["Cmd"], json!(["serve"]));
        let labels = &config["config"]["Labels"];
        let label = |name: &str| labels[format!("org.opencontainers.image.{name}")].clone();
        assert_eq!(label("version"), env!("CARGO_PKG_VERSION"));
        assert_eq!(label("licenses"), env!("CARGO_PKG_LICENSE"));
        assert_eq!(label("source"), env!("CARGO_PKG_REPOSITORY"));
        assert_eq!(label("description"), env!("CARGO_PKG_DESCRIPTION"));
        // Empty where nobody says it: the script takes it from the environment.
        assert_eq!(label("revision"), Value::Null);

        assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
        let layer = blob(here.path(), &manifest["layers"][0]);
        let listed = program("tar", &["--xattrs", "--numeric-owner", "-tvvzf", &layer]);
        let words: Vec<_> = listed.split_whitespace().collect();
        let size = PROGRAM.len().to_string();
        assert_eq!(
            [words[0].trim_end_matches('*'), words[1], words[2]],
            ["-rwxr-xr-x", "0/0", &size]
        );
        assert!(listed.contains(" gapless\n"), "{listed}");
        let plain = here.path().join("layer.tar");
        fs::copy(&layer, plain.with_extension("tar.gz")).unwrap();
        program(
            "gzip",
            &[
                "--decompress",
                "--force",
                plain.with_extension("tar.gz").to_str().unwrap(),
            ],
        );
        let diff = config["rootfs"]["diff_ids"][0]
            .as_str()
            .unwrap()
            .strip_prefix("sha256:")
            .unwrap();
        assert!(program("sha256sum", &[plain.to_str().unwrap()]).starts_with(diff));
    }
}

/// As libcap reads it: without this a user other than root cannot bind port 53.
#[test]
#[ignore = "needs python3, root and getcap"]
fn the_program_of_the_image_may_bind_ports_below_1024_and_nothing_else() {
    let here = tempfile::tempdir().unwrap();
    build(here.path());
    let index = json_of(here.path().join("image/index.json").to_str().unwrap());
    let index = json_of(&blob(here.path(), &index["manifests"][0]));
    let manifest = json_of(&blob(here.path(), &index["manifests"][0]));
    let layer = blob(here.path(), &manifest["layers"][0]);
    let root = here.path().to_str().unwrap();
    program(
        "tar",
        &[
            "--xattrs",
            "--xattrs-include=security.*",
            "-xzf",
            &layer,
            "-C",
            root,
        ],
    );
    let gapless = here.path().join("gapless");
    let said = program("/usr/sbin/getcap", &[gapless.to_str().unwrap()]);
    assert_eq!(
        said.trim().rsplit(' ').next(),
        Some("cap_net_bind_service=ep")
    );
}

#[test]
#[ignore = "needs python3"]
fn the_same_programs_make_the_same_image() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(build(one.path()) == build(other.path()));
}
