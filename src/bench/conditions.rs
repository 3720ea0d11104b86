//! `--fail`: conditions on a report, for pipelines. Pure.

use super::report::{Report, Server};
use std::{fmt, str::FromStr};

/// Something that must not be so for any server, such as `p99>5ms`.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    text: String,
    figure: Figure,
    above: bool,
    /// Microseconds, a share, or a count.
    bound: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    Mean,
    P50,
    P90,
    P99,
    P999,
    Max,
    Loss,
    Wrong,
    Failed,
    Unexpected,
    Rate,
}

const FIGURES: [(&str, Figure); 11] = [
    ("mean", Figure::Mean),
    ("p50", Figure::P50),
    ("p90", Figure::P90),
    ("p99", Figure::P99),
    ("p99.9", Figure::P999),
    ("max", Figure::Max),
    ("loss", Figure::Loss),
    ("wrong", Figure::Wrong),
    ("failed", Figure::Failed),
    ("unexpected", Figure::Unexpected),
    ("rate", Figure::Rate),
];

impl Figure {
    fn of(self, server: &Server) -> f64 {
        let latency = &server.latency;
        match self {
            Self::Mean => latency.mean_us,
            Self::P50 => latency.p50_us,
            Self::P90 => latency.p90_us,
            Self::P99 => latency.p99_us,
            Self::P999 => latency.p999_us,
            Self::Max => latency.max_us,
            Self::Loss => server.loss(),
            Self::Wrong => server.wrong as f64,
            Self::Failed => server.failed() as f64,
            Self::Unexpected => server.unexpected as f64,
            Self::Rate => server.rate,
        }
    }

    fn bound(self, text: &str) -> Option<f64> {
        const TIMES: [(&str, f64); 3] = [("us", 1.0), ("ms", 1e3), ("s", 1e6)];
        let (unit, factor) = match self {
            Self::Loss if text.ends_with('%') => ("%", 0.01),
            Self::Loss | Self::Wrong | Self::Failed | Self::Unexpected | Self::Rate => ("", 1.0),
            _ => *TIMES.iter().find(|(unit, _)| text.ends_with(unit))?,
        };
        let number = text.strip_suffix(unit)?.parse::<f64>().ok()?;
        (number.is_finite() && number >= 0.0).then_some(number * factor)
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Loss => format!("{:.3} %", value * 100.0),
            Self::Wrong | Self::Failed | Self::Unexpected | Self::Rate => format!("{value:.0}"),
            _ => super::output::time(value),
        }
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            let names: Vec<_> = FIGURES.iter().map(|(name, _)| *name).collect();
            format!(
                "expected a figure, `>` or `<`, and a bound, such as `p99>5ms`, `loss>0.1%`, `wrong>0`; the figures are {}",
                names.join(", ")
            )
        };
        let at = text.find(['<', '>']).ok_or_else(expected)?;
        let (name, bound) = (text[..at].trim(), text[at + 1..].trim());
        let figure = FIGURES.iter().find(|(known, _)| *known == name);
        let figure = figure.ok_or_else(expected)?.1;
        Ok(Self {
            text: text.to_owned(),
            figure,
            above: text[at..].starts_with('>'),
            bound: figure.bound(bound).ok_or_else(expected)?,
        })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What fails, in words: nothing if all is well. Without an answer a server's latencies are as bad as can be.
pub fn failures(conditions: &[Condition], report: &Report) -> Vec<String> {
    let mut failures = vec![];
    for server in &report.servers {
        for condition in conditions {
            let Condition {
                figure,
                above,
                bound,
                ..
            } = condition;
            let value = figure.of(server);
            let is_time = !matches!(
                figure,
                Figure::Loss | Figure::Wrong | Figure::Failed | Figure::Unexpected | Figure::Rate
            );
            let unknown = is_time && *above && server.answered == 0;
            if unknown || (*above && value > *bound) || (!above && value < *bound) {
                let was = match unknown {
                    true => "unknown: nothing was answered".to_owned(),
                    false => figure.show(value),
                };
                failures.push(format!("{}: {condition}: it was {was}", server.server));
            }
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_figures_with_bounds() {
        let bound = |text: &str| text.parse::<Condition>().unwrap().bound;
        assert_eq!((bound("p99>5ms"), bound("max>1.5s")), (5000.0, 1.5e6));
        assert_eq!((bound("loss > 0.1%"), bound("wrong>0")), (0.001, 0.0));
        assert_eq!(bound("rate<1000"), 1000.0);
        for bad in ["p99", "p98>1ms", "p99>5", "wrong>-1", "loss>x%", "p99>ms"] {
            assert!(bad.parse::<Condition>().is_err(), "{bad}");
        }
    }
}
