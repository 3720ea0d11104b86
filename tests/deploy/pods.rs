//! The command lines of containers, run: with the files and variables that a kubelet would give them.

use crate::{
    objects::{list, ours, pod, text, title},
    render::{OVERLAYS, kustomized, run},
};
use serde_json::Value;
use std::{fs, process::Command};

/// What the kubelet knows of Services and of the node, and puts in the place of `$(NAME)`.
const KNOWN: [(&str, &str); 3] = [
    ("$(KUBE_DNS_UPSTREAM_SERVICE_HOST)", "10.96.12.34"),
    ("$(KUBE_DNS_SERVICE_HOST)", "10.96.0.10"),
    ("$(HOST_IP)", "192.0.2.7"),
];

/// Runs every `gapless serve` of these objects. No API server is there: that it gets as far as to say so is all that a
/// configuration can do.
pub fn every_server_accepts_its_configuration(objects: &[Value]) {
    let mut servers = 0;
    for object in objects {
        let Some(pod) = pod(object) else { continue };
        for container in ours(&pod).filter(|it| it["args"][0] == "serve") {
            let said = serve(objects, &pod, container).unwrap_err();
            let expected = "cannot reach the Kubernetes API: no credentials";
            assert!(said.contains(expected), "{}: {said}", title(object));
            servers += 1;
        }
    }
    assert!(
        servers > 0,
        "no server among {:?}",
        objects.iter().map(title).collect::<Vec<_>>()
    );
}

fn serve(objects: &[Value], pod: &Value, container: &Value) -> Result<String, String> {
    let mounted = tempfile::tempdir().unwrap();
    let directory = mounted.path().to_str().unwrap();
    let name = list(pod, "/spec/volumes").map(|volume| text(volume, "/configMap/name"));
    let name = name
        .into_iter()
        .find(|name| !name.is_empty())
        .expect("a ConfigMap");
    let config_map = objects
        .iter()
        .find(|it| title(it) == format!("ConfigMap {name}"));
    let config_map = config_map.unwrap_or_else(|| panic!("no ConfigMap {name}"));
    for (file, content) in config_map["data"].as_object().unwrap() {
        fs::write(mounted.path().join(file), content.as_str().unwrap()).unwrap();
    }
    let value = |text: &str| {
        let known = |text: String, (name, value): &(&str, &str)| text.replace(name, value);
        let text = KNOWN.iter().fold(text.to_owned(), known);
        assert!(!text.contains("$("), "nobody knows {text}");
        text.replace("/etc/gapless", directory)
    };
    let mut command = Command::new("env");
    for variable in list(container, "/env").filter(|it| it.get("value").is_some()) {
        command.arg(format!(
            "{}={}",
            text(variable, "/name"),
            value(text(variable, "/value"))
        ));
    }
    command.arg(env!("CARGO_BIN_EXE_gapless"));
    command.args(list(container, "/args").map(|argument| value(argument.as_str().unwrap())));
    run(&mut command)
}

#[test]
#[ignore = "needs KUBEBUILDER_ASSETS"]
fn every_server_of_every_overlay_accepts_its_command_line_and_configuration() {
    for mode in OVERLAYS {
        every_server_accepts_its_configuration(&kustomized(mode));
    }
}
