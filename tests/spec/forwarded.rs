//! What is not the cluster's: flags of forwarded answers (RFC 1035, RFC 6840), and why there is none (RFC 8914).

use crate::stage::Stage;
use gapless::{answer::Scope, forward::Failure};

const WWW: &str = "www.example.org. 60 IN A 192.0.2.1";

#[test]
fn a_forwarded_answer_is_not_authoritative_and_copies_rd_and_cd() {
    let mut stage = Stage::empty();
    stage.upstream(&[WWW]);
    stage
        .case("AA is clear; AD too, as the upstream is not trusted (RFC 6840 5.7, 5.8)")
        .ask("www.example.org. A", &format!("NOERROR\n{WWW}"))
        .ask("www.example.org. A ad", &format!("NOERROR\n{WWW}"))
        .ask("www.example.org. A cd", &format!("NOERROR\n{WWW}"));
    stage
        .case("a cluster answer says nothing of DNSSEC either")
        .ask(
            "dns-version.cluster.local. TXT ad cd",
            "NOERROR aa
            dns-version.cluster.local. 5 IN TXT \"1.1.0\"",
        );
}

#[test]
fn without_recursion_desired_only_what_is_held_is_told() {
    let mut stage = Stage::empty();
    stage.upstream(&[WWW]);
    stage
        .case("RFC 1035 4.1.1: nobody is asked")
        .ask("www.example.org. A norec", "REFUSED")
        .ask("www.example.org. A", &format!("NOERROR\n{WWW}"))
        .ask("www.example.org. A norec", &format!("NOERROR\n{WWW}"));
    stage.case("cluster names need no recursion").ask(
        "dns-version.cluster.local. TXT norec",
        "NOERROR aa
            dns-version.cluster.local. 5 IN TXT \"1.1.0\"",
    );
}

#[test]
fn who_sent_edns_is_told_why_there_is_no_answer_rfc8914() {
    let mut stage = Stage::with("", |options| options.answers.scope = Scope::Headless);
    stage
        .case("a route without servers")
        .ask(
            "api.shop.svc.cluster.local. A",
            "SERVFAIL\nede: 0 no upstream is configured",
        )
        .ask("api.shop.svc.cluster.local. A noedns", "SERVFAIL");
    let said = [
        Failure::NoAnswer,
        Failure::Unreachable,
        Failure::Overloaded,
        Failure::Dropped,
    ]
    .map(|failure| failure.ede().code);
    assert_eq!(said, [22, 23, 0, 0]);
}
