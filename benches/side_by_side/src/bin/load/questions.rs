//! What is asked: the questions of a file, in an order without locality, and names that nobody has asked for.

use crate::since_1970;
use std::collections::BTreeMap;

/// Questions of one send without a rate.
const RUN: usize = 24;

/// An endless row of questions.
pub(crate) struct Questions {
    runs: Vec<Vec<Vec<u8>>>,
    unique: Option<u32>,
    /// Run, and question in it.
    next: (usize, usize),
}

impl Questions {
    pub(crate) fn new(file: &str, unique: bool) -> Self {
        Self {
            runs: runs(file),
            unique: unique.then_some(first_number()),
            next: (0, 0),
        }
    }

    /// How many questions of the same length stand together from the next one's first on.
    pub(crate) fn run(&self) -> usize {
        self.runs[self.next.0].len()
    }

    /// Appends the next one.
    pub(crate) fn write(&mut self, id: u16, into: &mut Vec<u8>) {
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
}

/// Where names that nobody has asked for begin.
fn first_number() -> u32 {
    since_1970().as_millis() as u32
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
