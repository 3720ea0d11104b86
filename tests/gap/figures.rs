//! From times to a table: median, 99th percentile and maximum. It knows nothing of what was measured.

use std::{fmt, time::Duration};

/// Times, to be printed as `median / p99 / max`.
#[derive(Default)]
pub struct Times(pub Vec<Duration>);

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut times = self.0.clone();
        times.sort();
        if times.is_empty() {
            return f.write_str("- / - / -");
        }
        // The nearest rank: the smallest time that so many of 100 do not exceed.
        let [median, p99, max] = [50, 99, 100].map(|percent| {
            let rank = (times.len() * percent).div_ceil(100);
            in_words(times[rank.max(1) - 1])
        });
        write!(f, "{median} / {p99} / {max}")
    }
}

fn in_words(time: Duration) -> String {
    match time.as_millis() {
        0..1000 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        _ => format!("{:.2} s", time.as_secs_f64()),
    }
}

#[test]
fn times_are_given_by_nearest_rank() {
    let ms = Duration::from_millis;
    let hundred = Times((1..=100).rev().map(ms).collect());
    assert_eq!(hundred.to_string(), "50.0 ms / 99.0 ms / 100.0 ms");
    assert_eq!(
        Times(vec![ms(1500)]).to_string(),
        "1.50 s / 1.50 s / 1.50 s"
    );
    assert_eq!(Times(vec![]).to_string(), "- / - / -");
}
