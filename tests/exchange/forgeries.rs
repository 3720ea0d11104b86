//! RFC 5452: what an upstream's port is flooded with before the true reply comes is not believed, through real sockets.

use crate::over;
use crate::support::upstream::{Act, FakeUpstream, Lie};

const TRUTH: &str = "www.example.org. 0 IN A 192.0.2.1";
const LIES: [Lie; 4] = [Lie::Question, Lie::Query, Lie::Malformed, Lie::Source];

/// Asks so many questions, with 31 forged datagrams before each true reply; how many went by TCP.
async fn flooded(questions: usize, lie: impl Fn(usize) -> Lie) -> usize {
    const EACH: usize = 31;
    let upstream = FakeUpstream::start(TRUTH).await;
    let bench = over(&[&upstream], |_| ());
    for question in 0..questions {
        let lies = (0..EACH).map(|nth| lie(question * EACH + nth)).collect();
        upstream.always(Act::Lie(lies));
        let answer = bench.ask("www.example.org").await.unwrap();
        let lines: Vec<_> = answer.answers.iter().map(ToString::to_string).collect();
        assert_eq!(lines, [TRUTH], "question {question}");
    }
    assert_eq!(upstream.asked().udp, questions);
    upstream.asked().tcp
}

#[tokio::test(start_paused = true)]
async fn forged_datagrams_before_the_true_reply_are_never_accepted() {
    assert_eq!(flooded(300, |nth| LIES[nth % LIES.len()]).await, 0);
}

#[tokio::test(start_paused = true)]
#[ignore = "1,000,000 datagrams: a minute or more"]
async fn a_million_forged_datagrams_before_the_true_replies_none_is_accepted() {
    assert_eq!(flooded(32_259, |nth| LIES[nth % LIES.len()]).await, 0);
}

#[tokio::test(start_paused = true)]
async fn the_first_wrong_id_moves_every_question_to_tcp() {
    assert_eq!(flooded(300, |_| Lie::Id).await, 300);
}
