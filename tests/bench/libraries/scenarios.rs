//! What the libraries are put through. It names no server's address but those of resolv.conf.

use super::servers::{
    Act::{self, *},
    Over, Script, Seen,
};

pub(super) struct Scenario {
    pub(super) what: &'static str,
    pub(super) conf: &'static str,
    pub(super) name: &'static str,
    pub(super) script: Script,
    /// Servers race for the first answer, so that what is asked is chance.
    pub(super) races_at_musl: bool,
}

const fn scenario(
    what: &'static str,
    conf: &'static str,
    name: &'static str,
    script: Script,
) -> Scenario {
    Scenario {
        what,
        conf,
        name,
        script,
        races_at_musl: false,
    }
}

const fn race(
    what: &'static str,
    conf: &'static str,
    name: &'static str,
    script: Script,
) -> Scenario {
    Scenario {
        what,
        conf,
        name,
        script,
        races_at_musl: true,
    }
}

const AAAA: u16 = 28;

macro_rules! conf {
    ($servers:literal, $options:literal) => {
        concat!(
            $servers,
            "search a.test b.test\noptions ndots:2 timeout:1 attempts:2 ",
            $options,
            "\n"
        )
    };
}

const ONE: &str = conf!("nameserver 127.0.0.1\n", "");
const TWO: &str = conf!("nameserver 127.0.0.1\nnameserver 127.0.0.2\n", "");
const FIRST_DEAF: &str = conf!("nameserver 127.0.0.9\nnameserver 127.0.0.2\n", "");
const FOUR: &str = conf!(
    "nameserver 127.0.0.1\nnameserver 127.0.0.2\nnameserver 127.0.0.3\nnameserver 127.0.0.4\n",
    ""
);
const ROTATE: &str = conf!(
    "nameserver 127.0.0.1\nnameserver 127.0.0.2\nnameserver 127.0.0.3\n",
    "rotate"
);
const SINGLE: &str = conf!("nameserver 127.0.0.1\n", "single-request");
const SINGLE_TWO: &str = conf!(
    "nameserver 127.0.0.1\nnameserver 127.0.0.2\n",
    "single-request"
);
const REOPEN: &str = conf!("nameserver 127.0.0.1\n", "single-request-reopen");
const USE_VC: &str = conf!("nameserver 127.0.0.1\n", "use-vc");
const EDNS: &str = conf!("nameserver 127.0.0.1\n", "edns0 trust-ad");
const NO_AAAA: &str = conf!("nameserver 127.0.0.1\n", "no-aaaa");
const NO_TLD: &str = conf!("nameserver 127.0.0.1\n", "no-tld-query");
const ROOT: &str =
    "nameserver 127.0.0.1\nsearch a.test . b.test\noptions ndots:2 timeout:1 attempts:2\n";
const NO_SEARCH: &str = "nameserver 127.0.0.1\nsearch .\noptions ndots:2 timeout:1 attempts:2\n";
const ONE_SERVER_THRICE: &str =
    "nameserver 127.0.0.1\nsearch a.test\noptions ndots:1 timeout:1 attempts:3\n";

/// The name that exists; others do not.
fn only(exists: &str, query: &Seen) -> Act {
    if query.name == exists {
        Address
    } else {
        NxDomain
    }
}

#[rustfmt::skip] // a table
pub(super) const SCENARIOS: &[Scenario] = &[
    scenario("fewer dots than `ndots`", ONE, "web.x",
        |query, _| only("web.x.b.test", query)),
    scenario("fewer dots, exists as it is", ONE, "web.x",
        |query, _| only("web.x", query)),
    scenario("enough dots", ONE, "web.x.org",
        |query, _| only("web.x.org", query)),
    scenario("enough dots, exists below a search domain", ONE, "web.x.y",
        |query, _| only("web.x.y.b.test", query)),
    scenario("a last dot", ONE, "web.",
        |query, _| only("web", query)),
    scenario("a last dot, does not exist", ONE, "web.", |_, _| NxDomain),
    scenario("NXDOMAIN everywhere", ONE, "web", |_, _| NxDomain),
    scenario("`search .`", NO_SEARCH, "web.x",
        |query, _| only("web.x", query)),
    scenario("`.` in the search list, exists behind it", ROOT, "web",
        |query, _| only("web.b.test", query)),
    scenario("NODATA for AAAA", ONE, "web.x.org",
        |query, _| if query.qtype == AAAA { NoData } else { Address }),
    scenario("NXDOMAIN for AAAA, an address for A", ONE, "web",
        |query, _| if query.qtype == AAAA { NxDomain } else { only("web.a.test", query) }),
    scenario("NODATA in the first search domain", ONE, "web",
        |query, _| if query.name == "web.a.test" { NoData } else { only("web.b.test", query) }),
    scenario("the first server is silent", TWO, "web.x.org",
        |query, _| if query.server == 1 { Silent } else { Address }),
    scenario("the first server is silent, and the search list is used", TWO, "web",
        |query, _| if query.server == 1 { Silent } else { only("web.b.test", query) }),
    scenario("nobody listens at the first server", FIRST_DEAF, "web.x.org",
        |_, _| Address),
    scenario("nobody answers", TWO, "web.x.org.", |_, _| Silent),
    scenario("nobody answers, and there is a search list", ONE, "web",
        |_, _| Silent),
    race("nobody answers, `attempts:3`", ONE_SERVER_THRICE, "web.x.", |_, _| Silent),
    scenario("nobody answers below a search domain", ONE, "web",
        |query, _| if query.name == "web.a.test" { Silent } else { only("web", query) }),
    scenario("A is lost once", ONE, "web.x.org",
        |query, nth| if query.qtype == 1 && nth == 0 { Silent } else { Address }),
    scenario("AAAA is lost once", ONE, "web.x.org",
        |query, nth| if query.qtype == AAAA && nth == 0 { Silent } else { Address }),
    scenario("AAAA is never answered", ONE, "web.x.org",
        |query, _| if query.qtype == AAAA { Silent } else { Address }),
    scenario("A is never answered, AAAA has none", TWO, "web.x.org",
        |query, _| if query.qtype == AAAA { NoData } else { Silent }),
    scenario("AAAA is lost once below each search domain", ONE, "web",
        |query, nth| if query.qtype == AAAA && nth == 0 { Silent } else { only("web.b.test", query) }),
    scenario("both are lost once", ONE, "web.x.org",
        |_, nth| if nth == 0 { Silent } else { Address }),
    race("SERVFAIL from the first server", TWO, "web.x.org",
        |query, _| if query.server == 1 { ServFail } else { Address }),
    race("SERVFAIL everywhere", TWO, "web.x.org", |_, _| ServFail),
    scenario("SERVFAIL once", ONE, "web.x.org",
        |_, nth| if nth == 0 { ServFail } else { Address }),
    scenario("SERVFAIL for AAAA", ONE, "web.x.org",
        |query, _| if query.qtype == AAAA { ServFail } else { Address }),
    scenario("SERVFAIL below the first search domain", ONE, "web",
        |query, _| if query.name == "web.a.test" { ServFail } else { only("web.b.test", query) }),
    scenario("SERVFAIL below the first search domain, exists nowhere", ONE, "web",
        |query, _| if query.name == "web.a.test" { ServFail } else { NxDomain }),
    scenario("REFUSED from the first server", TWO, "web.x.org",
        |query, _| if query.server == 1 { Refused } else { Address }),
    scenario("REFUSED everywhere", ONE, "web", |_, _| Refused),
    scenario("FORMERR everywhere", ONE, "web", |_, _| FormErr),
    race("an empty answer of a server that does not recurse", TWO, "web.x.org",
        |query, _| if query.server == 1 { Referral } else { Address }),
    race("truncated, the rest over TCP", ONE, "web.x.org",
        |query, _| if query.over == Over::Udp { Truncated } else { Address }),
    scenario("AAAA truncated, the rest over TCP", ONE, "web.x.org",
        |query, _| if query.over == Over::Udp && query.qtype == AAAA { Truncated } else { Address }),
    race("truncated, SERVFAIL over TCP", TWO, "web.x.org",
        |query, _| if query.over == Over::Udp { Truncated } else { ServFail }),
    scenario("`single-request`", SINGLE, "web",
        |query, _| only("web.b.test", query)),
    race("`single-request`, SERVFAIL from the first server", SINGLE_TWO, "web.x.org",
        |query, _| if query.server == 1 { ServFail } else { Address }),
    scenario("`single-request`, AAAA is lost once", SINGLE, "web.x.org",
        |query, nth| if query.qtype == AAAA && nth == 0 { Silent } else { Address }),
    scenario("`single-request-reopen`", REOPEN, "web",
        |query, _| only("web.b.test", query)),
    scenario("`rotate`, three servers", ROTATE, "web",
        |query, _| only("web.b.test", query)),
    scenario("`use-vc`", USE_VC, "web",
        |query, _| only("web.b.test", query)),
    scenario("`edns0 trust-ad`", EDNS, "web.x.org", |_, _| Address),
    scenario("`no-aaaa`", NO_AAAA, "web",
        |query, _| only("web.b.test", query)),
    scenario("`no-tld-query`", NO_TLD, "web", |_, _| NxDomain),
    scenario("four servers, all silent", FOUR, "web.x.org.", |_, _| Silent),
];
