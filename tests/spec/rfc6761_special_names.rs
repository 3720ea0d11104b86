//! Names that never leave the node: RFC 6761, 7686, 9462.

use crate::stage::Stage;

#[test]
fn localhost_is_here() {
    let soa = "auth: localhost. 10800 IN SOA localhost. nobody.localhost. 1 7200 1800 86400 10800";
    Stage::empty()
        .case("and below it too")
        .ask(
            "localhost. A",
            "NOERROR aa
            localhost. 10800 IN A 127.0.0.1",
        )
        .ask(
            "db.LOCALHOST. AAAA",
            "NOERROR aa
            db.LOCALHOST. 10800 IN AAAA ::1",
        )
        .ask("localhost. MX", &format!("NOERROR aa\n{soa}"));
}

#[test]
fn invalid_and_onion_do_not_exist() {
    let soa = |zone: &str| {
        format!("auth: {zone} 10800 IN SOA {zone} nobody.{zone} 1 7200 1800 86400 10800")
    };
    Stage::empty()
        .case("no upstream is asked")
        .ask("x.invalid. A", &format!("NXDOMAIN aa\n{}", soa("invalid.")))
        .ask(
            "facebookcorewwwi.onion. A",
            &format!("NXDOMAIN aa\n{}", soa("onion.")),
        )
        .ask(
            "_dns.resolver.arpa. TYPE64",
            &format!("NOERROR aa\n{}", soa("resolver.arpa.")),
        );
}
