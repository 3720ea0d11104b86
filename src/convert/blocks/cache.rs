//! `cache`: how long answers are kept. There is one cache, so that of `.` counts.

use super::{Found, seconds};
use crate::convert::corefile::Directive;

/// The longest that `cache.max_ttl` takes.
const MAX_TTL: u64 = 3600;
/// The longest that `cache.max_stale` takes.
const MAX_STALE: u64 = 72 * 3600;
const WITHOUT_TIME: &str = "3600";

pub(super) fn read(found: &mut Found, it: &Directive, zones: &[String]) {
    if !zones.iter().any(|zone| zone == ".") {
        // The cluster's names are not kept, and neither is what says that there is no such name.
        found.left_out(it, "not carried over; there is one cache, as that of `.` says, and it holds no names of the cluster");
        return;
    }
    if let Some(ttl) = it.arguments.first() {
        for key in ["max_ttl", "max_negative_ttl"] {
            keep(found, it, key, ttl, MAX_TTL);
        }
    }
    for option in &it.body {
        match (option.name.as_str(), option.arguments.as_slice()) {
            ("success" | "denial", [_, ttl, ..]) => {
                let key = if option.name == "success" {
                    "max_ttl"
                } else {
                    "max_negative_ttl"
                };
                keep(found, option, key, ttl, MAX_TTL);
                found.left_out(
                    option,
                    "its time only; `cache.size` is in octets, and no time is made longer",
                );
            }
            ("success" | "denial", _) => {
                found.left_out(option, "not carried over; `cache.size` is in octets")
            }
            ("serve_stale", times) => {
                let time = times.first().map_or(WITHOUT_TIME, String::as_str);
                keep(found, option, "max_stale", time, MAX_STALE);
            }
            ("disable", _) => found.left_out(
                option,
                "not carried over; names of the cluster are never kept, and all others are",
            ),
            ("prefetch", _) => found.left_out(
                option,
                "by its own measure, and for every name (`cache.prefetch`)",
            ),
            ("servfail", _) => found.left_out(
                option,
                "not carried over; failures are remembered for 1 s growing to 5 s",
            ),
            _ => found.left_out(option, "not carried over; there is no such thing here"),
        }
    }
}

/// A time within the key's range.
fn keep(found: &mut Found, it: &Directive, key: &'static str, time: &str, longest: u64) {
    match seconds(time) {
        Some(time) => {
            let kept = time.min(longest);
            if kept < time {
                found.left_out(it, &format!("as {kept}s, the longest that is taken"));
            }
            found.keys.cache.insert(key, format!("{kept}s"));
        }
        None => found.left_out(it, &format!("not carried over; `{time}` is not a time")),
    }
}
