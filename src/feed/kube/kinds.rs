//! Which collections are watched, and with which selectors. It knows paths and labels, and no HTTP.

use crate::model::Source;

/// What of the cluster is watched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only headless services, for a proxy that forwards every other cluster name.
    pub headless_services_only: bool,
    /// Every slice in one watch, for endpoint names below ClusterIP services; otherwise those of headless services and
    /// those that somebody else than the EndpointSlice controller manages, in two.
    pub all_endpoint_slices: bool,
    /// Pods, for names that are given only to pods that exist.
    pub pods: bool,
}

impl Selection {
    /// The sources that come with this selection.
    pub fn sources(self) -> Vec<Source> {
        let chosen = |source: &Source| match source {
            Source::Services | Source::EndpointSlices => true,
            // In the scope of headless services no answer depends on which namespaces there are.
            Source::Namespaces => !self.headless_services_only,
            Source::ForeignEndpointSlices => !self.all_endpoint_slices,
            Source::Pods => self.pods,
        };
        Source::ALL.into_iter().filter(chosen).collect()
    }

    /// Path and selectors of a source.
    pub(super) fn collection(self, source: Source) -> Collection {
        let slices = "/apis/discovery.k8s.io/v1/endpointslices";
        // The EndpointSlice controller sets both labels (k8s.io/api/core/v1 IsHeadlessService,
        // k8s.io/api/discovery/v1 LabelManagedBy). Who writes slices otherwise need not set the first.
        let headless = "service.kubernetes.io/headless,\
                        endpointslice.kubernetes.io/managed-by=endpointslice-controller.k8s.io";
        let foreign = "endpointslice.kubernetes.io/managed-by!=endpointslice-controller.k8s.io";
        let (path, selector) = match source {
            Source::Services if self.headless_services_only => (
                "/api/v1/services",
                Some(("fieldSelector", "spec.clusterIP=None")),
            ),
            Source::Services => ("/api/v1/services", None),
            Source::EndpointSlices if self.all_endpoint_slices => (slices, None),
            Source::EndpointSlices => (slices, Some(("labelSelector", headless))),
            Source::ForeignEndpointSlices => (slices, Some(("labelSelector", foreign))),
            Source::Namespaces => ("/api/v1/namespaces", None),
            Source::Pods => (
                "/api/v1/pods",
                Some((
                    "fieldSelector",
                    "status.phase!=Succeeded,status.phase!=Failed",
                )),
            ),
        };
        Collection { path, selector }
    }
}

/// A watched collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Collection {
    path: &'static str,
    selector: Option<(&'static str, &'static str)>,
}

impl Collection {
    /// The kind's name with its group, as a ClusterRole names it.
    pub(super) fn resource(self) -> &'static str {
        match self.path {
            "/apis/discovery.k8s.io/v1/endpointslices" => "endpointslices.discovery.k8s.io",
            path => path.rsplit('/').next().unwrap_or(path),
        }
    }

    /// Path and query of a request with these parameters.
    pub(super) fn target(self, parameters: &[(&str, &str)]) -> String {
        let mut target = self.path.to_owned();
        for (index, (name, value)) in self.selector.iter().chain(parameters).enumerate() {
            target.push(if index == 0 { '?' } else { '&' });
            target.push_str(name);
            target.push('=');
            for byte in value.bytes() {
                match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                        target.push(char::from(byte));
                    }
                    _ => target.push_str(&format!("%{byte:02X}")),
                }
            }
        }
        target
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    #[test]
    fn slices_are_one_watch_or_two_disjoint_ones() {
        let default = Selection::default();
        assert_eq!(
            default.sources(),
            [
                Source::Services,
                Source::EndpointSlices,
                Source::ForeignEndpointSlices,
                Source::Namespaces
            ]
        );
        let all = Selection {
            all_endpoint_slices: true,
            pods: true,
            ..default
        };
        assert_eq!(
            all.sources(),
            [
                Source::Services,
                Source::EndpointSlices,
                Source::Namespaces,
                Source::Pods
            ]
        );
        assert_eq!(all.collection(Source::EndpointSlices).selector, None);
    }

    #[test]
    fn parameters_are_percent_encoded() {
        let headless = Selection {
            headless_services_only: true,
            ..Selection::default()
        };
        let services = headless.collection(Source::Services);
        assert_eq!(
            services.target(&[("limit", "500"), ("continue", "a+/=")]),
            "/api/v1/services?fieldSelector=spec.clusterIP%3DNone&limit=500&continue=a%2B%2F%3D"
        );
        let namespaces = headless.collection(Source::Namespaces);
        assert_eq!(namespaces.target(&[]), "/api/v1/namespaces");
        assert_eq!(namespaces.resource(), "namespaces");
    }

    /// What a ClusterRole of deploy/kustomize/base/rbac.yaml allows, as verb and resource with its group.
    fn role(name: &str) -> BTreeSet<(String, String)> {
        let manifests = include_str!("../../../deploy/kustomize/base/rbac.yaml");
        let manifests: Vec<Value> = serde_saphyr::from_multiple(manifests).unwrap();
        let is_role = |it: &&Value| it["kind"] == "ClusterRole" && it["metadata"]["name"] == name;
        let role = manifests.iter().find(is_role).expect("the role");
        let texts = |list: &Value| -> Vec<String> { serde_json::from_value(list.clone()).unwrap() };
        let mut allowed = BTreeSet::new();
        for rule in role["rules"].as_array().expect("rules") {
            for verb in texts(&rule["verbs"]) {
                for resource in texts(&rule["resources"]) {
                    for group in texts(&rule["apiGroups"]) {
                        let named = format!("{resource}.{group}");
                        allowed.insert((verb.clone(), named.trim_end_matches('.').to_owned()));
                    }
                }
            }
        }
        allowed
    }

    #[test]
    fn the_shipped_roles_allow_what_is_watched_and_nothing_else() {
        let [yes, no] = [true, false];
        for (pods, allowed) in [
            (no, role("gapless")),
            (yes, &role("gapless") | &role("gapless-pods")),
        ] {
            let mut all = BTreeSet::new();
            for (headless_services_only, all_endpoint_slices) in
                [(no, no), (no, yes), (yes, no), (yes, yes)]
            {
                let selection = Selection {
                    headless_services_only,
                    all_endpoint_slices,
                    pods,
                };
                let watched = selection.sources().into_iter().flat_map(|source| {
                    let resource = selection.collection(source).resource();
                    ["list", "watch"].map(|verb| (verb.to_owned(), resource.to_owned()))
                });
                let watched = watched.collect::<BTreeSet<_>>();
                assert!(watched.is_subset(&allowed), "{selection:?}");
                all.extend(watched);
            }
            assert_eq!(all, allowed);
        }
    }
}
