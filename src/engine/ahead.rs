//! What a batch of queries will read, in the thread's own memory of replies and then in the index, brought into the processor's caches for
//! all of them at once: one after the other, each would wait for memory several times. It answers nothing, and what it takes for a
//! service's name may be none.

use super::recent::{Place, Recent};
use crate::{
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
    /// None without a memory of replies.
    places: Option<[Place; AT_ONCE]>,
}

impl<'s> ReadAhead<'s> {
    /// For queries in these packets.
    pub(super) fn of<'p>(
        snapshot: &'s Snapshot,
        recent: Option<&Recent>,
        packets: impl ExactSizeIterator<Item = &'p [u8]> + Clone,
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

    /// Where a recent reply would stand.
    pub(super) fn place(self) -> Option<Place> {
        self.0
            .and_then(|(found, n)| found.places.as_ref()?.get(n).copied())
    }
}

impl<'s> Found<'s> {
    fn of<'p>(
        snapshot: &'s Snapshot,
        recent: Option<&Recent>,
        packets: impl ExactSizeIterator<Item = &'p [u8]> + Clone,
    ) -> Self {
        let mut is_known = [false; AT_ONCE];
        let places = recent.map(|recent| {
            let mut places = [Place::default(); AT_ONCE];
            for (place, packet) in places.iter_mut().zip(packets.clone()) {
                *place = recent.place(packet);
            }
            recent.read_ahead(&places[..packets.len().min(AT_ONCE)], &mut is_known);
            places
        });
        let zone_labels = snapshot.options().zone.label_count();
        let mut lowered = [0; MAX_NAME_LEN];
        let (mut services, mut count) = ([None; AT_ONCE], 0);
        for ((nth, packet), is_known) in packets.enumerate().zip(is_known) {
            if !is_known && let Some((key, below)) = asked(packet, zone_labels, &mut lowered) {
                let below = below.map(|label| snapshot.host_hash(label));
                services[nth] = Some((snapshot.service_hash(key), below));
                count = nth + 1;
            }
        }
        let index = snapshot.read_ahead(&services[..count]);
        Self { index, places }
    }
}

/// The service that a name of the form `….<service>.<namespace>.svc.<zone>` is about, and what is below it, a host by its label; in lower
/// case, labels of the service with their lengths in front. The zone's labels are only counted.
fn asked<'k>(
    packet: &[u8],
    zone_labels: usize,
    lowered: &'k mut [u8; MAX_NAME_LEN],
) -> Option<(&'k [u8], Below<&'k [u8]>)> {
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
    let svc = count.checked_sub(zone_labels + 1).filter(|svc| *svc >= 2)?;
    let label = packet.get(starts[svc]..starts[svc] + 4)?;
    label.eq_ignore_ascii_case(b"\x03svc").then_some(())?;
    let from = if svc == 3 { starts[0] } else { starts[svc - 2] };
    let lowered = wire::copy_lowercase(packet.get(from..starts[svc])?, lowered)?;
    let (host, service) = lowered.split_at(starts[svc - 2] - from);
    let below = match (host, svc) {
        ([_, label @ ..], _) => Below::Host(label),
        (_, 2) => Below::Nothing,
        _ => Below::Port,
    };
    Some((service, below))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &[&str], expected: Option<(&[u8], Below<&[u8]>)>) {
        let mut packet = vec![0; HEADER_LEN];
        for label in name {
            packet.push(label.len() as u8);
            packet.extend_from_slice(label.as_bytes());
        }
        packet.extend([0, 0, 28, 0, 1]);
        let mut lowered = [0; MAX_NAME_LEN];
        assert_eq!(asked(&packet, 2, &mut lowered), expected, "{name:?}");
    }

    #[test]
    fn the_service_of_a_name_is_found_wherever_it_stands_in_it() {
        let web = b"\x03web\x04shop".as_slice();
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
            check(name, Some((web, below)));
        }
    }

    #[test]
    fn every_other_name_has_none() {
        for name in [
            &["WWW", "example", "com"][..],
            &["shop", "svc", "cluster", "local"],
            &["a", "b", "pod", "cluster", "local"],
            &["local"],
            &[],
        ] {
            check(name, None);
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
            assert_eq!(asked(&packet, 2, &mut lowered), None, "{end:?}");
        }
    }
}
