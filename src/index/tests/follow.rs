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

/// Follows an index; what each publication said is kept.
struct Following {
    events: mpsc::Sender<Event>,
    /// The triggers, each with the time of its publication since 1970.
    triggered: Arc<Mutex<Vec<(Duration, Duration)>>>,
    /// When the changes were received.
    received: Arc<Mutex<Vec<Instant>>>,
}

impl Following {
    fn start(index: Index) -> Self {
        let (events, incoming) = mpsc::channel(64);
        let begin = now();
        let triggered = Arc::<Mutex<Vec<_>>>::default();
        let received = Arc::<Mutex<Vec<_>>>::default();
        let kept = (triggered.clone(), received.clone());
        #[allow(clippy::disallowed_methods, reason = "the runtime of the test owns it")]
        tokio::spawn(follow(
            index,
            incoming,
            move || (now(), BEGIN + (now() - begin)),
            move |_, published| {
                let at = |trigger: &Duration| (*trigger, published.since_1970);
                let triggered = published.triggered.iter().map(at);
                kept.0.lock().unwrap().extend(triggered);
                kept.1.lock().unwrap().extend(published.received);
            },
        ));
        Self {
            events,
            triggered,
            received,
        }
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

#[tokio::test(start_paused = true)]
async fn what_confirms_or_compares_is_no_change_that_became_answerable() {
    let (index, _reader) = Index::new(options());
    let following = Following::start(index);
    let web = || slice("a", "web", &[("h", "10.0.0.1")]);
    for change in [
        Change::ListStarted(OWN),
        Change::ListDone(OWN),
        Change::Confirmed(OWN),
        Change::AuditStarted(OWN),
        Change::Audited(OWN, web()),
        Change::AuditDone(OWN),
        Change::Lost(OWN),
    ] {
        following.send(None, change).await;
    }
    let received = || following.received.lock().unwrap().len();
    assert_eq!(received(), 0);
    following.send(None, Change::Apply(OWN, web())).await;
    following.send(None, delete(OWN)).await;
    assert_eq!(received(), 2);
}

/// What one service's host is answered with, followed over the two watches of slices.
struct Moving {
    following: Following,
    reader: Reader,
}

/// Slices come from two watches.
fn in_two_watches() -> Options {
    Options {
        sources: vec![Source::Services, OWN, FOREIGN],
        ..options()
    }
}

impl Moving {
    async fn start() -> Self {
        let (mut index, reader) = Index::new(in_two_watches());
        list(
            &mut index,
            &[headless("web"), slice("a", "web", &ENDPOINTS)],
        );
        let following = Following::start(index);
        following.send(None, Change::ListStarted(FOREIGN)).await;
        following.send(None, Change::ListDone(FOREIGN)).await;
        Self { following, reader }
    }

    async fn tell(&self, change: Change) {
        self.following.send(None, change).await;
    }

    fn host(&self, host: &str) -> Option<Vec<String>> {
        addresses(&self.reader, Some(host), "web")
    }

    /// Lets everything fade.
    async fn later(&self) {
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
}

const OWN: Source = Source::EndpointSlices;
const FOREIGN: Source = Source::ForeignEndpointSlices;
const ENDPOINTS: [(&str, &str); 2] = [("h0", "10.0.0.1"), ("h1", "10.0.0.2")];

fn delete(source: Source) -> Change {
    Change::Delete(source, ObjectKey::new("default", "a"))
}

#[tokio::test(start_paused = true)]
async fn k11_an_endpoint_that_moves_to_another_slice_is_there_throughout_in_either_order() {
    let moving = Moving::start().await;
    let [first, second] = ["10.0.0.1", "10.0.0.2"].map(|it| Some(strings(&[it])));
    let part = |name, n: usize| Change::Apply(OWN, slice(name, "web", &ENDPOINTS[n..=n]));
    for changes in [
        // The removal comes first.
        [part("a", 0), part("b", 1)],
        // The addition comes first.
        [part("a", 1), part("b", 0)],
        [part("b", 1), part("a", 0)],
    ] {
        for change in changes {
            moving.tell(change).await;
            assert_eq!(
                (moving.host("h0"), moving.host("h1")),
                (first.clone(), second.clone())
            );
        }
        moving.later().await;
        assert_eq!(
            (moving.host("h0"), moving.host("h1")),
            (first.clone(), second.clone())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn k28_a_slice_that_moves_between_the_watches_is_there_throughout_in_either_order() {
    let moving = Moving::start().await;
    let whole = || slice("a", "web", &ENDPOINTS);
    for [changes, back] in [
        [
            [delete(OWN), Change::Apply(FOREIGN, whole())],
            [delete(FOREIGN), Change::Apply(OWN, whole())],
        ],
        [
            [Change::Apply(FOREIGN, whole()), delete(OWN)],
            [Change::Apply(OWN, whole()), delete(FOREIGN)],
        ],
    ] {
        for change in changes.into_iter().chain(back) {
            moving.tell(change).await;
            assert_eq!(moving.host("h0"), Some(strings(&["10.0.0.1"])));
        }
        moving.later().await;
        assert_eq!(moving.host("h0"), Some(strings(&["10.0.0.1"])));
    }
    // Both watches were down meanwhile, and the one that lost it comes back first.
    for change in [Change::ListStarted(OWN), Change::ListDone(OWN)] {
        moving.tell(change).await;
    }
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(moving.host("h0"), Some(strings(&["10.0.0.1"])));
    moving.tell(Change::Apply(FOREIGN, whole())).await;
    moving.later().await;
    assert_eq!(moving.host("h0"), Some(strings(&["10.0.0.1"])));
}

#[tokio::test(start_paused = true)]
async fn k28_a_slice_that_moves_into_a_watch_whose_list_takes_a_minute_is_there_throughout() {
    let moving = Moving::start().await;
    let there = Some(strings(&["10.0.0.1"]));
    moving.tell(Change::ListStarted(FOREIGN)).await;
    moving.tell(delete(OWN)).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(moving.host("h0"), there);
    // A list that begins later says nothing of what went before.
    for change in [Change::ListStarted(OWN), Change::ListDone(FOREIGN)] {
        moving.tell(change).await;
        assert_eq!(moving.host("h0"), there);
    }
    moving.later().await;
    assert_eq!(moving.host("h0"), None, "it was in neither");
}

#[tokio::test(start_paused = true)]
async fn k28_a_slice_that_leaves_a_watch_before_its_first_list_is_not_absent_before_the_other_tells()
 {
    let (mut index, reader) = Index::new(in_two_watches());
    list(&mut index, &[headless("web")]);
    index.apply(Change::Lost(OWN));
    let following = Following::start(index);
    let knows = || reader.load().knows_endpoints();
    for source in [FOREIGN, OWN] {
        following.send(None, Change::ListStarted(source)).await;
        following.send(None, Change::ListDone(source)).await;
        assert!(!knows());
    }
    tokio::time::sleep(FADING - Duration::from_millis(5)).await;
    let told = Change::Apply(FOREIGN, slice("a", "web", &ENDPOINTS));
    following.send(None, told).await;
    assert!(!knows());
    tokio::time::sleep(Duration::from_millis(5)).await;
    let host = addresses(&reader, Some("h0"), "web");
    assert_eq!((knows(), host), (true, Some(strings(&["10.0.0.1"]))));
    // A later list is compared with what was held, which fades.
    following.send(None, Change::ListStarted(OWN)).await;
    following.send(None, Change::ListDone(OWN)).await;
    assert!(knows());
}

#[tokio::test(start_paused = true)]
async fn k28_a_watch_that_is_denied_while_it_lists_is_not_waited_for() {
    let moving = Moving::start().await;
    for change in [
        Change::ListStarted(FOREIGN),
        delete(OWN),
        Change::Lost(FOREIGN),
    ] {
        moving.tell(change).await;
    }
    moving.later().await;
    assert_eq!(moving.host("h0"), None);
}

#[tokio::test(start_paused = true)]
async fn k28_of_two_families_the_slice_that_moves_is_there_throughout() {
    let moving = Moving::start().await;
    let both = Some(strings(&["10.0.0.1", "fd00::1"]));
    moving
        .tell(Change::Apply(OWN, slice("b", "web", &[("h0", "fd00::1")])))
        .await;
    for change in [
        delete(OWN),
        Change::Apply(FOREIGN, slice("a", "web", &ENDPOINTS)),
    ] {
        moving.tell(change).await;
        assert_eq!(moving.host("h0"), both);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_for_good_is_answered_for_fifty_milliseconds_and_what_is_not_ready_not_at_all()
{
    let moving = Moving::start().await;
    let Object::EndpointSlice(mut unready) = slice("a", "web", &ENDPOINTS) else {
        unreachable!()
    };
    unready.endpoints[1].ready = false;
    moving
        .tell(Change::Apply(OWN, Object::EndpointSlice(unready)))
        .await;
    assert_eq!(moving.host("h1"), None);
    moving.tell(delete(OWN)).await;
    assert_eq!(moving.host("h1"), None);
    assert_eq!(moving.host("h0"), Some(strings(&["10.0.0.1"])));
    tokio::time::sleep(Duration::from_millis(47)).await;
    assert_eq!(moving.host("h0"), Some(strings(&["10.0.0.1"])));
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(moving.host("h0"), None);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_replaced_is_gone_at_once() {
    let moving = Moving::start().await;
    let replaced = slice("b", "web", &[("h0", "10.0.0.9")]);
    moving.tell(delete(OWN)).await;
    moving.tell(Change::Apply(OWN, replaced)).await;
    assert_eq!(moving.host("h0"), Some(strings(&["10.0.0.9"])));
    assert_eq!(moving.host("h1"), Some(strings(&["10.0.0.2"])));
    moving.later().await;
    assert_eq!(moving.host("h1"), None);
}

#[tokio::test(start_paused = true)]
async fn k27_a_service_that_turns_headless_is_unsure_until_its_slices_are_labelled() {
    let moving = Moving::start().await;
    let web = || slice("a", "web", &ENDPOINTS);
    let incomplete = || {
        let key = wire_key(&ObjectKey::new("default", "web")).unwrap();
        moving.reader.load().service(&key).unwrap().is_incomplete()
    };
    for labelled in [true, false] {
        let with_address = cluster_ip("web", "10.96.0.9");
        moving
            .tell(Change::Apply(Source::Services, with_address))
            .await;
        moving.tell(delete(OWN)).await;
        moving.later().await;
        moving
            .tell(Change::Apply(Source::Services, headless("web")))
            .await;
        assert!(incomplete());
        if labelled {
            // What is labelled is answered; another slice may still be on its way.
            moving.tell(Change::Apply(OWN, web())).await;
            assert!(incomplete() && moving.host("h0").is_some());
        }
        tokio::time::sleep(AWAITING_SLICES).await;
        assert!(!incomplete(), "it has no other endpoints after all");
    }
}

/// An endpoint moved while a watch was down, and the list tells of the slice that it left long before the other one.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_moved_is_there_throughout_a_slow_list_that_breaks_off_once() {
    let moving = Moving::start().await;
    let first = Some(strings(&["10.0.0.1"]));
    let part = |name, n: usize| Change::Apply(OWN, slice(name, "web", &ENDPOINTS[n..=n]));
    for changes in [
        vec![Change::ListStarted(OWN), part("a", 1)],
        vec![Change::ListStarted(OWN), part("a", 1), part("b", 0)],
        vec![Change::ListDone(OWN)],
    ] {
        for change in changes {
            moving.tell(change).await;
            tokio::time::sleep(Duration::from_secs(100)).await;
            assert_eq!(moving.host("h0"), first);
        }
    }
    // What the list did not name is gone.
    moving.tell(Change::ListStarted(OWN)).await;
    moving.tell(part("a", 1)).await;
    moving.tell(Change::ListDone(OWN)).await;
    moving.later().await;
    assert_eq!(moving.host("h0"), None);
}

/// Nobody knows what it says before, and who does afterwards is another watch.
#[tokio::test(start_paused = true)]
async fn a_malformed_slice_that_moves_between_the_watches_leaves_its_names_unsure_until_it_is_there()
 {
    let moving = Moving::start().await;
    let incomplete = || {
        let key = wire_key(&ObjectKey::new("default", "web")).unwrap();
        moving.reader.load().service(&key).unwrap().is_incomplete()
    };
    let malformed = Object::Unreadable(Unreadable {
        key: ObjectKey::new("default", "a"),
        service: Some(label("web")),
    });
    moving.tell(Change::Apply(OWN, malformed)).await;
    moving.tell(delete(OWN)).await;
    assert!(incomplete());
    tokio::time::sleep(FADING).await;
    assert!(!incomplete());
}

#[tokio::test(start_paused = true)]
async fn what_fades_is_bounded() {
    let (mut index, _) = Index::new(options());
    index.tell_time(now());
    for n in 0..20_000 {
        let name = format!("a-{n}");
        index.apply(Change::Apply(OWN, slice(&name, "web", &ENDPOINTS)));
        index.apply(Change::Delete(OWN, ObjectKey::new("default", &name)));
    }
    assert_eq!(index.fading.len(), 10_000);
    index.tell_time(index.next_deadline().unwrap());
    assert_eq!(index.fading.len(), 0);
}
