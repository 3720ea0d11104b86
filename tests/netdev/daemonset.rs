//! The containers of `deploy/kustomize/overlays/link-local`: their command lines, their environment, and what a kubelet and
//! a cluster would put into them.

use crate::cluster::{Cluster, DEMO, GAPLESS, Process};
use rustix::process::Signal;
use serde_json::Value;
use std::{
    fs,
    process::{Command, Stdio},
};

/// What is patched comes first, and wins.
const FILES: [&str; 2] = ["overlays/link-local/daemonset.yaml", "node/daemonset.yaml"];
const CONFIG: &str = include_str!("../../deploy/kustomize/overlays/link-local/config.yaml");
const VARIABLES: [(&str, &str); 3] = [
    ("$(HOST_IP)", "10.2.0.1"),
    ("$(KUBE_DNS_SERVICE_HOST)", "10.96.0.10"),
    ("$(KUBE_DNS_UPSTREAM_SERVICE_HOST)", "10.2.0.2"),
];

/// One pod on the node.
pub(crate) struct Pod {
    watch: Process,
    server: Process,
}

impl Pod {
    /// The init container, and then the others, of which the server says that it is `who`.
    pub(crate) fn start(cluster: &Cluster, who: &str) -> Self {
        let up = container(cluster, "netdev-up").status().unwrap();
        assert!(up.success());
        Self {
            watch: Process(container(cluster, "netdev-watch").spawn().unwrap()),
            server: server(cluster, who),
        }
    }

    /// The server is killed, and some time later the kubelet starts it again.
    pub(crate) fn crash(&mut self, cluster: &Cluster, who: &str, meanwhile: impl FnOnce()) {
        self.server.signal(Signal::KILL);
        self.server.ended();
        meanwhile();
        self.server = server(cluster, who);
    }

    /// As a kubelet ends it.
    pub(crate) fn end(mut self) {
        for process in [&self.watch, &self.server] {
            process.signal(Signal::TERM);
        }
        self.server.ended();
        self.watch.ended();
    }
}

fn server(cluster: &Cluster, who: &str) -> Process {
    let hosts =
        format!("hosts: {{ttl: 0s, entries: [{{names: [who.example], addresses: [{who}]}}]}}\n");
    let config = cluster.files.path().join(format!("{who}.yaml"));
    fs::write(&config, format!("{CONFIG}{hosts}")).unwrap();
    let mut server = container(cluster, "gapless");
    server
        .env("GAPLESS_CONFIG", config)
        .args(["--upstream", "127.0.0.1:9", "--manifests", DEMO]);
    Process(server.spawn().unwrap())
}

fn container(cluster: &Cluster, name: &str) -> Command {
    let mut command = Command::new("ip");
    command
        .args(["netns", "exec", &cluster.node, GAPLESS])
        .stderr(Stdio::null());
    if cluster.kind != "dummy" {
        command.env("GAPLESS_NETDEV_KIND", cluster.kind);
    }
    for file in FILES {
        let path = format!("{}/deploy/kustomize/{file}", env!("CARGO_MANIFEST_DIR"));
        let daemonset: Value = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let pod = &daemonset["spec"]["template"]["spec"];
        let of = |list: &str| pod[list].as_array().cloned().unwrap_or_default();
        let all = [of("initContainers"), of("containers")].concat();
        let Some(container) = all.into_iter().find(|it| it["name"] == name) else {
            continue;
        };
        // The configuration is not where a pod has it.
        let arguments = container["args"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|it| it.as_str().unwrap());
        command.args(arguments.filter(|it| !["--config", "/etc/gapless/config.yaml"].contains(it)));
        for variable in container["env"].as_array().into_iter().flatten() {
            if let Some(value) = variable["value"].as_str() {
                let known = |text: String, (name, value): (&str, &str)| text.replace(name, value);
                let value = VARIABLES.into_iter().fold(value.to_owned(), known);
                command.env(variable["name"].as_str().unwrap(), value);
            }
        }
    }
    command
}
