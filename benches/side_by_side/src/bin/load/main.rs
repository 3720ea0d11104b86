//! Asks a server as fast as it answers, or at a constant rate, from one thread that never sleeps; says how fast the answers came, how long they
//! took, and what they cost the server.
//!
//! ```text
//! load --server 127.0.0.1:53 --names FILE [--pid N] [--seconds 2] [--warm 0.5] [--rate 0] [--window 192] [--tcp CONNECTIONS] [--unique] [--served]
//!     [--beside 127.0.0.2:53 --beside-pid N --beside-rate 0]
//! ```
//!
//! A server `beside` is asked the same by UDP, in turns of a tenth of a second with the first, each of them once nothing of the other is under way:
//! so the two figures are of the same second, and what slows the machine down slows down both.
//!
//! Each line of the file is a name and a type (A, AAAA, SRV, PTR). With `--unique`, the first eight octets of each name become a number that
//! counts up. Without a rate there are always `window` questions under way, by TCP one for each connection; with one, a question's time begins
//! when it is due, whether it could be sent then or not; with `--served` when it is sent, and it ends when the kernel has the answer, so that what
//! holds up this program, which may share its core, is no part of it. Printed is one line of figures for each server: answers a second, user µs and system µs of an answer,
//! 50 %, 99 % and 99.9 % of the times in µs, resident KiB, answers, questions lost, answers that are SERVFAIL or REFUSED or cut, NXDOMAINs.

mod figures;
mod questions;
mod tcp;
mod udp;

use questions::Questions;
use std::{
    collections::BTreeMap,
    env, fs, iter,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use udp::{Options, Target};

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
    let target = |server: &String, process, rate| Target {
        server: server.clone(),
        process: number(process, 0.0) as u32,
        rate: number(rate, 0.0),
        lanes: vec![],
        figures: figures::Figures::default(),
    };
    let first = target(&options["--server"], "--pid", "--rate");
    let beside = options.get("--beside");
    let beside = beside.map(|server| target(server, "--beside-pid", "--beside-rate"));
    let mut targets: Vec<_> = iter::once(first).chain(beside).collect();
    let mut questions = Questions::new(&file, options.contains_key("--unique"));
    let how = Options {
        window: number("--window", 192.0) as usize,
        served: options.contains_key("--served"),
        warm: Duration::from_secs_f64(number("--warm", 0.5)),
        measured: Duration::from_secs_f64(number("--seconds", 2.0)),
    };
    match number("--tcp", 0.0) as usize {
        0 => udp::load(&mut targets, &mut questions, &how),
        connections => tcp::load(&mut targets[0], &mut questions, &how, connections),
    }
    for target in targets {
        target.figures.print();
    }
}

pub(crate) fn since_1970() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970")
}
