//! The ready endpoints of a service under their labels, with their addresses encoded already, to be found by either. It
//! knows neither the service nor its slices.

mod mend;

use super::{labels, parts::Parts, places::Places};
use crate::wire::{Addresses, encode_address};
use std::{hint::black_box, net::IpAddr};

/// So many octets of a run are read ahead for a host: an IPv4 address's record.
const LEN: u32 = 16;

/// The runs of [`Hosts::octets`].
const LABELS: usize = 0;
const A: usize = 1;
const AAAA: usize = 2;

#[derive(Debug, Default, PartialEq, Eq)]
#[repr(C)] // what a look-up reads stands together
pub(in crate::index) struct Hosts {
    /// The labels, one behind the other, in alphabetical order; then their A records, then their AAAA records.
    octets: Parts<3, 0>,
    hosts: Box<[Host]>,
    places: Places,
    /// The addresses, sorted, for PTR.
    by_address: Box<[AddressAt]>,
}

/// One name: where in each run its label and its addresses begin. They end where those of the next one begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Host([u32; 3]);

/// Where an address stands in the runs: the octets before it, and in the highest bit whether it is IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct AddressAt(u32);

impl Host {
    /// One that is to stand behind all that these runs hold.
    fn behind(runs: &[Vec<u8>; 3]) -> Self {
        Self(runs.each_ref().map(|run| run.len() as u32))
    }
}

/// Where the records of such an address stand.
const fn run_of(address: IpAddr) -> usize {
    if address.is_ipv6() { AAAA } else { A }
}

impl AddressAt {
    const IPV6: u32 = 1 << 31;

    /// Of an address that so many octets of its family's run stand before.
    const fn new(address: IpAddr, before: usize) -> Self {
        let family = if address.is_ipv6() { Self::IPV6 } else { 0 };
        Self(before as u32 | family)
    }

    const fn is_ipv6(self) -> bool {
        self.0 & Self::IPV6 != 0
    }

    const fn run(self) -> usize {
        if self.is_ipv6() { AAAA } else { A }
    }

    const fn offset(self) -> u32 {
        self.0 & !Self::IPV6
    }
}

impl Hosts {
    /// Hosts with these labels and addresses, sorted; a pair that comes again counts once. `hash` is what they are found by.
    pub(super) fn new<'l>(
        named: impl ExactSizeIterator<Item = (&'l [u8], IpAddr)>,
        ttl: u32,
        hash: impl Fn(&[u8]) -> u64,
    ) -> Self {
        // Most services have one family, and names as long as this.
        let room = named.len() * 16;
        let mut runs = [
            Vec::with_capacity(room),
            Vec::with_capacity(room),
            Vec::new(),
        ];
        let mut hosts = Vec::with_capacity(named.len());
        let (mut by_v4, mut by_v6) = (Vec::with_capacity(named.len()), Vec::new());
        let mut last = None;
        for (label, address) in named {
            let before = last.replace((label, address));
            if before == last {
                continue; // the same endpoint stands in two slices
            }
            if before.is_none_or(|(before, _)| before != label) {
                hosts.push(Host::behind(&runs));
                runs[LABELS].extend_from_slice(label);
            }
            let run = &mut runs[run_of(address)];
            match address {
                // As one number, which is sorted in a quarter of the time.
                IpAddr::V4(v4) => by_v4.push(u64::from(v4.to_bits()) << 32 | run.len() as u64),
                IpAddr::V6(v6) => by_v6.push((v6.to_bits(), run.len() as u32)),
            }
            encode_address(address, ttl, run);
        }
        by_v4.sort_unstable();
        by_v6.sort_unstable();
        let by_v4 = by_v4.into_iter().map(|it| AddressAt(it as u32));
        let by_v6 = by_v6
            .into_iter()
            .map(|(_, at)| AddressAt(at | AddressAt::IPV6));
        let mut hosts = Self {
            octets: Parts::new(runs.each_ref().map(Vec::as_slice)),
            hosts: hosts.into(),
            places: Places::default(),
            by_address: by_v4.chain(by_v6).collect(),
        };
        hosts.places = hosts.places_by(hash);
        hosts
    }

    fn places_by(&self, hash: impl Fn(&[u8]) -> u64) -> Places {
        Places::of((0..self.len()).map(|host| hash(self.label(host))))
    }

    pub(super) const fn len(&self) -> usize {
        self.hosts.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// A records of all of them.
    pub(super) fn a(&self) -> &[u8] {
        self.octets.get(A)
    }

    /// AAAA records of all of them.
    pub(super) fn aaaa(&self) -> &[u8] {
        self.octets.get(AAAA)
    }

    /// The label of a host.
    pub(super) fn label(&self, host: usize) -> &[u8] {
        self.part(host, LABELS)
    }

    /// A and AAAA records of the host with this label, if there is one.
    pub(in crate::index) fn find(
        &self,
        label: &[u8],
        hash: impl FnOnce() -> u64,
    ) -> Option<(Addresses<'_>, Addresses<'_>)> {
        let host = if self.places.is_empty() {
            self.search(label).ok()
        } else {
            (self.places.with(hash())).find(|host| self.label(*host) == label)
        }?;
        Some(self.addresses_of(host))
    }

    /// The same of the host with this number, if it has this label.
    #[inline]
    pub(in crate::index) fn numbered(
        &self,
        host: usize,
        label: &[u8],
    ) -> Option<(Addresses<'_>, Addresses<'_>)> {
        let is_it = host < self.len() && self.label(host) == label;
        is_it.then(|| self.addresses_of(host))
    }

    #[inline]
    fn addresses_of(&self, host: usize) -> (Addresses<'_>, Addresses<'_>) {
        let [a, aaaa] = [A, AAAA].map(|run| self.part(host, run));
        (Addresses::v4(a), Addresses::v6(aaaa))
    }

    /// The host with this label, or the one before which it would stand, found without places: the plain twin.
    pub(in crate::index) fn search(&self, label: &[u8]) -> Result<usize, usize> {
        labels::search(self.len(), |host| self.label(host), label)
    }

    /// The part of a run that belongs to a host.
    #[inline] // three times in a look-up, each with what it knows already
    fn part(&self, host: usize, run: usize) -> &[u8] {
        let octets = self.octets.get(run);
        let end = self.hosts.get(host + 1).map(|next| next.0[run] as usize);
        &octets[self.hosts[host].0[run] as usize..end.unwrap_or(octets.len())]
    }

    /// The labels of those that have this address.
    pub(super) fn at(&self, address: IpAddr) -> impl Iterator<Item = &[u8]> + Clone {
        let from = (self.by_address).partition_point(|at| self.address(*at) < Some(address));
        let same = self.by_address[from..]
            .iter()
            .take_while(move |at| self.address(**at) == Some(address));
        same.map(|at| self.label(self.host_of(*at)))
    }

    /// The addresses, sorted; one that several have comes as often.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.by_address.iter().filter_map(|at| self.address(*at))
    }

    pub(super) const fn address_count(&self) -> usize {
        self.by_address.len()
    }

    fn address(&self, at: AddressAt) -> Option<IpAddr> {
        let from = at.offset() as usize;
        if at.is_ipv6() {
            Addresses::v6(&self.aaaa()[from..]).first()
        } else {
            Addresses::v4(&self.a()[from..]).first()
        }
    }

    fn host_of(&self, at: AddressAt) -> usize {
        let behind = (self.hosts).partition_point(|host| host.0[at.run()] <= at.offset());
        behind - 1
    }

    /// Reads this itself, for nothing but that it was read.
    pub(super) fn touch(&self) -> usize {
        self.octets.len() ^ self.hosts.len() ^ usize::from(self.places.is_empty())
    }

    /// The same of the place that a label's hash points to.
    pub(super) const fn touch_place(&self, hash: u64) -> Option<u32> {
        self.places.touch(hash)
    }

    /// The same of the host that seems to have a label of this hash; says its number.
    pub(in crate::index) fn touch_host(&self, hash: u64) -> Option<usize> {
        let host = self.places.with(hash).next()?;
        black_box([host, host + 1].map(|it| self.hosts.get(it).map(|it| it.0[LABELS])));
        Some(host)
    }

    /// The same of its label and of its address, as long as most are.
    pub(in crate::index) fn touch_records(&self, host: usize) -> Option<[[u8; 2]; 2]> {
        let Host(before) = self.hosts.get(host)?;
        Some([LABELS, A].map(|run| self.octets.touch(run, before[run], LEN)))
    }
}
