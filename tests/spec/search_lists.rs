//! What a pod's resolver makes of a short name: `search <namespace>.svc.<zone> svc.<zone> <zone> …` with `ndots:5`.

use crate::stage::{NEGATIVE, SHOP, Stage};

const SEARCH: [&str; 3] = [
    "shop.svc.cluster.local.",
    "svc.cluster.local.",
    "cluster.local.",
];

#[test]
fn names_of_a_search_list_are_answered_by_the_index_as_they_were_asked() {
    let mut stage = Stage::new(SHOP);
    let upstream = stage.route(&["."], &["www.example.org. 60 IN A 192.0.2.1"]);
    for domain in SEARCH {
        for rtype in ["A", "AAAA"] {
            stage
                .case("no upstream is asked, no name is rewritten, nothing is searched for the client")
                .ask(
                    &format!("www.example.org.{domain} {rtype}"),
                    &format!("NXDOMAIN aa\n{NEGATIVE}"),
                );
        }
    }
    assert_eq!(upstream.asked().udp, 0);
    stage
        .case("the name itself is asked at the end, and a name of the cluster is found on the way")
        .ask(
            "www.example.org. A",
            "NOERROR
            www.example.org. 60 IN A 192.0.2.1",
        )
        .ask(
            "api.shop.svc.cluster.local. A",
            "NOERROR aa
            api.shop.svc.cluster.local. 5 IN A 10.96.0.30",
        );
    assert_eq!(upstream.asked().udp, 1);
}

#[test]
fn before_the_index_is_synced_a_search_list_does_not_end_in_nxdomain() {
    let mut stage = Stage::unsynced();
    let upstream = stage.route(&["."], &[]);
    for domain in &SEARCH[..2] {
        stage
            .case("and no upstream outside the cluster hears of it")
            .ask(
                &format!("api.shop.{domain} A"),
                "SERVFAIL
                ede: 14 the index of the cluster's names is not complete",
            );
    }
    assert_eq!(upstream.asked().udp, 0);
}
