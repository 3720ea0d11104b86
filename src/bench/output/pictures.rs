//! The pictures of a report, as one or within a page that needs nothing beside itself.

use super::{
    changes,
    chart::{Chart, Drawn, Line, Scale},
    picture::{Picture, escaped},
    time,
};
use crate::bench::report::{Difference, Part, Report, Server};
use std::fmt::Write as _;

/// Percentiles that are written on the axis.
const WRITTEN: [f64; 6] = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99];

/// So far to the right a percentile lies: each nine as wide as the one before. Behind 99.999 there is only the maximum.
fn nines(percentile: f64) -> f64 {
    -((100.0 - percentile) / 100.0).max(1e-5).log10()
}

fn charts(servers: &[(String, &Server)]) -> [Chart; 3] {
    let lines = |of: &dyn Fn(&str, usize, &Server) -> Vec<Line>| -> Vec<Line> {
        let servers = servers.iter().enumerate();
        servers
            .flat_map(|(nth, (name, it))| of(name, nth, it))
            .collect()
    };
    let over_time = |server: &Server, of: fn(&Part) -> f64| {
        let parts = server.slices.iter();
        parts
            .map(|part| (f64::midpoint(part.from_s, part.to_s), of(part)))
            .collect()
    };
    let percentiles = lines(&|name, colour, server| {
        let last = server.answered as f64;
        // More nines than answers say nothing.
        let known = |(p, _): &&(f64, f64)| *p < 100.0 && (1.0 - p / 100.0) * last >= 1.0;
        let points = server.latency.percentiles.iter().filter(known);
        vec![Line {
            name: name.to_owned(),
            colour,
            drawn: Drawn::Line,
            points: points.map(|(p, us)| (nines(*p), *us)).collect(),
        }]
    });
    let latencies = lines(&|name, colour, server| {
        let line = |figure: &str, drawn, of| Line {
            name: format!("{name}, {figure}"),
            colour,
            drawn,
            points: over_time(server, of),
        };
        vec![
            line("p50", Drawn::Line, |part| part.p50_us),
            line("p99", Drawn::Dashes, |part| part.p99_us),
        ]
    });
    let rates = lines(&|name, colour, server| {
        let line = |figure: &str, drawn, of| Line {
            name: format!("{name}, {figure}"),
            colour,
            drawn,
            points: over_time(server, of),
        };
        vec![
            line("answered", Drawn::Line, |part| {
                part.answered as f64 / (part.to_s - part.from_s)
            }),
            line("lost", Drawn::Dashes, |part| {
                part.lost as f64 / (part.to_s - part.from_s)
            }),
        ]
    });
    let written = WRITTEN.map(|it| (nines(it), format!("{it} %")));
    [
        Chart {
            title: "Latency by percentile".to_owned(),
            x_label: "share of the queries that took no longer".to_owned(),
            x: Scale::Places(written.into()),
            y: Scale::Logarithmic,
            show: time,
            lines: percentiles,
        },
        Chart {
            title: "Latency over time".to_owned(),
            x_label: "seconds since the start".to_owned(),
            x: Scale::Linear,
            y: Scale::Logarithmic,
            show: time,
            lines: latencies,
        },
        Chart {
            title: "Queries a second".to_owned(),
            x_label: "seconds since the start".to_owned(),
            x: Scale::Linear,
            y: Scale::Linear,
            show: |rate| format!("{rate:.0}"),
            lines: rates,
        },
    ]
}

/// Servers with the names under which they are drawn.
fn named<'r>(reports: &[(&str, &'r Report)]) -> Vec<(String, &'r Server)> {
    let all = reports.iter().flat_map(|(prefix, report)| {
        let servers = report.servers.iter();
        servers.map(move |it| (format!("{prefix}{}", it.server), it))
    });
    all.collect()
}

/// The pictures one below the other.
pub fn picture(report: &Report) -> Picture {
    let charts = charts(&named(&[("", report)]));
    Picture::stacked(charts.iter().map(Chart::picture))
}

/// One page of a report.
pub fn html(report: &Report) -> String {
    page("gapless bench load", &[("", report)], &report.differences)
}

/// One page of two reports.
pub fn html_of_two(earlier: &Report, later: &Report, differences: &[Difference]) -> String {
    let reports = [("earlier: ", earlier), ("later: ", later)];
    page("gapless bench compare", &reports, differences)
}

fn page(title: &str, reports: &[(&str, &Report)], differences: &[Difference]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n<style>\
         body{{font-family:sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}}\
         table{{border-collapse:collapse;margin:1em 0;font-size:.85em}}.wide{{overflow-x:auto}}td,th{{border:1px solid #ccc;padding:.3em .6em;text-align:right;white-space:nowrap}}\
         td:first-child,th:first-child{{text-align:left}}.limit{{background:#fdd;padding:.6em}}svg{{max-width:100%;height:auto}}\
         </style></head><body>\n<h1>{title}</h1>\n"
    );
    let mut put = |arguments: std::fmt::Arguments<'_>| {
        page.write_fmt(arguments).expect("a text takes everything");
    };
    for (prefix, report) in reports {
        let settings = report
            .settings
            .iter()
            .map(|(key, it)| format!("{key}: {it}"));
        let settings = settings.collect::<Vec<_>>().join("; ");
        let seconds = report.seconds;
        let (began, version) = (escaped(&report.began), escaped(&report.gapless));
        put(format_args!(
            "<p>{prefix}{began}, {seconds:.1} s, gapless {version}. {}</p>\n",
            escaped(&settings)
        ));
        if report.interrupted {
            put(format_args!("<p class=\"limit\">Interrupted.</p>\n"));
        }
        if let Some(why) = &report.generator.limited {
            put(format_args!(
                "<p class=\"limit\">The generator was the limit: {}</p>\n",
                escaped(why)
            ));
        }
    }
    put(format_args!("<div class=\"wide\"><table><tr>"));
    for head in [
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
    ] {
        put(format_args!("<th>{head}</th>"));
    }
    put(format_args!("</tr>\n"));
    let servers = named(reports);
    for (name, server) in &servers {
        let latency = &server.latency;
        let times = [
            latency.p50_us,
            latency.p90_us,
            latency.p99_us,
            latency.p999_us,
            latency.max_us,
        ];
        put(format_args!(
            "<tr><td>{}</td><td>{:.0}</td><td>{}</td><td>{} ({:.3} %)</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            escaped(name),
            server.rate,
            server.sent,
            server.lost,
            server.loss() * 100.0,
            server.wrong,
            server.failed(),
            times.map(time).join("</td><td>")
        ));
    }
    put(format_args!("</table></div>\n"));
    if !differences.is_empty() {
        put(format_args!(
            "<h2>Differences</h2>\n<pre>{}</pre>\n",
            escaped(&changes(differences))
        ));
    }
    for chart in charts(&servers) {
        put(format_args!("{}", chart.picture().svg()));
    }
    page + "</body></html>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nines_are_equally_wide() {
        let at = [0.0, 90.0, 99.0, 99.9].map(|it| (nines(it) * 1e6).round());
        assert_eq!(at, [0.0, 1e6, 2e6, 3e6]);
        assert!(nines(100.0).is_finite());
    }
}
