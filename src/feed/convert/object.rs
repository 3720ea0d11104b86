//! Kubernetes objects as far as DNS reads them. Everything may be absent or null: what must be there is said by the rules.

use serde::{Deserialize, de::IgnoredAny};
use std::{borrow::Cow, ops::Deref};

/// A string that stays where it was read, unless it holds an escape.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'j>(#[serde(borrow)] Cow<'j, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'j"))]
pub(super) struct Metadata<'j> {
    pub(super) name: Option<Text<'j>>,
    pub(super) namespace: Option<Text<'j>>,
    pub(super) resource_version: Option<String>,
    pub(super) deletion_timestamp: Option<IgnoredAny>,
    pub(super) labels: Option<Labels<'j>>,
    pub(super) annotations: Option<Annotations<'j>>,
}

/// The one label that DNS reads.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'j"))]
pub(super) struct Labels<'j> {
    #[serde(rename = "kubernetes.io/service-name")]
    pub(super) service: Option<Text<'j>>,
}

/// The one annotation that is read.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'j"))]
pub(super) struct Annotations<'j> {
    /// When the last pod or service changed for which the EndpointSlice controller wrote the slice.
    #[serde(rename = "endpoints.kubernetes.io/last-change-trigger-time")]
    pub(super) triggered: Option<Text<'j>>,
}

/// An object of which nothing but the metadata is read.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'j"))]
pub(super) struct Plain<'j> {
    metadata: Metadata<'j>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'j"))]
pub(super) struct Service<'j> {
    metadata: Metadata<'j>,
    pub(super) spec: Option<ServiceSpec<'j>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'j"))]
pub(super) struct ServiceSpec<'j> {
    #[serde(rename = "type")]
    pub(super) kind: Option<Text<'j>>,
    #[serde(rename = "clusterIP")]
    pub(super) cluster_ip: Option<Text<'j>>,
    #[serde(rename = "clusterIPs")]
    pub(super) cluster_ips: Option<Vec<Text<'j>>>,
    pub(super) external_name: Option<Text<'j>>,
    pub(super) ports: Option<Vec<Port<'j>>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'j"))]
pub(super) struct Port<'j> {
    pub(super) name: Option<Text<'j>>,
    pub(super) protocol: Option<Text<'j>>,
    pub(super) port: Option<u16>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'j"))]
pub(super) struct EndpointSlice<'j> {
    pub(super) metadata: Metadata<'j>,
    pub(super) address_type: Option<Text<'j>>,
    pub(super) endpoints: Option<Vec<Endpoint<'j>>>,
    pub(super) ports: Option<Vec<Port<'j>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'j"))]
pub(super) struct Endpoint<'j> {
    pub(super) addresses: Option<Vec<Text<'j>>>,
    pub(super) conditions: Option<Conditions>,
    pub(super) hostname: Option<Text<'j>>,
    pub(super) target_ref: Option<TargetRef<'j>>,
}

#[derive(Default, Deserialize)]
pub(super) struct Conditions {
    pub(super) ready: Option<bool>,
    pub(super) terminating: Option<bool>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'j"))]
pub(super) struct TargetRef<'j> {
    pub(super) kind: Option<Text<'j>>,
    pub(super) name: Option<Text<'j>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'j"))]
pub(super) struct Pod<'j> {
    pub(super) metadata: Metadata<'j>,
    pub(super) status: Option<PodStatus<'j>>,
}

#[derive(Default, Deserialize)]
#[serde(bound(deserialize = "'de: 'j"))]
pub(super) struct PodStatus<'j> {
    phase: Option<Text<'j>>,
    #[serde(rename = "podIP")]
    pod_ip: Option<Text<'j>>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<PodIp<'j>>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'j"))]
struct PodIp<'j> {
    ip: Option<Text<'j>>,
}

impl PodStatus<'_> {
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
    ($($object:ident),*) => {$(
        impl<'j> AsRef<Metadata<'j>> for $object<'j> {
            fn as_ref(&self) -> &Metadata<'j> {
                &self.metadata
            }
        }
    )*};
}
has_metadata!(Plain, Service, EndpointSlice, Pod);
