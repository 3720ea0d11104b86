//! Asks a server as fast as it answers, or at a constant rate, from one thread that never sleeps; says how fast the answers came, how long they
//! took, and what they cost the server.
//!
//! ```text
//! load --server 127.0.0.1:53 --names FILE [--pid N] [--seconds 2] [--warm 0.5] [--rate 0] [--window 192] [--tcp CONNECTIONS] [--unique] [--served]
//! ```
//!
//! Each line of the file is a name and a type (A, AAAA, SRV, PTR). With `--unique`, the first eight octets of each name become a number that
//! counts up. Without a rate there are always `window` questions under way, by TCP one for each connection; with one, a question's time begins
//! when it is due, whether it could be sent then or not; with `--served` when it is sent, and it ends when the kernel has the answer, so that what
//! holds up this program, which may share its core, is no part of it. Printed is one line of figures: answers a second, user µs and system µs of an answer,
//! 50 %, 99 % and 99.9 % of the times in µs, resident KiB, answers, questions lost, answers that are SERVFAIL or REFUSED or cut, NXDOMAINs.

use side_by_side::{Batch, Readable, SLOTS, note_arrivals, send_alike, set_receive_buffer, used};
use std::{
    collections::{BTreeMap, VecDeque},
    env, fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Questions of one send without a rate.
const RUN: usize = 24;
const LOST_AFTER: Duration = Duration::from_secs(1);
const SOCKETS: usize = 8;

fn main() {
    let options: BTreeMap<String, String> = {
        let mut words = env::args().skip(1).peekable();
        let mut options = BTreeMap::new();
        while let Some(word) = words.next() {
            let value = words.next_if(|next| !next.starts_with("--"));
            options.insert(word, value.unwrap_or_default());
        }
        options
    };
    let number = |name: &str, default: f64| {
        options
            .get(name)
            .map_or(default, |it| it.parse().expect("a number"))
    };
    let file = fs::read_to_string(&options["--names"]).expect("a file of names");
    let mut load = Load {
        server: options["--server"].clone(),
        runs: runs(&file),
        unique: options.contains_key("--unique").then_some(first_number()),
        served: options.contains_key("--served"),
        rate: number("--rate", 0.0),
        window: number("--window", 192.0) as usize,
        warm: Duration::from_secs_f64(number("--warm", 0.5)),
        measured: Duration::from_secs_f64(number("--seconds", 2.0)),
        process: number("--pid", 0.0) as u32,
        next: (0, 0),
        figures: Figures::default(),
    };
    match number("--tcp", 0.0) as usize {
        0 => load.by_udp(),
        connections => load.by_tcp(connections),
    }
    load.figures.print();
}

/// Where names that nobody has asked for begin.
fn first_number() -> u32 {
    since_1970().as_millis() as u32
}

fn since_1970() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970")
}

/// Questions of the same length stand together, in an order that has nothing to do with the file's.
fn runs(file: &str) -> Vec<Vec<Vec<u8>>> {
    let mut by_length = BTreeMap::<usize, Vec<Vec<u8>>>::new();
    for line in file.lines() {
        let packet = packet(line);
        by_length.entry(packet.len()).or_default().push(packet);
    }
    let mut state = 1_u64;
    let mut shuffle = |any: &mut dyn FnMut(usize, usize), len: usize| {
        for n in (1..len).rev() {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            any(n, (state >> 33) as usize % (n + 1));
        }
    };
    let mut runs = vec![];
    for (_, mut packets) in by_length {
        let len = packets.len();
        shuffle(&mut |a, b| packets.swap(a, b), len);
        runs.extend(packets.chunks(RUN).map(<[_]>::to_vec));
    }
    let len = runs.len();
    shuffle(&mut |a, b| runs.swap(a, b), len);
    runs
}

fn packet(line: &str) -> Vec<u8> {
    let (name, rtype) = line.trim().split_once(' ').expect("a name and a type");
    let mut packet = b"\0\0\x01\0\0\x01\0\0\0\0\0\0".to_vec();
    for label in name.trim_end_matches('.').split('.') {
        packet.push(label.len() as u8);
        packet.extend_from_slice(label.as_bytes());
    }
    let rtype = match rtype {
        "A" => 1,
        "PTR" => 12,
        "AAAA" => 28,
        "SRV" => 33,
        other => panic!("no type {other} here"),
    };
    packet.extend_from_slice(&[0, 0, rtype, 0, 1]);
    packet
}

struct Load {
    server: String,
    runs: Vec<Vec<Vec<u8>>>,
    unique: Option<u32>,
    served: bool,
    rate: f64,
    window: usize,
    warm: Duration,
    measured: Duration,
    process: u32,
    /// Run, and question in it.
    next: (usize, usize),
    figures: Figures,
}

#[derive(Default)]
struct Figures {
    times: Vec<Duration>,
    lost: u64,
    wrong: u64,
    nxdomain: u64,
    before: Option<(Instant, (Duration, Duration, u64))>,
    after: Option<(Instant, (Duration, Duration, u64))>,
}

impl Figures {
    fn answer(&mut self, flags: &[u8], time: Duration) {
        if self.before.is_none() {
            return;
        }
        self.times.push(time);
        match flags[1] & 15 {
            _ if flags[0] & 2 != 0 => self.wrong += 1,
            0 => {}
            3 => self.nxdomain += 1,
            _ => self.wrong += 1,
        }
    }

    fn print(mut self) {
        let ((began, user, system), (ended, user_then, system_then, resident)) = {
            let (began, (user, system, _)) = self.before.expect("it began");
            let (ended, (user_then, system_then, resident)) = self.after.expect("it ended");
            (
                (began, user, system),
                (ended, user_then, system_then, resident),
            )
        };
        self.times.sort_unstable();
        let count = self.times.len();
        let each = |then: Duration, before: Duration| {
            (then.saturating_sub(before)).as_secs_f64() * 1e6 / count.max(1) as f64
        };
        let within = |share: f64| {
            let at = (count as f64 * share) as usize;
            self.times
                .get(at.min(count.saturating_sub(1)))
                .map_or(0.0, |it| it.as_secs_f64() * 1e6)
        };
        println!(
            "{:.0} {:.3} {:.3} {:.1} {:.1} {:.1} {resident} {count} {} {} {}",
            count as f64 / (ended - began).as_secs_f64(),
            each(user_then, user),
            each(system_then, system),
            within(0.5),
            within(0.99),
            within(0.999),
            self.lost,
            self.wrong,
            self.nxdomain,
        );
    }
}

/// What is under way on one socket.
struct Lane {
    socket: UdpSocket,
    asked: Vec<Option<Instant>>,
    id: u16,
    open: usize,
    heard: Instant,
}

impl Load {
    /// Is it over? Notes when the measured part begins and ends.
    fn is_over(&mut self, elapsed: Duration, now: Instant) -> bool {
        if self.figures.before.is_none() && elapsed >= self.warm {
            self.figures.before = Some((now, used(self.process)));
        }
        let over = elapsed >= self.warm + self.measured;
        if over {
            self.figures.after = Some((now, used(self.process)));
        }
        over
    }

    fn question(&mut self, id: u16, into: &mut Vec<u8>) {
        let (run, at) = self.next;
        let packet = &self.runs[run][at];
        let start = into.len();
        into.extend_from_slice(packet);
        into[start..start + 2].copy_from_slice(&id.to_be_bytes());
        if let Some(number) = &mut self.unique {
            *number = number.wrapping_add(1);
            let digits = format!("{number:08x}");
            into[start + 13..start + 21].copy_from_slice(digits.as_bytes());
        }
        self.next = match at + 1 < self.runs[run].len() {
            true => (run, at + 1),
            false => ((run + 1) % self.runs.len(), 0),
        };
    }

    fn by_udp(&mut self) {
        let began = Instant::now();
        let lanes = if self.rate > 0.0 { 2 } else { SOCKETS };
        let mut lanes: Vec<_> = (0..lanes)
            .map(|_| {
                let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
                socket.connect(&self.server).expect("an address");
                socket.set_nonblocking(true).expect("a socket");
                set_receive_buffer(&socket, 4 << 20);
                if self.served {
                    note_arrivals(&socket);
                }
                Lane {
                    socket,
                    asked: vec![None; 1 << 16],
                    id: 0,
                    open: 0,
                    heard: began,
                }
            })
            .collect();
        let mut batch = Batch::default();
        let mut buffer = Vec::new();
        let mut sent = 0_u64;
        let mut turn = 0;
        loop {
            let now = Instant::now();
            let elapsed = now - began;
            if self.is_over(elapsed, now) {
                return;
            }
            for lane in &mut lanes {
                self.receive(lane, &mut batch);
            }
            if self.rate > 0.0 {
                let due = (elapsed.as_secs_f64() * self.rate) as u64;
                for _ in sent..due.min(sent + 8) {
                    turn = (turn + 1) % lanes.len();
                    let lane = &mut lanes[turn];
                    let due = began + Duration::from_secs_f64(sent as f64 / self.rate);
                    buffer.clear();
                    self.question(lane.id, &mut buffer);
                    lane.ask(if self.served { Instant::now() } else { due });
                    drop(lane.socket.send(&buffer));
                    sent += 1;
                }
                thread::yield_now(); // to the upstream, which shares the core
                continue;
            }
            for lane in &mut lanes {
                let run = self.runs[self.next.0].len();
                if lane.open > 0 && lane.open + run > self.window / SOCKETS {
                    continue;
                }
                buffer.clear();
                let at = Instant::now();
                for _ in 0..run {
                    self.question(lane.id, &mut buffer);
                    lane.ask(at);
                }
                let length = buffer.len() / run;
                assert!(
                    send_alike(&lane.socket, &buffer, length),
                    "the kernel takes no UDP_SEGMENT"
                );
            }
        }
    }

    fn receive(&mut self, lane: &mut Lane, batch: &mut Batch) {
        let mut count = SLOTS;
        while count == SLOTS {
            count = batch.receive(&lane.socket);
            let (now, now_since_1970) = (Instant::now(), since_1970());
            if count > 0 {
                lane.heard = now;
            }
            for (n, packet) in batch.packets[..count].iter().enumerate() {
                let id = u16::from_be_bytes([packet[0], packet[1]]);
                if let Some(asked) = lane.asked[usize::from(id)].take() {
                    lane.open -= 1;
                    let came = match self.served {
                        true => now - now_since_1970.saturating_sub(batch.arrived(n)),
                        false => now,
                    };
                    self.figures
                        .answer(&packet[2..4], came.saturating_duration_since(asked));
                }
            }
            if lane.open > 0 && now > lane.heard + LOST_AFTER {
                self.figures.lost += lane.open as u64;
                lane.asked.fill(None);
                (lane.open, lane.heard) = (0, now);
            }
        }
    }

    fn by_tcp(&mut self, connections: usize) {
        let began = Instant::now();
        let readable = Readable::new().expect("epoll");
        let mut streams: Vec<_> = (0..connections)
            .map(|number| {
                let stream =
                    TcpStream::connect(&self.server).expect("the server takes connections");
                stream.set_nodelay(true).expect("a connection");
                stream.set_nonblocking(true).expect("a connection");
                readable.add(&stream, number).expect("epoll");
                (stream, None::<Instant>, Vec::new())
            })
            .collect();
        // Each has its turn: some servers close a connection that rests for two seconds.
        let mut free: VecDeque<_> = (0..connections).collect();
        let (mut ready, mut buffer, mut chunk) = (vec![], Vec::new(), [0; 4096]);
        let mut sent = 0_u64;
        loop {
            let now = Instant::now();
            let elapsed = now - began;
            if self.is_over(elapsed, now) {
                return;
            }
            readable.now(&mut ready);
            for number in &ready {
                let (stream, asked, reply) = &mut streams[*number];
                match stream.read(&mut chunk) {
                    Ok(0) => panic!("the server closed a connection"),
                    Ok(count) => reply.extend_from_slice(&chunk[..count]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => panic!("{error}"),
                }
                let whole = reply
                    .get(..2)
                    .map(|it| 2 + usize::from(u16::from_be_bytes([it[0], it[1]])));
                if whole.is_some_and(|whole| reply.len() >= whole) {
                    let time =
                        Instant::now().saturating_duration_since(asked.take().expect("a question"));
                    self.figures.answer(&reply[4..6], time);
                    reply.clear();
                    free.push_back(*number);
                }
            }
            let due = match self.rate > 0.0 {
                true => (elapsed.as_secs_f64() * self.rate) as u64,
                false => u64::MAX,
            };
            while sent < due {
                let Some(number) = free.pop_front() else { break };
                buffer.clear();
                buffer.extend_from_slice(&[0, 0]);
                self.question(sent as u16, &mut buffer);
                let length = (buffer.len() - 2) as u16;
                buffer[..2].copy_from_slice(&length.to_be_bytes());
                let (stream, asked, _) = &mut streams[number];
                *asked = Some(match self.rate > 0.0 {
                    true => began + Duration::from_secs_f64(sent as f64 / self.rate),
                    false => Instant::now(),
                });
                stream.write_all(&buffer).expect("a question fits");
                sent += 1;
            }
            if self.rate > 0.0 {
                thread::yield_now();
            }
        }
    }
}

impl Lane {
    fn ask(&mut self, at: Instant) {
        if self.open == 0 {
            self.heard = at;
        }
        if self.asked[usize::from(self.id)].replace(at).is_none() {
            self.open += 1;
        }
        self.id = self.id.wrapping_add(1);
    }
}
