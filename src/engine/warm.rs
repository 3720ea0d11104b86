//! What a batch of queries will read in the index, brought into the processor's caches for all of them at once: one after
//! the other, each would wait for memory several times. It answers nothing, and what it takes for a service's name may be none.

use crate::{
    index::{Below, Snapshot},
    wire::HEADER_LEN,
};

/// With fewer, there is nothing to wait for at once.
const WORTH_IT: usize = 4;
/// Labels of a name that are looked at; the longest search path stays well below.
const MAX_LABELS: usize = 32;
/// Longest `<host>.<service>.<namespace>`, each with its length in front.
const MAX_KEY_LEN: usize = 3 * 64;

/// Touches the records of the services below which the queries' names seem to be.
pub(super) fn warm<'p>(snapshot: &Snapshot, packets: impl ExactSizeIterator<Item = &'p [u8]>) {
    if packets.len() < WORTH_IT {
        return;
    }
    let zone_labels = snapshot.options().zone.label_count();
    let mut key = [0; MAX_KEY_LEN];
    snapshot.warm(packets.filter_map(|packet| {
        let (below, service) = labels(packet, zone_labels, &mut key)?;
        let below = below.map(|label| snapshot.host_hash(label));
        Some((snapshot.service_hash(service), below))
    }));
}

/// Finds `<service>.<namespace>` in `….<service>.<namespace>.svc.<zone>`, with their lengths, and what is asked for below it, a
/// host by its label; in lower case. The zone's labels are only counted.
fn labels<'k>(
    packet: &[u8],
    zone_labels: usize,
    key: &'k mut [u8; MAX_KEY_LEN],
) -> Option<(Below<&'k [u8]>, &'k [u8])> {
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
    let svc = count.checked_sub(zone_labels + 1)?;
    let (service, to) = (starts[svc.checked_sub(2)?], starts[svc]);
    if !packet.get(to..to + 4)?.eq_ignore_ascii_case(b"\x03svc") {
        return None;
    }
    let from = if svc == 3 { starts[0] } else { service };
    let found = packet.get(from..to)?;
    let key = key.get_mut(..found.len())?;
    key.copy_from_slice(found);
    key.make_ascii_lowercase();
    let (host, service) = key.split_at(service - from);
    let below = match (host, svc) {
        ([_, label @ ..], _) => Below::Host(label),
        (_, 2) => Below::Nothing,
        _ => Below::Port,
    };
    Some((below, service))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &[&str], expected: Option<(Below<&[u8]>, &[u8])>) {
        let mut packet = vec![0; HEADER_LEN];
        for label in name {
            packet.push(label.len() as u8);
            packet.extend_from_slice(label.as_bytes());
        }
        packet.extend([0, 0, 1, 0, 1]);
        let mut key = [0; MAX_KEY_LEN];
        assert_eq!(labels(&packet, 2, &mut key), expected, "{name:?}");
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
            check(name, Some((below, web)));
        }
        for name in [
            &["www", "example", "com"][..],
            &["shop", "svc", "cluster", "local"],
            &["a", "b", "pod", "cluster", "local"],
            &[],
            &["x"; 40],
        ] {
            check(name, None);
        }
    }

    #[test]
    fn a_name_that_does_not_end_or_is_compressed_has_none() {
        let mut key = [0; MAX_KEY_LEN];
        for end in [&[][..], &[0xC0, 0x0C], &[5, b'a'], &[0xFF]] {
            let mut packet = vec![0; HEADER_LEN];
            packet.extend_from_slice(b"\x03web\x04shop\x03svc");
            packet.extend_from_slice(end);
            assert_eq!(labels(&packet, 0, &mut key), None, "{end:?}");
        }
    }
}
