//! How long an answer may be kept: pure functions of the answer and the bounds. They know neither clock nor cache.

use crate::wire::{Response, Section, effective_ttl, rtype};

/// Longest time for an answer with data, in seconds: what an upstream lets us keep for longer is asked again (RFC 8767 §4
/// recommends a bound of days; a node cannot afford to be wrong for that long).
pub const POSITIVE_MAX: u32 = 3600;
/// Longest time for NXDOMAIN and NODATA, in seconds (RFC 2308 §5 allows up to 3 hours; a name that comes to exist is
/// missed less often when it is asked again earlier).
pub const NEGATIVE_MAX: u32 = 900;
/// A failure is remembered for this long at first, in seconds (RFC 9520 §3.2: at least 1) …
const FAILURE_MIN: u32 = 1;
/// … and never for longer than this (RFC 9520 §3.2 allows 5 minutes; RFC 2308 §7 too). A node must notice soon that its
/// upstream is back.
pub const FAILURE_MAX: u32 = 5;

/// For how long an answer may still be given after its time while nobody gives a newer one, in seconds (RFC 8767 §5
/// recommends 1 to 3 days; on a node, addresses change hands sooner).
pub const STALE_MAX: u32 = 3600;

/// An answer with more aliases than this is for those who wait: no sane zone has such a chain, and a hostile one fills the cache
/// with them (CacheFlush, USENIX Security 2024).
const ALIASES_MAX: usize = 16;
/// The same for an answer with more records than this.
const RECORDS_MAX: usize = 256;

/// Upper bounds of one route, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of answers with data.
    pub positive: u32,
    /// Of NXDOMAIN and NODATA; 0 keeps none of them, as the cluster's own names need it.
    pub negative: u32,
    /// Of the time after an answer's own time in which it may still be given; 0 keeps nothing for longer than it is good.
    pub stale: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            positive: POSITIVE_MAX,
            negative: NEGATIVE_MAX,
            stale: STALE_MAX,
        }
    }
}

/// What the rules say about one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    /// Seconds for which it is good; 0: for those who wait for it, and nobody else.
    pub(super) good_for: u32,
    /// No record is passed on with a longer TTL than this, so that nobody downstream keeps the answer beyond the bounds.
    pub(super) ttl_max: u32,
    /// Is it NXDOMAIN or NODATA?
    pub(super) negative: bool,
}

/// NOERROR and NXDOMAIN by their records; every other code is a failure, whose time is [`failure`].
pub(super) fn lifetime(response: &Response, bounds: Bounds) -> Lifetime {
    const NOERROR: u16 = 0;
    const NXDOMAIN: u16 = 3;
    let rcode = response.rcode();
    let has_data = response.marks().iter().any(|mark| {
        mark.section == Section::Answer
            && (mark.rtype == response.qtype || response.qtype == rtype::ANY)
    });
    let lifetime = match rcode {
        NOERROR if has_data => positive(response, bounds.positive),
        NOERROR | NXDOMAIN => negative(response, bounds.negative),
        _ => Lifetime {
            good_for: 0,
            ttl_max: 0,
            negative: false,
        },
    };
    let is_small = response.marks().len() <= RECORDS_MAX && response.aliases() <= ALIASES_MAX;
    Lifetime {
        good_for: if is_small { lifetime.good_for } else { 0 },
        ..lifetime
    }
}

/// The smallest TTL of all records, OPT apart. Not of the answer section alone: the message is given away as a whole, and a
/// record must not be given away after its time (RFC 1035 §3.2.1), in whatever section it stands.
fn positive(response: &Response, bound: u32) -> Lifetime {
    Lifetime {
        good_for: smallest_ttl(response).unwrap_or(0).min(bound),
        ttl_max: bound,
        negative: false,
    }
}

/// The smaller of the SOA's TTL and its MINIMUM (RFC 2308 §5), which is also what its TTL becomes. A CNAME in front of
/// what does not exist counts as well (§2.1, §2.2). Without SOA the answer is not kept (§5): a referral or a broken server.
fn negative(response: &Response, bound: u32) -> Lifetime {
    let soa = response.negative_soa();
    let ttl = soa.map_or(0, |soa| {
        effective_ttl(soa.ttl).min(effective_ttl(soa.minimum))
    });
    let ttl_max = ttl.min(bound);
    Lifetime {
        good_for: smallest_ttl(response).unwrap_or(0).min(ttl_max),
        ttl_max,
        negative: true,
    }
}

fn smallest_ttl(response: &Response) -> Option<u32> {
    let ttls = response.marks().iter().map(|mark| effective_ttl(mark.ttl));
    ttls.min()
}

/// For how long the `nth` failure in a row is remembered, in seconds: 1, 2, 4, 5, 5 … (RFC 9520 §3.2). `nth` counts from 0.
pub const fn failure(nth: u32) -> u32 {
    let doubled = FAILURE_MIN << if nth < 8 { nth } else { 8 };
    if doubled < FAILURE_MAX {
        doubled
    } else {
        FAILURE_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::tests::response;

    const SOA: &str = "example.org. 300 IN SOA ns.example.org. admin.example.org. 1 2 3 4 60";

    fn kept(rcode: u8, answer: &[&str], authority: &[&str]) -> (u32, u32) {
        let response = response("www.example.org. A", rcode, [answer, authority, &[]]);
        let lifetime = lifetime(&response, Bounds::default());
        (lifetime.good_for, lifetime.ttl_max)
    }

    #[test]
    fn an_answer_is_good_for_its_smallest_ttl_within_the_bound() {
        let a = |ttl: u32| format!("www.example.org. {ttl} IN A 192.0.2.1");
        let ns = "example.org. 20 IN NS ns.example.org.";
        assert_eq!(kept(0, &[&a(60), &a(30)], &[]), (30, 3600));
        assert_eq!(kept(0, &[&a(60)], &[ns]), (20, 3600));
        assert_eq!(kept(0, &[&a(86_400)], &[]), (3600, 3600));
        assert_eq!(kept(0, &[&a(0), &a(30)], &[]), (0, 3600));
    }

    #[test]
    fn rfc_2181_8_a_ttl_of_2_to_the_31_is_zero() {
        let mut message = response("a. A", 0, [&["a. 60 IN A 192.0.2.1"], &[], &[]])
            .message()
            .to_vec();
        let ttl_at = message.len() - 10;
        message[ttl_at..ttl_at + 4].copy_from_slice(&0x8000_0000_u32.to_be_bytes());
        let response = Response::parse(message).unwrap();
        assert_eq!(lifetime(&response, Bounds::default()).good_for, 0);
    }

    #[test]
    fn rfc_2308_5_a_negative_answer_is_good_for_the_smaller_of_soa_ttl_and_minimum() {
        let long = "example.org. 3000 IN SOA ns.example.org. admin.example.org. 1 2 3 4 7200";
        let short = "example.org. 30 IN SOA ns.example.org. admin.example.org. 1 2 3 4 60";
        for rcode in [0, 3] {
            assert_eq!(kept(rcode, &[], &[SOA]), (60, 60));
            assert_eq!(kept(rcode, &[], &[short]), (30, 30));
            assert_eq!(kept(rcode, &[], &[long]), (900, 900));
            assert_eq!(kept(rcode, &[], &[]), (0, 0), "no SOA");
        }
    }

    #[test]
    fn rfc_2308_2_an_alias_of_what_does_not_exist_is_negative() {
        let alias = "www.example.org. 10 IN CNAME gone.example.org.";
        assert_eq!(kept(0, &[alias], &[SOA]), (10, 60));
        assert_eq!(kept(3, &[alias], &[SOA]), (10, 60));
        assert_eq!(kept(0, &[alias], &[]), (0, 0), "no SOA");
    }

    #[test]
    fn more_than_16_aliases_or_256_records_are_not_kept() {
        let a = |n: usize| format!("www.example.org. 60 IN A 192.0.{}.{}", n / 256, n % 256);
        let alias = |n: usize| format!("n{n}.example.org. 60 IN CNAME n{}.example.org.", n + 1);
        let good_for = |lines: Vec<String>| {
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            kept(0, &lines, &[]).0
        };
        let chain = |aliases| (0..aliases).map(alias).chain([a(0)]).collect();
        assert_eq!([good_for(chain(16)), good_for(chain(17))], [60, 0]);
        let set = |records| (0..records).map(a).collect();
        assert_eq!([good_for(set(256)), good_for(set(257))], [60, 0]);
    }

    #[test]
    fn a_negative_bound_of_zero_keeps_no_negative_answer_and_says_so_downstream() {
        let bounds = Bounds {
            negative: 0,
            ..Bounds::default()
        };
        let response = response("www.example.org. A", 3, [&[], &[SOA], &[]]);
        let expected = Lifetime {
            good_for: 0,
            ttl_max: 0,
            negative: true,
        };
        assert_eq!(lifetime(&response, bounds), expected);
    }

    #[test]
    fn other_codes_are_no_answers_to_keep() {
        let a = "www.example.org. 60 IN A 192.0.2.1";
        for rcode in [1, 2, 4, 5, 6, 9] {
            assert_eq!(kept(rcode, &[a], &[SOA]), (0, 0), "{rcode}");
        }
    }

    #[test]
    fn rfc_9520_failures_are_remembered_for_1_growing_to_5_seconds() {
        let times = [0, 1, 2, 3, 4, 1000, u32::MAX].map(failure);
        assert_eq!(times, [1, 2, 4, 5, 5, 5, 5]);
    }
}
