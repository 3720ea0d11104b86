//! A Kubernetes API server in this process, on a loopback port: lists in pages, watches, bookmarks, streaming lists and the
//! ways in which real ones fail. It counts what it is asked.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a test that cannot go on fails, and uses a part of it"
)]

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Query, State},
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
    serve::ListenerExt,
};
use futures::{Stream, StreamExt, stream};
use gapless::lifecycle::Tasks;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    convert::Infallible,
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// How a list or watch was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asked {
    /// The first page of a list.
    List,
    /// A further page.
    Page,
    /// A streaming list.
    Stream,
    /// A watch from a resourceVersion.
    Watch,
}

/// What a server does with streaming lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Streaming {
    #[default]
    On,
    /// 422, as without the feature gate.
    Refused,
    /// 500, as with an etcd that reports no progress.
    NoProgress,
    /// The response begins and nothing comes.
    Silent,
}

/// What goes wrong with the requests for one kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) streaming: Streaming,
    /// Every request is refused with this status and Retry-After.
    pub(crate) refuse: Option<(u16, Option<u32>)>,
    /// The next response is cut off after so many bytes.
    pub(crate) cut: Option<usize>,
    /// So many of the next watches say nothing.
    pub(crate) hang_watches: usize,
    /// Objects of a page, whatever the client asks for.
    pub(crate) page_size: Option<usize>,
    /// Continue tokens are too old as soon as they are given.
    pub(crate) expire_pages: bool,
    /// Every request waits until this is taken back.
    pub(crate) hold: bool,
    /// Open watches say nothing and do not end.
    pub(crate) mute: bool,
    /// How long each line of a streaming list, and each page, takes.
    pub(crate) pace: Option<Duration>,
    /// A server that is behind does not say so, but lists what it has.
    pub(crate) lies: bool,
    /// An expired position is told by the HTTP status rather than by an ERROR event.
    pub(crate) expired_as_status: bool,
}

/// The server.
#[derive(Clone)]
pub(crate) struct ApiServer {
    uri: Uri,
    shared: Arc<Shared>,
    _tasks: Tasks,
}

struct Shared {
    state: Mutex<Cluster>,
    /// Counts up with whatever happens to objects, watches and faults.
    ticks: watch::Sender<u64>,
    /// Counts up with each request; by itself, as every open watch wakes at the others.
    requests: watch::Sender<u64>,
}

#[derive(Default)]
struct Cluster {
    version: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    history: Vec<Happened>,
    /// The history up to here is forgotten.
    forgotten: u64,
    /// Watches that were opened before this generation are cut.
    generation: u64,
    faults: HashMap<String, Faults>,
    asked: BTreeMap<(String, Asked), usize>,
    targets: Vec<String>,
    /// When each request came, and how it asked.
    times: Vec<(Instant, Asked)>,
    pages: HashMap<String, (u64, Vec<Value>)>,
    /// A state that was kept; and whether it is what an API server knows that is behind.
    kept: Option<Kept>,
    is_behind: bool,
}

/// A version and all objects at that time.
type Kept = (u64, BTreeMap<Key, Arc<Value>>);

/// Plural, namespace, name.
type Key = (String, String, String);

struct Happened {
    version: u64,
    /// `None` is a bookmark for everybody.
    key: Option<Key>,
    before: Option<Arc<Value>>,
    after: Option<Arc<Value>>,
    /// What watches are told that had the object and still have it, or have it no longer, if that was made before.
    line: Option<Bytes>,
}

/// A change of an object that exists, with all that takes time done before it is due.
pub(crate) struct Prepared {
    version: u64,
    key: Key,
    after: Option<Arc<Value>>,
    line: Bytes,
}

impl Cluster {
    /// The next version's change: an object as it is then, or its end.
    fn happen(&mut self, key: Key, after: Option<Arc<Value>>, line: Option<Bytes>) {
        self.version += 1;
        let before = match &after {
            Some(after) => self.objects.insert(key.clone(), Arc::clone(after)),
            None => Some(self.objects.remove(&key).expect("the object exists")),
        };
        self.history.push(Happened {
            version: self.version,
            key: Some(key),
            before,
            after,
            line,
        });
    }
}

impl ApiServer {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        // As a real one: without it an event waits for the receipt of the one before, which may take 40 ms.
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        let shared = Arc::new(Shared {
            state: Mutex::new(Cluster {
                version: 100,
                forgotten: 100,
                ..Cluster::default()
            }),
            ticks: watch::channel(0).0,
            requests: watch::channel(0).0,
        });
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let (tasks, _) = Tasks::new();
        drop(tasks.brief(async move { axum::serve(listener, router).await }));
        Self {
            uri: uri.parse().unwrap(),
            shared,
            _tasks: tasks,
        }
    }

    /// A kubeconfig for it, with one context `fake`.
    pub(crate) fn kubeconfig(&self) -> String {
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": self.uri.to_string()}}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me"}}],
            "users": [{"name": "me", "user": {"token": "secret"}}],
        })
        .to_string()
    }

    pub(crate) fn client(&self) -> kube::Client {
        let mut config = kube::Config::new(self.uri.clone());
        config.default_retry = false;
        kube::Client::try_from(config).unwrap()
    }

    /// Creates the object or replaces it.
    pub(crate) fn apply(&self, object: &Value) {
        let mut cluster = self.cluster();
        let object = with_version(object.clone(), cluster.version + 1);
        cluster.happen(key_of(&object), Some(Arc::new(object)), None);
        drop(cluster);
        self.shared.tick();
    }

    /// Deletes the object of that kind's plural, namespace and name.
    pub(crate) fn delete(&self, plural: &str, namespace: &str, name: &str) {
        let key = (plural.to_owned(), namespace.to_owned(), name.to_owned());
        self.cluster().happen(key, None, None);
        self.shared.tick();
    }

    /// Makes the next changes: objects that exist, as they will be, or (`are_gone`) as they are told of when they are gone.
    /// Each is to be given to [`Self::happen`], in this order, before anything else changes.
    pub(crate) fn prepare(&self, objects: Vec<Value>, are_gone: bool) -> Vec<Prepared> {
        let versions = self.cluster().version + 1..;
        let prepared = objects.into_iter().zip(versions).map(|(object, version)| {
            let object = with_version(object, version);
            let kind = if are_gone { "DELETED" } else { "MODIFIED" };
            Prepared {
                version,
                key: key_of(&object),
                line: line(kind, &object),
                after: (!are_gone).then(|| Arc::new(object)),
            }
        });
        prepared.collect()
    }

    /// What was prepared happens.
    pub(crate) fn happen(&self, prepared: Prepared) {
        let mut cluster = self.cluster();
        assert_eq!(prepared.version, cluster.version + 1, "in order");
        cluster.happen(prepared.key, prepared.after, Some(prepared.line));
        drop(cluster);
        self.shared.tick();
    }

    /// Is there such an object?
    pub(crate) fn has(&self, plural: &str, namespace: &str, name: &str) -> bool {
        let key = (plural.to_owned(), namespace.to_owned(), name.to_owned());
        self.cluster().objects.contains_key(&key)
    }

    /// A client without a connection: nothing but the runtime's clock stands between it and the server.
    pub(crate) fn client_in_process(&self) -> kube::Client {
        let router = Router::new()
            .fallback(answer)
            .with_state(self.shared.clone());
        kube::Client::new(router, "default")
    }

    /// Creates the object or replaces it, and no watch ever hears of it.
    pub(crate) fn apply_unheard(&self, object: &Value) {
        self.apply(object);
        self.cluster().history.pop();
    }

    /// Deletes it, and no watch ever hears of it.
    pub(crate) fn delete_unheard(&self, plural: &str, namespace: &str, name: &str) {
        self.delete(plural, namespace, name);
        self.cluster().history.pop();
    }

    /// Keeps the state as it is now.
    pub(crate) fn keep_state(&self) {
        let mut cluster = self.cluster();
        cluster.kept = Some((cluster.version, cluster.objects.clone()));
    }

    /// From now on another API server answers, that knows the state that was kept and no other, but can read etcd; or
    /// the first one again.
    pub(crate) fn fall_behind(&self, is_behind: bool) {
        self.cluster().is_behind = is_behind;
        self.cut_watches();
    }

    /// Restores the state that was kept, with its version, as an etcd does from a backup.
    pub(crate) fn restore_state(&self) {
        let mut cluster = self.cluster();
        let (version, objects) = cluster.kept.clone().expect("a state that was kept");
        (cluster.version, cluster.objects) = (version, objects);
        cluster.forgotten = version;
        cluster.history.clear();
        cluster.pages.clear();
        drop(cluster);
        self.cut_watches();
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> usize {
        self.cluster().targets.len()
    }

    /// Sends a bookmark to every watch.
    pub(crate) fn bookmark(&self) {
        let mut cluster = self.cluster();
        cluster.version += 1;
        let version = cluster.version;
        cluster.history.push(Happened {
            version,
            key: None,
            before: None,
            after: None,
            line: None,
        });
        drop(cluster);
        self.shared.tick();
    }

    /// Forgets what happened so far, so that older positions and continue tokens are gone.
    pub(crate) fn compact(&self) {
        let mut cluster = self.cluster();
        cluster.forgotten = cluster.version;
        cluster.history.clear();
        cluster.pages.clear();
    }

    /// Counts versions from a lower one on, as an etcd restored from a backup does.
    pub(crate) fn rewind(&self, version: u64) {
        let mut cluster = self.cluster();
        cluster.version = version;
        cluster.forgotten = version;
        cluster.history.clear();
    }

    /// Cuts every open watch.
    pub(crate) fn cut_watches(&self) {
        self.cluster().generation += 1;
        self.shared.tick();
    }

    /// Changes what goes wrong with a kind.
    pub(crate) fn fault(&self, plural: &str, change: impl FnOnce(&mut Faults)) {
        change(self.cluster().faults.entry(plural.to_owned()).or_default());
        self.shared.tick();
    }

    /// How often a kind was asked for in this way.
    pub(crate) fn asked(&self, plural: &str, asked: Asked) -> usize {
        let key = (plural.to_owned(), asked);
        self.cluster().asked.get(&key).copied().unwrap_or_default()
    }

    /// Path and query of every request so far.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.cluster().targets.clone()
    }

    /// When each request came so far, and how it asked.
    pub(crate) fn times(&self) -> Vec<(Instant, Asked)> {
        self.cluster().times.clone()
    }

    /// Waits until a kind was asked for so often.
    pub(crate) async fn until_asked(&self, plural: &str, asked: Asked, times: usize) {
        let mut requests = self.shared.requests.subscribe();
        while self.asked(plural, asked) < times {
            requests
                .changed()
                .await
                .expect("the server holds the sender");
        }
    }

    fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.shared.state.lock().unwrap()
    }
}

impl Shared {
    fn tick(&self) {
        self.ticks.send_modify(|ticks| *ticks += 1);
    }
}

fn key_of(object: &Value) -> Key {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let plural = format!("{}s", text(&object["kind"]).to_lowercase());
    let metadata = &object["metadata"];
    (
        plural,
        text(&metadata["namespace"]),
        text(&metadata["name"]),
    )
}

fn with_version(mut object: Value, version: u64) -> Value {
    object["metadata"]["resourceVersion"] = version.to_string().into();
    object
}

type Parameters = BTreeMap<String, String>;

async fn answer(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    Query(parameters): Query<Parameters>,
) -> Response {
    let plural = uri.path().rsplit('/').next().unwrap_or_default().to_owned();
    let parameter = |name: &str| parameters.get(name).map_or("", String::as_str);
    let asked = match (parameter("watch"), parameter("sendInitialEvents")) {
        ("true", "true") => Asked::Stream,
        ("true", _) => Asked::Watch,
        _ if parameter("continue").is_empty() => Asked::List,
        _ => Asked::Page,
    };
    let (faults, generation) = {
        let mut cluster = shared.state.lock().unwrap();
        *cluster.asked.entry((plural.clone(), asked)).or_default() += 1;
        cluster.targets.push(uri.to_string());
        cluster.times.push((Instant::now(), asked));
        let generation = cluster.generation;
        let faults = cluster.faults.entry(plural.clone()).or_default();
        let now = faults.clone();
        faults.cut = None;
        if asked == Asked::Watch {
            faults.hang_watches = faults.hang_watches.saturating_sub(1);
        }
        (now, generation)
    };
    shared.requests.send_modify(|requests| *requests += 1);
    let held = |shared: &Shared| shared.state.lock().unwrap().faults[&plural].hold;
    let mut ticks = shared.ticks.subscribe();
    while held(&shared) {
        ticks.changed().await.expect("the server holds the sender");
    }
    if let Some((code, retry_after)) = faults.refuse {
        return refusal(code, "refused on purpose", retry_after);
    }
    match (asked, faults.streaming) {
        (Asked::Stream, Streaming::Refused) => {
            let message = "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList \
                           feature gate is enabled";
            return refusal(422, message, None);
        }
        (Asked::Stream, Streaming::NoProgress) => {
            return refusal(500, "RequestWatchProgress is disabled", None);
        }
        _ => {}
    }
    let silent = asked == Asked::Stream && faults.streaming == Streaming::Silent;
    if silent || (asked == Asked::Watch && faults.hang_watches > 0) {
        return Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()).into_response();
    }
    if let Some(pace) = faults.pace.filter(|_| asked != Asked::Stream) {
        tokio::time::sleep(pace).await;
    }
    match asked {
        Asked::List | Asked::Page => list(&shared, &plural, &parameters, &faults),
        Asked::Stream | Asked::Watch => {
            watch_of(&shared, plural, parameters, &faults, asked, generation)
        }
    }
}

fn refusal(code: u16, message: &str, retry_after: Option<u32>) -> Response {
    let mut response = status_object(code, message).to_string().into_response();
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert("Retry-After", seconds.into());
    }
    response
}

fn status_object(code: u16, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message})
}

fn list(shared: &Shared, plural: &str, parameters: &Parameters, faults: &Faults) -> Response {
    let mut cluster = shared.state.lock().unwrap();
    let (version, mut items) = match parameters.get("continue") {
        Some(token) => match cluster.pages.remove(token).filter(|_| !faults.expire_pages) {
            Some(rest) => rest,
            None => return refusal(410, "The provided continue parameter is too old", None),
        },
        None => (
            cluster.version,
            of_kind(&cluster.objects, plural, parameters),
        ),
    };
    let limit = parameters.get("limit").and_then(|limit| limit.parse().ok());
    let limit = faults
        .page_size
        .or(limit)
        .unwrap_or(usize::MAX)
        .min(items.len());
    let rest = items.split_off(limit);
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if !rest.is_empty() {
        let token = format!("{plural}+{version}/{}=", rest.len());
        metadata["continue"] = token.clone().into();
        metadata["remainingItemCount"] = rest.len().into();
        cluster.pages.insert(token, (version, rest));
    }
    let list = json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items});
    let whole = stream::once(async move { Ok(Bytes::from(list.to_string())) });
    Body::from_stream(cut(whole, faults.cut)).into_response()
}

fn watch_of(
    shared: &Arc<Shared>,
    plural: String,
    parameters: Parameters,
    faults: &Faults,
    asked: Asked,
    generation: u64,
) -> Response {
    let cluster = shared.state.lock().unwrap();
    let mut pending = VecDeque::new();
    let given = parameters
        .get("resourceVersion")
        .and_then(|it| it.parse().ok());
    let at = if asked == Asked::Stream {
        // Without a version the most recent state is asked for, which is read from etcd.
        let behind = cluster.kept.as_ref();
        let behind = behind.filter(|_| cluster.is_behind && given.is_some());
        let version = behind.map_or(cluster.version, |(version, _)| *version);
        if given > Some(version) && !faults.lies {
            return refusal(504, "Too large resource version: 1, current: 0", None);
        }
        let objects = behind.map_or(&cluster.objects, |(_, objects)| objects);
        for object in of_kind(objects, &plural, &parameters) {
            pending.push_back(line("ADDED", &object));
        }
        let end = json!({"metadata": {
            "resourceVersion": version.to_string(),
            "annotations": {"k8s.io/initial-events-end": "true"},
        }});
        pending.push_back(line("BOOKMARK", &end));
        version
    } else {
        let at = given.expect("a watch starts at a resourceVersion");
        if at < cluster.forgotten && faults.expired_as_status {
            return refusal(410, "too old resource version", None);
        }
        if at < cluster.forgotten {
            pending.push_back(line(
                "ERROR",
                &status_object(410, "too old resource version"),
            ));
        }
        at
    };
    let seconds: u64 = parameters["timeoutSeconds"].parse().unwrap();
    let cursor = Cursor {
        ticks: shared.ticks.subscribe(),
        shared: shared.clone(),
        plural,
        parameters,
        at,
        generation,
        pending,
        ends: Instant::now() + Duration::from_secs(seconds),
        bookmark_at: Instant::now() + Duration::from_secs(seconds.min(60 + 2) - 2),
        pace: faults.pace,
    };
    let lines = stream::unfold(cursor, |mut cursor| async {
        let line = cursor.next().await?;
        Some((line, cursor))
    });
    Body::from_stream(cut(lines, faults.cut)).into_response()
}

/// Passes on so many bytes, then breaks the connection.
fn cut(
    whole: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    limit: Option<usize>,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let mut left = limit.unwrap_or(usize::MAX);
    whole.flat_map(move |part| {
        let part = part.map(|bytes| {
            let kept = bytes.slice(..bytes.len().min(left));
            left -= kept.len();
            kept
        });
        let broken = (left == 0).then(|| Err(io::Error::other("cut on purpose")));
        // What was kept must be on the wire before the connection breaks.
        stream::iter([part]).chain(stream::iter(broken).then(|error| async {
            tokio::task::yield_now().await;
            error
        }))
    })
}

/// Where a watch stands.
struct Cursor {
    shared: Arc<Shared>,
    ticks: watch::Receiver<u64>,
    plural: String,
    parameters: Parameters,
    at: u64,
    generation: u64,
    pending: VecDeque<Bytes>,
    ends: Instant,
    bookmark_at: Instant,
    pace: Option<Duration>,
}

impl Cursor {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if let Some(line) = self.pending.pop_front() {
                if let Some(pace) = self.pace {
                    tokio::time::sleep(pace).await;
                }
                return Some(Ok(line));
            }
            if self.is_mute() {
                self.ticks.changed().await.ok()?;
                continue;
            }
            if !self.read() {
                return Some(Err(io::Error::other("cut on purpose")));
            }
            if self.pending.is_empty() {
                tokio::select! {
                    ticked = self.ticks.changed() => ticked.ok()?,
                    () = tokio::time::sleep_until(self.bookmark_at.min(self.ends)) => {
                        if self.bookmark_at > self.ends {
                            return None;
                        }
                        // As real servers do, every minute and two seconds before the end, and never from before the beginning.
                        let last = self.ends - Duration::from_secs(2);
                        let next = self.bookmark_at + Duration::from_secs(60);
                        self.bookmark_at = if self.bookmark_at < last { next.min(last) } else { next };
                        if self.version() >= self.at {
                            let version = json!({"metadata": {"resourceVersion": self.at.to_string()}});
                            self.pending.push_back(line("BOOKMARK", &version));
                        }
                    },
                }
            }
        }
    }

    fn version(&self) -> u64 {
        let cluster = self.shared.state.lock().unwrap();
        let behind = cluster.kept.as_ref().filter(|_| cluster.is_behind);
        behind.map_or(cluster.version, |(version, _)| *version)
    }

    fn is_mute(&self) -> bool {
        let cluster = self.shared.state.lock().unwrap();
        let faults = cluster.faults.get(&self.plural);
        faults.is_some_and(|faults| faults.mute) && cluster.generation == self.generation
    }

    /// Reads what happened since; false if the watch is cut.
    fn read(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let cluster = shared.state.lock().unwrap();
        if cluster.is_behind {
            return cluster.generation == self.generation;
        }
        let old = cluster.history.partition_point(|it| it.version <= self.at);
        for happened in &cluster.history[old..] {
            self.pending.extend(self.line_for(happened));
        }
        self.at = cluster.version.max(self.at);
        cluster.generation == self.generation
    }

    fn line_for(&self, happened: &Happened) -> Option<Bytes> {
        let Some((plural, ..)) = &happened.key else {
            let version = json!({"metadata": {"resourceVersion": happened.version.to_string()}});
            return Some(line("BOOKMARK", &version));
        };
        if *plural != self.plural {
            return None;
        }
        let selected = |object: &&Arc<Value>| is_selected(object, &self.parameters);
        let before = happened.before.as_ref().filter(selected);
        match (before, happened.after.as_ref().filter(selected)) {
            (None, None) => None,
            (None, Some(after)) => Some(line("ADDED", after)),
            // Made before, it is of an object that stays selected, or goes altogether.
            (Some(_), _) if happened.line.is_some() => happened.line.clone(),
            (Some(_), Some(after)) => Some(line("MODIFIED", after)),
            (Some(before), None) => {
                let last = with_version(Value::clone(before), happened.version);
                Some(line("DELETED", &last))
            }
        }
    }
}

fn of_kind(
    objects: &BTreeMap<Key, Arc<Value>>,
    plural: &str,
    parameters: &Parameters,
) -> Vec<Value> {
    let of_kind = objects.iter().filter(|((it, ..), _)| it == plural);
    let selected = of_kind.filter(|(_, object)| is_selected(object, parameters));
    selected.map(|(_, object)| Value::clone(object)).collect()
}

fn line(kind: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n"))
}

fn is_selected(object: &Value, parameters: &Parameters) -> bool {
    let matches = |selector: &str, field: &dyn Fn(&str) -> Value| {
        selector
            .split(',')
            .filter(|it| !it.is_empty())
            .all(|requirement| {
                if let Some((name, value)) = requirement.split_once("!=") {
                    field(name) != value
                } else if let Some((name, value)) = requirement.split_once('=') {
                    field(name) == value
                } else {
                    !field(requirement).is_null()
                }
            })
    };
    let label = |name: &str| object["metadata"]["labels"][name].clone();
    let path = |name: &str| {
        name.split('.')
            .fold(object.clone(), |value, part| value[part].clone())
    };
    let selector = |name: &str| parameters.get(name).map_or("", String::as_str);
    matches(selector("labelSelector"), &label) && matches(selector("fieldSelector"), &path)
}
