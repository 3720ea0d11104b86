//! A roll-out of our own, wherever it takes place: what is told before it begins, and what it waits for between its steps. It changes
//! nothing itself.

use super::Fact;
use anyhow::Context as _;
use std::time::Duration;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};

/// How long a server has to come to the truth before the next change of a roll-out; longer than caches remember.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);
/// Between a change and the question whether everybody knows of it.
pub(super) const PAUSE: Duration = Duration::from_secs(1);

/// What is rolled out, and taken away again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// Its name, and its service's.
    pub name: String,
    /// How many pods.
    pub pods: u16,
    /// Their image: it has to do nothing.
    pub image: String,
}

/// What a roll-out waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Names that have an address by the API.
    pub with_address: usize,
    /// Changes that some server does not say yet.
    pub unsettled: usize,
}

/// A roll-out and who follows it.
pub(super) struct Rolling {
    pub(super) create: Create,
    pub(super) namespace: String,
    pub(super) domain: String,
    pub(super) facts: mpsc::Sender<Fact>,
    pub(super) progress: watch::Receiver<Progress>,
}

impl Rolling {
    /// What a pod is called.
    pub(super) fn name_of(&self, pod: u16) -> String {
        let (name, namespace, domain) = (&self.create.name, &self.namespace, &self.domain);
        format!("{name}-{pod}.{name}.{namespace}.svc.{domain}")
    }

    /// Clients ask before there is anything: caches are to remember that there is not.
    pub(super) async fn begin(&self) -> anyhow::Result<()> {
        for pod in 0..self.create.pods {
            let fact = Fact {
                name: self.name_of(pod),
                address: None,
                at: Instant::now(),
                is_old: true,
            };
            self.facts.send(fact).await?;
        }
        sleep(PAUSE).await;
        Ok(())
    }

    /// Waits until at least so many pods have an address and every server says what is true.
    pub(super) async fn settled(&mut self, what: &str, addresses: usize) -> anyhow::Result<()> {
        let settled = |it: &Progress| it.unsettled == 0 && it.with_address >= addresses;
        match timeout(SETTLED_WITHIN, self.progress.wait_for(settled)).await {
            Ok(reached) => reached.map(drop).context("nobody follows"),
            // Who never says it is in the report.
            Err(_) => {
                tracing::warn!(what, within = ?SETTLED_WITHIN, "not every server says what is true");
                Ok(())
            }
        }
    }
}
