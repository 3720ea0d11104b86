//! By UDP: as many questions under way as the window holds, or as many a second as the rate says.

use crate::{figures::Figures, questions::Questions, since_1970};
use side_by_side::{Batch, SLOTS, note_arrivals, send_alike, set_receive_buffer};
use std::{
    net::UdpSocket,
    thread,
    time::{Duration, Instant},
};

const LOST_AFTER: Duration = Duration::from_secs(1);
const SOCKETS: usize = 8;
/// For how long one of two servers is asked before it is the other's turn.
const TURN: Duration = Duration::from_millis(100);

/// How they are asked.
pub(crate) struct Options {
    pub(crate) window: usize,
    pub(crate) served: bool,
    pub(crate) warm: Duration,
    pub(crate) measured: Duration,
}

/// A server that is asked.
pub(crate) struct Target {
    pub(crate) server: String,
    pub(crate) process: u32,
    pub(crate) rate: f64,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) figures: Figures,
}

/// What is under way on one socket.
pub(crate) struct Lane {
    socket: UdpSocket,
    asked: Vec<Option<Instant>>,
    id: u16,
    open: usize,
    heard: Instant,
}

/// Asks the servers in turns, first to warm them up.
pub(crate) fn load(targets: &mut [Target], questions: &mut Questions, options: &Options) {
    for target in &mut *targets {
        target.open(options.served);
    }
    let turn = match targets.len() {
        1 => Duration::MAX,
        _ => TURN,
    };
    for (part, measured) in [(options.warm, false), (options.measured, true)] {
        if measured {
            for target in &mut *targets {
                target.figures.begin(target.process);
            }
        }
        let began = Instant::now();
        while let left = part.saturating_sub(began.elapsed())
            && !left.is_zero()
        {
            for target in &mut *targets {
                target.take_turn(turn.min(left), questions, options);
            }
        }
    }
    for target in targets {
        target.figures.end(target.process);
    }
}

impl Target {
    fn open(&mut self, served: bool) {
        let lanes = if self.rate > 0.0 { 2 } else { SOCKETS };
        let lane = |_| {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
            socket.connect(&self.server).expect("an address");
            socket.set_nonblocking(true).expect("a socket");
            set_receive_buffer(&socket, 4 << 20);
            if served {
                note_arrivals(&socket);
            }
            Lane {
                socket,
                asked: vec![None; 1 << 16],
                id: 0,
                open: 0,
                heard: Instant::now(),
            }
        };
        self.lanes = (0..lanes).map(lane).collect();
    }

    /// Asks for so long, and waits for what it has not answered yet.
    fn take_turn(&mut self, length: Duration, questions: &mut Questions, options: &Options) {
        let mut batch = Batch::default();
        let mut buffer = Vec::new();
        let mut sent = 0_u64;
        let mut turn = 0;
        let began = Instant::now();
        loop {
            let elapsed = began.elapsed();
            for lane in &mut self.lanes {
                lane.receive(&mut batch, options.served, &mut self.figures);
            }
            if elapsed >= length {
                if self.lanes.iter().all(|lane| lane.open == 0) {
                    break;
                }
            } else if self.rate > 0.0 {
                let due = (elapsed.as_secs_f64() * self.rate) as u64;
                let until = due.min(sent + 8);
                while sent < until {
                    turn = (turn + 1) % self.lanes.len();
                    let lane = &mut self.lanes[turn];
                    let due = began + Duration::from_secs_f64(sent as f64 / self.rate);
                    buffer.clear();
                    questions.write(lane.id, &mut buffer);
                    lane.ask(if options.served { Instant::now() } else { due });
                    drop(lane.socket.send(&buffer));
                    sent += 1;
                }
                thread::yield_now(); // to the upstream, which shares the core
            } else {
                for lane in &mut self.lanes {
                    let run = questions.run();
                    if lane.open > 0 && lane.open + run > options.window / SOCKETS {
                        continue;
                    }
                    buffer.clear();
                    let at = Instant::now();
                    for _ in 0..run {
                        questions.write(lane.id, &mut buffer);
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
        if self.figures.count() {
            self.figures.asking += began.elapsed();
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

    fn receive(&mut self, batch: &mut Batch, served: bool, figures: &mut Figures) {
        let mut count = SLOTS;
        while count == SLOTS {
            count = batch.receive(&self.socket);
            let (now, now_since_1970) = (Instant::now(), since_1970());
            if count > 0 {
                self.heard = now;
            }
            for (n, packet) in batch.packets[..count].iter().enumerate() {
                let id = u16::from_be_bytes([packet[0], packet[1]]);
                if let Some(asked) = self.asked[usize::from(id)].take() {
                    self.open -= 1;
                    let came = match served {
                        true => now - now_since_1970.saturating_sub(batch.arrived(n)),
                        false => now,
                    };
                    figures.answer(&packet[2..4], came.saturating_duration_since(asked));
                }
            }
            if self.open > 0 && now > self.heard + LOST_AFTER {
                figures.lost += self.open as u64;
                self.asked.fill(None);
                (self.open, self.heard) = (0, now);
            }
        }
    }
}
