//! Cluster objects cut down to what DNS needs, and the [`Change`]s that carry them from a feed to the index.
//! Plain data: it knows neither where an object came from nor what is answered about it.

mod name;
mod spelling;

pub use name::{InvalidName, Label, ObjectKey};
pub use spelling::{address_of, label_of};
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

/// One watched collection. The two slice watches are kept apart because a slice whose labels change leaves one of
/// them and enters the other, in either order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// `v1` Services.
    Services,
    /// `discovery.k8s.io/v1` EndpointSlices: all of them, or the EndpointSlice controller's for headless services.
    EndpointSlices,
    /// EndpointSlices that somebody else than the EndpointSlice controller manages.
    ForeignEndpointSlices,
    /// `v1` Namespaces.
    Namespaces,
    /// `v1` Pods.
    Pods,
}

impl Source {
    /// Every source, in the order of their declaration.
    pub const ALL: [Self; 5] = [
        Self::Services,
        Self::EndpointSlices,
        Self::ForeignEndpointSlices,
        Self::Namespaces,
        Self::Pods,
    ];

    /// The two watches of slices.
    pub const SLICES: [Self; 2] = [Self::EndpointSlices, Self::ForeignEndpointSlices];

    /// The name used in logs, metrics and `/readyz`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::EndpointSlices => "endpointslices",
            Self::ForeignEndpointSlices => "foreign-endpointslices",
            Self::Namespaces => "namespaces",
            Self::Pods => "pods",
        }
    }
}

/// What a feed tells the index, in order for each source; the contract stands in [`crate::feed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The source is listed anew from here; what it held stays until [`Change::ListDone`].
    ListStarted(Source),
    /// The object is so now, whether it is new or known.
    Apply(Source, Object),
    /// The object is gone.
    Delete(Source, ObjectKey),
    /// The list is complete: what was not applied since [`Change::ListStarted`] is gone.
    ListDone(Source),
    /// Nothing has happened beyond what was told of this source so far.
    Confirmed(Source),
    /// While the watch goes on, what is held is compared with a consistent list from here.
    AuditStarted(Source),
    /// That list holds the object so, and the watch has told nothing of it since.
    Audited(Source, Object),
    /// The comparison is complete: what was neither applied nor found since [`Change::AuditStarted`] is gone.
    AuditDone(Source),
    /// Nothing certain is known of this source any more (access denied); what it held is no ground for NXDOMAIN.
    Lost(Source),
}

/// A change and when this process received it.
#[derive(Clone, Debug)]
pub struct Event {
    /// When the bytes arrived; `received → answerable` is measured from here.
    pub received: Instant,
    /// When that happened in the cluster for which the object was changed, since 1970, if the object says so:
    /// `last change → answerable` is measured from here. Only a change that a watch told has it, not a list's object.
    pub triggered: Option<Duration>,
    /// What happened.
    pub change: Change,
}

/// An object as DNS sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// See [`Service`].
    Service(Service),
    /// See [`EndpointSlice`].
    EndpointSlice(EndpointSlice),
    /// A namespace is nothing but its name; the key's namespace is empty.
    Namespace(ObjectKey),
    /// See [`Pod`].
    Pod(Pod),
    /// See [`Unreadable`].
    Unreadable(Unreadable),
}

impl Object {
    /// The object's key within its source.
    pub const fn key(&self) -> &ObjectKey {
        match self {
            Self::Service(service) => &service.key,
            Self::EndpointSlice(slice) => &slice.key,
            Self::Namespace(key) => key,
            Self::Pod(pod) => &pod.key,
            Self::Unreadable(object) => &object.key,
        }
    }
}

/// A Service: its kind, and the ports for which SRV records stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Namespace and name.
    pub key: ObjectKey,
    /// What its name leads to.
    pub kind: ServiceKind,
    /// `spec.ports`.
    pub ports: Box<[Port]>,
}

/// What a service's name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// Its cluster IPs, of one or both families.
    ClusterIp(Box<[IpAddr]>),
    /// Its ready endpoints (`clusterIP: None`).
    Headless,
    /// Another name (`spec.externalName`), in lower-cased wire form.
    ExternalName(Box<[u8]>),
}

/// A port of a service or of a slice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// Its name; a port without one has no `_port._proto` name.
    pub name: Option<Label>,
    /// Its transport protocol.
    pub protocol: Protocol,
    /// Its number.
    pub number: u16,
}

/// `spec.ports[].protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP, the default.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The label of its SRV names (RFC 2782), lower-cased.
    pub const fn label(self) -> &'static [u8] {
        match self {
            Self::Tcp => b"_tcp",
            Self::Udp => b"_udp",
            Self::Sctp => b"_sctp",
        }
    }
}

/// An EndpointSlice: a part of a service's endpoints that share their ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Namespace and name of the slice.
    pub key: ObjectKey,
    /// The service it belongs to (label `kubernetes.io/service-name`), in the slice's namespace.
    pub service: Label,
    /// Its endpoints, ready or not.
    pub endpoints: Box<[Endpoint]>,
    /// Its ports; one without a number is left out.
    pub ports: Box<[Port]>,
}

/// One endpoint of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its addresses, of one family.
    pub addresses: Box<[IpAddr]>,
    /// `hostname`: the label of its own name below the service.
    pub hostname: Option<Label>,
    /// The pod behind it (`targetRef.name` of kind Pod), if that is a DNS label.
    pub pod: Option<Label>,
    /// `conditions.ready`, where absent counts as true.
    pub ready: bool,
}

/// A Pod: the addresses it holds while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Namespace and name.
    pub key: ObjectKey,
    /// `status.podIPs`.
    pub addresses: Box<[IpAddr]>,
}

/// An object that exists and is malformed: what it would say about its names is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Namespace and name.
    pub key: ObjectKey,
    /// The service that a slice belongs to; `None` for other kinds, and if the slice does not say that either.
    pub service: Option<Label>,
}
