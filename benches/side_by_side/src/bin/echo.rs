//! The limit of sockets: receives a batch, and sends each datagram back with the bits of an answer and sixteen octets more,
//! without looking at what it is. `echo ADDRESS`
//!
//! `echo --origin ADDRESS` does look: it puts an A record behind the question, as an upstream that answers whatever it is
//! asked, at once.

use side_by_side::{Batch, ROOM, set_receive_buffer};
use std::{env, net::UdpSocket};

/// An A record of the question's name, with a TTL of an hour.
const RECORD: [u8; 16] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 192, 0, 2, 1];

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let (origin, address) = match arguments.as_slice() {
        [address] => (false, address),
        [option, address] if option == "--origin" => (true, address),
        _ => panic!("usage: echo [--origin] ADDRESS:PORT"),
    };
    let socket = UdpSocket::bind(address.as_str()).expect("an address of this machine");
    set_receive_buffer(&socket, 4 << 20);
    let mut batch = Batch::default();
    loop {
        let count = batch.receive(&socket);
        for (packet, length) in batch.packets.iter_mut().zip(&mut batch.lengths).take(count) {
            let longer = *length + RECORD.len();
            if *length < 12 || longer > ROOM {
                continue;
            }
            let at = if origin {
                question_end(&packet[..*length])
            } else {
                *length
            };
            packet.copy_within(at..*length, at + RECORD.len());
            packet[at..at + RECORD.len()].copy_from_slice(&RECORD);
            packet[2] |= 0x84;
            packet[3] |= 0x80;
            packet[7] = 1;
            *length = longer;
        }
        batch.send_back(&socket, count);
    }
}

fn question_end(packet: &[u8]) -> usize {
    let mut at = 12;
    while let Some(length @ 1..=63) = packet.get(at).copied() {
        at += 1 + usize::from(length);
    }
    (at + 5).min(packet.len())
}
