//! The writer's loop over a clock that the test stops.

use super::*;
use crate::model::Event;
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// Seconds since 1970 when a test begins.
const BEGIN: Duration = Duration::from_secs(1_000_000);

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Follows an index; what each publication said of triggers is kept, with the time since 1970.
struct Following {
    events: mpsc::Sender<Event>,
    triggered: Arc<Mutex<Vec<(Duration, Duration)>>>,
}

impl Following {
    fn start(index: Index) -> Self {
        let (events, received) = mpsc::channel(64);
        let begin = now();
        let triggered = Arc::<Mutex<Vec<_>>>::default();
        let kept = triggered.clone();
        #[allow(clippy::disallowed_methods, reason = "the runtime of the test owns it")]
        tokio::spawn(follow(
            index,
            received,
            move || (now(), BEGIN + (now() - begin)),
            move |_, published| {
                let at = |trigger: &Duration| (*trigger, published.since_1970);
                let mut kept = kept.lock().unwrap();
                kept.extend(published.triggered.iter().map(at));
            },
        ));
        Self { events, triggered }
    }

    async fn send(&self, triggered: Option<Duration>, change: Change) {
        let event = Event {
            received: now(),
            triggered,
            change,
        };
        self.events.send(event).await.unwrap();
        // With the clock stopped, this ends when nothing else can go on.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_trigger_counts_once_and_only_when_its_change_is_seen() {
    let (index, _reader) = Index::new(options());
    let following = Following::start(index);
    let trigger = BEGIN - Duration::from_secs(2);
    let web = |address| slice("a", "web", &[("h", address)]);
    let apply = |object| Change::Apply(Source::EndpointSlices, object);
    following.send(Some(trigger), apply(web("10.0.0.1"))).await;
    // Somebody changed a label of the slice, and the annotation stands there still.
    following.send(Some(trigger), apply(web("10.0.0.1"))).await;
    following.send(None, apply(web("10.0.0.2"))).await;
    assert_eq!(*following.triggered.lock().unwrap(), [(trigger, BEGIN)]);
}
