//! Where a held answer stands at a moment: good, about to end, or past its time and still to be given (RFC 8767). A pure
//! function of its times; it holds no answer and asks for none.
//!
//! ```text
//!        a tenth before         good_for                              kept_for
//!  Fresh ─────────┼────── Ending ──────────┼─── RefreshDue │ Unrefreshed ───────┼─── Dead
//! ```

use crate::cache::Times;
use std::time::Duration;

/// How long an asker waits for a newer answer while a stale one is at hand (RFC 8767 §5, the client response timer): below
/// the 2 s after which the most impatient stub resolvers ask again.
pub(super) const CLIENT_PATIENCE: Duration = Duration::from_millis(1800);

/// So long after a refresh that failed nobody tries again (RFC 8767 §5, the failure recheck timer).
const RECHECK_AFTER: Duration = Duration::from_secs(30);

/// The end of an answer's time, in which it is refreshed if it is popular: a tenth of its time …
const ENDING_SHARE: u32 = 10;
/// … and not less than this, for upstreams take their time too; but never more than half of it, or a popular answer with
/// a TTL of 1 s would be asked for again as soon as it has come.
const ENDING_MIN: Duration = Duration::from_secs(1);

/// Where an answer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is given.
    Fresh,
    /// It is given; for a popular one a newer one is asked for in the background.
    Ending,
    /// It is past its time. A newer one is asked for, and it is given if that one does not come soon.
    RefreshDue,
    /// It is past its time, and is given at once: a newer one was just asked for in vain.
    Unrefreshed,
    /// It is not given any more.
    Dead,
}

/// Where an answer with these times stands.
pub(super) fn state(times: Times) -> State {
    let failed = times.refresh_failed_at;
    let failed_lately = failed.is_some_and(|at| times.age.saturating_sub(at) < RECHECK_AFTER);
    let Some(left) = times
        .good_for
        .checked_sub(times.age)
        .filter(|it| !it.is_zero())
    else {
        return match failed_lately {
            _ if times.age >= times.kept_for => State::Dead,
            true => State::Unrefreshed,
            false => State::RefreshDue,
        };
    };
    match left <= ending(times.good_for) && !failed_lately {
        true => State::Ending,
        false => State::Fresh,
    }
}

/// For how long an answer that is fresh stays so with the TTLs that it has, which are whole seconds.
pub(super) fn same_for(times: Times) -> Duration {
    let next_second = Duration::from_secs(times.age.as_secs().saturating_add(1));
    let until_ending = times.good_for.saturating_sub(ending(times.good_for));
    let until = match until_ending > times.age {
        true => next_second.min(until_ending),
        false => next_second, // a refresh failed lately
    };
    until.saturating_sub(times.age)
}

fn ending(good_for: Duration) -> Duration {
    (good_for / ENDING_SHARE).max(ENDING_MIN.min(good_for / 2))
}

#[cfg(test)]
mod tests {
    use super::{State::*, *};

    fn states(good_for: u64, stale_for: u64, failed_ms: Option<u64>, at_ms: &[u64]) -> Vec<State> {
        let times = |age| Times {
            age: Duration::from_millis(age),
            good_for: Duration::from_secs(good_for),
            kept_for: Duration::from_secs(good_for + stale_for),
            refresh_failed_at: failed_ms.map(Duration::from_millis),
        };
        at_ms.iter().map(|ms| state(times(*ms))).collect()
    }

    #[test]
    fn an_answer_is_fresh_then_ending_then_stale_then_dead() {
        let at = [0, 53_999, 54_000, 59_999, 60_000, 3_659_999, 3_660_000];
        let expected = [Fresh, Fresh, Ending, Ending, RefreshDue, RefreshDue, Dead];
        assert_eq!(states(60, 3600, None, &at), expected);
    }

    #[test]
    fn the_end_of_a_short_time_is_a_second_long_or_half_of_it() {
        let at = [0, 3_999, 4_000, 5_000];
        assert_eq!(states(5, 9, None, &at), [Fresh, Fresh, Ending, RefreshDue]);
        let at = [0, 499, 500, 999];
        assert_eq!(states(1, 9, None, &at), [Fresh, Fresh, Ending, Ending]);
    }

    #[test]
    fn for_30_seconds_after_a_failed_refresh_none_is_due() {
        let at = [61_000, 61_800, 91_799, 91_800];
        let expected = [Unrefreshed, Unrefreshed, Unrefreshed, RefreshDue];
        assert_eq!(states(60, 3600, Some(61_800), &at), expected);
        let at = [55_000, 59_999, 60_000, 84_999, 85_000];
        let expected = [Fresh, Fresh, Unrefreshed, Unrefreshed, RefreshDue];
        assert_eq!(states(60, 3600, Some(55_000), &at), expected);
        assert_eq!(states(60, 10, Some(60_000), &[70_000]), [Dead]);
    }

    #[test]
    fn what_was_fresh_stays_so_until_its_ttls_change_or_its_end_begins() {
        for (good_for, failed, at, expected) in [
            (60, None, 0, 1000),
            (60, None, 1_300, 700),
            (60, None, 53_500, 500),
            (5, None, 3_999, 1),
            (1, None, 300, 200),
            (60, Some(55_000), 55_200, 800),
            (60, Some(55_000), 59_200, 800),
        ] {
            let seconds = Duration::from_secs;
            let times = Times {
                age: Duration::from_millis(at),
                good_for: seconds(good_for),
                kept_for: seconds(good_for),
                refresh_failed_at: failed.map(Duration::from_millis),
            };
            assert_eq!(same_for(times), Duration::from_millis(expected), "{at}");
            assert_eq!(
                states(good_for, 0, failed, &[at, at + expected - 1]),
                [Fresh; 2]
            );
        }
    }

    #[test]
    fn without_time_to_be_stale_an_answer_dies_with_its_ttl() {
        assert_eq!(states(60, 0, None, &[59_999, 60_000]), [Ending, Dead]);
    }
}
