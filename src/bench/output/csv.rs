//! Comma-separated values: a row for each server's whole run, and one for each part of it.

use crate::bench::report::{Report, Server};
use std::fmt::Write as _;

/// Columns of the first row. Times are in the unit that their name ends with.
const COLUMNS: &str =
    "server,span,from_s,to_s,sent,answered,lost,wrong,mean_us,p50_us,p99_us,max_us";

/// The report as RFC 4180 has it. `span` is `run` or `part`.
pub fn csv(report: &Report) -> String {
    let mut text = format!("{COLUMNS}\n");
    for server in &report.servers {
        let Server {
            sent,
            answered,
            lost,
            wrong,
            latency,
            ..
        } = server;
        let name = quoted(&server.server);
        writeln!(
            text,
            "{name},run,0,{:.3},{sent},{answered},{lost},{wrong},{:.1},{:.1},{:.1},{:.1}",
            report.seconds, latency.mean_us, latency.p50_us, latency.p99_us, latency.max_us
        )
        .expect("a text takes everything");
        for part in &server.slices {
            writeln!(
                text,
                "{name},part,{:.3},{:.3},{},{},{},{},{:.1},{:.1},{:.1},{:.1}",
                part.from_s,
                part.to_s,
                part.sent,
                part.answered,
                part.lost,
                part.wrong,
                part.mean_us,
                part.p50_us,
                part.p99_us,
                part.max_us
            )
            .expect("a text takes everything");
        }
    }
    text
}

/// A server's name may hold what a URI may.
fn quoted(text: &str) -> String {
    match text.contains([',', '"']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}
