//! The commands of `docs/migrate.md`, given to a cluster that has CoreDNS as kubeadm makes it.

use crate::{
    control_plane::ControlPlane,
    objects::{self, list, text},
    render::{kubectl, overlay, project},
};
use serde_json::Value;

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn a_cluster_leaves_coredns_and_goes_back_and_its_service_stays() {
    let control_plane = ControlPlane::start().await;
    let admin = control_plane.admin_kubeconfig();
    let system = |arguments: &[&str]| {
        kubectl(&admin, &[&["--namespace=kube-system"], arguments].concat()).unwrap()
    };
    let get = |what: &str| {
        let yaml = system(&["get", what, "--output=yaml"]);
        objects::parse(&yaml).unwrap().remove(0)
    };
    let coredns = project("tests/deploy/coredns.yaml").display().to_string();
    system(&["create", "-f", &coredns]);
    let before = get("service/kube-dns");

    system(&["apply", "-k", &overlay("service")]);
    let with_both = get("service/kube-dns");
    for of in ["/metadata/uid", "/spec/clusterIP", "/spec/selector"] {
        assert_eq!(with_both.pointer(of), before.pointer(of), "{of}");
    }
    let names = |service: &Value| -> Vec<String> {
        list(service, "/spec/ports")
            .map(|it| text(it, "/name").to_owned())
            .collect()
    };
    assert_eq!(names(&with_both), names(&before));
    // Both kinds of pods are behind it.
    for deployment in ["deployment/coredns", "deployment/gapless"] {
        let labels = "/spec/template/metadata/labels/k8s-app";
        assert_eq!(text(&get(deployment), labels), "kube-dns", "{deployment}");
    }

    system(&["scale", "deployment/coredns", "--replicas=0"]);
    system(&["scale", "deployment/coredns", "--replicas=2"]);
    system(&["delete", "deployment/gapless"]);
    assert_eq!(get("service/kube-dns")["spec"], with_both["spec"]);
}
