//! What a real API server says to our objects and to the pods that come of them.

use crate::{
    chart::FULL,
    control_plane::ControlPlane,
    objects::{pod, text, title},
    render::{OVERLAYS, charted, kubectl, kustomized, project},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::PostParams};
use serde_json::{Value, json};
use std::fs;

/// A control plane that knows the kinds of others that we use, with the fields that we use.
async fn control_plane() -> ControlPlane {
    let control_plane = ControlPlane::start().await;
    let admin = control_plane.admin_kubeconfig();
    let kinds = project("tests/deploy/foreign.yaml").display().to_string();
    kubectl(&admin, &["apply", "-f", &kinds]).unwrap();
    let established = [
        "wait",
        "--for=condition=Established",
        "--timeout=60s",
        "-f",
        &kinds,
    ];
    kubectl(&admin, &established).unwrap();
    control_plane
}

/// What the API server says to a pod, without making it.
async fn admitted(
    control_plane: &ControlPlane,
    namespace: &str,
    mut pod: Value,
) -> Result<(), String> {
    // Not the name of one that is there.
    let name = pod["metadata"]["name"].take();
    pod["metadata"]["name"] = format!("{}-0", name.as_str().unwrap()).into();
    pod["metadata"]["namespace"] = namespace.into();
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let pods = Api::<Pod>::namespaced(control_plane.admin().clone(), namespace);
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let created = pods.create(&dry_run, &pod).await;
    created.map(drop).map_err(|error| error.to_string())
}

/// Applies objects as strictly as an API server can, without making them first; then asks for each pod that a controller
/// would make of them, in its own namespace, whose own word on security counts.
async fn taken(control_plane: &ControlPlane, what: &str, objects: &[Value]) {
    let admin = control_plane.admin_kubeconfig();
    let file = control_plane.directory().join("objects.json");
    fs::write(
        &file,
        json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string(),
    )
    .unwrap();
    // A dry run makes no namespace for what comes after it.
    for namespace in objects.iter().filter(|it| text(it, "/kind") == "Namespace") {
        control_plane.apply(&namespace.to_string()).await;
    }
    for dry_run in ["--dry-run=server", "--dry-run=none"] {
        let strictly = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--validate=strict",
        ];
        let file = ["-f", file.to_str().unwrap(), dry_run];
        let said = kubectl(&admin, &[&strictly[..], &file].concat());
        let said = said.unwrap_or_else(|error| panic!("{what} {dry_run}: {error}"));
        assert_eq!(said.lines().count(), objects.len(), "{what}: {said}");
    }
    for object in objects {
        let Some(pod) = pod(object) else { continue };
        let namespace = text(object, "/metadata/namespace").to_owned();
        let said = admitted(control_plane, &namespace, pod).await;
        said.unwrap_or_else(|error| panic!("{what}, {}: {error}", title(object)));
        if text(object, "/kind") == "Pod" {
            // The chart's test, which helm takes away before it is made anew.
            let name = format!("pod/{}", text(object, "/metadata/name"));
            kubectl(&admin, &["delete", "-n", &namespace, "--now", &name]).unwrap();
        }
    }
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn every_overlay_is_taken_by_an_api_server_and_so_are_its_pods() {
    let control_plane = control_plane().await;
    for mode in OVERLAYS {
        taken(&control_plane, mode, &kustomized(mode)).await;
    }
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS and HELM"]
async fn the_chart_is_taken_by_an_api_server_in_every_mode_and_so_are_its_pods() {
    let control_plane = control_plane().await;
    let kafka = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kafka"}});
    control_plane.apply(&kafka.to_string()).await;
    for mode in OVERLAYS {
        taken(&control_plane, mode, &charted(mode, FULL).unwrap()).await;
    }
}

/// Pod Security admission at `restricted`: in the namespaces that claim it, and for the pods that stand in kube-system only
/// because kube-dns is there.
#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn no_pod_needs_more_than_the_restricted_profile_allows() {
    let control_plane = ControlPlane::start().await;
    let strict = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": "strict", "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
    }});
    control_plane.apply(&strict.to_string()).await;
    for mode in ["cilium-lrp", "service", "sidecar"] {
        let objects = kustomized(mode);
        let pods: Vec<_> = objects.iter().filter_map(pod).collect();
        assert!(!pods.is_empty(), "{mode} has no pod");
        for mut pod in pods {
            // Reserved for kube-system by nobody but a quota; admission of priority is another test's.
            admitted(&control_plane, "strict", pod.clone())
                .await
                .expect(mode);
            // So that the test can fail: each rule that we keep, broken.
            let containers = pod["spec"]["containers"].as_array_mut().unwrap();
            containers[0]["securityContext"]["capabilities"]["add"] = json!(["NET_ADMIN"]);
            let refused = admitted(&control_plane, "strict", pod).await.unwrap_err();
            assert!(
                refused.contains(
                    "violates PodSecurity \"restricted:latest\": unrestricted capabilities"
                ),
                "{refused}"
            );
        }
    }
}
