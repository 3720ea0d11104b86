//! Hosts of which a few have changed, made from the former ones by copying what lies between: what [`Hosts::new`] would give for
//! all of them. It knows labels and addresses, and not why they changed.

use super::{A, AAAA, AddressAt, Host, Hosts, LABELS, Parts, Places, run_of};
use crate::wire::encode_address;
use std::{net::IpAddr, ops::Range};

/// What stands one behind the other in the new runs.
enum Piece<'m> {
    /// Former hosts.
    Kept(Range<usize>),
    /// One host, and its addresses.
    New(&'m [u8], &'m [(&'m [u8], IpAddr)]),
}

/// Where a [`Piece::Kept`] stood in one run, and by how much it has moved, around zero.
struct Moved {
    from: u32,
    to: u32,
    by: u32,
}

impl Hosts {
    /// These hosts, but those with the `touched` labels are gone, and `named` are there instead. Both are sorted, and none of the
    /// named has an address that another host has.
    pub(in crate::index::records) fn mend<'m>(
        &self,
        touched: impl IntoIterator<Item = &'m [u8]>,
        mut named: &'m [(&'m [u8], IpAddr)],
        ttl: u32,
        hash: impl Fn(&[u8]) -> u64,
    ) -> Self {
        let (mut pieces, mut from, mut same_labels) = (vec![], 0, true);
        for label in touched {
            let (to, was_there) = match self.search(label) {
                Ok(host) => (host, true),
                Err(host) => (host, false),
            };
            pieces.push(Piece::Kept(from..to));
            from = to + usize::from(was_there);
            let count = named.iter().take_while(|(own, _)| *own == label).count();
            same_labels &= was_there == (count > 0);
            if let Some(addresses @ [_, ..]) = named.split_off(..count) {
                pieces.push(Piece::New(label, addresses));
            }
        }
        pieces.push(Piece::Kept(from..self.len()));
        let mut mended = self.join(&pieces, ttl);
        mended.places = match same_labels {
            true => self.places.clone(), // a number for each label, as before
            false => mended.places_by(hash),
        };
        mended
    }

    /// The hosts of these pieces, without places.
    fn join(&self, pieces: &[Piece<'_>], ttl: u32) -> Self {
        let count = pieces.iter().map(|piece| match piece {
            Piece::Kept(hosts) => hosts.len(),
            Piece::New(..) => 1,
        });
        let mut hosts = vec![Host([0; 3]); count.sum()];
        let room = [LABELS, A, AAAA].map(|run| self.octets.get(run).len());
        let mut octets = Vec::with_capacity(room.iter().sum::<usize>() + pieces.len() * 64);
        let (mut ends, mut added) = ([0; 3], vec![]);
        let mut moved = [LABELS, A, AAAA].map(|_| Vec::with_capacity(pieces.len()));
        for run in [LABELS, A, AAAA] {
            let start = octets.len();
            let mut rest = hosts.iter_mut().map(|host| &mut host.0[run]);
            for piece in pieces {
                let at = octets.len() - start;
                match piece {
                    Piece::Kept(kept) => {
                        let part = self.part_of(kept, run);
                        octets.extend_from_slice(&self.octets.get(run)[part.clone()]);
                        let [from, to] = [part.start, part.end].map(|octet| octet as u32);
                        let by = (at as u32).wrapping_sub(from);
                        for (host, begin) in self.hosts[kept.clone()].iter().zip(&mut rest) {
                            *begin = host.0[run].wrapping_add(by);
                        }
                        moved[run].push(Moved { from, to, by });
                    }
                    Piece::New(label, addresses) => {
                        if let Some(begin) = rest.next() {
                            *begin = at as u32;
                        }
                        if run == LABELS {
                            octets.extend_from_slice(label);
                        }
                        for (_, address) in addresses.iter().filter(|it| run_of(it.1) == run) {
                            added.push((*address, AddressAt::new(*address, octets.len() - start)));
                            encode_address(*address, ttl, &mut octets);
                        }
                    }
                }
            }
            ends[run] = octets.len() as u32;
        }
        octets.shrink_to_fit();
        added.sort_unstable();
        Self {
            octets: Parts::of(octets, ends),
            hosts: hosts.into(),
            places: Places::default(),
            by_address: self.join_addresses(&moved, &added),
        }
    }

    /// The part of a run that belongs to these hosts.
    fn part_of(&self, hosts: &Range<usize>, run: usize) -> Range<usize> {
        let all = self.octets.get(run).len();
        let begin = |host: usize| {
            self.hosts
                .get(host)
                .map_or(all, |host| host.0[run] as usize)
        };
        begin(hosts.start)..begin(hosts.end)
    }

    /// The sorted addresses of what was moved, and of what was added.
    fn join_addresses(
        &self,
        moved: &[Vec<Moved>; 3],
        added: &[(IpAddr, AddressAt)],
    ) -> Box<[AddressAt]> {
        let mut rest = &*self.by_address;
        let mut all = Vec::with_capacity(rest.len() + added.len());
        let moved = |at: &AddressAt| at.moved(&moved[at.run()]);
        for (address, at) in added {
            let before = rest.partition_point(|it| self.address(*it) < Some(*address));
            let before = rest.split_off(..before).unwrap_or_default();
            all.extend(before.iter().filter_map(moved));
            all.push(*at);
        }
        all.extend(rest.iter().filter_map(moved));
        all.into()
    }
}

impl AddressAt {
    /// Where it stands now, if it was kept.
    fn moved(self, kept: &[Moved]) -> Option<Self> {
        let offset = self.offset();
        let piece = kept.get(kept.partition_point(|piece| piece.to <= offset))?;
        // The highest bit stays as it is: no run is as long as that.
        (piece.from <= offset).then(|| Self(self.0.wrapping_add(piece.by)))
    }
}
