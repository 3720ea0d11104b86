//! Why there is no answer, and how the asker is told. It decides nothing.

use crate::wire::Ede;

/// Why there is no answer. The asker gets SERVFAIL, and [`Failure::ede`] if it sent EDNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Upstreams were asked, and none answered in time.
    #[error("no upstream answered")]
    NoAnswer,
    /// An upstream's answer is too long for a datagram, and none came over a connection; who asked by UDP gets a part of it.
    #[error("no upstream gave the whole answer")]
    Truncated,
    /// No upstream could even be reached.
    #[error("no upstream could be reached")]
    Unreachable,
    /// A limit of this server's was met.
    #[error("too many questions under way")]
    Overloaded,
    /// The client has its share of questions under way.
    #[error("this client has too many questions under way")]
    ShareUsedUp,
    /// The route has no upstreams.
    #[error("no upstream is configured")]
    NoUpstreams,
    /// A question of this server's own came back, or every upstream of the route sends questions back.
    #[error("a forwarding loop: upstreams send questions back here")]
    Loop,
    /// The exchange ended without an outcome: the process ends, or it is at fault.
    #[error("the question was dropped")]
    Dropped,
}

impl Failure {
    /// The Extended DNS Error that says so (RFC 8914 §4).
    pub const fn ede(self) -> Ede<'static> {
        const OTHER: u16 = 0;
        const NO_REACHABLE_AUTHORITY: u16 = 22;
        const NETWORK_ERROR: u16 = 23;
        match self {
            Self::NoAnswer => Ede::new(NO_REACHABLE_AUTHORITY, "no upstream answered"),
            Self::Truncated => Ede::new(
                NETWORK_ERROR,
                "the answer does not fit into a datagram, and no upstream gave it by TCP",
            ),
            Self::Unreachable => Ede::new(NETWORK_ERROR, "no upstream could be reached"),
            Self::Overloaded => Ede::new(OTHER, "too many questions under way"),
            Self::ShareUsedUp => Ede::new(OTHER, "this client has too many questions under way"),
            Self::NoUpstreams => Ede::new(OTHER, "no upstream is configured"),
            Self::Loop => Ede::new(
                OTHER,
                "a forwarding loop: upstreams send questions back here",
            ),
            Self::Dropped => Ede::new(OTHER, "the question was dropped"),
        }
    }
}
