//! Logs: how they are written, and which. It knows no part.

use std::io::{self, IsTerminal as _};
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

/// Libraries whose users here say what there is to say: the Kubernetes client logs every request that fails as an error, where the feed knows
/// what follows from it and says so once; notify, of every file that is replaced, that its watch cannot be removed.
const SAID_BY_THEIR_USERS: &str = "kube_client=off,notify=off";

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
    let text = format!("{SAID_BY_THEIR_USERS},{text}");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_silent_unless_they_are_asked_for() {
        let silent = filter("info").unwrap().to_string();
        assert_eq!(silent, "kube_client=off,notify=off,info");
        let asked_for = filter("info,kube_client=warn").unwrap().to_string();
        assert_eq!(asked_for, "kube_client=warn,notify=off,info");
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
