//! Static names: those that an operator gives addresses to, and the reverse names of these addresses. They are names and
//! not zones: what stands below one is not theirs. It knows no file.

use super::{Found, Records, reverse};
use crate::wire::{Addresses, NameKey, encode_address};
use std::{collections::HashMap, net::IpAddr};

/// Most static names. A longer list is a zone, or a filter: those have servers of their own.
pub const MAX_HOSTS: usize = 10_000;
/// Most addresses of one name, and most names in one reverse answer; further ones are left out.
pub const MAX_OF_ONE_HOST: usize = 16;

/// A table of static names. Looking one up allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    /// By lower-cased wire form; names above others are here too. Who asks chooses no key that is in it, so the hash needs
    /// no secret.
    hosts: HashMap<Box<[u8]>, Host, foldhash::fast::RandomState>,
    /// How many have addresses.
    count: usize,
    ttl: u32,
}

/// What one name has: addresses, or as a reverse name the names of its address, or nothing but names below it.
#[derive(Clone, Debug, Default)]
pub(super) struct Host {
    a: Vec<u8>,
    aaaa: Vec<u8>,
    /// In wire form.
    pub(super) pointers: Vec<Box<[u8]>>,
}

/// More than [`MAX_HOSTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are more than {MAX_HOSTS} static names")]
pub struct TooManyHosts;

impl Hosts {
    /// An empty table for names with this TTL, in seconds.
    pub fn new(ttl: u32) -> Self {
        Self {
            ttl,
            ..Self::default()
        }
    }

    /// Gives all of the addresses to each of the names, and the first of the names to each of the addresses.
    pub fn add(&mut self, names: &[NameKey], addresses: &[IpAddr]) -> Result<(), TooManyHosts> {
        let ttl = self.ttl;
        for name in names {
            let host = self.host(name);
            let is_new = host.addresses() == 0;
            addresses.iter().for_each(|address| host.add(*address, ttl));
            self.count += usize::from(is_new);
        }
        for (address, name) in addresses.iter().zip(names.first().into_iter().cycle()) {
            self.host(&reverse::name(*address)).point_to(name);
        }
        if self.count > MAX_HOSTS {
            return Err(TooManyHosts);
        }
        Ok(())
    }

    /// The place of a name, and one for each name above it.
    fn host(&mut self, name: &NameKey) -> &mut Host {
        for above in 1..name.label_count() {
            let start = name.label_start(above).expect("a label of the name");
            let above = name.as_bytes()[start..].into();
            self.hosts.entry(above).or_default();
        }
        self.hosts.entry(name.as_bytes().into()).or_default()
    }

    /// Finds a static name, or the reverse name of a static address.
    pub(super) fn find(&self, name: &NameKey) -> Option<Found<'_>> {
        let host = self.hosts.get(name.as_bytes())?;
        (!host.is_empty()).then_some(Found::Exists(Records::Host(host)))
    }

    /// Does it stand above a static name, and is none itself?
    pub(super) fn is_above(&self, name: &NameKey) -> bool {
        let host = self.hosts.get(name.as_bytes());
        host.is_some_and(Host::is_empty)
    }

    /// TTL of all answers about these names, negative ones included, in seconds.
    pub(super) const fn ttl(&self) -> u32 {
        self.ttl
    }
}

impl Host {
    pub(super) const fn a(&self) -> Addresses<'_> {
        Addresses::v4(self.a.as_slice())
    }

    pub(super) const fn aaaa(&self) -> Addresses<'_> {
        Addresses::v6(self.aaaa.as_slice())
    }

    fn addresses(&self) -> usize {
        self.a().count() + self.aaaa().count()
    }

    fn is_empty(&self) -> bool {
        self.addresses() == 0 && self.pointers.is_empty()
    }

    fn add(&mut self, address: IpAddr, ttl: u32) {
        let mut record = vec![];
        encode_address(address, ttl, &mut record);
        let room = self.addresses() < MAX_OF_ONE_HOST;
        let run = match address {
            IpAddr::V4(_) => &mut self.a,
            IpAddr::V6(_) => &mut self.aaaa,
        };
        if room && !run.chunks_exact(record.len()).any(|known| known == record) {
            run.append(&mut record);
        }
    }

    fn point_to(&mut self, name: &NameKey) {
        let known = self.pointers.iter().any(|it| **it == *name.as_bytes());
        if !known && self.pointers.len() < MAX_OF_ONE_HOST {
            self.pointers.push(name.as_bytes().into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NameKey {
        NameKey::from_text(text).unwrap()
    }

    #[test]
    fn ten_thousand_static_names_fit_and_one_more_is_refused() {
        let mut hosts = Hosts::new(30);
        let address = ["192.0.2.1".parse().unwrap()];
        for n in 0..MAX_HOSTS {
            assert_eq!(
                hosts.add(&[name(&format!("h{n}.example"))], &address),
                Ok(())
            );
        }
        let again = hosts.add(&[name("h0.example")], &["2001:db8::1".parse().unwrap()]);
        assert_eq!(again, Ok(()), "a known name is no further one");
        assert!(hosts.find(&name("H9999.example")).is_some());
        assert_eq!(hosts.add(&[name("x.example")], &address), Err(TooManyHosts));
    }

    #[test]
    fn a_static_name_has_each_address_once_and_at_most_16_and_so_has_an_address_its_names() {
        let mut hosts = Hosts::new(30);
        for n in (0..MAX_OF_ONE_HOST + 2).chain([0]) {
            let address = format!("192.0.2.{n}").parse().unwrap();
            hosts.add(&[name("a.example")], &[address]).unwrap();
            let [other, address] = [name(&format!("h{n}.example")), name("a.example")];
            let shared = ["2001:db8::1".parse().unwrap()];
            hosts.add(&[other, address], &shared).unwrap();
        }
        let host = |name: &NameKey| hosts.hosts.get(name.as_bytes()).unwrap();
        assert_eq!(host(&name("a.example")).addresses(), MAX_OF_ONE_HOST);
        let reverse = reverse::name("2001:db8::1".parse().unwrap());
        assert_eq!(host(&reverse).pointers.len(), MAX_OF_ONE_HOST);
    }
}
