//! The programs that make manifests into objects, run with nothing of this machine's own configuration.

use crate::{control_plane::asset, objects};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The ways to deploy, each an overlay of kustomize.
pub const OVERLAYS: [&str; 5] = [
    "cilium-lrp",
    "dns-config",
    "link-local",
    "service",
    "sidecar",
];

pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub fn overlay(mode: &str) -> String {
    project("deploy/kustomize/overlays")
        .join(mode)
        .display()
        .to_string()
}

/// What `kubectl kustomize` makes of an overlay.
pub fn kustomized(mode: &str) -> Vec<Value> {
    let rendered = kubectl(Path::new("/dev/null"), &["kustomize", &overlay(mode)]);
    objects::parse(&rendered.expect(mode)).expect(mode)
}

/// What `helm template` makes of the chart with these values, as `KEY=VALUE`, and without a Kubernetes to look at.
pub fn charted(mode: &str, values: &[&str]) -> Result<Vec<Value>, String> {
    let mode = format!("mode={mode}");
    let mut arguments = vec!["template", "gapless", "--namespace", "kube-system"];
    for value in [&[mode.as_str()], values].concat() {
        arguments.extend(["--set", value]);
    }
    objects::parse(&helm(&arguments)?)
}

/// What `helm` says of our chart, or what it complains of.
pub fn helm(arguments: &[&str]) -> Result<String, String> {
    let helm = std::env::var_os("HELM");
    let helm = helm.expect("HELM names the program that tests/control-plane/build-helm printed");
    let mut command = Command::new(helm);
    command.args(arguments).arg(project("deploy/helm/gapless"));
    run(command.args(["--kube-version", "1.34.4"]))
}

/// What `kubectl` says, or what it complains of.
pub fn kubectl(kubeconfig: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(asset("kubectl"));
    command.arg("--kubeconfig").arg(kubeconfig).args(arguments);
    run(&mut command)
}

/// Runs a program to its end, in a home of its own.
pub fn run(command: &mut Command) -> Result<String, String> {
    let home = tempfile::tempdir().unwrap();
    let output = command.env_clear().env("HOME", home.path()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |octets: Vec<u8>| String::from_utf8(octets).expect("UTF-8");
    if output.status.success() {
        Ok(text(output.stdout))
    } else {
        Err(text(output.stderr))
    }
}
