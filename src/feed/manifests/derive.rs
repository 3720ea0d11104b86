//! Endpoints of services with a selector, from the pods that it selects, as the EndpointSlice controller derives them.
//! It knows objects that were read and no files.

use super::{directory::services_with_slices, document::Item};
use crate::{
    feed::convert,
    model::{Endpoint, EndpointSlice, Label, Object, ObjectKey, Port, ServiceKind, Source},
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;
use std::{collections::BTreeMap, net::IpAddr};

/// What of a manifest endpoints are derived from, beyond what the model holds.
#[derive(Debug)]
pub(super) enum Facts {
    None,
    Service(Box<ServiceFacts>),
    Pod(Box<PodFacts>),
}

impl Facts {
    /// Reads them.
    pub(super) fn of(source: Source, manifest: Value) -> Result<Self, serde_json::Error> {
        match source {
            Source::Services => Ok(Self::Service(serde_json::from_value(manifest)?)),
            Source::Pods => Ok(Self::Pod(serde_json::from_value(manifest)?)),
            _ => Ok(Self::None),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct ServiceFacts {
    #[serde(default)]
    spec: Option<ServiceSpec>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServiceSpec {
    selector: Option<BTreeMap<String, String>>,
    publish_not_ready_addresses: Option<bool>,
    ip_families: Option<Vec<String>>,
    ports: Option<Vec<ServicePort>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServicePort {
    name: Option<String>,
    protocol: Option<String>,
    port: Option<u16>,
    target_port: Option<TargetPort>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum TargetPort {
    Number(u16),
    Name(String),
}

#[derive(Debug, Deserialize)]
pub(super) struct PodFacts {
    metadata: PodMetadata,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodMetadata {
    labels: Option<BTreeMap<String, String>>,
    deletion_timestamp: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PodSpec {
    hostname: Option<String>,
    subdomain: Option<String>,
    containers: Option<Vec<Container>>,
}

#[derive(Debug, Deserialize)]
struct Container {
    ports: Option<Vec<ContainerPort>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerPort {
    name: Option<String>,
    protocol: Option<String>,
    container_port: Option<u16>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PodStatus {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<IpAddr>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<PodIp>>,
    conditions: Option<Vec<Condition>>,
}

#[derive(Debug, Deserialize)]
struct PodIp {
    ip: IpAddr,
}

#[derive(Debug, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

/// The slices of every service that selects pods and for which no slice is given.
pub(super) fn endpoint_slices(items: &BTreeMap<(Source, &ObjectKey), &Item>) -> Vec<EndpointSlice> {
    let given = services_with_slices(items.values().copied());
    let mut pods: BTreeMap<&str, Vec<(&ObjectKey, &PodFacts)>> = BTreeMap::new();
    for item in items.values() {
        if let Facts::Pod(pod) = &item.facts {
            let of_namespace = pods.entry(&item.key.namespace).or_default();
            of_namespace.push((&item.key, pod));
        }
    }
    let mut slices = Vec::new();
    for item in items.values() {
        let (Some(Object::Service(service)), Facts::Service(facts)) = (&item.object, &item.facts)
        else {
            continue;
        };
        let (Ok(name), Some(spec)) = (Label::new(&item.key.name), &facts.spec) else {
            continue;
        };
        if !given.contains(&(&*item.key.namespace, &name)) {
            let pods = pods.get(&*item.key.namespace).map_or(&[][..], |pods| pods);
            slices.extend(of_service(&item.key, &name, &service.kind, spec, pods));
        }
    }
    slices
}

/// One slice for each family and set of ports: pods of one service may give a named port different numbers.
fn of_service(
    key: &ObjectKey,
    name: &Label,
    kind: &ServiceKind,
    spec: &ServiceSpec,
    pods: &[(&ObjectKey, &PodFacts)],
) -> Vec<EndpointSlice> {
    let selector = match (&spec.selector, kind) {
        (_, ServiceKind::ExternalName(_)) | (None, _) => return Vec::new(),
        (Some(selector), _) if selector.is_empty() => return Vec::new(),
        (Some(selector), _) => selector,
    };
    let has_family = |address: &IpAddr| match (&spec.ip_families, kind) {
        (Some(families), _) if !families.is_empty() => {
            let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
            families.iter().any(|given| given == family)
        }
        (_, ServiceKind::ClusterIp(ips)) if !ips.is_empty() => {
            ips.iter().any(|ip| ip.is_ipv4() == address.is_ipv4())
        }
        _ => true,
    };
    let mut groups: BTreeMap<(bool, Vec<Port>), Vec<Endpoint>> = BTreeMap::new();
    for (pod_key, pod) in pods {
        if !pod.is_selected(selector) || pod.is_over() {
            continue;
        }
        let ports = pod.ports(spec.ports.iter().flatten());
        let mut families: BTreeMap<bool, Vec<IpAddr>> = BTreeMap::new();
        for address in pod.addresses().into_iter().filter(has_family) {
            families.entry(address.is_ipv6()).or_default().push(address);
        }
        for (is_ipv6, addresses) in families {
            let group = groups.entry((is_ipv6, ports.clone())).or_default();
            group.push(Endpoint {
                addresses: addresses.into(),
                hostname: pod.hostname(name),
                pod: Label::new(&pod_key.name).ok(),
                ready: spec.publish_not_ready_addresses == Some(true) || pod.is_ready(),
            });
        }
    }
    let mut slices = Vec::new();
    for (number, ((_, ports), endpoints)) in groups.into_iter().enumerate() {
        slices.push(EndpointSlice {
            key: ObjectKey::new(&key.namespace, &format!("{}.derived.{number}", key.name)),
            service: name.clone(),
            endpoints: endpoints.into(),
            ports: ports.into(),
        });
    }
    slices
}

impl PodFacts {
    fn is_selected(&self, selector: &BTreeMap<String, String>) -> bool {
        let labels = self.metadata.labels.as_ref();
        let has = |(key, value)| labels.is_some_and(|labels| labels.get(key) == Some(value));
        selector.iter().all(has)
    }

    fn is_over(&self) -> bool {
        matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed"))
    }

    fn is_ready(&self) -> bool {
        let mut conditions = self.status.conditions.iter().flatten();
        self.metadata.deletion_timestamp.is_none()
            && conditions.any(|it| it.kind == "Ready" && it.status == "True")
    }

    fn addresses(&self) -> Vec<IpAddr> {
        match &self.status.pod_ips {
            Some(ips) if !ips.is_empty() => ips.iter().map(|ip| ip.ip).collect(),
            _ => self.status.pod_ip.into_iter().collect(),
        }
    }

    fn hostname(&self, service: &Label) -> Option<Label> {
        let of_service = self.spec.subdomain.as_deref() == Some(service.as_str());
        Label::new(self.spec.hostname.as_deref().filter(|_| of_service)?).ok()
    }

    fn ports<'p>(&self, ports: impl Iterator<Item = &'p ServicePort>) -> Vec<Port> {
        let port = |port: &ServicePort| {
            let protocol = convert::protocol(port.protocol.as_deref())?;
            let number = match &port.target_port {
                None | Some(TargetPort::Number(0)) => port.port?,
                Some(TargetPort::Number(number)) => *number,
                Some(TargetPort::Name(name)) => {
                    let containers = self.spec.containers.iter().flatten();
                    let mut open = containers.flat_map(|it| it.ports.iter().flatten());
                    let named = open.find(|it| {
                        it.name.as_deref() == Some(name)
                            && convert::protocol(it.protocol.as_deref()) == Some(protocol)
                    });
                    named?.container_port?
                }
            };
            let name = port.name.as_deref().unwrap_or_default();
            Some(Port {
                name: Label::new(&name.to_ascii_lowercase()).ok(),
                protocol,
                number,
            })
        };
        ports.filter_map(port).collect()
    }
}

#[cfg(test)]
mod tests;
