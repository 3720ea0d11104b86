//! What the answers have to be, learnt from a server that is trusted, before the run.

use super::probe;
use crate::bench::{
    answer::{Answer, Expected},
    questions::Question,
};
use anyhow::Context as _;
use futures::{StreamExt as _, stream};
use std::net::SocketAddr;

/// Most questions that a reference is asked before a run.
const ASKED_MAX: usize = 100_000;
/// Under way at once.
const AT_ONCE: usize = 32;

/// Asks each question of `server` once over UDP; its answer becomes what every other server has to say.
pub async fn learn(server: SocketAddr, questions: &mut [Question]) -> anyhow::Result<()> {
    anyhow::ensure!(
        questions.len() <= ASKED_MAX,
        "a reference is asked at most {ASKED_MAX} questions, there are {}",
        questions.len()
    );
    let asked = stream::iter(questions).map(|question| async move {
        let reply = probe::ask(server, question).await?;
        let answer = Answer::read(&reply)
            .with_context(|| format!("its answer to {} is malformed", question.text()))?;
        question.expected = Some(Expected::Same(answer));
        anyhow::Ok(())
    });
    let mut asked = asked.buffer_unordered(AT_ONCE);
    while let Some(done) = asked.next().await {
        done.with_context(|| format!("the reference {server}"))?;
    }
    Ok(())
}
