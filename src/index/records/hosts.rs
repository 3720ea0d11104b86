//! The ready endpoints of a service under their labels, with their addresses encoded already, to be found by either. It
//! knows neither the service nor its slices.

use super::{parts::Parts, places::Places};
use crate::wire::{Addresses, encode_address};
use std::{cmp::Ordering, net::IpAddr, ops::Range};

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

/// One name: where its label and its addresses begin. They end where those of the next one begin.
#[derive(Debug, PartialEq, Eq)]
struct Host {
    label: u32,
    a: u32,
    aaaa: u32,
}

/// Where an address stands in the runs: the octets before it, and in the highest bit whether it is IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct AddressAt(u32);

impl AddressAt {
    const IPV6: u32 = 1 << 31;

    const fn is_ipv6(self) -> bool {
        self.0 & Self::IPV6 != 0
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
        let (mut a, mut aaaa) = (Vec::with_capacity(named.len() * 16), Vec::new());
        let mut labels = Vec::with_capacity(named.len() * 16);
        let mut hosts = Vec::with_capacity(named.len());
        let (mut by_v4, mut by_v6) = (Vec::with_capacity(named.len()), Vec::new());
        let mut last = None;
        for (label, address) in named {
            let before = last.replace((label, address));
            if before == last {
                continue; // the same endpoint stands in two slices
            }
            if before.is_none_or(|(before, _)| before != label) {
                hosts.push(Host {
                    label: labels.len() as u32,
                    a: a.len() as u32,
                    aaaa: aaaa.len() as u32,
                });
                labels.extend_from_slice(label);
            }
            let run = match address {
                IpAddr::V4(v4) => {
                    // As one number, which is sorted in a quarter of the time.
                    by_v4.push(u64::from(v4.to_bits()) << 32 | a.len() as u64);
                    &mut a
                }
                IpAddr::V6(v6) => {
                    by_v6.push((v6.to_bits(), aaaa.len() as u32));
                    &mut aaaa
                }
            };
            encode_address(address, ttl, run);
        }
        by_v4.sort_unstable();
        by_v6.sort_unstable();
        let by_v4 = by_v4.into_iter().map(|it| AddressAt(it as u32));
        let by_v6 = by_v6
            .into_iter()
            .map(|(_, at)| AddressAt(at | AddressAt::IPV6));
        let mut hosts = Self {
            octets: Parts::new([&labels, &a, &aaaa]),
            hosts: hosts.into(),
            places: Places::default(),
            by_address: by_v4.chain(by_v6).collect(),
        };
        hosts.places = Places::of((0..hosts.len()).map(|host| hash(hosts.label(host))));
        hosts
    }

    pub(super) const fn len(&self) -> usize {
        self.hosts.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// A records of all of them.
    pub(super) fn a(&self) -> &[u8] {
        self.octets.get(1)
    }

    /// AAAA records of all of them.
    pub(super) fn aaaa(&self) -> &[u8] {
        self.octets.get(2)
    }

    fn labels(&self) -> &[u8] {
        self.octets.get(0)
    }

    /// The label of a host.
    pub(super) fn label(&self, host: usize) -> &[u8] {
        let labels = self.labels();
        &labels[self.part(host, |host| host.label, labels)]
    }

    /// A and AAAA records of the host with this label, if there is one.
    pub(in crate::index) fn find(
        &self,
        label: &[u8],
        hash: impl FnOnce() -> u64,
    ) -> Option<(Addresses<'_>, Addresses<'_>)> {
        let host = if self.places.is_empty() {
            self.search(label)
        } else {
            (self.places.with(hash())).find(|host| self.label(*host) == label)
        }?;
        let (a, aaaa) = (self.a(), self.aaaa());
        Some((
            Addresses::v4(&a[self.part(host, |host| host.a, a)]),
            Addresses::v6(&aaaa[self.part(host, |host| host.aaaa, aaaa)]),
        ))
    }

    /// The host with this label, found without places: the plain twin.
    pub(in crate::index) fn search(&self, label: &[u8]) -> Option<usize> {
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = from.midpoint(to);
            match self.label(middle).cmp(label) {
                Ordering::Less => from = middle + 1,
                Ordering::Greater => to = middle,
                Ordering::Equal => return Some(middle),
            }
        }
        None
    }

    /// The part of a run that belongs to a host.
    fn part(&self, host: usize, begin: impl Fn(&Host) -> u32, run: &[u8]) -> Range<usize> {
        let end = self.hosts.get(host + 1).map(&begin);
        begin(&self.hosts[host]) as usize..end.map_or(run.len(), |end| end as usize)
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
        let begin = |host: &Host| if at.is_ipv6() { host.aaaa } else { host.a };
        let behind = (self.hosts).partition_point(|host| begin(host) <= at.offset());
        behind - 1
    }

    /// Reads the place of the host whose label has this hash; says which one seems to stand there.
    pub(in crate::index) fn touch_place(&self, hash: u64) -> Option<usize> {
        self.places.with(hash).next()
    }

    /// Reads where the label and the address of a host begin.
    pub(in crate::index) fn touch_host(&self, host: usize) -> Option<(usize, usize)> {
        let host = self.hosts.get(host)?;
        Some((host.label as usize, host.a as usize))
    }

    /// Reads the first octets of such a label and of such an address.
    pub(in crate::index) fn touch_run(&self, (label, a): (usize, usize)) -> [Option<u8>; 2] {
        [self.labels().get(label).copied(), self.a().get(a).copied()]
    }
}
