//! Bytes in, bytes out: the DNS message format (RFC 1035 §4, RFC 6891), and nothing of what an answer means.
//! No I/O, no clock, no allocation in [`Query`] and [`Reply`]; every index into a stranger's packet is checked.
//!
//! ```text
//! +--------+----------+--------+-----------+------------+
//! | header | question | answer | authority | additional |
//! |  12 B  |  at 12   |        |           |  OPT last  |
//! +--------+----------+--------+-----------+------------+
//!      Query reads ───────────────────────▶ (of the rest only OPT)
//!      Reply writes ──────────────────────────────────▶
//! ```
//!
//! Not parsed here: RDATA, apart from OPT. Who needs it takes hickory-proto, on the slow path.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation
)]

mod addresses;
mod header;
mod name;
mod patch;
mod query;
mod reply;
mod response;
mod truncate;
mod zones;

pub use addresses::{Addresses, encode_address};
pub use header::{Flags, HEADER_LEN, Header};
pub use name::{InvalidName, MAX_NAME_LEN, NameKey, copy_lowercase};
pub use patch::{Stored, Ttls, effective_ttl};
pub use query::{Edns, Query, Question, Unanswerable};
pub use reply::{Ede, Name, Rdata, Reply, ReplyEdns, Section, header_only};
pub use response::{Mark, NegativeSoa, ReplyOpt, Response};
pub use truncate::truncate;
pub use zones::Zones;

/// The largest UDP payload sent or announced: what crosses any path without fragments (RFC 9715).
pub const MAX_UDP_PAYLOAD: u16 = 1232;

/// The largest UDP payload to a client without EDNS (RFC 1035 §4.2.1).
pub const MIN_UDP_PAYLOAD: u16 = 512;

/// Class IN.
pub const CLASS_IN: u16 = 1;
/// Class CH, in which servers are asked about themselves.
pub const CLASS_CH: u16 = 3;

/// Record types that have a rule of their own here; every other number passes through as it is.
#[allow(missing_docs, reason = "the names are the registry's")]
pub mod rtype {
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const PTR: u16 = 12;
    pub const HINFO: u16 = 13;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const SRV: u16 = 33;
    pub const OPT: u16 = 41;
    pub const IXFR: u16 = 251;
    pub const AXFR: u16 = 252;
    pub const ANY: u16 = 255;
}

/// Response codes (RFC 1035 §4.1.1, RFC 6891 §9). Values above 15 need an OPT record for their upper bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are the registry's")]
pub enum Rcode {
    NoError = 0,
    FormErr = 1,
    ServFail = 2,
    NxDomain = 3,
    NotImp = 4,
    Refused = 5,
    BadVers = 16,
}
