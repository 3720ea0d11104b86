//! From a clean API to an answered query, with one command.

use crate::{
    control_plane::ControlPlane,
    gapless::Gapless,
    objects::{self, list, pod, text},
    render::{kubectl, overlay},
};
use gapless::{
    cli::Serve,
    config::{Config, EndpointSlices},
};

/// The configuration that the API server holds for the workload, as its pods would have it.
fn configuration(control_plane: &ControlPlane, workload: &str) -> Config {
    let get = |what: &str| {
        let admin = control_plane.admin_kubeconfig();
        let arguments = ["get", what, "--namespace=kube-system", "--output=yaml"];
        objects::parse(&kubectl(&admin, &arguments).unwrap())
            .unwrap()
            .remove(0)
    };
    let pod = pod(&get(workload)).unwrap();
    let name = text(
        list(&pod, "/spec/volumes").next().unwrap(),
        "/configMap/name",
    )
    .to_owned();
    let config_map = get(&format!("configmap/{name}"));
    let text = config_map["data"]["config.yaml"].as_str().unwrap();
    Config::parse(text.as_bytes(), &Serve::default()).unwrap().0
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn one_command_leads_from_a_cluster_without_us_to_an_answer() {
    let control_plane = ControlPlane::start().await;
    control_plane.take_rights().await;
    for role in ["gapless", "gapless-pods"] {
        control_plane.delete("ClusterRole", None, role).await;
    }
    control_plane
        .delete("ServiceAccount", Some("kube-system"), "gapless")
        .await;

    let admin = control_plane.admin_kubeconfig();
    kubectl(&admin, &["apply", "-k", &overlay("service")]).unwrap();

    let applied = configuration(&control_plane, "deployment/gapless");
    assert_eq!(applied.cluster.endpoint_slices, EndpointSlices::All);
    // The account that the overlay made is the one that this kubeconfig's token is for.
    let gapless = Gapless::synced(&control_plane.gapless_kubeconfig(), |config| {
        config.cluster = applied.cluster;
        config.cache = applied.cache;
    })
    .await;
    let expected = "NOERROR aa\nkube-dns.kube-system.svc.cluster.local. 5 IN A 10.96.0.10";
    gapless
        .until("kube-dns.kube-system.svc.cluster.local. A", expected)
        .await;
}
