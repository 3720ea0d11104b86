//! A real control plane on loopback: how a cluster is started, broken and filled. It knows nothing of DNS or of gapless,
//! except the role that we ship for it; what its processes are given is [`process`]'s business.

#![allow(
    unreachable_pub,
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    reason = "a module of test programs, each of which uses a part; a panic is how a test fails"
)]

mod node;
mod process;

pub use node::{Node, follow};
pub use process::{GAPLESS_TOKENS, Process, asset};

use kube::{
    Api, Client, Config,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use process::{
    Ports, free_ports, start_api_server, start_controller_manager, start_etcd, write_credentials,
    write_tokens,
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// The role and binding that a cluster gets from us; [`ControlPlane::gapless_kubeconfig`] has no other rights.
pub const SHIPPED_RBAC: &str = include_str!("../../../deploy/kustomize/base/rbac.yaml");

/// Debian's etcd 3.4, too old for streaming lists (they need 3.4.25).
pub const ETCD_WITHOUT_STREAMING_LISTS: &str = "/usr/bin/etcd";

/// Ready takes 3 s on an idle machine with two cores; this is for one that compiles at the same time.
const WITHIN: Duration = Duration::from_secs(120);
const POLL_EVERY: Duration = Duration::from_millis(50);
const OWN_SERVICE: &str = "/api/v1/namespaces/default/services/kubernetes";
const FIELD_MANAGER: &str = "test";

/// etcd, kube-apiserver and, if wanted, kube-controller-manager, until it is dropped.
///
/// Start it on the test's own thread: the kernel is told to kill the processes when the thread that started them is
/// gone, so that not even a killed test leaves an orphan.
pub struct ControlPlane {
    admin: Client,
    controller_manager: Option<Process>,
    api_server: Option<Process>,
    _etcd: Process,
    api_server_flags: &'static [&'static str],
    ports: Ports,
    // The last to be dropped: the processes write into it.
    directory: TempDir,
}

impl ControlPlane {
    /// Starts both from `KUBEBUILDER_ASSETS`, waits until they are ready, and applies [`SHIPPED_RBAC`].
    pub async fn start() -> Self {
        Self::start_with(&asset("etcd"), &[]).await
    }

    /// The same with another etcd, or with more flags for the API server.
    pub async fn start_with(etcd: &Path, api_server_flags: &'static [&'static str]) -> Self {
        let directory = TempDir::new().unwrap();
        let ports = free_ports();
        write_credentials(directory.path(), &ports);
        let _etcd = start_etcd(etcd, directory.path(), &ports);
        let mut api_server = start_api_server(directory.path(), &ports, api_server_flags);
        let admin = ready(&mut api_server, &directory.path().join("admin.kubeconfig")).await;
        let control_plane = Self {
            directory,
            ports,
            api_server_flags,
            _etcd,
            api_server: Some(api_server),
            controller_manager: None,
            admin,
        };
        // The API server makes this one itself, also after it says that it is ready.
        control_plane
            .apply("{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}")
            .await;
        control_plane.give_rights().await;
        control_plane
    }

    /// Starts the controllers, which do their part from some moment on. A [`Node`] runs what they create.
    pub fn start_controllers(&mut self) {
        self.controller_manager = Some(start_controller_manager(self.directory.path()));
    }

    /// Where further processes may write.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Applies [`SHIPPED_RBAC`], and waits until it is in force: the server watches its own roles, too.
    pub async fn give_rights(&self) {
        self.apply(SHIPPED_RBAC).await;
        self.gapless_is_answered(200).await;
    }

    /// Deletes the binding of [`SHIPPED_RBAC`], and waits until that is in force.
    pub async fn take_rights(&self) {
        self.delete("ClusterRoleBinding", None, "gapless").await;
        self.gapless_is_answered(403).await;
    }

    async fn gapless_is_answered(&self, expected: u16) {
        let gapless = self.gapless().await;
        poll("the role is as it was made", async || {
            let answer = gapless.send(get("/api/v1/services?limit=1").map(Into::into));
            match answer.await.map(|answer| answer.status().as_u16()) {
                Ok(status) if status == expected => Ok(()),
                other => Err(format!("{other:?} instead of {expected}")),
            }
        })
        .await;
    }

    /// A kubeconfig that may do everything.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.directory.path().join("admin.kubeconfig")
    }

    /// A kubeconfig with the rights of [`SHIPPED_RBAC`]. Its token stands in a file of its own.
    pub fn gapless_kubeconfig(&self) -> PathBuf {
        self.directory.path().join("gapless.kubeconfig")
    }

    /// A client that may do everything.
    pub fn admin(&self) -> &Client {
        &self.admin
    }

    /// A client with the rights of [`SHIPPED_RBAC`].
    pub async fn gapless(&self) -> Client {
        client(&self.gapless_kubeconfig()).await
    }

    /// Replaces the token in the file that the gapless kubeconfig names, as the kubelet does it: in one step.
    pub fn set_gapless_token(&self, token: &str) {
        let unfinished = self.directory.path().join("gapless.token.new");
        fs::write(&unfinished, token).unwrap();
        fs::rename(unfinished, self.directory.path().join("gapless.token")).unwrap();
    }

    /// From the next [`restart_api_server`](Self::restart_api_server) on, gapless is known by these tokens only.
    pub fn accept_gapless_tokens(&self, tokens: &[&str]) {
        write_tokens(self.directory.path(), tokens);
    }

    /// Kills the API server at once: its connections break, its port refuses.
    pub fn kill_api_server(&mut self) {
        self.api_server = None;
    }

    /// Starts it again on the same port with the same data and certificate, and waits until it is ready.
    pub async fn restart_api_server(&mut self) {
        self.kill_api_server();
        let mut api_server =
            start_api_server(self.directory.path(), &self.ports, self.api_server_flags);
        self.admin = ready(&mut api_server, &self.admin_kubeconfig()).await;
        self.api_server = Some(api_server);
    }

    /// Creates or changes every object of these YAML documents, their `status` included.
    pub async fn apply(&self, manifests: &str) {
        for document in serde_saphyr::from_multiple::<Value>(manifests).expect("YAML") {
            let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
            let kind = text("/kind").expect("kind");
            let name = text("/metadata/name").expect("metadata.name");
            let api = self.api(kind, text("/metadata/namespace"));
            let forced = PatchParams::apply(FIELD_MANAGER).force();
            let done = async {
                api.patch(name, &forced, &Patch::Apply(&document)).await?;
                if document.get("status").is_some() {
                    api.patch_status(name, &forced, &Patch::Apply(&document))
                        .await?;
                }
                Ok::<_, kube::Error>(())
            };
            done.await
                .unwrap_or_else(|error| panic!("apply {kind} {name}: {error}"));
        }
    }

    /// Deletes an object without any period of grace.
    pub async fn delete(&self, kind: &str, namespace: Option<&str>, name: &str) {
        let at_once = DeleteParams::default().grace_period(0);
        self.api(kind, namespace)
            .delete(name, &at_once)
            .await
            .unwrap_or_else(|error| panic!("delete {kind} {name}: {error}"));
    }

    /// The collection of a kind, without asking the server what kinds it has. No namespace means `default`.
    pub fn api(&self, kind: &str, namespace: Option<&str>) -> Api<DynamicObject> {
        let (group, namespaced) = match kind {
            "Namespace" | "Node" => ("", false),
            "Service" | "Pod" | "ServiceAccount" | "ConfigMap" | "Secret" => ("", true),
            "StatefulSet" => ("apps", true),
            "EndpointSlice" => ("discovery.k8s.io", true),
            "ClusterRole" | "ClusterRoleBinding" => ("rbac.authorization.k8s.io", false),
            _ => panic!("add {kind} to this list"),
        };
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
        if namespaced {
            Api::namespaced_with(
                self.admin.clone(),
                namespace.unwrap_or("default"),
                &resource,
            )
        } else {
            Api::all_with(self.admin.clone(), &resource)
        }
    }
}

/// A client, once `/readyz` says ok and the server has made its own service, which it does a moment later.
async fn ready(api_server: &mut Process, kubeconfig: &Path) -> Client {
    let certificate = kubeconfig.with_file_name("certificates/apiserver.crt");
    poll("kube-apiserver is ready", async || {
        if let Some(status) = api_server.child.try_wait().unwrap() {
            panic!("kube-apiserver ended, {status}:\n{}", api_server.log());
        }
        if !certificate.exists() {
            return Err(format!("no certificate yet:\n{}", api_server.log()));
        }
        let client = client(kubeconfig).await;
        for path in ["/readyz", OWN_SERVICE] {
            let answer = client.request_text(get(path)).await;
            answer.map_err(|error| format!("{path}: {error}\n{}", api_server.log()))?;
        }
        Ok(client)
    })
    .await
}

/// Tries until it succeeds: another process has no other way to say that it is so far.
pub async fn poll<T>(what: &str, mut attempt: impl AsyncFnMut() -> Result<T, String>) -> T {
    let mut last_failure = String::new();
    let polling = async {
        let mut ticks = interval(POLL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match attempt().await {
                Ok(done) => return done,
                Err(failure) => last_failure = failure,
            }
        }
    };
    let polled = timeout(WITHIN, polling).await;
    polled.unwrap_or_else(|_| panic!("waited {WITHIN:?} until {what}; at last: {last_failure}"))
}

/// A client from a kubeconfig file.
pub async fn client(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("kubeconfig");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Client::try_from(config.expect("configuration")).expect("client")
}

/// A request for a path and query as they stand.
pub fn get(path: &str) -> http::Request<Vec<u8>> {
    http::Request::get(path).body(Vec::new()).unwrap()
}
