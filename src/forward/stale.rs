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
    let ending = (times.good_for / ENDING_SHARE).max(ENDING_MIN.min(times.good_for / 2));
    match left <= ending && !failed_lately {
        true => State::Ending,
        false => State::Fresh,
    }
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
    fn without_time_to_be_stale_an_answer_dies_with_its_ttl() {
        assert_eq!(states(60, 0, None, &[59_999, 60_000]), [Ending, Dead]);
    }
}
