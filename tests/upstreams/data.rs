//! What the servers are told: one zone for those that read zone files, the same in dnsmasq's own words, and a key.

use std::fmt::Write as _;

/// Records of an answer that no datagram of 1232 octets holds.
const WIDE: usize = 100;
const BIG: usize = 24;

/// The zone `<origin>` in zone-file form.
pub(crate) fn zone(origin: &str) -> String {
    let mut zone = format!(
        "$ORIGIN {origin}.
@ 3600 IN SOA ns admin 1 7200 1800 86400 60
@ 3600 IN NS ns
@ 300 IN MX 10 mail
ns 3600 IN A 192.0.2.53
mail 300 IN A 192.0.2.25
www 300 IN A 192.0.2.1
www 300 IN A 192.0.2.2
www 300 IN AAAA 2001:db8::1
four 300 IN A 192.0.2.4
alias 120 IN CNAME www
chain 300 IN CNAME link
link 90 IN CNAME alias
dangling 300 IN CNAME nothing
outside 300 IN CNAME www.elsewhere.example.
a.b.c 300 IN A 192.0.2.5
*.wild 300 IN A 192.0.2.77
*.wild 300 IN TXT \"wild\"
_sip._tcp 300 IN SRV 1 2 5060 sip
_sip._tcp 300 IN SRV 2 1 5061 www
sip 300 IN A 192.0.2.60
raw 300 IN TYPE65280 \\# 4 0a0b0c0d
zero 0 IN A 192.0.2.6
"
    );
    for n in 0..WIDE {
        writeln!(zone, "wide 300 IN A 10.9.0.{n}").unwrap();
    }
    for n in 0..BIG {
        writeln!(zone, "big 300 IN TXT \"{n:0200}\"").unwrap();
    }
    zone
}

/// The zone `up.example` as far as dnsmasq has words for it; it gives no SOA.
pub(crate) fn dnsmasq() -> String {
    let mut text = "local=/up.example/
local-ttl=60
edns-packet-max=1232
host-record=www.up.example,192.0.2.1,2001:db8::1
host-record=four.up.example,192.0.2.4
host-record=a.b.c.up.example,192.0.2.5
host-record=sip.up.example,192.0.2.60
cname=alias.up.example,www.up.example
cname=link.up.example,alias.up.example
cname=chain.up.example,link.up.example
address=/wild.up.example/192.0.2.77
mx-host=up.example,mail.up.example,10
srv-host=_sip._tcp.up.example,sip.up.example,5060,1,2
dns-rr=raw.up.example,65280,0a0b0c0d
"
    .to_owned();
    for n in 0..WIDE {
        writeln!(text, "address=/wide.up.example/10.9.0.{n}").unwrap();
    }
    for n in 0..BIG {
        writeln!(text, "txt-record=big.up.example,\"{n:0200}\"").unwrap();
    }
    text
}

/// A key of ECDSA P-256 (algorithm 13) for `signed.example`, made for these tests: DNSKEY record and private part.
pub(crate) const KEY: [&str; 2] = [
    "signed.example. IN DNSKEY 257 3 13 lHZGJCMnk42sssy+KAdfQkyDUoaHcsa3bLmmCu75tfkITETdeIKrVwzGGUUzMCWW3S47xLs22grYTmN3ZGaLEg==\n",
    "Private-key-format: v1.3\nAlgorithm: 13 (ECDSAP256SHA256)\nPrivateKey: c1srE8Mtv0KKqmXFSraw9DlvwvQDtag63L0c1vMpBD0=\n",
];
