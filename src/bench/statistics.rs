//! Means, and how sure they are. Pure.

use serde::{Deserialize, Serialize};

/// A mean and its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// How many samples it rests on.
    pub samples: usize,
}

impl Estimate {
    /// The mean of independent samples, by Student's distribution; `None` for fewer than two.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let count = samples.len();
        if count < 2 {
            return None;
        }
        let n = count as f64;
        let mean = samples.iter().sum::<f64>() / n;
        let squares = samples.iter().map(|it| (it - mean).powi(2)).sum::<f64>();
        let half = student_95(count - 1) * (squares / (n - 1.0) / n).sqrt();
        Some(Self {
            mean,
            low: mean - half,
            high: mean + half,
            samples: count,
        })
    }

    /// The difference of two means whose samples have nothing to do with each other (Welch).
    pub fn difference(to: &[f64], from: &[f64]) -> Option<Self> {
        if to.len() < 2 || from.len() < 2 {
            return None;
        }
        let moments = |samples: &[f64]| {
            let n = samples.len() as f64;
            let mean = samples.iter().sum::<f64>() / n;
            let squares = samples.iter().map(|it| (it - mean).powi(2)).sum::<f64>();
            (mean, squares / (n - 1.0) / n, n - 1.0)
        };
        let ((a, va, na), (b, vb, nb)) = (moments(to), moments(from));
        let variance = va + vb;
        let degrees = match variance > 0.0 {
            true => variance.powi(2) / (va.powi(2) / na + vb.powi(2) / nb),
            false => na + nb,
        };
        let half = student_95(degrees as usize) * variance.sqrt();
        Some(Self {
            mean: a - b,
            low: a - b - half,
            high: a - b + half,
            samples: to.len() + from.len(),
        })
    }

    /// Does the interval leave out zero?
    pub fn is_sure(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// The 97.5th percentile of Student's distribution; between the rows, that of fewer degrees.
fn student_95(degrees: usize) -> f64 {
    const ROWS: [(usize, f64); 18] = [
        (1, 12.706),
        (2, 4.303),
        (3, 3.182),
        (4, 2.776),
        (5, 2.571),
        (6, 2.447),
        (7, 2.365),
        (8, 2.306),
        (9, 2.262),
        (10, 2.228),
        (12, 2.179),
        (15, 2.131),
        (20, 2.086),
        (25, 2.060),
        (30, 2.042),
        (60, 2.000),
        (120, 1.980),
        (1000, 1.962),
    ];
    let row = ROWS.iter().rev().find(|(row, _)| *row <= degrees);
    row.map_or(ROWS[0].1, |(_, quantile)| *quantile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_students() {
        let estimate = Estimate::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert_eq!((estimate.mean, estimate.samples), (3.0, 5));
        // s = 1.5811, s/√5 = 0.7071, times 2.776.
        assert!((estimate.high - 4.963).abs() < 0.001, "{estimate:?}");
        assert!(estimate.is_sure());
        assert_eq!(Estimate::of(&[1.0]), None);
    }

    #[test]
    fn a_difference_of_equal_samples_is_not_sure() {
        let samples = [1.0, 2.0, 3.0];
        let none = Estimate::difference(&samples, &samples).unwrap();
        assert!(none.mean == 0.0 && !none.is_sure());
        let much = Estimate::difference(&[11.0, 12.0, 13.0], &samples).unwrap();
        assert!(much.mean == 10.0 && much.is_sure());
    }
}
