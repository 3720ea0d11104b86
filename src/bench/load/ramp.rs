//! The highest rate that a server answers: doubled until too much is lost, then halved in between. Servers come one after
//! the other, so that none takes the machine from another.

use super::{Histograms, Live, Options, Pace, run};
use crate::{bench::report::Report, bench::schedule::Spacing, lifecycle::Drain};
use std::{sync::Arc, time::Duration};

/// Share of lost queries above which a rate is too high.
const LOSS_MAX: f64 = 0.001;
/// The search ends when the rates that do and do not pass are this close.
const CLOSE: f64 = 1.05;
/// What is not answered by then is lost; at the usual 5 s each failed step would take so long.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Searches for each server from `rate` on, in steps of the options' duration, and tells of every step.
pub async fn ramp(
    options: Options,
    spacing: Spacing,
    rate: f64,
    stop: Drain,
    live: Arc<Live>,
    mut tell: impl FnMut(String),
) -> anyhow::Result<(Report, Histograms)> {
    let mut whole: Option<(Report, Histograms)> = None;
    for server in &options.servers {
        let (mut passed, mut failed) = (0.0_f64, f64::INFINITY);
        let mut best = None;
        let mut rate = rate;
        while !stop.is_cancelled() && failed > passed * CLOSE && rate <= super::RATE_MAX {
            let step = Options {
                servers: vec![server.clone()],
                pace: Pace::Open(spacing, rate),
                timeout: options.timeout.min(TIMEOUT),
                ..options.clone()
            };
            let ran = run(step, stop.clone(), Arc::clone(&live)).await?;
            let (report, measured) = (&ran.0, &ran.0.servers[0]);
            if report.interrupted {
                best.get_or_insert(ran);
                break;
            }
            let loss = measured.loss();
            // Queries that left late make latencies longer, and lose nothing.
            let kept_up = super::SENT_MIN * (measured.sent + measured.unsent) as f64;
            let limited = report.generator.limited.clone();
            let limited = limited.filter(|_| (measured.sent as f64) < kept_up);
            let verdict = match (&limited, loss <= LOSS_MAX) {
                (Some(why), _) => format!("the generator was the limit: {why}"),
                (None, true) => "passes".to_owned(),
                (None, false) => "too much is lost".to_owned(),
            };
            tell(format!(
                "{server}: {rate:.0}/s, {:.3} % lost, p99 {}: {verdict}",
                loss * 100.0,
                crate::bench::output::time(measured.latency.p99_us)
            ));
            if loss <= LOSS_MAX && limited.is_none() {
                passed = rate;
                best = Some(ran);
            } else {
                failed = rate;
                if best.is_none() {
                    best = Some(ran);
                } else if let (Some(why), Some((report, _))) = (limited, &mut best) {
                    report.generator.limited = Some(format!("at {rate:.0}/s: {why}"));
                }
            }
            rate = match failed.is_finite() {
                true => f64::midpoint(passed, failed),
                false => passed * 2.0,
            };
            if rate < 1.0 {
                break;
            }
        }
        let Some((mut report, histograms)) = best else {
            continue;
        };
        report.servers[0].highest_rate = Some(passed);
        whole = Some(match whole.take() {
            None => (report, histograms),
            Some((mut first, mut all)) => {
                first.servers.append(&mut report.servers);
                first.interrupted |= report.interrupted;
                let limited = &mut first.generator.limited;
                *limited = limited.take().or(report.generator.limited);
                all.extend(histograms);
                (first, all)
            }
        });
    }
    whole.ok_or_else(|| anyhow::anyhow!("interrupted before the first step"))
}
