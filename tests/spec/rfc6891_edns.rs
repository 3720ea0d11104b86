//! RFC 6891: EDNS(0).

use crate::stage::{Stage, Way};

/// A query for `cluster.local. SOA` with these bytes as additional section of `count` records.
fn query(count: u8, additional: &[u8]) -> Vec<u8> {
    let mut packet = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, count];
    packet.extend_from_slice(b"\x07cluster\x05local\x00\x00\x06\x00\x01");
    packet.extend_from_slice(additional);
    packet
}

const fn opt(version: u8, size: u16) -> [u8; 11] {
    let [high, low] = size.to_be_bytes();
    [0, 0, 41, high, low, 0, version, 0, 0, 0, 0]
}

fn rcode(reply: &[u8]) -> u8 {
    reply[3] & 0x0f
}

#[test]
fn two_opts_are_formerr_6_1_1() {
    let mut stage = Stage::empty();
    let two = query(2, &[opt(0, 1232), opt(0, 1232)].concat());
    for way in Way::ALL {
        let reply = stage.exchange(way, &two).unwrap();
        assert_eq!((reply.len(), rcode(&reply)), (12, 1), "{way:?}");
    }
}

#[test]
fn an_opt_whose_options_overrun_is_formerr() {
    let mut stage = Stage::empty();
    let mut overrun = opt(0, 1232).to_vec();
    overrun[10] = 4;
    overrun.extend_from_slice(&[0, 10, 0, 9]);
    for way in Way::ALL {
        let reply = stage.exchange(way, &query(1, &overrun)).unwrap();
        assert_eq!((reply.len(), rcode(&reply)), (12, 1), "{way:?}");
    }
}

#[test]
fn an_unknown_version_is_badvers_6_1_3() {
    let mut stage = Stage::empty();
    for way in Way::ALL {
        let reply = stage.exchange(way, &query(1, &opt(1, 1232))).unwrap();
        let ours = &reply[reply.len() - 11..];
        assert_eq!(rcode(&reply), 0);
        assert_eq!(
            ours,
            [0, 0, 41, 4, 208, 1, 0, 0, 0, 0, 0],
            "extended code 1, version 0: {way:?}"
        );
    }
}

#[test]
fn unknown_options_are_ignored_and_do_is_copied() {
    let mut stage = Stage::empty();
    let mut asked = opt(0, 100).to_vec();
    asked[7] = 0x80;
    asked[10] = 8;
    asked.extend_from_slice(&[0xff, 0x00, 0, 4, 1, 2, 3, 4]);
    for way in Way::ALL {
        let reply = stage.exchange(way, &query(1, &asked)).unwrap();
        assert_eq!(rcode(&reply), 0);
        assert_eq!(
            reply[reply.len() - 11..],
            [0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0],
            "{way:?}"
        );
    }
}

#[test]
fn a_client_without_edns_gets_none_7() {
    Stage::empty().case("no OPT").ask("cluster.local. SOA noedns", "NOERROR aa
        cluster.local. 5 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 42 7200 1800 86400 0");
}

#[test]
fn keepalive_is_told_to_tcp_clients_that_ask_rfc7828() {
    let mut stage = Stage::empty();
    let mut asked = opt(0, 1232).to_vec();
    asked[10] = 4;
    asked.extend_from_slice(&[0, 11, 0, 0]);
    let reply = stage.exchange(Way::Tcp, &query(1, &asked)).unwrap();
    assert_eq!(
        reply[reply.len() - 8..],
        [0, 6, 0, 11, 0, 2, 0, 100],
        "10 s in tenths"
    );
    let reply = stage.exchange(Way::Udp, &query(1, &asked)).unwrap();
    assert_eq!(reply[reply.len() - 2..], [0, 0], "not over UDP");
}
