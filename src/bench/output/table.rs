//! Tables for people.

use super::time;
use crate::bench::{
    report::{Difference, Report},
    resolve::Resolved,
};

/// The summary of a run.
pub fn table(report: &Report) -> String {
    let mut rows = vec![
        [
            "server",
            "answers/s",
            "sent",
            "lost",
            "wrong",
            "failed",
            "p50",
            "p90",
            "p99",
            "p99.9",
            "max",
        ]
        .map(str::to_owned),
    ];
    for server in &report.servers {
        let latency = &server.latency;
        let or_none = |value: f64| match server.answered {
            0 => "-".to_owned(),
            _ => time(value),
        };
        rows.push([
            server.server.clone(),
            format!("{:.0}", server.rate),
            server.sent.to_string(),
            format!("{} ({:.3} %)", server.lost, server.loss() * 100.0),
            server.wrong.to_string(),
            server.failed().to_string(),
            or_none(latency.p50_us),
            or_none(latency.p90_us),
            or_none(latency.p99_us),
            or_none(latency.p999_us),
            or_none(latency.max_us),
        ]);
    }
    let mut text = aligned(&rows);
    for server in &report.servers {
        let kinds = server.kinds.iter().filter(|(_, count)| **count > 0);
        let kinds: Vec<_> = kinds
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        let mut notes = vec![format!("answers: {}", kinds.join(", "))];
        for (count, what) in [
            (server.truncated, "truncated"),
            (server.unexpected, "messages that reply to no query"),
            (server.late, "replies after the time-out"),
            (server.errors, "failures of sockets or connections"),
            (server.unsent, "queries that never left"),
            (server.unfinished, "queries under way at the interruption"),
        ] {
            if count > 0 {
                notes.push(format!("{count} {what}"));
            }
        }
        text += &format!("{}: {}\n", server.server, notes.join("; "));
        if let Some(rate) = server.highest_rate {
            text += &format!(
                "{}: highest rate with at most 0.1 % lost: {rate:.0}/s\n",
                server.server
            );
        }
        for example in &server.examples {
            text += &format!("{}: wrong: {example}\n", server.server);
        }
    }
    text += &changes(&report.differences);
    let generator = &report.generator;
    text += &format!(
        "generator: queries left p50 {}, p99 {}, max {} late\n",
        time(generator.late_p50_us),
        time(generator.late_p99_us),
        time(generator.late_max_us)
    );
    if let Some(why) = &generator.limited {
        text += &format!("THE GENERATOR WAS THE LIMIT: {why}\n");
    }
    if report.interrupted {
        text += &format!("interrupted after {:.1} s\n", report.seconds);
    }
    text
}

/// Differences with their intervals.
pub fn changes(differences: &[Difference]) -> String {
    let line = |it: &Difference| {
        let us = &it.us;
        let sign = if us.mean < 0.0 { "" } else { "+" };
        let sure = if us.is_sure() {
            ""
        } else {
            ", which may be chance"
        };
        format!(
            "{} from {}: {} {sign}{} (95 %: {} to {}{sure})\n",
            it.server,
            it.from,
            it.figure,
            time(us.mean),
            time(us.low),
            time(us.high)
        )
    };
    differences.iter().map(line).collect()
}

/// What looking names up came to.
pub fn resolved(resolved: &Resolved) -> String {
    let Resolved { names, latency, .. } = resolved;
    let share = |count: u64| format!("{:.2} %", count as f64 * 100.0 / (*names).max(1) as f64);
    let mut text = format!(
        "{names} names: {} found, {} not found, {} failed; {} by {}\n",
        resolved.found,
        resolved.not_found,
        resolved.failed,
        resolved.library,
        resolved
            .servers
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    );
    if *names > 0 {
        text += &format!(
            "each: mean {}, p50 {}, p90 {}, p99 {}, p99.9 {}, max {}\n",
            time(latency.mean_us),
            time(latency.p50_us),
            time(latency.p90_us),
            time(latency.p99_us),
            time(latency.p999_us),
            time(latency.max_us)
        );
    }
    let mut rows = vec![["up to", "names", "share"].map(str::to_owned)];
    let row = |what: String, count: u64| [what, count.to_string(), share(count)];
    for (bound, count) in &resolved.buckets {
        rows.push(row(time(bound * 1e6), *count));
    }
    rows.push(row("longer".to_owned(), resolved.longer));
    text += &aligned(&rows);
    for (queries, count) in &resolved.queries {
        text += &format!("{queries} queries: {count} names ({})\n", share(*count));
    }
    if resolved.unfinished > 0 {
        text += &format!("{} under way at the interruption\n", resolved.unfinished);
    }
    text
}

/// Columns under each other: the first to the left, the others to the right.
pub(super) fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).enumerate();
        let cells = cells.map(|(nth, (cell, width))| match nth {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}
