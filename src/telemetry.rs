//! Logs: how they are written and how often. It knows no part.

use std::{
    io::{self, IsTerminal as _},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tracing_subscriber::{EnvFilter, util::SubscriberInitExt};

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging was not set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter cannot be read.
    #[error(
        "`{0}` is not a log filter: expected a level such as `info`, or levels by target such as `gapless::feed=debug`"
    )]
    Filter(String),
    /// It is set up once in a process.
    #[error("logging is already set up")]
    AlreadySet(#[from] tracing_subscriber::util::TryInitError),
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The Kubernetes client logs every request that fails as an error; the feed, which knows what follows from it, says so once.
const SAID_BY_THE_FEED: &str = "kube_client=off";

/// Reads a filter in tracing's syntax. A single word must be a level: tracing takes a misspelt one for the name of a target,
/// and logs nothing.
pub fn filter(text: &str) -> Result<EnvFilter, Error> {
    let misspelt = |directive: &str| {
        let word = directive.trim();
        !word.contains(['=', '[']) && !LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level))
    };
    let invalid = || Error::Filter(text.chars().take(80).collect());
    if text.split(',').any(misspelt) {
        return Err(invalid());
    }
    // What is written in the filter comes last, and wins.
    let text = format!("{SAID_BY_THE_FEED},{text}");
    EnvFilter::builder().parse(text).map_err(|_| invalid())
}

/// Sends the process's logs to standard error.
pub fn init(format: Format, level: &str) -> Result<(), Error> {
    let mut lines = tracing_subscriber::fmt()
        .with_env_filter(filter(level)?)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    if !io::stderr().is_terminal() {
        lines = lines.with_ansi(false);
    }
    match format {
        Format::Text => lines.finish().try_init()?,
        Format::Json => lines.json().flatten_event(true).finish().try_init()?,
    }
    Ok(())
}

/// Lets something be said at most once per interval, and counts what was not said.
#[derive(Debug)]
pub struct Limited {
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    said: Option<Instant>,
    suppressed: u64,
}

impl Limited {
    /// At most once per `interval`.
    pub const fn new(interval: Duration) -> Self {
        Self {
            interval,
            state: Mutex::new(State {
                said: None,
                suppressed: 0,
            }),
        }
    }

    /// `Some` if it may be said at `now`, with how often it was not said since the last time.
    pub fn permit(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |said| now.saturating_duration_since(said) < self.interval;
        if state.said.is_some_and(recent) {
            state.suppressed += 1;
            return None;
        }
        state.said = Some(now);
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "any instant serves as the first")]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_an_interval_with_the_count_of_what_was_not() {
        let warning = Limited::new(Duration::from_secs(10));
        let start = Instant::now();
        let said: Vec<_> = [0, 1, 9, 10, 11, 30]
            .map(|second| warning.permit(start + Duration::from_secs(second)))
            .into();
        assert_eq!(said, [Some(0), None, None, Some(2), None, Some(1)]);
    }

    #[test]
    fn the_kubernetes_client_is_silent_unless_it_is_asked_for() {
        let silent = filter("info").unwrap().to_string();
        assert_eq!(silent, "kube_client=off,info");
        let asked_for = filter("info,kube_client=warn").unwrap().to_string();
        assert_eq!(asked_for, "kube_client=warn,info");
    }

    #[test]
    fn a_filter_is_levels_and_targets() {
        for good in [
            "info",
            "WARN",
            "info,gapless::feed=debug",
            "off",
            "[span]=trace",
        ] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["", "infoo", "info,feed", "gapless=loud", "a=b=c"] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }
}
