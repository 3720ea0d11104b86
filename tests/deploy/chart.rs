//! The Helm chart beside the overlays: another way to the same objects.

use crate::{
    objects::{ours, pod, text, title},
    pods::every_server_accepts_its_configuration,
    render::{OVERLAYS, charted, helm, kustomized, project},
};
use gapless::{cli::Serve, config::Config};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs};

/// Values with all that is off by default, and what a mode cannot do without.
pub const FULL: &[&str] = &[
    "service.clusterIP=10.96.0.10",
    "metrics.podMonitor.enabled=true",
    "sidecar.serviceAccounts[0].namespace=kafka,sidecar.serviceAccounts[0].name=kafka",
    "clusterDNS.addresses={10.96.0.10}",
];

/// Of the pod that is made, all but what is told otherwise on purpose: names, labels and what is a default.
fn pod_spec(objects: &[Value]) -> Value {
    let mut pods = objects.iter().filter_map(pod);
    let mut pod = pods
        .find(|pod| ours(pod).next().is_some())
        .expect("a workload of ours");
    let mut spec = pod["spec"].take();
    let members = |value: &mut Value, pointer: &str, change: &dyn Fn(&mut Value)| {
        let list = value.pointer_mut(pointer).and_then(Value::as_array_mut);
        list.into_iter().flatten().for_each(change);
    };
    for containers in ["/initContainers", "/containers"] {
        members(&mut spec, containers, &|it| {
            drop(it.as_object_mut().unwrap().remove("imagePullPolicy"));
            if let Some(variables) = it.get_mut("env").and_then(Value::as_array_mut) {
                variables.sort_by_key(|it| it["name"].to_string());
            }
        });
    }
    members(&mut spec, "/topologySpreadConstraints", &|it| {
        it["labelSelector"] = Value::Null
    });
    members(&mut spec, "/volumes", &|it| {
        if let Some(name) = it.pointer_mut("/configMap/name") {
            *name = "gapless".into();
        }
    });
    spec
}

fn configuration(objects: &[Value]) -> Config {
    let config_map = objects
        .iter()
        .find(|it| text(it, "/kind") == "ConfigMap")
        .unwrap();
    let text = config_map["data"]["config.yaml"].as_str().unwrap();
    Config::parse(text.as_bytes(), &Serve::default()).unwrap().0
}

fn rules(objects: &[Value], role: &str) -> Value {
    let title_of_role = format!("ClusterRole {role}");
    let role = objects.iter().find(|it| title(it) == title_of_role);
    role.expect("a ClusterRole")["rules"].clone()
}

#[test]
#[ignore = "needs KUBEBUILDER_ASSETS and HELM"]
fn the_chart_says_what_the_overlays_say() {
    for mode in OVERLAYS {
        // Where the kubelet says it, the overlay leaves it to the kubelet.
        let told = |value: &&str| mode == "sidecar" || !value.starts_with("clusterDNS");
        let values: Vec<_> = FULL.iter().copied().filter(told).collect();
        let (chart, overlay) = (charted(mode, &values).unwrap(), kustomized(mode));
        assert_eq!(configuration(&chart), configuration(&overlay), "{mode}");
        assert_eq!(
            rules(&chart, "gapless"),
            rules(&overlay, "gapless"),
            "{mode}"
        );
        if mode != "sidecar" {
            let (chart, overlay) = (pod_spec(&chart), pod_spec(&overlay));
            assert_eq!(format!("{chart:#}"), format!("{overlay:#}"), "{mode}");
        }
    }
}

#[test]
#[ignore = "needs KUBEBUILDER_ASSETS and HELM"]
fn verified_pods_bring_the_right_to_watch_them() {
    let overlay = kustomized("service");
    let mut both = rules(&overlay, "gapless").as_array().unwrap().clone();
    both.extend(rules(&overlay, "gapless-pods").as_array().unwrap().clone());
    let chart = charted("service", &["config.cluster.pods=verified"]).unwrap();
    assert_eq!(rules(&chart, "gapless"), json!(both));
}

#[test]
#[ignore = "needs HELM"]
fn the_chart_is_clean_and_every_server_of_it_accepts_its_command_line() {
    for mode in OVERLAYS {
        let mode_value = format!("mode={mode}");
        let mut arguments = vec![
            "lint",
            "--strict",
            "--namespace",
            "kube-system",
            "--set",
            &mode_value,
        ];
        FULL.iter()
            .for_each(|value| arguments.extend(["--set", value]));
        helm(&arguments).expect(mode);
        if mode != "sidecar" {
            every_server_accepts_its_configuration(&charted(mode, FULL).unwrap());
        }
    }
}

#[test]
#[ignore = "needs HELM"]
fn values_that_cannot_be_meant_are_refused_with_their_place() {
    let refused = |mode: &str, values: &[&str]| charted(mode, values).unwrap_err();
    assert!(refused("nodelocal", &[]).contains("mode"));
    assert!(refused("service", &["replicas=3"]).contains("replicas"));
    assert!(refused("service", &["service.replicas=0"]).contains("replicas"));
    let accounts = FULL[2];
    assert!(refused("sidecar", &[accounts]).contains("clusterDNS.addresses is needed by sidecars"));
    let dns = "clusterDNS.addresses={10.96.0.10}";
    assert!(refused("sidecar", &[dns]).contains("sidecar.serviceAccounts is needed"));
    let elsewhere = [
        "template",
        "gapless",
        "--namespace",
        "default",
        "--set",
        "mode=service",
    ];
    let said = helm(&elsewhere).unwrap_err();
    assert!(
        said.contains("install with --namespace kube-system"),
        "{said}"
    );
}

/// Keys with values of their own below `prefix`, by the path from the top.
fn keys(values: &Value, schema: &Value, prefix: &str, found: &mut BTreeSet<String>) {
    let names: BTreeSet<_> = values.as_object().unwrap().keys().collect();
    let known = schema["properties"]
        .as_object()
        .unwrap()
        .keys()
        .filter(|it| *it != "global");
    assert_eq!(
        names,
        known.collect(),
        "values.yaml and values.schema.json, below `{prefix}`"
    );
    for (name, value) in values.as_object().unwrap() {
        let schema = &schema["properties"][name];
        let path = format!("{prefix}{name}");
        if schema.get("properties").is_some() {
            keys(value, schema, &format!("{path}."), found);
        } else {
            found.insert(path);
        }
    }
}

#[test]
fn every_value_of_the_chart_has_a_remark_and_a_place_in_the_schema() {
    let chart = project("deploy/helm/gapless");
    let text = fs::read_to_string(chart.join("values.yaml")).unwrap();
    let schema = fs::read_to_string(chart.join("values.schema.json")).unwrap();
    let values = serde_saphyr::from_str::<Value>(&text).unwrap();
    let mut found = BTreeSet::new();
    keys(
        &values,
        &serde_json::from_str(&schema).unwrap(),
        "",
        &mut found,
    );
    let remarks = text
        .lines()
        .filter(|line| line.trim_start().starts_with("# -- "))
        .count();
    assert_eq!(remarks, found.len(), "{found:?}");
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let text = fs::read_to_string(project("deploy/helm/gapless/Chart.yaml")).unwrap();
    let chart = serde_saphyr::from_str::<Value>(&text).unwrap();
    for key in ["version", "appVersion"] {
        assert_eq!(chart[key], env!("CARGO_PKG_VERSION"));
    }
}
