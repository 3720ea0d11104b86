//! What was seen of one server.

use side_by_side::used;
use std::time::Duration;

#[derive(Default)]
pub(crate) struct Figures {
    /// For how long it was asked.
    pub(crate) asking: Duration,
    times: Vec<Duration>,
    pub(crate) lost: u64,
    wrong: u64,
    nxdomain: u64,
    /// What the process had used before and after; nothing counts before the first.
    before: Option<(Duration, Duration, u64)>,
    after: Option<(Duration, Duration, u64)>,
}

impl Figures {
    /// From now on answers count.
    pub(crate) fn begin(&mut self, process: u32) {
        self.before = Some(used(process));
    }

    pub(crate) const fn count(&self) -> bool {
        self.before.is_some()
    }

    pub(crate) fn end(&mut self, process: u32) {
        self.after = Some(used(process));
    }

    pub(crate) fn answer(&mut self, flags: &[u8], time: Duration) {
        if !self.count() {
            return;
        }
        self.times.push(time);
        match flags[1] & 15 {
            _ if flags[0] & 2 != 0 => self.wrong += 1,
            0 => {}
            3 => self.nxdomain += 1,
            _ => self.wrong += 1,
        }
    }

    /// One line of them.
    pub(crate) fn print(mut self) {
        let (user, system, _) = self.before.expect("it began");
        let (user_then, system_then, resident) = self.after.expect("it ended");
        self.times.sort_unstable();
        let count = self.times.len();
        let each = |then: Duration, before: Duration| {
            (then.saturating_sub(before)).as_secs_f64() * 1e6 / count.max(1) as f64
        };
        let within = |share: f64| {
            let at = (count as f64 * share) as usize;
            self.times
                .get(at.min(count.saturating_sub(1)))
                .map_or(0.0, |it| it.as_secs_f64() * 1e6)
        };
        println!(
            "{:.0} {:.3} {:.3} {:.1} {:.1} {:.1} {resident} {count} {} {} {}",
            count as f64 / self.asking.as_secs_f64(),
            each(user_then, user),
            each(system_then, system),
            within(0.5),
            within(0.99),
            within(0.999),
            self.lost,
            self.wrong,
            self.nxdomain,
        );
    }
}
