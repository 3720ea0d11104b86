//! How far a run is, on standard error: a bar on a terminal, a line every ten seconds elsewhere.

use crate::{
    bench::{load::Live, output::time},
    lifecycle::Drain,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::{IsTerminal as _, stderr},
    sync::atomic::Ordering,
    time::Duration,
};
use tokio::time::{Instant, interval};

const BAR_EVERY: Duration = Duration::from_millis(250);
const LINE_EVERY: Duration = Duration::from_secs(10);

/// What a person sees while it runs.
pub(super) struct Progress {
    servers: Vec<String>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// For a run of this length, or of unknown length.
    pub(super) fn new(servers: Vec<String>, duration: Duration, endless: bool) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let seconds = duration.as_millis().try_into().unwrap_or(u64::MAX);
            let (bar, template) = match endless {
                true => (ProgressBar::new_spinner(), "{spinner} {elapsed}\n{msg}"),
                false => (
                    ProgressBar::new(seconds),
                    "{bar:40} {elapsed} of {len}\n{msg}",
                ),
            };
            let style = ProgressStyle::with_template(template).expect("a valid template");
            let length = format!("{duration:?}");
            bar.set_style(style.with_key(
                "len",
                move |_: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                    out.write_str(&length).expect("a text takes everything");
                },
            ));
            bar
        });
        Self { servers, bar }
    }

    /// Shows it until the run is stopped, and then waits for ever.
    pub(super) async fn show(&self, live: &Live, stop: &Drain) {
        let began = Instant::now();
        let every = if self.bar.is_some() {
            BAR_EVERY
        } else {
            LINE_EVERY
        };
        let mut ticks = interval(every);
        let mut before = vec![0; self.servers.len()];
        ticks.tick().await;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            let servers = self.servers.iter().zip(live.servers()).zip(&mut before);
            let lines = servers.map(|((name, live), before)| {
                let get = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
                let answered = get(&live.answered);
                let rate = (answered - std::mem::replace(before, answered)) as f64;
                format!(
                    "{name}: {:.0}/s, p50 {}, p99 {}, {} lost, {} wrong",
                    rate / every.as_secs_f64(),
                    time(get(&live.p50) as f64 / 1e3),
                    time(get(&live.p99) as f64 / 1e3),
                    get(&live.lost),
                    get(&live.wrong),
                )
            });
            let lines: Vec<_> = lines.collect();
            match &self.bar {
                Some(bar) => {
                    let elapsed = began.elapsed().as_millis();
                    bar.set_position(elapsed.try_into().unwrap_or(u64::MAX));
                    bar.set_message(lines.join("\n"));
                }
                None => lines.iter().for_each(|line| {
                    line_to_stderr(&format!("{:.0} s: {line}", began.elapsed().as_secs_f64()));
                }),
            }
        }
        if let Some(bar) = &self.bar {
            // The terminal has echoed `^C` into it: it can no longer be drawn over, and stays.
            bar.set_draw_target(ProgressDrawTarget::hidden());
            line_to_stderr("");
        }
        std::future::pending().await
    }

    /// A line that stays.
    pub(super) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) if !bar.is_hidden() => bar.println(line),
            _ => line_to_stderr(line),
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[allow(clippy::print_stderr, reason = "a command speaks to its terminal")]
fn line_to_stderr(line: &str) {
    eprintln!("{line}");
}
