//! What of a snapshot an answer was made of, so that whoever keeps the answer can tell of a later snapshot whether it would give the
//! same. It knows shards and editions, and not what was answered.

use super::snapshot::{SHARDS, Snapshot, shard_of};

/// What an answer was made of. A snapshot of another index says nothing about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    /// The snapshot's.
    edition: u64,
    /// Of the names that were looked up.
    shards: Option<[u8; 2]>,
    /// The zone's, if the answer tells it.
    serial: Option<u32>,
}

const _: () = assert!(SHARDS <= 1 << u8::BITS, "a shard's number is an octet");

impl Snapshot {
    /// What an answer was made of for which these names were looked up, found or not, and what is known of the sources; with the zone's
    /// serial number in it if it is `negative`.
    pub fn basis(&self, names: Option<[&[u8]; 2]>, negative: bool) -> Basis {
        let shard = |name| shard_of(self.service_hash(name)) as u8;
        Basis {
            edition: self.edition,
            shards: names.map(|names| names.map(shard)),
            serial: negative.then_some(self.serial),
        }
    }

    /// Would an answer that was made of this be the same now?
    pub fn still_has(&self, basis: &Basis) -> bool {
        let is_older = |shard: u8| self.names[usize::from(shard)].edition <= basis.edition;
        self.sources_edition <= basis.edition
            && basis.serial.is_none_or(|serial| serial == self.serial)
            && basis
                .shards
                .is_none_or(|shards| shards.into_iter().all(is_older))
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        index::{
            snapshot::{SHARDS, shard_of},
            tests::options,
            working::Working,
        },
        model::Source,
    };

    const WEB: &[u8] = b"\x03web\x04shop";

    #[test]
    fn an_answer_outlives_every_change_but_those_of_its_own() {
        let mut working = Working::new(options());
        working.set_namespace("shop", true);
        let snapshot = working.publish(1).unwrap();
        let [of_service, negative, of_form] = [
            snapshot.basis(Some([WEB, b"shop"]), false),
            snapshot.basis(Some([WEB, b"shop"]), true),
            snapshot.basis(None, true),
        ];
        let mut still = |change: &dyn Fn(&mut Working), serial| {
            change(&mut working);
            let snapshot = working.publish(serial).unwrap();
            [of_service, negative, of_form].map(|it| snapshot.still_has(&it))
        };
        let shards = [WEB, b"shop"].map(|it| shard_of(snapshot.service_hash(it)));
        let namespaces = (0..10 * SHARDS).map(|n| n.to_string());
        let (own, others): (Vec<_>, Vec<_>) = namespaces
            .partition(|it| shards.contains(&shard_of(snapshot.service_hash(it.as_bytes()))));
        for other in others {
            assert_eq!(still(&|it| it.set_namespace(&other, true), 1), [true; 3]);
        }
        let address = "10.1.0.7".parse().unwrap();
        let pod = |it: &mut Working| it.set_pod("shop", address, true);
        assert_eq!(still(&pod, 1), [true; 3]);
        assert_eq!(still(&pod, 2), [true, false, false]);
        let own = |it: &mut Working| it.set_namespace(&own[0], true);
        assert_eq!(still(&own, 1), [false, false, true]);
        let known = |it: &mut Working| it.set_known(Source::Services, true);
        assert_eq!(still(&known, 1), [false; 3]);
    }

    #[test]
    fn what_is_known_and_stale_counts_and_what_was_so_before_does_not() {
        let mut working = Working::new(options());
        working.set_stale(Source::Services, true);
        let snapshot = working.publish(1).unwrap();
        let basis = snapshot.basis(None, false);
        working.set_stale(Source::Services, true);
        assert!(working.publish(1).is_none());
        assert!(snapshot.still_has(&basis));
        working.set_stale(Source::Services, false);
        assert!(!working.publish(1).unwrap().still_has(&basis));
    }
}
