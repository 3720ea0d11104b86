//! What is true, as the API tells it: the address that the EndpointSlices of headless services give each name, and since when.

use crate::control_plane::follow;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api, Client, ResourceExt as _,
    api::{WatchEvent, WatchParams},
};
use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
    sync::{Arc, Mutex},
};
use tokio::{task::JoinSet, time::Instant};

/// The same slices as gapless watches, so that events are counted alike.
const HEADLESS: &str = "service.kubernetes.io/headless";

/// From this event on, a name has this address, or none.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    pub at: Instant,
    /// Which event it was, counted from 1.
    pub event: u64,
    pub address: Option<Ipv4Addr>,
}

/// It watches until it is dropped.
pub struct Truth {
    told: Arc<Mutex<Told>>,
    _watching: JoinSet<()>,
}

#[derive(Default)]
struct Told {
    events: u64,
    /// Slice by name; within it, the ready endpoints by hostname.
    slices: HashMap<String, Addresses>,
    turns: HashMap<String, Vec<Turn>>,
}

type Addresses = BTreeMap<String, Ipv4Addr>;

impl Truth {
    pub fn start(client: Client) -> Self {
        let told = Arc::new(Mutex::new(Told::default()));
        let telling = told.clone();
        let mut watching = JoinSet::new();
        watching.spawn(async move {
            let params = WatchParams::default().labels(HEADLESS);
            follow(Api::all(client), params, |event| {
                telling.lock().unwrap().event(Instant::now(), event);
            })
            .await;
        });
        Self {
            told,
            _watching: watching,
        }
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.told.lock().unwrap().events
    }

    /// All turns of a name so far, the first of them its first address.
    pub fn turns(&self, hostname: &str) -> Vec<Turn> {
        let told = self.told.lock().unwrap();
        told.turns.get(hostname).cloned().unwrap_or_default()
    }

    /// The address of a name now.
    pub fn address(&self, hostname: &str) -> Option<Ipv4Addr> {
        self.turns(hostname).last().and_then(|turn| turn.address)
    }
}

impl Told {
    fn event(&mut self, at: Instant, event: WatchEvent<EndpointSlice>) {
        let (slice, now) = match event {
            WatchEvent::Added(slice) | WatchEvent::Modified(slice) => {
                let ready = ready(&slice);
                (slice.name_any(), ready)
            }
            WatchEvent::Deleted(slice) => (slice.name_any(), Addresses::new()),
            WatchEvent::Bookmark(_) | WatchEvent::Error(_) => return,
        };
        self.events += 1;
        let before = self.slices.insert(slice, now.clone()).unwrap_or_default();
        for hostname in before.into_keys().chain(now.into_keys()) {
            let address = self.slices.values().find_map(|slice| slice.get(&hostname));
            let turns = self.turns.entry(hostname).or_default();
            if turns.last().and_then(|turn| turn.address) != address.copied() {
                turns.push(Turn {
                    at,
                    event: self.events,
                    address: address.copied(),
                });
            }
        }
    }
}

/// Hostnames are those of the pods of a StatefulSet, which are unique on this stage.
fn ready(slice: &EndpointSlice) -> Addresses {
    let ready = slice.endpoints.iter().filter(|endpoint| {
        let conditions = endpoint.conditions.as_ref();
        conditions.and_then(|conditions| conditions.ready) != Some(false)
    });
    ready
        .filter_map(|endpoint| {
            let hostname = endpoint.hostname.clone()?;
            Some((hostname, endpoint.addresses.first()?.parse().ok()?))
        })
        .collect()
}
