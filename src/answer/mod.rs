//! The Kubernetes DNS rules: what one [`Snapshot`](crate::index::Snapshot) says to a question. It knows names, records and
//! flags, and neither packets nor upstreams.
//!
//! ```text
//! Question ─▶ hosts ─▶ special ─▶ cluster ─▶ reverse ─▶ Verdict ─▶ write ─▶ wire::Reply
//!             static   localhost   svc, pod   in-addr     Answer │ Forward │ Unsure
//! ```

mod basis;
mod cluster;
mod hosts;
mod reverse;
mod special;
mod write;

pub use cluster::is_kubernetes;
pub use hosts::{Hosts, MAX_HOSTS, MAX_OF_ONE_HOST, TooManyHosts};
pub use write::{Context, write};

use crate::{
    index::{Lookup, ServiceRecords},
    wire::{Addresses, Ede, NameKey, Question, Rcode, Zones, rtype},
};
use hosts::Host;
use std::{borrow::Cow, net::IpAddr};

/// Longest chain of ExternalName aliases that is followed (CoreDNS follows as many).
const MAX_ALIASES: usize = 10;

/// What an operator decides about the names of the cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which names are answered here.
    pub scope: Scope,
    /// What names of the form `a-b-c-d.<namespace>.pod` mean.
    pub pods: PodNames,
    /// Zones within the cluster domain below which names unknown to the cluster are forwarded.
    pub fallthrough: Vec<NameKey>,
    /// Zones with upstreams of their own, and the numbers of their routes. Those strictly below the cluster domain, and
    /// those of special-use names, take their names from the rules here; of the others, what is not the cluster's.
    pub routes: Zones,
    /// Names with addresses of their own, before everything else.
    pub hosts: Hosts,
    /// The addresses of `ns.dns.<zone>`; if there are none, the address that was asked.
    pub nameservers: Vec<IpAddr>,
}

/// Which names of the cluster domain are answered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Cluster,
    /// Headless services and what is below them; the cluster's own DNS has the others.
    Headless,
}

/// What names of the form `a-b-c-d.<namespace>.pod` mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodNames {
    /// Nothing.
    Disabled,
    /// The address that they spell, if the namespace exists.
    Insecure,
    /// That address, if a pod of the namespace has it.
    Verified,
}

/// What is to be done with a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The answer is to be given.
    Answer,
    /// Somebody else knows the records of [`Answer::name`], to which the aliases in the answer lead, if there are any.
    Forward(Elsewhere),
    /// It is a name of the cluster about which the index cannot be sure now.
    Unsure,
}

/// Who is to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// The upstreams: it is no name of the cluster.
    Upstream,
    /// The cluster's own DNS: it is a name of the cluster that is out of scope here.
    ClusterDns,
}

/// An answer, not yet written.
#[derive(Debug)]
pub struct Answer<'s> {
    /// The response code.
    pub rcode: Rcode,
    /// What is said beside it to clients with EDNS.
    pub ede: Option<Ede<'s>>,
    /// The targets of the aliases that lead from the question to the records, in wire form.
    aliases: [&'s [u8]; MAX_ALIASES],
    alias_count: usize,
    records: Records<'s>,
    /// Is it about a name of ours?
    authoritative: bool,
    /// Was it given without looking into the index?
    pub is_local: bool,
}

/// What stands in the answer section after the aliases; the other sections follow from it.
#[derive(Clone, Copy, Debug)]
enum Records<'s> {
    /// A, or AAAA.
    Addresses(Addresses<'s>),
    /// One A, or AAAA, that no index holds ready, and its TTL.
    Address(IpAddr, u32),
    /// A, or AAAA, of this server.
    Nameserver,
    /// SRV of every port, or of the one that the name's first two labels name; with the targets' addresses.
    Services(&'s ServiceRecords, Ports),
    /// PTR to every name that this address has.
    Pointers(IpAddr),
    /// What a static name has of the type asked for, if anything.
    Host(&'s Host),
    /// TXT.
    Text(&'static str),
    /// The zone's SOA.
    Soa,
    /// The zone's NS.
    Ns,
    /// HINFO, for ANY (RFC 8482).
    Hinfo,
    /// None: NODATA or NXDOMAIN, with the zone's SOA.
    Negative(Zone),
    /// None beyond the aliases.
    Aliases,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ports {
    Every,
    /// Those of the name in the question; the first of them has been found.
    Named {
        first: usize,
    },
}

/// Whose SOA stands in a negative answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zone {
    /// The cluster domain's.
    Cluster,
    /// That of the name itself: one address's reverse name.
    Name,
    /// The same, of a static name.
    Static,
    /// That of a special-use name with so many labels.
    Special(usize),
}

/// What a name of ours turns out to be.
enum Found<'s> {
    /// It has these records of the type asked for, or exists without any (`Negative`).
    Exists(Records<'s>),
    /// There is no such name; sometimes there is something to say about it.
    Absent(Option<Ede<'s>>),
    /// It is an alias for this name, in wire form.
    Alias(&'s [u8]),
    /// Not ours.
    Elsewhere(Elsewhere),
    /// The index cannot tell.
    Unsure,
}

/// Decides what is to be said, and puts it into `answer`, which is empty: it is too large to be handed from hand to hand.
/// Allocates nothing; reads one snapshot from beginning to end.
pub fn decide<'s>(
    question: &Question,
    snapshot: &Lookup<'s>,
    options: &'s Options,
    answer: &mut Answer<'s>,
) -> Verdict {
    match decide_name(&question.name, question.qtype, snapshot, options, answer) {
        Some(verdict) => verdict,
        None => decide_aliases(question, snapshot, options, answer),
    }
}

/// Goes on from alias to alias, apart from what most names need: each has room for another name.
#[cold]
fn decide_aliases<'s>(
    question: &Question,
    snapshot: &Lookup<'s>,
    options: &'s Options,
    answer: &mut Answer<'s>,
) -> Verdict {
    loop {
        let name = answer.name(&question.name);
        if let Some(verdict) = decide_name(&name, question.qtype, snapshot, options, answer) {
            return verdict;
        }
    }
}

/// Decides about one name; `None` if it is an alias, and the next name is another one.
fn decide_name<'s>(
    name: &NameKey,
    qtype: u16,
    snapshot: &Lookup<'s>,
    options: &'s Options,
    answer: &mut Answer<'s>,
) -> Option<Verdict> {
    let special = special::zone(name);
    let mut found = find(name, special, qtype, snapshot, options);
    let falls_through = |zone| name.labels_above(zone).is_some();
    if matches!(found, Found::Absent(_)) && options.fallthrough.iter().any(falls_through) {
        found = Found::Elsewhere(Elsewhere::Upstream);
    }
    let absence = Records::Negative(special.unwrap_or(Zone::Cluster));
    match found {
        Found::Exists(records) => answer.records = records,
        Found::Absent(_) if options.is_above(name) => {
            answer.records = match qtype {
                rtype::ANY => Records::Hinfo,
                _ => absence,
            };
        }
        Found::Absent(ede) => {
            answer.rcode = Rcode::NxDomain;
            answer.ede = ede;
            answer.records = absence;
        }
        Found::Alias(target) => {
            if answer.follow(target, name) && qtype != rtype::CNAME {
                return None;
            }
        }
        Found::Elsewhere(_) if qtype == rtype::ANY => {
            answer.records = Records::Hinfo;
            answer.authoritative = false;
        }
        Found::Elsewhere(who) => return Some(Verdict::Forward(who)),
        Found::Unsure => return Some(Verdict::Unsure),
    }
    answer.is_local =
        special.is_some() || !answer.authoritative || matches!(answer.records, Records::Host(_));
    if snapshot.is_stale() && !answer.is_local {
        answer.ede = Some(stale(answer.rcode));
    }
    Some(Verdict::Answer)
}

/// The API server has not been heard of for long (RFC 8914 §4.4, §4.20).
const fn stale<'t>(rcode: Rcode) -> Ede<'t> {
    let code = match rcode {
        Rcode::NxDomain => 19,
        _ => 3,
    };
    Ede::new(code, "the Kubernetes API has not confirmed this for long")
}

/// Finds a name, whose special-use zone is known already.
fn find<'s>(
    name: &NameKey,
    special: Option<Zone>,
    qtype: u16,
    snapshot: &Lookup<'s>,
    options: &'s Options,
) -> Found<'s> {
    if let Some(found) = options.hosts.find(name) {
        return found;
    }
    // Has the user a route for a zone of so many labels at least?
    let routed = |at_least| {
        let zone = options.routes.longest(name);
        zone.is_some_and(|(labels, _)| labels >= at_least)
    };
    match special {
        Some(Zone::Special(labels)) if routed(labels) => {
            return Found::Elsewhere(Elsewhere::Upstream);
        }
        Some(zone) => return special::find(name, zone, qtype),
        None => {}
    }
    let domain = &snapshot.options().zone;
    if let Some(above) = name.labels_above(domain) {
        if routed(domain.label_count() + 1) {
            return Found::Elsewhere(Elsewhere::Upstream);
        }
        return cluster::find(name, above, qtype, snapshot, options);
    }
    match reverse::address(name) {
        Some(address) => reverse::find(address, qtype, snapshot, options),
        None => Found::Elsewhere(Elsewhere::Upstream),
    }
}

impl Options {
    /// Does a static name or a zone with a route stand below this name? Then it is there, with or without records (RFC 8020).
    fn is_above(&self, name: &NameKey) -> bool {
        self.hosts.is_above(name) || self.routes.is_above(name)
    }
}

impl Default for Answer<'_> {
    /// An answer without anything in it.
    fn default() -> Self {
        Self {
            rcode: Rcode::NoError,
            ede: None,
            aliases: [&[]; MAX_ALIASES],
            alias_count: 0,
            records: Records::Aliases,
            authoritative: true,
            is_local: false,
        }
    }
}

impl<'s> Answer<'s> {
    /// The name that the records are about: the question's, or the last alias's target.
    pub fn name<'n>(&self, asked: &'n NameKey) -> Cow<'n, NameKey> {
        let target = self.aliases().last();
        let name = target.and_then(|target| NameKey::read(target, 0));
        name.map_or(Cow::Borrowed(asked), |(name, _)| Cow::Owned(name))
    }

    /// Goes on from `name` to an alias's target; not if that closes a loop or makes the chain too long, which end it as it
    /// is.
    fn follow(&mut self, target: &'s [u8], name: &NameKey) -> bool {
        let looped = self.aliases().contains(&target) || name.as_bytes() == target;
        if looped || NameKey::read(target, 0).is_none() {
            return false;
        }
        let Some(slot) = self.aliases.get_mut(self.alias_count) else {
            return false;
        };
        *slot = target;
        self.alias_count += 1;
        true
    }

    /// The aliases' targets, in order.
    pub fn aliases(&self) -> &[&'s [u8]] {
        &self.aliases[..self.alias_count]
    }

    /// Is it about the question's own name?
    pub const fn is_bare(&self) -> bool {
        self.alias_count == 0
    }
}

/// The answer's records of a type among those of a name that has addresses only.
fn addresses<'s>(a: Addresses<'s>, aaaa: Addresses<'s>, qtype: u16) -> Found<'s> {
    Found::Exists(match qtype {
        rtype::A if !a.is_empty() => Records::Addresses(a),
        rtype::AAAA if !aaaa.is_empty() => Records::Addresses(aaaa),
        rtype::ANY => Records::Hinfo,
        _ => Records::Negative(Zone::Cluster),
    })
}
