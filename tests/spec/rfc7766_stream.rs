//! RFC 7766: DNS over TCP. How connections behave is shown in `tests/server.rs`; here, what is answered on them.

use crate::stage::{Stage, Way};
use std::io::{Read, Write};

#[test]
fn pipelined_queries_are_all_answered_each_under_its_id_6_2_1_1() {
    let mut stage = Stage::empty();
    let mut stream = std::net::TcpStream::connect(stage.address()).unwrap();
    let ask = |id| {
        let packet =
            crate::support::ask::Ask::new("dns-version.cluster.local. TXT", None).packet(id);
        [
            &u16::try_from(packet.len()).unwrap().to_be_bytes()[..],
            &packet,
        ]
        .concat()
    };
    let pipelined: Vec<u8> = (0..100).flat_map(ask).collect();
    stream.write_all(&pipelined).unwrap();
    let mut ids: Vec<_> = (0..100)
        .map(|_| {
            let mut len = [0; 2];
            stream.read_exact(&mut len).unwrap();
            let mut reply = vec![0; u16::from_be_bytes(len).into()];
            stream.read_exact(&mut reply).unwrap();
            u16::from_be_bytes([reply[0], reply[1]])
        })
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..100).collect::<Vec<_>>());
    assert!(
        stage.exchange(Way::Tcp, &ask(7)[2..]).is_some(),
        "and a new connection is served"
    );
}
