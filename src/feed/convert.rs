//! Kubernetes objects as JSON text, turned into the model; the same for both feeds. Only what DNS needs is read, unknown
//! fields are skipped, and every list may be null. It knows neither where the text came from nor what was known before.

mod object;

use crate::model::{
    Endpoint, EndpointSlice, Label, Object, ObjectKey, Pod, Port, Protocol, Service, ServiceKind,
    Source, Unreadable,
};
use serde::Deserialize;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

/// The label that says which service a slice belongs to.
const OWNER: &str = "kubernetes.io/service-name";
/// Longest name in wire form, the root's zero octet included (RFC 1035 §2.3.4).
const MAX_NAME_LEN: usize = 255;

/// What a text came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Converted {
    /// Its key, also when it is no object of DNS.
    pub key: ObjectKey,
    /// Its resourceVersion.
    pub version: Option<String>,
    /// The object; `None` if DNS has no use for it: a slice of no service, a pod that holds no address.
    pub object: Option<Object>,
    /// When that happened for which it was changed, since 1970, if it says so.
    pub triggered: Option<Duration>,
    /// The fields that were left out of it.
    pub ignored: Vec<Malformed>,
}

/// Why an object, or one field of it, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {field}: {expected}")]
pub(super) struct Malformed {
    /// As much of its key as could be read.
    pub key: ObjectKey,
    /// The path of the field.
    pub field: String,
    /// What stood there and what was expected.
    pub expected: String,
}

/// Reads an object of `source`.
pub(super) fn convert(source: Source, json: &str) -> Result<Converted, Malformed> {
    match source {
        Source::Services => read(source, json, service),
        Source::EndpointSlices | Source::ForeignEndpointSlices => {
            read(source, json, endpoint_slice)
        }
        Source::Namespaces => read(source, json, |_: object::Plain<'_>, key, _| {
            Ok(Some(Object::Namespace(key)))
        }),
        Source::Pods => read(source, json, pod),
    }
}

/// Reads no more than key and version: a deleted object need not be well-formed.
pub(super) fn key(source: Source, json: &str) -> Result<Converted, Malformed> {
    read(source, json, |_: object::Plain<'_>, _, _| Ok(None))
}

/// What is left of an object that is malformed: that it exists. `None` if even its key is unreadable, or if it is a slice
/// of no service.
pub(super) fn remnant(source: Source, json: &str) -> Option<Object> {
    let key = rough_key(source, json);
    let named = source == Source::Namespaces || Label::new(&key.namespace).is_ok();
    if key.name.is_empty() || !named {
        return None;
    }
    let service = if Source::SLICES.contains(&source) {
        let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
        match &value["metadata"]["labels"] {
            serde_json::Value::Object(labels) => match labels.get(OWNER)? {
                serde_json::Value::String(owner) => Some(Label::new(owner).ok()?),
                _ => None,
            },
            serde_json::Value::Null => return None,
            _ => None,
        }
    } else {
        None
    };
    Some(Object::Unreadable(Unreadable { key, service }))
}

/// A field and what was expected there; the key is added by [`read`].
struct Wrong {
    field: String,
    expected: String,
}

type Rule<T> = fn(T, ObjectKey, &mut Vec<Wrong>) -> Result<Option<Object>, Wrong>;

fn read<'j, T>(source: Source, json: &'j str, rule: Rule<T>) -> Result<Converted, Malformed>
where
    T: Deserialize<'j> + AsRef<object::Metadata<'j>>,
{
    let malformed = |key: ObjectKey, wrong: Wrong| Malformed {
        key,
        field: wrong.field,
        expected: wrong.expected,
    };
    let object: T = serde_json::from_str(json)
        .map_err(|_| malformed(rough_key(source, json), diagnose::<T>(json)))?;
    let key = checked_key(source, object.as_ref())
        .map_err(|wrong| malformed(rough_key(source, json), wrong))?;
    let triggered = triggered(object.as_ref());
    let version = object.as_ref().resource_version.clone();
    let mut ignored = Vec::new();
    match rule(object, key.clone(), &mut ignored) {
        Ok(object) => Ok(Converted {
            version,
            object,
            triggered,
            ignored: (ignored.into_iter())
                .map(|wrong| malformed(key.clone(), wrong))
                .collect(),
            key,
        }),
        Err(wrong) => Err(malformed(key, wrong)),
    }
}

/// What the annotation `endpoints.kubernetes.io/last-change-trigger-time` says; a time that cannot be read is none.
fn triggered(metadata: &object::Metadata<'_>) -> Option<Duration> {
    let time = metadata.annotations.as_ref()?.triggered.as_ref()?;
    let time: jiff::Timestamp = time.parse().ok()?;
    time.duration_since(jiff::Timestamp::UNIX_EPOCH)
        .try_into()
        .ok()
}

/// Parses once more, slowly, to learn which field it was.
fn diagnose<'j, T: Deserialize<'j>>(json: &'j str) -> Wrong {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(error) => {
            let text = error.inner().to_string();
            let expected = text.rsplit_once(" at line ").map_or(&*text, |(it, _)| it);
            Wrong {
                field: error.path().to_string(),
                expected: expected.to_owned(),
            }
        }
        Ok(_) => wrong(".", "expected one JSON object and nothing behind it"),
    }
}

/// The key as far as it can be read from an object that is malformed.
fn rough_key(source: Source, json: &str) -> ObjectKey {
    let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let text = |field: &str| {
        let text = value["metadata"][field].as_str().unwrap_or_default();
        text.chars().take(253).collect::<String>()
    };
    match source {
        Source::Namespaces => ObjectKey::new("", &text("name")),
        _ => ObjectKey::new(&text("namespace"), &text("name")),
    }
}

fn checked_key(source: Source, metadata: &object::Metadata<'_>) -> Result<ObjectKey, Wrong> {
    let label = |field: &str, text: &Option<object::Text<'_>>| {
        let text = text.as_deref().unwrap_or_default();
        Label::new(text).map_err(|error| wrong(field, error))
    };
    let name = metadata.name.as_deref().unwrap_or_default();
    match source {
        // The names of slices and pods may hold dots.
        Source::EndpointSlices | Source::ForeignEndpointSlices | Source::Pods => {
            if name.is_empty() {
                return Err(wrong("metadata.name", "expected a name"));
            }
        }
        Source::Services | Source::Namespaces => {
            label("metadata.name", &metadata.name)?;
        }
    }
    if source == Source::Namespaces {
        return Ok(ObjectKey::new("", name));
    }
    let namespace = label("metadata.namespace", &metadata.namespace)?;
    Ok(ObjectKey::new(namespace.as_str(), name))
}

fn service(
    object: object::Service<'_>,
    key: ObjectKey,
    ignored: &mut Vec<Wrong>,
) -> Result<Option<Object>, Wrong> {
    let spec = object.spec.unwrap_or_default();
    let listed = spec.cluster_ips.unwrap_or_default();
    let cluster_ips = if listed.is_empty() {
        spec.cluster_ip.as_slice()
    } else {
        &listed
    };
    let kind = if spec.kind.as_deref() == Some("ExternalName") {
        let name = spec.external_name.as_deref().unwrap_or_default();
        ServiceKind::ExternalName(wire_name(name).ok_or_else(|| {
            wrong(
                "spec.externalName",
                format!("`{name:.80}` is not a domain name"),
            )
        })?)
    } else if cluster_ips.iter().any(|ip| &**ip == "None") {
        ServiceKind::Headless
    } else {
        let assigned = cluster_ips.iter().filter(|ip| !ip.is_empty());
        ServiceKind::ClusterIp(
            assigned
                .map(|ip| address("spec.clusterIPs", ip))
                .collect::<Result<_, _>>()?,
        )
    };
    let ports = ports("spec.ports", spec.ports, ignored);
    Ok(Some(Object::Service(Service { key, kind, ports })))
}

fn endpoint_slice(
    object: object::EndpointSlice<'_>,
    key: ObjectKey,
    ignored: &mut Vec<Wrong>,
) -> Result<Option<Object>, Wrong> {
    let owner = (object.metadata.labels).and_then(|labels| labels.service);
    let Some(owner) = owner.filter(|owner| !owner.is_empty()) else {
        return Ok(None);
    };
    let service =
        Label::new(&owner).map_err(|error| wrong(&format!("metadata.labels[{OWNER}]"), error))?;
    let parse: fn(&str) -> Option<IpAddr> = match object.address_type.as_deref() {
        Some("IPv4") => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::from),
        Some("IPv6") => |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        // FQDN, or one that is not known yet: nothing that an address record could hold.
        _ => {
            return Ok(Some(Object::EndpointSlice(EndpointSlice {
                key,
                service,
                endpoints: Box::default(),
                ports: Box::default(),
            })));
        }
    };
    let mut endpoints = Vec::new();
    for (index, endpoint) in object.endpoints.unwrap_or_default().into_iter().enumerate() {
        let field = |name: &str| format!("endpoints[{index}].{name}");
        let addresses = (endpoint.addresses.unwrap_or_default().iter())
            .map(|text| {
                let text = &**text;
                parse(text).ok_or_else(|| {
                    let expected = "is not an address of the slice's addressType";
                    wrong(&field("addresses"), format!("`{text:.80}` {expected}"))
                })
            })
            .collect::<Result<_, _>>()?;
        let conditions = endpoint.conditions.unwrap_or_default();
        let terminating = conditions.terminating == Some(true);
        let pod = (endpoint.target_ref)
            .filter(|target| target.kind.as_deref() == Some("Pod"))
            .and_then(|target| Label::new(&target.name?).ok());
        endpoints.push(Endpoint {
            addresses,
            hostname: optional_label(|| field("hostname"), endpoint.hostname.as_deref(), ignored),
            pod,
            ready: conditions.ready.unwrap_or(!terminating),
        });
    }
    let ports = ports("ports", object.ports, ignored);
    Ok(Some(Object::EndpointSlice(EndpointSlice {
        key,
        service,
        endpoints: endpoints.into(),
        ports,
    })))
}

fn pod(
    object: object::Pod<'_>,
    key: ObjectKey,
    _ignored: &mut Vec<Wrong>,
) -> Result<Option<Object>, Wrong> {
    let status = object.status.unwrap_or_default();
    if object.metadata.deletion_timestamp.is_some() || status.is_over() {
        return Ok(None);
    }
    let addresses: Box<[_]> = (status.ips().iter())
        .map(|ip| address("status.podIPs", ip))
        .collect::<Result<_, _>>()?;
    Ok((!addresses.is_empty()).then_some(Object::Pod(Pod { key, addresses })))
}

fn ports(
    field: &str,
    given: Option<Vec<object::Port<'_>>>,
    ignored: &mut Vec<Wrong>,
) -> Box<[Port]> {
    let mut ports = Vec::new();
    for (index, port) in given.unwrap_or_default().into_iter().enumerate() {
        let (Some(number), Some(protocol)) = (port.port, protocol(port.protocol.as_deref())) else {
            continue;
        };
        let name = port.name.map(|name| name.to_ascii_lowercase());
        let field = || format!("{field}[{index}].name");
        ports.push(Port {
            name: optional_label(field, name.as_deref(), ignored),
            protocol,
            number,
        });
    }
    ports.into()
}

/// The protocol of that name, TCP if none is named; `None` for one that has no SRV names here.
pub(super) fn protocol(name: Option<&str>) -> Option<Protocol> {
    match name {
        None | Some("" | "TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some("SCTP") => Some(Protocol::Sctp),
        Some(_) => None,
    }
}

fn optional_label(
    field: impl FnOnce() -> String,
    text: Option<&str>,
    ignored: &mut Vec<Wrong>,
) -> Option<Label> {
    Label::new(text.filter(|text| !text.is_empty())?)
        .map_err(|error| ignored.push(wrong(&field(), error)))
        .ok()
}

fn address(field: &str, text: &str) -> Result<IpAddr, Wrong> {
    text.parse()
        .map_err(|_| wrong(field, format!("`{text:.80}` is not an IP address")))
}

/// A domain name in lower-cased wire form; a dot at its end is allowed.
fn wire_name(text: &str) -> Option<Box<[u8]>> {
    let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let mut wire = Vec::with_capacity(text.len().saturating_add(2));
    for label in text.split('.') {
        let label = Label::new(label).ok()?;
        wire.push(u8::try_from(label.as_bytes().len()).ok()?);
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    (wire.len() <= MAX_NAME_LEN).then(|| wire.into())
}

fn wrong(field: &str, expected: impl ToString) -> Wrong {
    Wrong {
        field: field.to_owned(),
        expected: expected.to_string(),
    }
}

#[cfg(test)]
mod tests;
