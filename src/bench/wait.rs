//! Waiting to the microsecond, which the runtime's timer does not do. For threads that keep the time of a run.

use rustix::{
    event::{PollFd, Timespec, poll},
    io::Errno,
};
use std::{io, num::NonZeroU64, time::Duration};

/// A wait is never longer, so that its thread notices an interruption.
const LONGEST: Duration = Duration::from_millis(50);

/// Has the kernel wake this thread when it asked for, and not up to 50 µs later.
pub(super) fn precisely() {
    if let Err(error) = rustix::thread::set_current_timer_slack(NonZeroU64::new(1)) {
        tracing::debug!(%error, "timer slack");
    }
}

/// Waits until one of these is ready, the time is over, or [`LONGEST`] is.
pub(super) fn until_ready(polled: &mut [PollFd<'_>], nanoseconds: u64) -> io::Result<()> {
    let wait = Duration::from_nanos(nanoseconds).min(LONGEST);
    let wait = Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(wait.subsec_nanos()) as _,
    };
    match poll(polled, Some(&wait)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Waits until the time is over, or [`LONGEST`] is.
pub(super) fn pause(nanoseconds: u64) {
    until_ready(&mut [], nanoseconds).expect("nothing is waited for that could fail");
}
