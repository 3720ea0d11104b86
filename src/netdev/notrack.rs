//! Rules that keep questions and answers out of connection tracking, and so out of kube-proxy's hands: one nftables table
//! (linux/netfilter/nf_tables.h), replaced as a whole. It knows no other table.

use super::{
    link::octets,
    netlink::{APPEND, CREATE, DUMP, Message, Socket, put},
};
use rustix::net::netlink;
use std::{collections::BTreeSet, io, net::IpAddr};

/// The table, of family inet: `nft list table inet gapless`.
pub(super) const TABLE: &str = "gapless";

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const DEL_TABLE: u16 = (SUBSYSTEM << 8) | 2;
const NEW_CHAIN: u16 = (SUBSYSTEM << 8) | 3;
const NEW_RULE: u16 = (SUBSYSTEM << 8) | 6;
const GET_RULE: u16 = (SUBSYSTEM << 8) | 7;
const INET: u8 = 1;
const IPV4: u8 = 2;
const IPV6: u8 = 10;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// Before connection tracking, which is at -200.
const PRIORITY_RAW: i32 = -300;
/// Questions as they come in from pods, and those of the node's own processes; answers likewise on the way out.
const CHAINS: [(&str, u32); 2] = [("prerouting", 0), ("output", 3)];

#[derive(Debug)]
pub(super) struct Notrack(Socket);

impl Notrack {
    pub(super) fn open() -> io::Result<Self> {
        Socket::open(Some(netlink::NETFILTER)).map(Self)
    }

    /// Puts the rules for these addresses and this port in the place of all that the table has.
    pub(super) fn replace(&mut self, addresses: &BTreeSet<IpAddr>, port: u16) -> io::Result<()> {
        // Made, so that it can be removed, and made anew: nobody sees it in between.
        let mut messages = vec![
            table(NEW_TABLE, CREATE),
            table(DEL_TABLE, 0),
            table(NEW_TABLE, CREATE),
        ];
        messages.extend(CHAINS.map(|(name, hook)| chain(name, hook)));
        for (chain, _) in CHAINS {
            for address in addresses {
                for protocol in [UDP, TCP] {
                    for end in [End::Destination, End::Source] {
                        messages.push(rule(chain, *address, protocol, end, port));
                    }
                }
            }
        }
        self.transaction(messages)
    }

    /// Removes the table, if it is there.
    pub(super) fn remove(&mut self) -> io::Result<()> {
        self.transaction(vec![table(NEW_TABLE, CREATE), table(DEL_TABLE, 0)])
    }

    /// How many rules the table has.
    pub(super) fn count(&mut self) -> io::Result<usize> {
        let message = Message::new(GET_RULE, DUMP, &header(INET, 0)).with_text(1, TABLE);
        match self.0.ask(message) {
            Ok(rules) => Ok(rules.iter().filter(|(kind, _)| *kind == NEW_RULE).count()),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn transaction(&mut self, messages: Vec<Message>) -> io::Result<()> {
        let frame = |kind| (Message::new(kind, 0, &header(0, SUBSYSTEM)), false);
        let mut all = vec![frame(BATCH_BEGIN)];
        all.extend(messages.into_iter().map(|message| (message, true)));
        all.push(frame(BATCH_END));
        self.0.batch(all)
    }
}

/// How many rules these addresses need.
pub(super) fn rules_for(addresses: usize) -> usize {
    addresses * CHAINS.len() * 4
}

/// `struct nfgenmsg`
fn header(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

fn table(kind: u16, flags: u16) -> Message {
    Message::new(kind, flags, &header(INET, 0)).with_text(1, TABLE)
}

fn chain(name: &str, hook: u32) -> Message {
    let mut at = vec![];
    put(&mut at, 1, |out| out.extend(hook.to_be_bytes()));
    put(&mut at, 2, |out| out.extend(PRIORITY_RAW.to_be_bytes()));
    Message::new(NEW_CHAIN, CREATE, &header(INET, 0))
        .with_text(1, TABLE)
        .with_text(3, name)
        .with(4 | NESTED, &at)
        .with_text(7, "filter")
}

#[derive(Clone, Copy)]
enum End {
    Source,
    Destination,
}

const NESTED: u16 = 0x8000;
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
const META_FAMILY: u32 = 15;
const META_PROTOCOL: u32 = 16;

/// `FAMILY ADDRESS PROTOCOL PORT notrack`, of either end of a packet.
fn rule(chain: &str, address: IpAddr, protocol: u8, end: End, port: u16) -> Message {
    let mut list = vec![];
    let (family, of_source, of_destination) = match address {
        IpAddr::V4(_) => (IPV4, 12, 16),
        IpAddr::V6(_) => (IPV6, 8, 24),
    };
    let (of_address, of_port) = match end {
        End::Source => (of_source, 0),
        End::Destination => (of_destination, 2),
    };
    let address = octets(address);
    meta(&mut list, META_FAMILY);
    compare(&mut list, &[family]);
    payload(&mut list, NETWORK_HEADER, of_address, address.len());
    compare(&mut list, &address);
    meta(&mut list, META_PROTOCOL);
    compare(&mut list, &[protocol]);
    payload(&mut list, TRANSPORT_HEADER, of_port, 2);
    compare(&mut list, &port.to_be_bytes());
    expression(&mut list, "notrack", |_| {});
    Message::new(NEW_RULE, CREATE | APPEND, &header(INET, 0))
        .with_text(1, TABLE)
        .with_text(2, chain)
        .with(4 | NESTED, &list)
}

fn expression(list: &mut Vec<u8>, name: &str, data: impl FnOnce(&mut Vec<u8>)) {
    put(list, 1 | NESTED, |element| {
        put(element, 1, |out| {
            out.extend([name.as_bytes(), &[0]].concat())
        });
        put(element, 2 | NESTED, data);
    });
}

/// Every value goes through register 1, which is as long as an address.
const REGISTER: u32 = 1;

fn put_number(out: &mut Vec<u8>, kind: u16, number: u32) {
    put(out, kind, |out| out.extend(number.to_be_bytes()));
}

fn meta(list: &mut Vec<u8>, key: u32) {
    expression(list, "meta", |data| {
        put_number(data, 1, REGISTER);
        put_number(data, 2, key);
    });
}

fn payload(list: &mut Vec<u8>, base: u32, offset: u32, length: usize) {
    expression(list, "payload", |data| {
        put_number(data, 1, REGISTER);
        put_number(data, 2, base);
        put_number(data, 3, offset);
        put_number(data, 4, u32::try_from(length).unwrap_or_default());
    });
}

fn compare(list: &mut Vec<u8>, value: &[u8]) {
    expression(list, "cmp", |data| {
        put_number(data, 1, REGISTER);
        put_number(data, 2, 0);
        put(data, 3 | NESTED, |out| put(out, 1, |out| out.extend(value)));
    });
}
