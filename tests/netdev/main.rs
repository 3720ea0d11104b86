//! Node-local mode as a pod sees it: a node, a pod and the cluster's DNS in network namespaces of the test's own, with
//! rules between them as kube-proxy has them. It needs root, and Debian's `iproute2`, `nftables`, `conntrack` and
//! `bind9-dnsutils`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and says what it measured"
)]

mod clients;
mod cluster;
mod daemonset;
mod memory;

use clients::Clients;
use cluster::{CLUSTER_DNS, Cluster, KUBE_DNS, NODE, OWN, Process};
use daemonset::Pod;
use rustix::process::Signal;
use std::time::Duration;

const WHY: &str = "run with --ignored, as root";

#[test]
#[ignore = "root and network namespaces"]
fn a_pod_and_the_node_ask_at_every_address_of_both_families_and_nothing_is_tracked() {
    let cluster = Cluster::new(WHY);
    cluster.netdev("up");
    let _server = cluster.serve();
    cluster.run(&cluster.node, "conntrack -F"); // what was tracked before
    for from in [&cluster.pod, &cluster.node] {
        for address in OWN.iter().chain(&KUBE_DNS) {
            for over in ["+notcp", "+tcp"] {
                assert_eq!(
                    cluster.who(from, address, over),
                    NODE,
                    "{address} {over} from {from}"
                );
            }
        }
    }
    assert_eq!(cluster.tracked(), Vec::<String>::new());
    // That entries would show: without the redirect the same question is kube-proxy's to send on.
    cluster.netdev("down");
    for address in KUBE_DNS {
        assert_eq!(cluster.who(&cluster.pod, address, "+notcp"), CLUSTER_DNS);
    }
    let tracked = cluster.tracked();
    let shows = |address: &&str| tracked.iter().any(|line| line.contains(*address));
    assert!(KUBE_DNS.iter().all(shows), "{tracked:#?}");
}

#[test]
#[ignore = "root and network namespaces"]
fn rfc9715_a_reply_is_not_sent_in_fragments_and_what_an_interface_does_not_carry_is_asked_for_by_tcp()
 {
    let cluster = Cluster::new(WHY);
    let asked = |how: &str| {
        let name = "nginx.default.svc.cluster.local SRV";
        let dig = format!("dig +tries=1 +time=2 {how} @10.2.0.2 {name}");
        cluster.run(&cluster.pod, &dig)
    };
    let whole = asked("+ignore");
    assert!(whole.contains("flags: qr aa rd ra;"), "{whole}");
    cluster.run(&cluster.dns, "ip link set eth0 mtu 200");
    let cut = asked("+ignore");
    assert!(cut.contains("flags: qr aa tc rd ra;"), "{cut}");
    assert!(
        cut.contains("ANSWER: 0, AUTHORITY: 0, ADDITIONAL: 1"),
        "{cut}"
    );
    let counts = |reply: &str| {
        reply
            .lines()
            .find(|it| it.contains("ANSWER:"))
            .map(str::to_owned)
    };
    let again = asked("+noignore");
    assert!(again.contains("Truncated, retrying in TCP mode"), "{again}");
    assert_eq!(counts(&again), counts(&whole));
}

#[test]
#[ignore = "root and network namespaces"]
fn up_a_second_time_changes_nothing_and_down_leaves_nothing() {
    let cluster = Cluster::new(WHY);
    let before = cluster.state();
    assert!(!cluster.is_up());
    cluster.netdev("up");
    assert!(cluster.is_up());
    let up = cluster.state();
    assert_ne!(up, before);
    for _ in 0..3 {
        cluster.netdev("up");
    }
    assert_eq!(cluster.state(), up);
    for _ in 0..2 {
        cluster.netdev("down");
        assert_eq!(cluster.state(), before);
    }
}

#[test]
#[ignore = "root and network namespaces"]
fn what_the_kernel_has_not_and_what_is_not_ours_are_named() {
    let cluster = Cluster::new(WHY);
    let flags = ["--kind", "nosuchkind"];
    let failed = cluster.netdev_fails("up", &flags);
    assert_eq!(
        failed,
        "gapless: this kernel makes no interface of kind `nosuchkind`; load its module, or take another kind, such as dummy or bridge\n"
    );
    cluster.run(&cluster.node, "ip link add other0 type bridge");
    for command in ["up", "down"] {
        let failed = cluster.netdev_fails(command, &["--interface", "other0"]);
        assert_eq!(
            failed,
            "gapless: there is an interface other0 that is not ours (its alias is not `gapless`); take another name\n"
        );
    }
    cluster.run(&cluster.node, "ip link show other0");
}

#[test]
#[ignore = "root and network namespaces"]
fn k26_after_a_kill_under_load_the_clusters_dns_answers_within_a_second_and_the_redirect_comes_back()
 {
    killed("kill -9", |server| {
        server.signal(Signal::KILL);
        server.ended();
    });
}

#[test]
#[ignore = "root, network namespaces and control groups"]
fn k26_out_of_memory_under_load_the_clusters_dns_answers_within_a_second_and_the_redirect_comes_back()
 {
    killed("out of memory", memory::run_out);
}

fn killed(how: &str, kill: impl FnOnce(&mut Process)) {
    let cluster = Cluster::new(WHY);
    let mut watch = cluster.watch();
    let mut server = cluster.serve();
    cluster.until_answered_by(NODE);
    assert!(cluster.is_up());

    let clients = Clients::start(&cluster.pod, KUBE_DNS[0]);
    clients.until_answered(2000);
    kill(&mut server);
    cluster.until_answered_by(CLUSTER_DNS);
    let outage = clients.end();
    println!("{how} at {} queries/s: {outage:?}", clients::PER_SECOND);
    assert!(outage.silence < Duration::from_secs(1), "{outage:?}");

    let mut server = cluster.serve();
    cluster.until_answered_by(NODE);
    // One that hangs holds its sockets.
    server.signal(Signal::STOP);
    cluster.until_answered_by(CLUSTER_DNS);
    server.signal(Signal::CONT);
    cluster.until_answered_by(NODE);

    watch.signal(Signal::TERM);
    server.signal(Signal::TERM);
    watch.ended();
    server.ended();
    cluster.until_answered_by(CLUSTER_DNS);
    nothing_is_left(&cluster);
}

#[test]
#[ignore = "root and network namespaces"]
fn k25_the_next_pod_of_the_daemonset_takes_over_under_load_and_loses_nothing() {
    let cluster = Cluster::new(WHY);
    let first = Pod::start(&cluster, NODE);
    cluster.until_answered_at(KUBE_DNS[0], NODE);
    let clients = Clients::start(&cluster.pod, KUBE_DNS[0]);
    clients.until_answered(2000);
    let next = Pod::start(&cluster, "192.0.2.3");
    cluster.until_answered_at(KUBE_DNS[0], "192.0.2.3");
    first.end();
    let outage = clients.end();
    println!(
        "a pod after the other at {} queries/s: {outage:?}",
        clients::PER_SECOND
    );
    assert_eq!(outage.unanswered, 0, "{outage:?}");
    next.end();
    cluster.until_answered_at(KUBE_DNS[0], CLUSTER_DNS);
    nothing_is_left(&cluster);
}

#[test]
#[ignore = "root and network namespaces"]
fn a_pod_of_the_daemonset_gives_its_addresses_back_when_it_crashes_and_leaves_nothing_when_it_ends()
{
    let cluster = Cluster::new(WHY);
    let mut pod = Pod::start(&cluster, NODE);
    for address in [OWN[0], KUBE_DNS[0]] {
        cluster.until_answered_at(address, NODE);
    }
    pod.crash(&cluster, "192.0.2.3", || {
        cluster.until_answered_at(KUBE_DNS[0], CLUSTER_DNS)
    });
    cluster.until_answered_at(KUBE_DNS[0], "192.0.2.3");
    pod.end();
    cluster.until_answered_at(KUBE_DNS[0], CLUSTER_DNS);
    nothing_is_left(&cluster);
}

fn nothing_is_left(cluster: &Cluster) {
    let left = cluster.state();
    assert!(
        !left.contains("gapless0") && !left.contains("table inet gapless"),
        "{left}"
    );
}
