//! How reports are written: tables, JSON, CSV, histograms, pictures. It measures nothing.

mod chart;
mod csv;
mod gap;
mod hdr;
mod picture;
mod pictures;
mod png;
mod table;

use super::report::{FORMAT, Report};
pub use csv::csv;
pub use gap::{gap, gap_json, gap_picture, gap_prometheus};
pub use hdr::hdr;
pub use picture::Picture;
pub use pictures::{html, html_of_two, picture};
pub use table::{changes, resolved, table};

/// A time given in microseconds, with the unit in which it is short.
pub fn time(us: f64) -> String {
    match us {
        us if us < 0.0 => format!("-{}", time(-us)),
        us if us < 1e3 => format!("{us:.1} us"),
        us if us < 1e6 => format!("{:.2} ms", us / 1e3),
        us => format!("{:.3} s", us / 1e6),
    }
}

/// The whole report.
pub fn json(report: &Report) -> String {
    let text = serde_json::to_string_pretty(report);
    text.expect("a report has nothing that JSON cannot hold") + "\n"
}

/// Reads a report that [`json`] wrote.
pub fn from_json(text: &str) -> Result<Report, String> {
    let report: Report = serde_json::from_str(text)
        .map_err(|error| format!("not a report of `gapless bench load --json`: {error}"))?;
    match report.format {
        FORMAT => Ok(report),
        other => Err(format!(
            "a report of form {other}; this version reads form {FORMAT}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_unit_in_which_they_are_short() {
        let times = [0.5, 999.94, 1000.0, 2_500_000.0, -7.0].map(time);
        assert_eq!(
            times,
            ["0.5 us", "999.9 us", "1.00 ms", "2.500 s", "-7.0 us"]
        );
    }
}
