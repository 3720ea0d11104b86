//! What `bench gap` saw: a table, JSON, a timeline, and the series of the Kubernetes performance tests' DNS probe.

use super::{
    chart::{Chart, Drawn, Line, Scale},
    picture::Picture,
    table::aligned,
    time,
};
use crate::bench::gap::{Kind, Measured};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Upper ends of the series' buckets, in seconds: from a poll of milliseconds to a cache of half a minute, and beyond.
const BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
];

/// A row for each server.
pub fn gap(measured: &[Measured]) -> String {
    let mut head = vec!["server".to_owned()];
    head.extend(Kind::ALL.map(|(_, what)| format!("{what} (p50 / p99 / max)")));
    head.extend(["missing", "stale", "never", "asked", "lost"].map(str::to_owned));
    let head: [String; 9] = head.try_into().expect("nine columns");
    let mut rows = vec![head];
    for it in measured {
        let times = |kind| {
            let delays = &it.delays[&kind];
            let at = |percentile| time(delays.value_at_percentile(percentile) as f64 / 1e3);
            match delays.is_empty() {
                true => "-".to_owned(),
                false => format!(
                    "{} / {} / {} of {}",
                    at(50.0),
                    at(99.0),
                    at(100.0),
                    delays.len()
                ),
            }
        };
        rows.push([
            it.server.to_string(),
            times(Kind::Appeared),
            times(Kind::Moved),
            times(Kind::Gone),
            it.negatives.to_string(),
            it.stale.to_string(),
            it.never.to_string(),
            it.asked.to_string(),
            it.lost.to_string(),
        ]);
    }
    aligned(&rows)
}

/// The figures, times in seconds.
pub fn gap_json(measured: &[Measured]) -> String {
    let servers = measured.iter().map(|it| {
        let delays = Kind::ALL.map(|(kind, what)| {
            let delays = &it.delays[&kind];
            let at = |percentile| delays.value_at_percentile(percentile) as f64 / 1e9;
            let what = what.replace(' ', "_") + "_s";
            let figures = json!({"count": delays.len(), "p50": at(50.0), "p90": at(90.0), "p99": at(99.0), "max": at(100.0)});
            (what, figures)
        });
        let mut server: serde_json::Map<String, Value> = delays.into_iter().collect();
        for (key, value) in [
            ("server", json!(it.server.to_string())),
            ("missing", json!(it.negatives)),
            ("stale", json!(it.stale)),
            ("never", json!(it.never)),
            ("asked", json!(it.asked)),
            ("lost", json!(it.lost)),
        ] {
            server.insert(key.to_owned(), value);
        }
        Value::Object(server)
    });
    let whole = json!({"format": 1, "servers": servers.collect::<Vec<_>>()});
    format!("{whole:#}\n")
}

/// The timeline: when each change was, and how long after it each server told of it. A picture for each kind.
pub fn gap_picture(measured: &[Measured]) -> Picture {
    let charts = Kind::ALL.map(|(kind, what)| {
        let line = |(colour, it): (usize, &Measured)| {
            let of_kind = it.told.iter().filter(|told| told.kind == kind);
            let mut points: Vec<_> = of_kind
                .map(|told| (told.at.as_secs_f64(), told.delay.as_secs_f64() * 1e6))
                .collect();
            points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
            Line {
                name: format!("{}: {} changes", it.server, points.len()),
                colour,
                drawn: Drawn::Rings,
                points,
            }
        };
        Chart {
            title: format!("From {what}"),
            x_label: "seconds since the start, at which it changed".to_owned(),
            x: Scale::Linear,
            y: Scale::Logarithmic,
            show: time,
            lines: measured.iter().enumerate().map(line).collect(),
        }
    });
    Picture::stacked(charts.iter().map(Chart::picture))
}

/// The series `probes_dns_propagation_seconds`, from ready to resolvable, by server, as a text file for Prometheus's node exporter.
pub fn gap_prometheus(measured: &[Measured]) -> String {
    const NAME: &str = "probes_dns_propagation_seconds";
    let mut text =
        format!("# HELP {NAME} From a pod's readiness to its name.\n# TYPE {NAME} histogram\n");
    for it in measured {
        let (delays, server) = (&it.delays[&Kind::Appeared], it.server);
        let mut put = |line: std::fmt::Arguments<'_>| {
            writeln!(text, "{NAME}{line}").expect("a text takes everything");
        };
        for bound in BUCKETS {
            let count = delays.count_between(0, (bound * 1e9) as u64);
            put(format_args!(
                "_bucket{{server=\"{server}\",le=\"{bound}\"}} {count}"
            ));
        }
        put(format_args!(
            "_bucket{{server=\"{server}\",le=\"+Inf\"}} {}",
            delays.len()
        ));
        let sum = delays.mean() * delays.len() as f64 / 1e9;
        let sum = if delays.is_empty() { 0.0 } else { sum };
        put(format_args!("_sum{{server=\"{server}\"}} {sum}"));
        put(format_args!(
            "_count{{server=\"{server}\"}} {}",
            delays.len()
        ));
    }
    text
}
