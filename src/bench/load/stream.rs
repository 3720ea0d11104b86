//! Queries over connections: TCP (RFC 7766), TLS (RFC 7858) and HTTPS (RFC 8484). A thread keeps the time, because the
//! runtime's timer is no finer than a millisecond; a task for each connection sends and receives, and connects again.

mod open;

pub(super) use open::open_all;

use super::{Pace, Plan, Told};
use crate::bench::{
    flights::{Flight, Flights, Landing},
    questions::{Pick, Picker},
    schedule::Arrivals,
    tally::Tally,
    wait,
};
use futures::{StreamExt as _, stream::FuturesUnordered};
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Bytes, client::conn::http2};
use open::{Http, Stream, open};
use rand::RngExt as _;
use std::{io, mem, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split},
    sync::mpsc,
    task::JoinSet,
    time::{interval, sleep, timeout},
};

/// Between a lost connection and the next one.
const PAUSE: Duration = Duration::from_millis(50);
/// Queries that are due on one connection and not taken yet; more wait in the pacer.
const QUEUE: usize = 1024;
/// Queries are taken while less than this waits to be written.
const OUTPUT_BYTES: usize = 16_384;
/// How often time-outs are looked at.
const LOOK: Duration = Duration::from_millis(10);
/// Octets of the longest message.
const MESSAGE_BYTES: usize = 65_535;
const MESSAGE: &str = "application/dns-message";

/// Where a connection's queries come from.
enum Source {
    /// From the pacer, with the time at which they are due.
    Paced(mpsc::Receiver<(u64, Pick)>),
    /// As many at once, as long as the run lasts.
    Closed(Box<Picker>, usize),
}

/// One stream of queries that the pacer keeps the time of.
struct Paced {
    server: usize,
    arrivals: Arrivals,
    rate: f64,
    picker: Picker,
    lines: Vec<mpsc::Sender<(u64, Pick)>>,
    next_line: usize,
}

type Work = JoinSet<anyhow::Result<Vec<(usize, Tally)>>>;

/// Starts the tasks of these connections, and the thread that keeps their time.
pub(super) fn start(plan: &Arc<Plan>, opened: Vec<Option<Vec<Stream>>>, work: &mut Work) {
    let places = opened.len();
    let mut paced = vec![];
    for (server, streams) in opened.into_iter().enumerate() {
        let Some(streams) = streams else { continue };
        let order = &plan.options.order;
        let clients = streams.len();
        let questions = plan.options.questions.len();
        let mut lines = vec![];
        for (nth, stream) in streams.into_iter().enumerate() {
            let source = match plan.options.pace {
                Pace::Open(..) => {
                    let (line, queue) = mpsc::channel(QUEUE);
                    lines.push(line);
                    Source::Paced(queue)
                }
                Pace::Closed(outstanding) => {
                    let picker = Picker::new(questions, order, nth, clients);
                    Source::Closed(Box::new(picker), outstanding.div_ceil(clients))
                }
            };
            let line = Line {
                plan: Arc::clone(plan),
                server,
                source,
                flights: Flights::new(rand::rng().random()),
                tally: plan.tally(),
                told: Told::default(),
                exhausted: false,
            };
            work.spawn(line.work(stream));
        }
        if let Pace::Open(spacing, rate) = plan.options.pace {
            paced.push(Paced {
                server,
                arrivals: Arrivals::new(spacing, rate, server, places, order.seed),
                rate,
                picker: Picker::new(questions, order, 0, 1),
                lines,
                next_line: 0,
            });
        }
    }
    if !paced.is_empty() {
        let plan = Arc::clone(plan);
        work.spawn_blocking(move || Ok(pace(&plan, paced)));
    }
}

/// Gives each query to a connection when it is due, to the end of the run.
fn pace(plan: &Plan, mut streams: Vec<Paced>) -> Vec<(usize, Tally)> {
    const LONGEST_WAIT_NS: u64 = 10_000_000;
    const FULL_WAIT_NS: u64 = 200_000;
    wait::precisely();
    loop {
        let now = plan.now();
        let late = now >= plan.end_ns + super::GRACE_NS;
        let next = |it: &Paced| it.arrivals.peek();
        let all = streams.iter().all(|it| next(it) >= plan.end_ns);
        if late || all || plan.stop.is_cancelled() {
            break;
        }
        let mut wake_at = now + LONGEST_WAIT_NS;
        for stream in &mut streams {
            while next(stream) <= now && next(stream) < plan.end_ns {
                let nth = stream.next_line;
                stream.next_line = (nth + 1) % stream.lines.len();
                let Ok(room) = stream.lines[nth].try_reserve() else {
                    wake_at = wake_at.min(now + FULL_WAIT_NS);
                    break;
                };
                room.send((next(stream), stream.picker.pick()));
                stream.arrivals.advance();
            }
            wake_at = wake_at.min(next(stream).max(now + 1000));
        }
        wait::pause(wake_at.saturating_sub(plan.now()));
    }
    let unsent = streams.into_iter().map(|stream| {
        let mut tally = plan.tally();
        tally.unsent = plan.never_sent(stream.arrivals.peek(), stream.rate);
        (stream.server, tally)
    });
    unsent.collect()
}

/// One connection after another, and the queries of all of them.
struct Line {
    plan: Arc<Plan>,
    server: usize,
    source: Source,
    flights: Flights,
    tally: Tally,
    told: Told,
    /// Will no more queries come?
    exhausted: bool,
}

impl Line {
    async fn work(mut self, stream: Stream) -> anyhow::Result<Vec<(usize, Tally)>> {
        let mut stream = Some(stream);
        let stop = self.plan.stop.clone();
        loop {
            let plan = Arc::clone(&self.plan);
            let over = self.exhausted || plan.now() >= plan.end_ns + super::GRACE_NS;
            if stop.is_cancelled() || over && self.flights.open() == 0 {
                break;
            }
            let open = match stream.take() {
                Some(stream) => Ok(stream),
                None => open(&plan.options.servers[self.server], &plan.options).await,
            };
            let ended = match open {
                Ok(Stream::Tcp(stream)) => self.drive(stream).await,
                Ok(Stream::Tls(stream)) => self.drive(stream).await,
                Ok(Stream::Https(sender, http, uri)) => self.drive_https(sender, http, uri).await,
                Err(error) => Err(io::Error::other(error)),
            };
            if ended.is_err() {
                self.tally.errors += 1;
                let tally = &mut self.tally;
                self.flights.lose_before(u64::MAX, |it| tally.lost(it.due));
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = sleep(PAUSE) => {}
                }
            }
        }
        self.tally.unfinished = self.flights.open() as u64;
        self.tell();
        Ok(vec![(self.server, self.tally)])
    }

    fn tell(&mut self) {
        let servers = self.plan.live.servers();
        let live = &servers[self.server.min(servers.len() - 1)];
        self.told.tell(live, &self.tally, self.plan.now());
    }

    /// The next query that is due, or nothing when there will be none. In a closed loop, waits for one to end.
    async fn next(source: &mut Source, plan: &Plan, open: usize) -> Option<(u64, Pick)> {
        match source {
            Source::Paced(queue) => queue.recv().await,
            Source::Closed(picker, outstanding) => {
                let now = plan.now();
                if now >= plan.end_ns {
                    return None;
                }
                if open >= *outstanding {
                    std::future::pending::<()>().await;
                }
                Some((now, picker.pick()))
            }
        }
    }

    /// Gives up what waits for too long; whether the line has nothing more to do.
    fn look(&mut self) -> bool {
        let now = self.plan.now();
        let before = now.saturating_sub(self.plan.timeout_ns());
        let tally = &mut self.tally;
        self.flights.lose_before(before, |it| tally.lost(it.due));
        self.tell();
        self.plan.stop.is_cancelled() || self.exhausted && self.flights.open() == 0
    }

    /// Notes that a query leaves.
    fn leave(&mut self, due: u64, pick: Pick) {
        let now = self.plan.now();
        self.tally.sent(due, now);
        self.flights.start(Flight {
            due,
            sent: now,
            pick,
        });
    }

    fn came(&mut self, id: u16, message: &[u8]) {
        match self.flights.awaited(id) {
            Landing::Awaited(Flight { due, pick, .. }) => {
                let question = &self.plan.options.questions[pick.question];
                let now = self.plan.now();
                if self.tally.reply(question, pick, due, now, message) {
                    self.flights.land(id);
                }
            }
            Landing::Late => self.tally.late += 1,
            Landing::Unknown => self.tally.unexpected += 1,
        }
    }

    /// Two octets of length before each message (RFC 1035 §4.2.2). Ends when there is nothing more to do.
    async fn drive(&mut self, stream: impl AsyncRead + AsyncWrite) -> io::Result<()> {
        let (mut reader, mut writer) = split(stream);
        let plan = Arc::clone(&self.plan);
        let (mut input, mut output, mut packet) = (Vec::new(), Vec::new(), Vec::new());
        let (mut written, mut flushed) = (0, true);
        let mut looks = interval(LOOK);
        loop {
            let open = self.flights.open();
            let room = self.flights.room() > 0 && output.len() < OUTPUT_BYTES && !self.exhausted;
            tokio::select! {
                biased;
                read = reader.read_buf(&mut input) => {
                    if read? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    let mut rest = &input[..];
                    while let Some((len, after)) = rest.split_first_chunk()
                        && let Some((message, after)) =
                            after.split_at_checked(u16::from_be_bytes(*len).into())
                    {
                        match message.first_chunk() {
                            Some(id) => self.came(u16::from_be_bytes(*id), message),
                            None => self.tally.unexpected += 1,
                        }
                        rest = after;
                    }
                    let left = rest.len();
                    input.drain(..input.len() - left);
                    if self.exhausted && self.flights.open() == 0 {
                        return Ok(());
                    }
                }
                taken = write(&mut writer, &output[written..]), if !flushed => match taken? {
                    0 => {
                        (written, flushed) = (0, true);
                        output.clear();
                    }
                    count => written += count,
                },
                next = Self::next(&mut self.source, &plan, open), if room => match next {
                    None => {
                        self.exhausted = true;
                        if open == 0 {
                            return Ok(());
                        }
                    }
                    Some((due, pick)) => {
                        let id = self.flights.id_of(0);
                        plan.options.questions[pick.question].write(id, pick.unique, &mut packet);
                        let len = u16::try_from(packet.len()).expect("a query is short");
                        output.extend_from_slice(&len.to_be_bytes());
                        output.extend_from_slice(&packet);
                        flushed = false;
                        self.leave(due, pick);
                    }
                },
                _ = looks.tick() => if self.look() { return Ok(()); },
            }
        }
    }

    /// Each query a POST of its own, its ID zero; the number under which it waits never leaves.
    async fn drive_https(
        &mut self,
        sender: http2::SendRequest<Full<Bytes>>,
        mut http: Http,
        uri: Uri,
    ) -> io::Result<()> {
        let plan = Arc::clone(&self.plan);
        let mut posts = FuturesUnordered::new();
        let mut looks = interval(LOOK);
        loop {
            let open = self.flights.open();
            let room = self.flights.room() > 0 && !self.exhausted;
            tokio::select! {
                biased;
                Some((id, came)) = posts.next() => match came {
                    Ok(message) => {
                        let message: Bytes = message;
                        self.came(id, &message);
                        if self.exhausted && self.flights.open() == 0 {
                            return Ok(());
                        }
                    }
                    // The query is lost when its time is over.
                    Err(_) => self.tally.errors += 1,
                },
                ended = &mut http => {
                    return Err(io::Error::other(match ended {
                        Ok(()) => "the server closed the connection".to_owned(),
                        Err(error) => error.to_string(),
                    }));
                }
                next = Self::next(&mut self.source, &plan, open), if room => match next {
                    None => {
                        self.exhausted = true;
                        if open == 0 {
                            return Ok(());
                        }
                    }
                    Some((due, pick)) => {
                        let mut packet = Vec::new();
                        plan.options.questions[pick.question].write(0, pick.unique, &mut packet);
                        let id = self.flights.id_of(0);
                        let post = post(sender.clone(), uri.clone(), mem::take(&mut packet));
                        let within = plan.options.timeout;
                        posts.push(async move {
                            let came = timeout(within, post).await;
                            (id, came.unwrap_or_else(|_| Err("too late".into())))
                        });
                        self.leave(due, pick);
                    }
                },
                _ = looks.tick() => if self.look() { return Ok(()); },
            }
        }
    }
}

/// Writes some octets, or if there are none sees to it that they leave, which is 0.
async fn write(writer: &mut (impl AsyncWrite + Unpin), octets: &[u8]) -> io::Result<usize> {
    if octets.is_empty() {
        return writer.flush().await.map(|()| 0);
    }
    match writer.write(octets).await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        count => Ok(count),
    }
}

async fn post(
    mut sender: http2::SendRequest<Full<Bytes>>,
    uri: Uri,
    message: Vec<u8>,
) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(uri)
        .header(header::CONTENT_TYPE, MESSAGE)
        .header(header::ACCEPT, MESSAGE)
        .body(Full::from(message))?;
    let response = sender.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(format!("HTTP status {}", response.status().as_u16()).into());
    }
    let body = Limited::new(response.into_body(), MESSAGE_BYTES);
    Ok(body.collect().await?.to_bytes())
}
