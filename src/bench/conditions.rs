//! `--fail`: conditions on what was measured, for pipelines. Pure.

use super::{
    gap::{Kind, Measured},
    report::{Latency, Server},
    resolve::Resolved,
};
use std::fmt;

/// Something that must not be so for any server, such as `p99>5ms`.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    text: String,
    figure: Figure,
    above: bool,
    /// Microseconds, a share, or a count.
    bound: f64,
}

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Figure {
    Mean,
    P50,
    P90,
    P99,
    P999,
    Max,
    Loss,
    Wrong,
    Failed,
    NotFound,
    Unexpected,
    Rate,
    Missing,
    Stale,
    Never,
}

const NAMES: [(&str, Figure); 15] = [
    ("mean", Figure::Mean),
    ("p50", Figure::P50),
    ("p90", Figure::P90),
    ("p99", Figure::P99),
    ("p99.9", Figure::P999),
    ("max", Figure::Max),
    ("loss", Figure::Loss),
    ("wrong", Figure::Wrong),
    ("failed", Figure::Failed),
    ("not_found", Figure::NotFound),
    ("unexpected", Figure::Unexpected),
    ("rate", Figure::Rate),
    ("missing", Figure::Missing),
    ("stale", Figure::Stale),
    ("never", Figure::Never),
];

/// What has figures that a condition may be about.
pub trait Figures {
    /// Which, beside the times.
    const COUNTS: &'static [Figure];

    /// Whose they are.
    fn who(&self) -> String;

    /// Microseconds, a share, or a count; `None` if nothing was there to be measured.
    fn figure(&self, figure: Figure) -> Option<f64>;
}

const fn of_latency(latency: &Latency, figure: Figure) -> Option<f64> {
    Some(match figure {
        Figure::Mean => latency.mean_us,
        Figure::P50 => latency.p50_us,
        Figure::P90 => latency.p90_us,
        Figure::P99 => latency.p99_us,
        Figure::P999 => latency.p999_us,
        Figure::Max => latency.max_us,
        _ => return None,
    })
}

impl Figures for Server {
    const COUNTS: &'static [Figure] = &[
        Figure::Loss,
        Figure::Wrong,
        Figure::Failed,
        Figure::Unexpected,
        Figure::Rate,
    ];

    fn who(&self) -> String {
        self.server.clone()
    }

    fn figure(&self, figure: Figure) -> Option<f64> {
        Some(match figure {
            Figure::Loss => self.loss(),
            Figure::Wrong => self.wrong as f64,
            Figure::Failed => self.failed() as f64,
            Figure::Unexpected => self.unexpected as f64,
            Figure::Rate => self.rate,
            _ if self.answered == 0 => return None,
            _ => return of_latency(&self.latency, figure),
        })
    }
}

impl Figures for Resolved {
    const COUNTS: &'static [Figure] = &[Figure::Failed, Figure::NotFound];

    fn who(&self) -> String {
        self.library.to_string()
    }

    fn figure(&self, figure: Figure) -> Option<f64> {
        Some(match figure {
            Figure::Failed => self.failed as f64,
            Figure::NotFound => self.not_found as f64,
            _ if self.names == self.unfinished => return None,
            _ => return of_latency(&self.latency, figure),
        })
    }
}

/// The times are those from ready to resolvable.
impl Figures for Measured {
    const COUNTS: &'static [Figure] =
        &[Figure::Loss, Figure::Missing, Figure::Stale, Figure::Never];

    fn who(&self) -> String {
        self.server.to_string()
    }

    fn figure(&self, figure: Figure) -> Option<f64> {
        let appeared = &self.delays[&Kind::Appeared];
        let at = |percentile| appeared.value_at_percentile(percentile) as f64 / 1e3;
        Some(match figure {
            Figure::Loss => self.lost as f64 / self.asked.max(1) as f64,
            Figure::Missing => self.negatives as f64,
            Figure::Stale => self.stale as f64,
            Figure::Never => self.never as f64,
            _ if appeared.is_empty() => return None,
            Figure::Mean => appeared.mean() / 1e3,
            Figure::P50 => at(50.0),
            Figure::P90 => at(90.0),
            Figure::P99 => at(99.0),
            Figure::P999 => at(99.9),
            Figure::Max => at(100.0),
            _ => return None,
        })
    }
}

impl Figure {
    const fn is_time(self) -> bool {
        matches!(
            self,
            Self::Mean | Self::P50 | Self::P90 | Self::P99 | Self::P999 | Self::Max
        )
    }

    fn bound(self, text: &str) -> Option<f64> {
        const TIMES: [(&str, f64); 3] = [("us", 1.0), ("ms", 1e3), ("s", 1e6)];
        let (unit, factor) = match self {
            _ if self.is_time() => *TIMES.iter().find(|(unit, _)| text.ends_with(unit))?,
            Self::Loss if text.ends_with('%') => ("%", 0.01),
            _ => ("", 1.0),
        };
        let number = text.strip_suffix(unit)?.parse::<f64>().ok()?;
        (number.is_finite() && number >= 0.0).then_some(number * factor)
    }

    fn show(self, value: f64) -> String {
        match self {
            _ if self.is_time() => super::output::time(value),
            Self::Loss => format!("{:.3} %", value * 100.0),
            _ => format!("{value:.0}"),
        }
    }
}

impl Condition {
    /// Reads one about figures of this kind.
    pub fn read<F: Figures>(text: &str) -> Result<Self, String> {
        let figures = || (NAMES.iter()).filter(|(_, it)| it.is_time() || F::COUNTS.contains(it));
        let expected = || {
            let names: Vec<_> = figures().map(|(name, _)| *name).collect();
            format!(
                "expected a figure, `>` or `<`, and a bound, such as `p99>5ms`, `loss>0.1%`, `failed>0`; the figures are {}",
                names.join(", ")
            )
        };
        let at = text.find(['<', '>']).ok_or_else(expected)?;
        let (name, bound) = (text[..at].trim(), text[at + 1..].trim());
        let figure = figures().find(|(known, _)| *known == name);
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

/// What fails, in words: nothing if all is well. What nobody could measure is as bad as can be.
pub fn failures<F: Figures>(conditions: &[Condition], measured: &[F]) -> Vec<String> {
    let mut failures = vec![];
    for one in measured {
        for condition in conditions {
            let Condition {
                figure,
                above,
                bound,
                ..
            } = condition;
            let was = match one.figure(*figure) {
                None => "unknown: nothing was there to be measured".to_owned(),
                Some(value) if (*above && value > *bound) || (!above && value < *bound) => {
                    figure.show(value)
                }
                Some(_) => continue,
            };
            failures.push(format!("{}: {condition}: it was {was}", one.who()));
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_figures_with_bounds() {
        let bound = |text: &str| Condition::read::<Server>(text).unwrap().bound;
        assert_eq!((bound("p99>5ms"), bound("max>1.5s")), (5000.0, 1.5e6));
        assert_eq!((bound("loss > 0.1%"), bound("wrong>0")), (0.001, 0.0));
        assert_eq!(bound("rate<1000"), 1000.0);
        let bad = [
            "p99", "p98>1ms", "p99>5", "wrong>-1", "loss>x%", "p99>ms", "stale>0",
        ];
        for bad in bad {
            assert!(Condition::read::<Server>(bad).is_err(), "{bad}");
        }
        assert!(Condition::read::<Measured>("stale>0").is_ok());
        assert!(Condition::read::<Resolved>("not_found>0").is_ok());
    }
}
