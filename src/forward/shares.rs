//! How many questions are asked for each client, and how many may be: a flood of one is not to take the places of all. It
//! knows a client by its address, and of a question nothing.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

type Counts = HashMap<IpAddr, usize, foldhash::fast::RandomState>;

/// Who has how many; nobody stands here with none, so that the table is no longer than there are questions under way.
#[derive(Debug)]
pub(super) struct Shares {
    counts: Mutex<Counts>,
    each: usize,
}

/// One question's place in a client's share, until it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    shares: Arc<Shares>,
    client: IpAddr,
}

impl Shares {
    pub(super) fn new(each: usize) -> Arc<Self> {
        Arc::new(Self {
            counts: Mutex::default(),
            each,
        })
    }

    /// A place, if this client has one left.
    pub(super) fn take(self: &Arc<Self>, client: IpAddr) -> Option<Share> {
        let client = client.to_canonical();
        let mut counts = self.counts();
        let count = counts.entry(client).or_default();
        if *count >= self.each {
            return None;
        }
        *count += 1;
        let shares = Arc::clone(self);
        Some(Share { shares, client })
    }

    /// Has this client no place left?
    pub(super) fn is_used_up(&self, client: IpAddr) -> bool {
        let counts = self.counts();
        let count = counts.get(&client.to_canonical());
        count.is_some_and(|count| *count >= self.each)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut counts = self.shares.counts();
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_share_under_whatever_form_of_its_address_and_no_other_clients() {
        let shares = Shares::new(2);
        let client = |text: &str| text.parse::<IpAddr>().unwrap();
        let first = shares.take(client("10.0.0.1")).unwrap();
        let _second = shares.take(client("::ffff:10.0.0.1")).unwrap();
        assert!(shares.is_used_up(client("10.0.0.1")));
        assert!(shares.take(client("10.0.0.1")).is_none());
        assert!(!shares.is_used_up(client("10.0.0.2")));
        let other = shares.take(client("10.0.0.2"));
        assert!(other.is_some());
        drop(first);
        assert!(shares.take(client("10.0.0.1")).is_some());
    }

    #[test]
    fn who_has_nothing_under_way_is_not_remembered() {
        let shares = Shares::new(1);
        for last in 0..=255 {
            let taken = shares.take([10, 0, 0, last].into());
            assert!(taken.is_some());
        }
        assert!(shares.counts().is_empty());
    }
}
