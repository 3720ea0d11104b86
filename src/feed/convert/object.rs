//! Kubernetes objects as far as DNS reads them. Everything may be absent or null: what must be there is said by the rules.

use serde::{Deserialize, de::IgnoredAny};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) deletion_timestamp: Option<IgnoredAny>,
    pub(super) labels: Option<Labels>,
    pub(super) annotations: Option<Annotations>,
}

/// The one label that DNS reads.
#[derive(Deserialize)]
pub(super) struct Labels {
    #[serde(rename = "kubernetes.io/service-name")]
    pub(super) service: Option<String>,
}

/// The one annotation that is read.
#[derive(Deserialize)]
pub(super) struct Annotations {
    /// When the last pod or service changed for which the EndpointSlice controller wrote the slice.
    #[serde(rename = "endpoints.kubernetes.io/last-change-trigger-time")]
    pub(super) triggered: Option<String>,
}

/// An object of which nothing but the metadata is read.
#[derive(Deserialize)]
pub(super) struct Plain {
    metadata: Metadata,
}

#[derive(Deserialize)]
pub(super) struct Service {
    metadata: Metadata,
    pub(super) spec: Option<ServiceSpec>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceSpec {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    #[serde(rename = "clusterIP")]
    pub(super) cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    pub(super) cluster_ips: Option<Vec<String>>,
    pub(super) external_name: Option<String>,
    pub(super) ports: Option<Vec<Port>>,
}

#[derive(Deserialize)]
pub(super) struct Port {
    pub(super) name: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) port: Option<u16>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointSlice {
    pub(super) metadata: Metadata,
    pub(super) address_type: Option<String>,
    pub(super) endpoints: Option<Vec<Endpoint>>,
    pub(super) ports: Option<Vec<Port>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Endpoint {
    pub(super) addresses: Option<Vec<String>>,
    pub(super) conditions: Option<Conditions>,
    pub(super) hostname: Option<String>,
    pub(super) target_ref: Option<TargetRef>,
}

#[derive(Default, Deserialize)]
pub(super) struct Conditions {
    pub(super) ready: Option<bool>,
    pub(super) terminating: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct TargetRef {
    pub(super) kind: Option<String>,
    pub(super) name: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Pod {
    pub(super) metadata: Metadata,
    pub(super) status: Option<PodStatus>,
}

#[derive(Default, Deserialize)]
pub(super) struct PodStatus {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<PodIp>>,
}

#[derive(Deserialize)]
struct PodIp {
    ip: Option<String>,
}

impl PodStatus {
    /// Whether its containers have ended for good, so that its addresses may be another pod's.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase.as_deref(), Some("Succeeded" | "Failed"))
    }

    /// Its addresses; the list counts, and the single field where there is no list.
    pub(super) fn ips(&self) -> Vec<&str> {
        let listed = self
            .pod_ips
            .iter()
            .flatten()
            .filter_map(|ip| ip.ip.as_deref());
        let listed: Vec<_> = listed.filter(|ip| !ip.is_empty()).collect();
        if listed.is_empty() {
            (self
                .pod_ip
                .as_deref()
                .into_iter()
                .filter(|ip| !ip.is_empty()))
            .collect()
        } else {
            listed
        }
    }
}

macro_rules! has_metadata {
    ($($object:ty),*) => {$(
        impl AsRef<Metadata> for $object {
            fn as_ref(&self) -> &Metadata {
                &self.metadata
            }
        }
    )*};
}
has_metadata!(Plain, Service, EndpointSlice, Pod);
