//! The gap and the stale answers: what clients that ask all the time are told while a StatefulSet is rolled out, and while
//! its pods come back with other addresses.

use crate::{
    clients::{Answer, Client, Given},
    control_plane::poll,
    figures::Times,
    resolvers::{coredns_with_cache, coredns_without_cache, node_local},
    stage::{ORDERED, PARALLEL, Stage, hostname, name},
    truth::Turn,
};
use gapless::index::FADING;
use std::time::Duration;

/// What vanishes while it is ready is given for so long: its time, and that of a timer and a publication.
const FADES: Duration = FADING.saturating_add(Duration::from_millis(10));
/// A resolver has an answer when it has given it so many times in a row.
const SETTLED: usize = 20;
/// What any of the caches remembers for at the most: pods that are deleted over this time meet it at every age.
const LONGEST_TTL: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS and COREDNS, and some six minutes"]
async fn the_gap_and_the_stale_answers_of_gapless_and_of_what_is_in_use_today() {
    let mut stage = Stage::start().await;
    let with_cache = coredns_with_cache(&stage.control_plane).await;
    let without_cache = coredns_without_cache(&stage.control_plane).await;
    let node_local = node_local(&stage.control_plane, &without_cache).await;
    stage.others = vec![without_cache, node_local, with_cache];
    for (pods, policy, every) in [
        (1, ORDERED, 2),
        (5, ORDERED, 5),
        (5, PARALLEL, 5),
        (100, ORDERED, 50),
        (100, PARALLEL, 50),
    ] {
        println!("\n### {pods} pods, {policy}, each name asked every {every} ms of each resolver");
        let every = Duration::from_millis(every);
        let set = format!("{}-{pods}", policy.to_lowercase());
        gap(&stage, &set, pods, policy, every).await;
        if pods > 1 {
            stale(&stage, &set, pods, every, LONGEST_TTL).await;
        }
        stage.take_away(&set, pods).await;
    }
    let answerable = stage.gapless.metrics().await.answerable();
    println!("\nFrom a change's receipt to its answer, by gapless's own histogram: {answerable}");
}

/// The same in small, for every change: that the test sees a gap where there is one, and none at gapless.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KUBEBUILDER_ASSETS and COREDNS"]
async fn five_pods_have_names_as_soon_as_gapless_knows_of_them_and_late_where_a_cache_remembers() {
    let mut stage = Stage::start().await;
    stage.others = vec![coredns_with_cache(&stage.control_plane).await];
    let every = Duration::from_millis(5);
    let negatives = gap(&stage, "web", 5, ORDERED, every).await;
    assert!(negatives[1] > 100 * negatives[0].max(1), "{negatives:?}");
    stale(&stage, "web", 5, every, Duration::ZERO).await;
}

/// What one resolver said about one name.
struct Story<'s>(&'s [Answer]);

impl Story<'_> {
    /// Those to questions that were asked after the turn.
    fn after(&self, turn: &Turn) -> impl Iterator<Item = &Answer> {
        self.0.iter().filter(|answer| answer.asked >= turn.at)
    }

    /// How many of those have no address.
    fn missing_after(&self, turn: &Turn) -> usize {
        self.after(turn)
            .filter(|answer| !matches!(answer.given, Given::Address(_)))
            .count()
    }

    /// From the turn to the first answer that says what it says. The event may reach a resolver before it reaches the test.
    fn delay(&self, turn: &Turn) -> Duration {
        self.first(turn).came.saturating_duration_since(turn.at)
    }

    fn first(&self, turn: &Turn) -> &Answer {
        let right = right(turn);
        let first = self.0.iter().find(|answer| answer.given == right);
        first.expect("all were asked until it came")
    }
}

fn right(turn: &Turn) -> Given {
    turn.address.map_or(Given::Negative, Given::Address)
}

/// Rolls out a set while its names are asked for, prints a row for each resolver, and returns their negative answers to
/// questions that were asked after the event.
async fn gap(stage: &Stage, set: &str, pods: usize, policy: &str, every: Duration) -> Vec<usize> {
    let said = ask_while(stage, set, pods, every, stage.roll_out(set, pods, policy)).await;
    println!(
        "\n| median / p99 / max | Ready → right | slice event → right | negatives after the event | questions |\n|---|---|---|---|---|"
    );
    let mut all_negatives = vec![];
    for (resolver, answers) in said {
        let (mut since_ready, mut since_event) = (Times::default(), Times::default());
        let mut negatives = 0;
        let questions = answers.len();
        for (n, answers) in by_name(answers, pods).iter().enumerate() {
            let turns = stage.truth.turns(&hostname(set, n));
            let story = Story(answers);
            let turn = turns.last().expect("it has an address");
            let ready = turn
                .address
                .and_then(|address| stage.node.ready_at(address));
            let first = story.first(turn);
            since_ready
                .0
                .push(first.came - ready.expect("the node gave it"));
            since_event.0.push(story.delay(turn));
            negatives += story.missing_after(turn);
        }
        println!("| {resolver} | {since_ready} | {since_event} | {negatives} | {questions} |");
        all_negatives.push(negatives);
    }
    all_negatives
}

/// Deletes the pods of a set one after the other, in this time, while its names are asked for, and prints a row for each
/// resolver.
async fn stale(stage: &Stage, set: &str, pods: usize, every: Duration, over: Duration) {
    let delete = async {
        for n in 0..pods {
            stage.delete_pod(&hostname(set, n)).await;
            tokio::time::sleep(over / pods as u32).await;
        }
    };
    let said = ask_while(stage, set, pods, every, delete).await;
    println!(
        "\n| median / p99 / max | old address given after its slice lost it | times | slice event → new address | negatives after the event |\n|---|---|---|---|---|"
    );
    for (resolver, answers) in said {
        let (mut old_for, mut new_after) = (Times::default(), Times::default());
        let (mut old_times, mut negatives) = (0, 0);
        for (n, answers) in by_name(answers, pods).iter().enumerate() {
            let turns = stage.truth.turns(&hostname(set, n));
            let story = Story(answers);
            // Where the controller is slow, it puts the new address in the place of the old one at once.
            let [old, lost, ..] = &turns[..] else {
                panic!("an address, and then none or another: {turns:?}");
            };
            let new = turns.last().expect("there are two");
            let stale = story.after(lost).filter(|it| it.given == right(old));
            let until: Vec<_> = stale.map(|answer| answer.came - lost.at).collect();
            old_times += until.len();
            old_for.0.push(until.last().copied().unwrap_or_default());
            new_after.0.push(story.delay(new));
            negatives += story.missing_after(new);
        }
        println!("| {resolver} | {old_for} | {old_times} | {new_after} | {negatives} |");
    }
}

/// What each resolver said about the names of a set, from before `change` until each gives every name the address that it
/// has then. gapless has said nothing that it knew to be wrong.
async fn ask_while(
    stage: &Stage,
    set: &str,
    pods: usize,
    every: Duration,
    change: impl Future<Output = ()>,
) -> Vec<(&'static str, Vec<Answer>)> {
    let names: Vec<_> = (0..pods).map(|n| name(set, n)).collect();
    let addresses = || -> Vec<_> {
        let addresses = (0..pods).map(|n| stage.truth.address(&hostname(set, n)));
        addresses.collect()
    };
    let mut clients = vec![];
    for resolver in stage.resolvers() {
        let client = Client::start(resolver.address, &names, every).await;
        clients.push((resolver.name, client));
    }
    let known = stage.known();
    let every_name = async |what: &str, is_so: &dyn Fn(usize, (Given, usize)) -> bool| {
        poll(what, async || {
            for (resolver, client) in &clients {
                let latest = client.latest();
                let missing = (0..pods).find(|n| !is_so(*n, latest[*n]));
                if let Some(n) = missing {
                    return Err(format!("{resolver}: {} {:?}", names[n], latest[n]));
                }
            }
            Ok(())
        })
        .await;
    };
    every_name("every name is asked for", &|_, (_, times)| times > 0).await;
    let before = addresses();
    change.await;
    let after = poll("every name has an address", async || {
        let after = addresses();
        let missing = (0..pods).find(|n| after[*n].is_none() || after[*n] == before[*n]);
        missing.map_or(Ok(after), |n| Err(names[n].clone()))
    })
    .await;
    every_name("every resolver has every address", &|n, (given, times)| {
        after[n].map(Given::Address) == Some(given) && times >= SETTLED
    })
    .await;
    let events = stage.truth.events();
    poll("gapless has every event", async || {
        known.at(events).map(drop).ok_or_else(|| events.to_string())
    })
    .await;
    let said: Vec<_> = clients
        .into_iter()
        .map(|(resolver, client)| (resolver, client.finish()))
        .collect();
    for (n, answers) in by_name(said[0].1.clone(), pods).iter().enumerate() {
        let turns = stage.truth.turns(&hostname(set, n));
        for answer in answers {
            let has = |turn: &Turn| {
                let fades = if turn.address.is_none() {
                    FADES
                } else {
                    Duration::ZERO
                };
                known
                    .at(turn.event)
                    .is_some_and(|at| at + fades <= answer.asked)
            };
            // What was true before the last turn that it had is wrong; a later turn it may have had before we saw it.
            let last = turns.iter().rposition(has);
            let allowed = last
                .is_none_or(|last| turns[last..].iter().any(|turn| right(turn) == answer.given));
            assert!(allowed, "{}: {answer:?} after {turns:?}", names[n]);
        }
    }
    said
}

/// The answers about each name.
fn by_name(answers: Vec<Answer>, names: usize) -> Vec<Vec<Answer>> {
    let mut sorted = vec![vec![]; names];
    for answer in answers {
        sorted[answer.name].push(answer);
    }
    sorted
}
