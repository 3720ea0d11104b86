//! What is done about every way in which a list or a watch fails: go on, list anew, list otherwise, wait, and say so once.

use super::{Lists, Next, Stop, Watch};
use crate::{
    feed::{Closed, kube::requests::Failure, now},
    metrics::Restart,
    model::Change,
};
use rand::RngExt;
use std::{sync::atomic::Ordering, time::Duration};
use tokio::time::Instant;

/// The first pause after a failure; doubled with each one, up to [`LONGEST_PAUSE`], as client-go's reflector does.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(800);
/// Long enough to spare a server that is down, short enough that nobody waits for us once it is up.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Over how long the nodes spread that come back to an API server which has lost its past, as it does when it starts or is
/// cut off from etcd: all of them were connected, all come back, and all have to list. Measured by `tests/api_faults`, K21.
const RETURN: Duration = Duration::from_secs(5);
/// An API server that starts denies everything until it has read its roles: for a second in an empty cluster (measured
/// with 1.34). What was listed before is lost only when it is denied for longer than this.
const DENIED_FOR: Duration = Duration::from_secs(10);

/// What may be wrong for longer than one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Unauthorized,
    Forbidden,
    Throttled,
    Refused,
    Unreachable,
}

/// Whether the server lets this source be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Given,
    /// Denied since then, and by every answer since; what was listed is still good.
    Denied(Instant),
    Lost,
}

impl Watch {
    /// What is done about a stop: where to go on, after which pause.
    pub(super) async fn recover(&mut self, stop: Stop, resume: Next) -> Result<Next, Closed> {
        let Stop::Failed(failure) = stop else {
            return Err(Closed);
        };
        let listing = matches!(resume, Next::List);
        let reason = restart_reason(&failure);
        if !listing {
            self.sink.metrics.restarted(self.source.name(), reason);
        }
        if failure.code() != Some(403) && self.access != Access::Lost {
            self.access = Access::Given;
        }
        // The first attempt after a watch that worked comes at once; the pause then keeps a server that always breaks off
        // from being asked without end.
        let mut at_once = !listing && failure.code().is_none() && self.pause == FIRST_PAUSE;
        if at_once {
            self.pause *= 2;
        }
        let mut next = resume;
        let mut pause = self.pause.mul_f64(self.rng.random_range(0.5..1.0));
        match &failure {
            Failure::Refused { status, .. } if status.code == 410 => {
                next = Next::List;
                // The server is well again; only one that forgets what it just listed is left alone for longer.
                if std::mem::take(&mut self.proven) {
                    // With a failure before, we were sent away, and so were the others.
                    let others = self.pause > FIRST_PAUSE;
                    let spread = if others { RETURN } else { FIRST_PAUSE };
                    pause = self.rng.random_range(Duration::ZERO..spread);
                    self.pause = FIRST_PAUSE;
                }
            }
            Failure::Refused { status, .. } if status.code == 403 => {
                if self.deny() {
                    self.sink.send(now(), Change::Lost(self.source)).await?;
                }
                if self.access == Access::Lost {
                    next = Next::List;
                }
            }
            // The server is behind the one that was asked before, or etcd was restored from a backup.
            failure if failure.says("Too large resource version") => {
                self.doubted = true;
                next = Next::List;
            }
            Failure::Behind(..) => next = Next::List,
            failure if listing => at_once = self.judge_streaming(failure),
            // The same position would bring the same line again.
            Failure::Nonsense(_) => next = Next::List,
            _ => {}
        }
        if reason == Restart::Expired {
            tracing::info!(
                source = self.source.name(),
                "position expired, listing anew"
            );
        } else if !at_once && !matches!(self.access, Access::Denied(_)) {
            self.speak_of(&failure);
        }
        if !at_once {
            self.wait(&failure, pause).await;
        }
        Ok(next)
    }

    /// Whether it was the server's want of streaming lists that a list failed for: then pages are asked for, at once if
    /// it said so itself.
    fn judge_streaming(&mut self, failure: &Failure) -> bool {
        match (self.lists, failure) {
            (Lists::Streaming, failure) if is_no_streaming(failure) => {
                self.lists = Lists::Pages;
                tracing::info!(
                    source = self.source.name(),
                    reason = %failure,
                    "this API server streams no lists; listing in pages from now on"
                );
                return true;
            }
            (Lists::Streaming, Failure::Silent(_) | Failure::Ended | Failure::Nonsense(_)) => {
                self.lists = Lists::PagesOnce;
            }
            (Lists::PagesOnce, _) => self.lists = Lists::Streaming,
            _ => {}
        }
        false
    }

    /// Notes a denial; says whether access is lost by it.
    fn deny(&mut self) -> bool {
        let since = match self.access {
            Access::Given => Instant::now(),
            Access::Denied(since) => since,
            Access::Lost => return false,
        };
        let lost = self.newest.is_none() || since.elapsed() >= DENIED_FOR;
        self.access = if lost {
            Access::Lost
        } else {
            Access::Denied(since)
        };
        lost
    }

    async fn wait(&mut self, failure: &Failure, pause: Duration) {
        let pause = match failure {
            Failure::Refused {
                retry_after: Some(after),
                ..
            } => pause.max(*after),
            _ => pause,
        };
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        tokio::time::sleep(pause).await;
    }

    /// The watch works.
    pub(super) const fn prove(&mut self) {
        self.proven = true;
        self.pause = FIRST_PAUSE;
    }

    /// The server did what was asked.
    pub(super) fn sound(&mut self) {
        self.access = Access::Given;
        if self.is_news(None) {
            tracing::info!(source = self.source.name(), "resumed");
        }
    }

    /// Notes what is wrong, if anything, and says whether that is to be spoken of. Refused credentials are spoken of once
    /// for all sources: they are the same.
    fn is_news(&mut self, trouble: Option<Trouble>) -> bool {
        const UNAUTHORIZED: Option<Trouble> = Some(Trouble::Unauthorized);
        let before = std::mem::replace(&mut self.trouble, trouble);
        if before == trouble {
            return false;
        }
        if before == UNAUTHORIZED {
            self.unauthorized.fetch_sub(1, Ordering::Relaxed);
        }
        trouble != UNAUTHORIZED || self.unauthorized.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// Says once what is wrong, until something else is.
    fn speak_of(&mut self, failure: &Failure) {
        let trouble = match failure.code() {
            Some(401) => Trouble::Unauthorized,
            Some(403) => Trouble::Forbidden,
            Some(429) => Trouble::Throttled,
            Some(_) => Trouble::Refused,
            None => Trouble::Unreachable,
        };
        if !self.is_news(Some(trouble)) {
            return;
        }
        let (source, resource) = (self.source.name(), self.requests.collection.resource());
        match trouble {
            Trouble::Unauthorized => tracing::error!(
                "the API server refused the credentials ({failure}); expected a token or certificate that it accepts: \
                 see the kubeconfig, or the pod's service account"
            ),
            Trouble::Forbidden => tracing::error!(
                source,
                "access denied ({failure}); expected a ClusterRole with the verbs list and watch on {resource}, bound \
                 to this service account or user"
            ),
            Trouble::Throttled => tracing::warn!(source, "the API server asks to wait: {failure}"),
            Trouble::Refused => tracing::warn!(source, "the API server refused: {failure}"),
            Trouble::Unreachable => tracing::warn!(source, "interrupted: {failure}"),
        }
    }
}

const fn restart_reason(failure: &Failure) -> Restart {
    match failure {
        Failure::Refused { status, .. } if status.code == 410 => Restart::Expired,
        Failure::Refused { .. } => Restart::Refused,
        Failure::Silent(_) => Restart::Silent,
        Failure::Ended => Restart::Ended,
        Failure::Behind(..) => Restart::Behind,
        Failure::Broken(_) | Failure::Nonsense(_) => Restart::Broken,
    }
}

/// How servers say that they stream no lists: the parameter is invalid (before 1.32, or switched off), or etcd reports
/// no progress (before 3.4.25).
fn is_no_streaming(failure: &Failure) -> bool {
    matches!(failure.code(), Some(400 | 422)) || failure.says("RequestWatchProgress is disabled")
}
