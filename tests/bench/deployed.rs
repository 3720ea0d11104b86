//! What stands in deploy/bench: a Job that runs the tool, and a dashboard of what it writes.

use clap::Parser as _;
use gapless::{
    bench::{
        gap::{Kind, Measured},
        output,
    },
    cli::Cli,
};
use hdrhistogram::Histogram;
use serde_json::Value;
use std::fs;

#[test]
fn the_job_has_a_command_line_that_there_is_and_the_dashboard_series_that_are_written() {
    let job = fs::read_to_string("deploy/bench/job.yaml").unwrap();
    let objects = serde_saphyr::from_multiple::<Value>(&job).unwrap();
    let job = objects.iter().find(|it| it["kind"] == "Job").unwrap();
    let arguments = &job["spec"]["template"]["spec"]["containers"][0]["args"];
    let arguments = arguments.as_array().unwrap().iter();
    let arguments = arguments.map(|it| it.as_str().unwrap());
    Cli::try_parse_from(["gapless"].into_iter().chain(arguments)).unwrap();

    let mut appeared = Histogram::new(3).unwrap();
    appeared.record(20_000_000).unwrap();
    let measured = Measured {
        server: "192.0.2.1:53".parse().unwrap(),
        delays: Kind::ALL.map(|(kind, _)| (kind, appeared.clone())).into(),
        told: vec![],
        negatives: 0,
        stale: 0,
        never: 0,
        asked: 1,
        lost: 0,
    };
    let written = output::gap_prometheus(&[measured]);
    let dashboard = fs::read_to_string("deploy/bench/grafana.json").unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|it| it["targets"].as_array().unwrap());
    let mut drawn = 0;
    for target in targets {
        let query = target["expr"].as_str().unwrap();
        let words = query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        for series in words.filter(|it| it.starts_with("probes_")) {
            assert!(
                written.contains(&format!("\n{series}{{server=\"")),
                "{series}: {written}"
            );
            drawn += 1;
        }
        for label in ["server", "le"].iter().filter(|it| query.contains(**it)) {
            assert!(written.contains(&format!("{label}=\"")), "{label}");
        }
    }
    assert!(drawn >= panels.len(), "{drawn}");
}
