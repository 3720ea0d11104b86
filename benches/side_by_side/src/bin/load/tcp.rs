//! By TCP: one question under way on each connection.

use crate::{
    questions::Questions,
    udp::{Options, Target},
};
use side_by_side::Readable;
use std::{
    collections::VecDeque,
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

/// Asks one server, by so many connections.
pub(crate) fn load(
    target: &mut Target,
    questions: &mut Questions,
    options: &Options,
    connections: usize,
) {
    let rate = target.rate;
    let began = Instant::now();
    let readable = Readable::new().expect("epoll");
    let mut streams: Vec<_> = (0..connections)
        .map(|number| {
            let stream = TcpStream::connect(&target.server).expect("the server takes connections");
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
        let elapsed = began.elapsed();
        let asking = elapsed.saturating_sub(options.warm);
        if !target.figures.count() && !asking.is_zero() {
            target.figures.begin(target.process);
        }
        if asking >= options.measured {
            target.figures.asking = asking;
            return target.figures.end(target.process);
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
                target.figures.answer(&reply[4..6], time);
                reply.clear();
                free.push_back(*number);
            }
        }
        let due = match rate > 0.0 {
            true => (elapsed.as_secs_f64() * rate) as u64,
            false => u64::MAX,
        };
        while sent < due {
            let Some(number) = free.pop_front() else {
                break;
            };
            buffer.clear();
            buffer.extend_from_slice(&[0, 0]);
            questions.write(sent as u16, &mut buffer);
            let length = (buffer.len() - 2) as u16;
            buffer[..2].copy_from_slice(&length.to_be_bytes());
            let (stream, asked, _) = &mut streams[number];
            *asked = Some(match rate > 0.0 {
                true => began + Duration::from_secs_f64(sent as f64 / rate),
                false => Instant::now(),
            });
            stream.write_all(&buffer).expect("a question fits");
            sent += 1;
        }
        if rate > 0.0 {
            thread::yield_now();
        }
    }
}
