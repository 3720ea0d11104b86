//! An [`Answer`] put into a [`Reply`]: which record stands in which section, under which name, with which TTL.

use super::{Answer, Options, Ports, Records, Zone, hosts::Host, reverse, special};
use crate::{
    index::{ServicePort, ServiceRecords, Snapshot, Target},
    wire::{Flags, HEADER_LEN, Name, NameKey, Rdata, Reply, Section, rtype},
};
use smallvec::SmallVec;
use std::net::IpAddr;

/// For how many SRV targets addresses are added: more than a UDP reply can hold; on TCP the client asks for the others.
const MAX_TARGETS: usize = 128;

/// What an answer depends on beside the index.
#[derive(Clone, Copy, Debug)]
pub struct Context<'c> {
    /// The snapshot that the answer was decided on.
    pub snapshot: &'c Snapshot,
    /// The options that it was decided with.
    pub options: &'c Options,
    /// The address that was asked.
    pub local: IpAddr,
    /// Which of several records comes first.
    pub rotation: usize,
    /// The name that the records are about.
    pub name: &'c NameKey,
    /// The type that was asked for.
    pub qtype: u16,
}

/// Writes the answer. Says where the name stands that the answer's records are about, or `None` if the aliases that lead
/// there did not fit.
pub fn write(
    answer: &Answer<'_>,
    context: &Context<'_>,
    reply: &mut Reply<'_, '_>,
) -> Option<usize> {
    reply.set_rcode(answer.rcode);
    if answer.authoritative {
        reply.set_flags(Flags::AA);
    }
    let mut owner = HEADER_LEN;
    for target in answer.aliases() {
        let ttl = context.snapshot.options().ttl.service;
        let cname = |rdata: &mut Rdata<'_, '_, '_>| rdata.bytes(target);
        owner = reply.record(Section::Answer, Name::At(owner), rtype::CNAME, ttl, cname)?;
    }
    Writer {
        owner,
        context,
        reply,
    }
    .records(&answer.records);
    Some(owner)
}

struct Writer<'w, 'c, 'o, 't> {
    /// Where the name stands that the records are about.
    owner: usize,
    context: &'w Context<'c>,
    reply: &'w mut Reply<'o, 't>,
}

impl Writer<'_, '_, '_, '_> {
    fn records(&mut self, records: &Records<'_>) {
        let ttl = self.context.snapshot.options().ttl;
        let owner = Name::At(self.owner);
        match records {
            Records::Addresses(run) => {
                self.reply
                    .addresses(Section::Answer, self.owner, run, self.context.rotation)
            }
            Records::Address(address, ttl) => {
                self.address(self.owner, Section::Answer, *address, *ttl)
            }
            Records::Nameserver => {
                if !self.nameserver(Section::Answer, self.owner, Some(self.context.qtype)) {
                    self.soa(Section::Authority, Zone::Cluster, ttl.negative);
                }
            }
            Records::Services(service, ports) => self.services(service, *ports),
            Records::Pointers(address) => self.pointers(*address),
            Records::Host(host) => self.host(host),
            Records::Text(text) => {
                let len = [text.len() as u8];
                self.reply
                    .record(Section::Answer, owner, rtype::TXT, ttl.service, |rdata| {
                        rdata.bytes(&len) && rdata.bytes(text.as_bytes())
                    });
            }
            Records::Soa => self.soa(Section::Answer, Zone::Cluster, ttl.service),
            Records::Ns => {
                let ns =
                    self.reply
                        .record(Section::Answer, owner, rtype::NS, ttl.service, |rdata| {
                            // Written whole, so that the glue can point to it.
                            let whole = self.context.name.as_bytes().len();
                            rdata.bytes(NS_LABELS) && rdata.copy_of(self.owner, whole)
                        });
                if let Some(ns) = ns {
                    self.nameserver(Section::Additional, ns, None);
                }
            }
            Records::Hinfo => {
                self.reply
                    .record(Section::Answer, owner, rtype::HINFO, ttl.service, |rdata| {
                        rdata.bytes(b"\x07RFC8482\x00")
                    });
            }
            Records::Negative(zone) => {
                let ttl = if matches!(zone, Zone::Special(_)) {
                    special::TTL
                } else {
                    ttl.negative
                };
                self.soa(Section::Authority, *zone, ttl);
            }
            Records::Aliases => {}
        }
    }

    fn address(&mut self, owner: usize, section: Section, address: IpAddr, ttl: u32) {
        match address {
            IpAddr::V4(v4) => self
                .reply
                .record(section, Name::At(owner), rtype::A, ttl, |it| {
                    it.bytes(&v4.octets())
                }),
            IpAddr::V6(v6) => self
                .reply
                .record(section, Name::At(owner), rtype::AAAA, ttl, |it| {
                    it.bytes(&v6.octets())
                }),
        };
    }

    /// This server's own addresses, of one type or of both. Says whether there were any.
    fn nameserver(&mut self, section: Section, owner: usize, qtype: Option<u16>) -> bool {
        let asked = [self.context.local];
        let own = &self.context.options.nameservers;
        let own: &[IpAddr] = if own.is_empty() { &asked } else { own };
        let of_type =
            |address: &&IpAddr| qtype.is_none_or(|qtype| (qtype == rtype::A) == address.is_ipv4());
        let mut any = false;
        for address in own.iter().filter(of_type) {
            any = true;
            self.address(
                owner,
                section,
                *address,
                self.context.snapshot.options().ttl.service,
            );
        }
        any
    }

    fn services(&mut self, service: &ServiceRecords, ports: Ports) {
        // The service's own name is the question's, without `_port._proto`.
        let skipped = match ports {
            Ports::Every => 0,
            Ports::Named { .. } => self.context.name.label_start(2).unwrap_or_default(),
        };
        if let Some(port) = service.own_port() {
            if let Some(at) = self.target(port, Target::Service, 100, skipped) {
                self.target_addresses(service, Target::Service, at);
            }
            return;
        }
        let asked = || asked(self.context.name, service, ports);
        let count: usize = asked().map(|port| port.target_count(service)).sum();
        let weight = (100 / count.max(1)).max(1) as u16;
        let mut targets = SmallVec::<[_; MAX_TARGETS]>::new();
        for port in asked() {
            for target in service.targets(port, self.context.rotation) {
                let Some(at) = self.target(port, target, weight, skipped) else {
                    break;
                };
                let is_known = targets.iter().any(|(_, known)| *known == target);
                if !is_known && targets.len() < MAX_TARGETS {
                    targets.push((at, target));
                }
            }
        }
        for (at, target) in targets {
            self.target_addresses(service, target, at);
        }
    }

    /// An SRV record, if there is room for it; says where the target's name stands. The service's name is the owner's from there
    /// on where the octets to be skipped end.
    fn target(
        &mut self,
        port: &ServicePort,
        target: Target<'_>,
        weight: u16,
        skipped: usize,
    ) -> Option<usize> {
        const BEFORE: usize = 6; // priority, weight and port
        let ttl = self.context.snapshot.options().ttl;
        let ttl = match target {
            Target::Service => ttl.service,
            Target::Host(_) => ttl.pod,
        };
        let (service, len) = (self.owner + skipped, self.context.name.as_bytes().len());
        let owner = Name::At(self.owner);
        let rdata = |rdata: &mut Rdata<'_, '_, '_>| {
            rdata.srv(weight, port.port.number)
                && label(rdata, target)
                && rdata.copy_of(service, len - skipped)
        };
        let rdata = (self.reply).record(Section::Answer, owner, rtype::SRV, ttl, rdata)?;
        Some(rdata + BEFORE)
    }

    /// The addresses of a target, whose name stands there.
    fn target_addresses(&mut self, service: &ServiceRecords, target: Target<'_>, at: usize) {
        let (a, aaaa) = match target {
            Target::Service => (service.a(), service.aaaa()),
            Target::Host(label) => (self.context.snapshot)
                .host(service, label)
                .expect("a target is a host of its service"),
        };
        self.reply.addresses(Section::Additional, at, &a, 0);
        self.reply.addresses(Section::Additional, at, &aaaa, 0);
    }

    fn pointers(&mut self, address: IpAddr) {
        let Context {
            snapshot, options, ..
        } = self.context;
        let ttl = snapshot.options().ttl;
        for (service, host) in reverse::pointers(snapshot, address, options.scope) {
            let ttl = if host.is_some() { ttl.pod } else { ttl.service };
            self.reply.record(
                Section::Answer,
                Name::At(self.owner),
                rtype::PTR,
                ttl,
                |rdata| {
                    host.is_none_or(|host| label(rdata, Target::Host(host)))
                        && rdata.bytes(service.key())
                        && rdata.bytes(b"\x03svc")
                        && rdata.bytes(snapshot.options().zone.as_bytes())
                },
            );
        }
    }

    fn host(&mut self, host: &Host) {
        let ttl = self.context.options.hosts.ttl();
        match self.context.qtype {
            rtype::A if !host.a().is_empty() => self.records(&Records::Addresses(host.a())),
            rtype::AAAA if !host.aaaa().is_empty() => {
                self.records(&Records::Addresses(host.aaaa()));
            }
            rtype::PTR if !host.pointers.is_empty() => {
                for name in &host.pointers {
                    let owner = Name::At(self.owner);
                    let pointer = |rdata: &mut Rdata<'_, '_, '_>| rdata.bytes(name);
                    self.reply
                        .record(Section::Answer, owner, rtype::PTR, ttl, pointer);
                }
            }
            rtype::ANY => self.records(&Records::Hinfo),
            _ => self.soa(Section::Authority, Zone::Static, ttl),
        }
    }

    /// The zone's SOA, whose minimum is the negative TTL (RFC 2308).
    fn soa(&mut self, section: Section, zone: Zone, ttl: u32) {
        let snapshot = self.context.snapshot;
        let cluster = &snapshot.options().zone;
        let zone_labels = match zone {
            Zone::Cluster => cluster.label_count(),
            Zone::Name | Zone::Static => self.context.name.label_count(),
            Zone::Special(labels) => labels,
        };
        let start = self
            .context
            .name
            .label_start(self.context.name.label_count().saturating_sub(zone_labels));
        let zone_at = self.owner + start.unwrap_or_default();
        let (serial, minimum) = match zone {
            Zone::Special(_) => (1, special::TTL),
            Zone::Static => (1, self.context.options.hosts.ttl()),
            Zone::Cluster | Zone::Name => (snapshot.serial(), snapshot.options().ttl.negative),
        };
        self.reply
            .record(section, Name::At(zone_at), rtype::SOA, ttl, |rdata| {
                let names = match zone {
                    Zone::Cluster => {
                        rdata.name(Name::Below(NS_LABELS, zone_at))
                            && rdata.name(Name::Below(b"\x0ahostmaster", zone_at))
                    }
                    Zone::Name | Zone::Static => {
                        rdata.bytes(NS_LABELS)
                            && rdata.bytes(cluster.as_bytes())
                            && rdata.bytes(b"\x0ahostmaster")
                            && rdata.bytes(cluster.as_bytes())
                    }
                    Zone::Special(_) => {
                        rdata.name(Name::At(zone_at))
                            && rdata.name(Name::Below(b"\x06nobody", zone_at))
                    }
                };
                names
                    && [serial, 7200, 1800, 86_400, minimum]
                        .iter()
                        .all(|number| rdata.u32(*number))
            });
    }
}

/// `ns.dns`, below the zone.
const NS_LABELS: &[u8] = b"\x02ns\x03dns";

/// The ports that a question for this name is about.
fn asked<'s>(
    name: &NameKey,
    service: &'s ServiceRecords,
    ports: Ports,
) -> impl Iterator<Item = &'s ServicePort> {
    let label = |n| name.label(n).unwrap_or_default();
    let is_asked = move |nth, port: &ServicePort| match ports {
        Ports::Every => true,
        Ports::Named { first } => nth == first || nth > first && port.is_named(label(0), label(1)),
    };
    let all = service.ports().iter().enumerate();
    all.filter_map(move |(nth, port)| is_asked(nth, port).then_some(port))
}

fn label(rdata: &mut Rdata<'_, '_, '_>, target: Target<'_>) -> bool {
    match target {
        Target::Service => true,
        Target::Host(label) => rdata.bytes(&[label.len() as u8]) && rdata.bytes(label),
    }
}
