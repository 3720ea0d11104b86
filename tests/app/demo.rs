//! The demo as the README has it: every name that its files promise is answered.

use crate::{
    asking::{ask, until},
    process::{Process, serve},
    running::DEMO,
    upstream::FakeUpstream,
};
use std::collections::BTreeSet;

/// A question, and the records of its answer in any order; one question at least for each file.
const ANSWERS: &[(&str, &str, &[&str])] = &[
    (
        "20-nginx.yaml",
        "web-0.nginx.default.svc.cluster.local. A",
        &["web-0.nginx.default.svc.cluster.local. 1 IN A 10.1.0.4"],
    ),
    (
        "20-nginx.yaml",
        "nginx.default.svc.cluster.local. A",
        &[
            "nginx.default.svc.cluster.local. 1 IN A 10.1.0.4",
            "nginx.default.svc.cluster.local. 1 IN A 10.1.0.5",
        ],
    ),
    (
        "20-nginx.yaml",
        "_web._tcp.nginx.default.svc.cluster.local. SRV",
        &[
            "_web._tcp.nginx.default.svc.cluster.local. 1 IN SRV 0 50 80 web-0.nginx.default.svc.cluster.local.",
            "_web._tcp.nginx.default.svc.cluster.local. 1 IN SRV 0 50 80 web-1.nginx.default.svc.cluster.local.",
        ],
    ),
    (
        "20-nginx.yaml",
        "web-0.nginx.default.svc.cluster.local. SRV",
        &[],
    ),
    (
        "20-nginx.yaml",
        "4.0.1.10.in-addr.arpa. PTR",
        &["4.0.1.10.in-addr.arpa. 1 IN PTR web-0.nginx.default.svc.cluster.local."],
    ),
    (
        "10-cluster.yaml",
        "kubernetes.default.svc.cluster.local. AAAA",
        &["kubernetes.default.svc.cluster.local. 5 IN AAAA fd00:96::1"],
    ),
    (
        "10-cluster.yaml",
        "10.0.96.10.in-addr.arpa. PTR",
        &["10.0.96.10.in-addr.arpa. 5 IN PTR kube-dns.kube-system.svc.cluster.local."],
    ),
    (
        "30-shop.yaml",
        "db.shop.svc.cluster.local. AAAA",
        &[
            "db.shop.svc.cluster.local. 1 IN AAAA 2001:db8::10",
            "db.shop.svc.cluster.local. 1 IN AAAA 2001:db8::11",
        ],
    ),
    (
        "30-shop.yaml",
        "payments.shop.svc.cluster.local. A",
        &[
            "payments.shop.svc.cluster.local. 5 IN CNAME example.com.",
            "example.com. 60 IN A 192.0.2.80",
        ],
    ),
    ("00-namespaces.yaml", "shop.svc.cluster.local. A", &[]),
];

#[tokio::test]
async fn every_file_of_the_demo_is_answered_from() {
    let upstream = FakeUpstream::start("example.com. 60 IN A 192.0.2.80").await;
    let address = upstream.address.to_string();
    let server = Process::start(serve(&["--manifests", DEMO, "--upstream", &address]));
    let dns = server.dns().await;
    until(server.admin().await, "/readyz", (200, "ok\n")).await;
    for (_, question, expected) in ANSWERS {
        let answer = ask(dns, question).await;
        assert_eq!(answer[0], "NoError", "{question}");
        let records: BTreeSet<_> = answer[1..].iter().map(String::as_str).collect();
        assert_eq!(records, expected.iter().copied().collect(), "{question}");
    }
    for gone in [
        "web-2.nginx.default.svc.cluster.local. A",
        "mall.svc.cluster.local. A",
    ] {
        assert!(ask(dns, gone).await[0].starts_with("NXDomain"), "{gone}");
    }
    assert_eq!(server.count("WARN"), 0);

    let used: BTreeSet<_> = ANSWERS
        .iter()
        .map(|(file, ..)| (*file).to_owned())
        .collect();
    let files = std::fs::read_dir(DEMO).unwrap();
    let files = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(used, files.collect());
}
