//! What a batch of queries will read in the index, and in the thread's own memory of recent answers, brought into the
//! processor's caches for all of them at once: one after the other, each would wait for memory several times. It answers
//! nothing, and what it takes for a service's name may be none.

use crate::{
    cache::{Place, Recent},
    index::{self, AT_ONCE, Below, Snapshot},
    wire::{self, HEADER_LEN, MAX_NAME_LEN},
};

/// With fewer, there is nothing to wait for at once.
const WORTH_IT: usize = 4;
/// Labels of a name that are looked at; the longest search path stays well below.
const MAX_LABELS: usize = 32;

/// What was found for one query, if something was looked for. It is read where it stands: a copy would be waited for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ahead<'a, 's>(Option<(&'a Found<'s>, usize)>);

/// The same for each of a batch, if that was worth it.
#[derive(Debug)]
pub struct ReadAhead<'s>(Option<Found<'s>>);

#[derive(Debug)]
struct Found<'s> {
    index: [index::Ahead<'s>; AT_ONCE],
    places: [Option<Place>; AT_ONCE],
}

impl<'s> ReadAhead<'s> {
    /// For queries in these packets.
    pub(super) fn of<'p>(
        snapshot: &'s Snapshot,
        recent: Option<&Recent>,
        packets: impl ExactSizeIterator<Item = &'p [u8]>,
    ) -> Self {
        // Not by a closure: 3 KiB of what it gives, be it nothing, would be copied.
        if packets.len() < WORTH_IT {
            return Self(None);
        }
        Self(Some(Found::of(snapshot, recent, packets)))
    }

    /// For the Nth of the batch.
    pub fn nth(&self, n: usize) -> Ahead<'_, 's> {
        Ahead(self.0.as_ref().map(|found| (found, n)))
    }
}

impl<'s> Ahead<'_, 's> {
    /// In the index.
    pub(super) fn index(self) -> index::Ahead<'s> {
        let found = self.0.and_then(|(found, n)| found.index.get(n));
        found.copied().unwrap_or_default()
    }

    /// Where a recent answer would stand.
    pub(super) fn place(self) -> Option<Place> {
        self.0.and_then(|(found, n)| *found.places.get(n)?)
    }
}

impl<'s> Found<'s> {
    fn of<'p>(
        snapshot: &'s Snapshot,
        recent: Option<&Recent>,
        packets: impl ExactSizeIterator<Item = &'p [u8]>,
    ) -> Self {
        let recent = recent.filter(|recent| !recent.is_empty());
        let zone_labels = snapshot.options().zone.label_count();
        let mut lowered = [0; MAX_NAME_LEN];
        let (mut services, mut places) = ([None; AT_ONCE], [None; AT_ONCE]);
        let count = packets.len().min(AT_ONCE);
        for ((service, place), packet) in services.iter_mut().zip(&mut places).zip(packets) {
            match asked(packet, zone_labels, recent.is_some(), &mut lowered) {
                Some(Asked::Service(key, below)) => {
                    let below = below.map(|label| snapshot.host_hash(label));
                    *service = Some((snapshot.service_hash(key), below));
                }
                Some(Asked::Other(name, qtype)) => {
                    *place = recent.map(|recent| recent.place(name, qtype));
                }
                None => {}
            }
        }
        if let Some(recent) = recent {
            recent.warm(&places[..count]);
        }
        let index = snapshot.read_ahead(&services[..count]);
        Self { index, places }
    }
}

/// What a query seems to be about; names are in lower case, labels have their lengths in front.
#[derive(Debug, PartialEq, Eq)]
enum Asked<'k> {
    /// `<service>.<namespace>`, and what is below it, a host by its label.
    Service(&'k [u8], Below<&'k [u8]>),
    /// Another name, with its root, and the type that is asked for.
    Other(&'k [u8], u16),
}

/// Tells `….<service>.<namespace>.svc.<zone>` from other names, which are read only if they are wanted. The zone's labels are
/// only counted.
fn asked<'k>(
    packet: &[u8],
    zone_labels: usize,
    others: bool,
    lowered: &'k mut [u8; MAX_NAME_LEN],
) -> Option<Asked<'k>> {
    let mut starts = [0; MAX_LABELS];
    let (mut count, mut at) = (0, HEADER_LEN);
    loop {
        match *packet.get(at)? {
            0 => break,
            len @ 1..=63 => {
                *starts.get_mut(count)? = at;
                count += 1;
                at += usize::from(len) + 1;
            }
            _ => return None,
        }
    }
    let svc = count.checked_sub(zone_labels + 1).filter(|svc| {
        let label = packet.get(starts[*svc]..starts[*svc] + 4);
        *svc >= 2 && label.is_some_and(|it| it.eq_ignore_ascii_case(b"\x03svc"))
    });
    let (from, to) = match svc {
        Some(3) => (starts[0], starts[3]),
        Some(svc) => (starts[svc - 2], starts[svc]),
        None if others => (HEADER_LEN, at + 1),
        None => return None,
    };
    let lowered = wire::copy_lowercase(packet.get(from..to)?, lowered)?;
    let Some(svc) = svc else {
        let qtype = packet.get(to..)?.first_chunk().copied()?;
        return Some(Asked::Other(lowered, u16::from_be_bytes(qtype)));
    };
    let (host, service) = lowered.split_at(starts[svc - 2] - from);
    let below = match (host, svc) {
        ([_, label @ ..], _) => Below::Host(label),
        (_, 2) => Below::Nothing,
        _ => Below::Port,
    };
    Some(Asked::Service(service, below))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &[&str], expected: Asked<'_>) {
        let mut packet = vec![0; HEADER_LEN];
        for label in name {
            packet.push(label.len() as u8);
            packet.extend_from_slice(label.as_bytes());
        }
        packet.extend([0, 0, 28, 0, 1]);
        let mut lowered = [0; MAX_NAME_LEN];
        let is_other = matches!(expected, Asked::Other(..));
        let found = asked(&packet, 2, true, &mut lowered);
        assert_eq!(found, Some(expected), "{name:?}");
        let found = asked(&packet, 2, false, &mut lowered);
        assert_eq!(found.is_none(), is_other, "{name:?}");
    }

    #[test]
    fn the_service_of_a_name_is_found_wherever_it_stands_in_it() {
        let web = b"\x03web\x04shop";
        for (name, below) in [
            (
                &["web", "shop", "svc", "cluster", "local"][..],
                Below::Nothing,
            ),
            (&["Web", "SHOP", "SVC", "cluster", "local"], Below::Nothing),
            (
                &["Web-0", "web", "shop", "svc", "cluster", "local"],
                Below::Host(b"web-0".as_slice()),
            ),
            (
                &["_http", "_tcp", "web", "shop", "svc", "cluster", "local"],
                Below::Port,
            ),
        ] {
            check(name, Asked::Service(web, below));
        }
    }

    #[test]
    fn every_other_name_is_one_that_may_have_been_answered() {
        for (name, wire) in [
            (
                &["WWW", "example", "com"][..],
                b"\x03www\x07example\x03com\0".as_slice(),
            ),
            (
                &["shop", "svc", "cluster", "local"],
                b"\x04shop\x03svc\x07cluster\x05local\0",
            ),
            (
                &["a", "b", "pod", "cluster", "local"],
                b"\x01a\x01b\x03pod\x07cluster\x05local\0",
            ),
            (&[], b"\0"),
        ] {
            check(name, Asked::Other(wire, 28));
        }
    }

    #[test]
    fn a_name_that_is_too_long_does_not_end_or_is_compressed_has_none() {
        let mut lowered = [0; MAX_NAME_LEN];
        let label = [&[63][..], &[b'x'; 63]].concat();
        for end in [
            &[][..],
            &[0xC0, 0x0C],
            &[5, b'a'],
            &[0xFF],
            &[0],
            &[0, 0],
            &[1, b'x'].repeat(40),
            &[&label.repeat(4)[..], &[0, 0, 1]].concat(),
        ] {
            let mut packet = vec![0; HEADER_LEN];
            packet.extend_from_slice(b"\x03web\x04shop");
            packet.extend_from_slice(end);
            assert_eq!(asked(&packet, 2, true, &mut lowered), None, "{end:?}");
        }
    }
}
