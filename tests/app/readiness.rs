//! Ready is what is known whole: with an API server that holds back its lists, denies them, or refuses the token.

use crate::{
    api_server::{ApiServer, Asked},
    asking::{Client, Connection, ask, get, until, within},
    process::{Process, serve},
    running::{Running, config, directory, text},
    upstream::FakeUpstream,
};
use gapless::{
    config::{Config, Source},
    server::Inherited,
};
use serde_json::{Value, json};
use std::net::{TcpListener, UdpSocket};
use tempfile::TempDir;

const KINDS: [&str; 3] = ["services", "endpointslices", "namespaces"];
const WEB: &str = "web.shop.svc.cluster.local. A";
const DB: &str = "db.shop.svc.cluster.local. A";
const NOT_READY: [&str; 1] = ["ServFail EDE 14"];

const NOT_SYNCED: &str = "[-] index: endpointslices\n[-] index: foreign endpointslices\n[-] index: namespaces\n\
                          [-] index: services\n[+] listeners\nnot ready\n";

fn service(name: &str, cluster_ip: &str) -> Value {
    json!({
        "kind": "Service", "apiVersion": "v1", "metadata": {"namespace": "shop", "name": name},
        "spec": {"clusterIP": cluster_ip, "clusterIPs": [cluster_ip], "ports": [{"port": 80, "protocol": "TCP"}]},
    })
}

/// A cluster with a ClusterIP service and a headless one.
async fn cluster() -> ApiServer {
    let server = ApiServer::start().await;
    server.apply(&json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "shop"}}));
    server.apply(&service("web", "10.96.0.1"));
    server.apply(&service("db", "None"));
    server.apply(&json!({
        "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "addressType": "IPv4",
        "metadata": {"namespace": "shop", "name": "db-1", "labels": {
            "kubernetes.io/service-name": "db",
            "service.kubernetes.io/headless": "",
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        }},
        "endpoints": [{"addresses": ["10.1.0.4"], "conditions": {"ready": true}}],
        "ports": [{"port": 80, "protocol": "TCP", "name": ""}],
    }));
    server
}

/// Its kubeconfig in a directory of its own, and a configuration with it.
fn watching(server: &ApiServer) -> (TempDir, Config) {
    let files = directory(&[("kubeconfig", &server.kubeconfig())]);
    let kubeconfig = Some(files.path().join("kubeconfig"));
    let config = config(Source::Kubernetes {
        kubeconfig,
        context: None,
    });
    (files, config)
}

#[tokio::test]
async fn unready_until_the_lists_have_come_and_ready_then() {
    let api = cluster().await;
    for kind in KINDS {
        api.fault(kind, |it| it.hold = true);
    }
    let (_files, config) = watching(&api);
    let server = Running::start(config).await;
    assert_eq!(
        get(server.admin, "/readyz?verbose").await,
        (503, NOT_SYNCED.to_owned())
    );
    assert_eq!(get(server.admin, "/livez").await, (200, "ok\n".to_owned()));
    assert_eq!(ask(server.dns, WEB).await, NOT_READY);
    assert_eq!(
        ask(server.dns, "nothing.shop.svc.cluster.local. A").await,
        NOT_READY
    );

    for kind in KINDS {
        api.fault(kind, |it| it.hold = false);
    }
    until(server.admin, "/readyz", (200, "ok\n")).await;
    assert_eq!(
        ask(server.dns, WEB).await,
        ["NoError", "web.shop.svc.cluster.local. 5 IN A 10.96.0.1"]
    );
    assert_eq!(
        ask(server.dns, DB).await,
        ["NoError", "db.shop.svc.cluster.local. 1 IN A 10.1.0.4"]
    );
    assert_eq!(
        ask(server.dns, "nothing.shop.svc.cluster.local. A").await,
        ["NXDomain"]
    );
    server.end().await;
}

#[tokio::test]
async fn before_the_lists_have_come_the_clusters_own_dns_is_asked() {
    let api = cluster().await;
    for kind in KINDS {
        api.fault(kind, |it| it.hold = true);
    }
    let cluster_dns = FakeUpstream::start("web.shop.svc.cluster.local. 5 IN A 10.96.0.9").await;
    let (_files, mut config) = watching(&api);
    config.cluster.dns = vec![cluster_dns.address.into()];
    let server = Running::start(config).await;
    assert_eq!(
        ask(server.dns, WEB).await,
        ["NoError", "web.shop.svc.cluster.local. 5 IN A 10.96.0.9"]
    );
    assert_eq!(cluster_dns.asked().udp, 1);

    for kind in KINDS {
        api.fault(kind, |it| it.hold = false);
    }
    until(server.admin, "/readyz", (200, "ok\n")).await;
    assert_eq!(
        ask(server.dns, WEB).await,
        ["NoError", "web.shop.svc.cluster.local. 5 IN A 10.96.0.1"]
    );
    assert_eq!(cluster_dns.asked().udp, 1);
    server.end().await;
}

#[tokio::test]
async fn a_kind_that_is_denied_makes_only_its_names_unsure() {
    let api = cluster().await;
    api.fault("endpointslices", |it| it.refuse = Some((403, None)));
    let (_files, config) = watching(&api);
    let server = Running::start(config).await;
    let denied = "[-] index: endpointslices\n[-] index: foreign endpointslices\nnot ready\n";
    until(server.admin, "/readyz", (503, denied)).await;
    assert_eq!(ask(server.dns, DB).await, NOT_READY);
    assert_eq!(
        ask(server.dns, WEB).await,
        ["NoError", "web.shop.svc.cluster.local. 5 IN A 10.96.0.1"]
    );
    assert_eq!(
        ask(server.dns, "nothing.shop.svc.cluster.local. A").await,
        ["NXDomain"]
    );

    api.fault("endpointslices", |it| it.refuse = None);
    until(server.admin, "/readyz", (200, "ok\n")).await;
    assert_eq!(
        ask(server.dns, DB).await,
        ["NoError", "db.shop.svc.cluster.local. 1 IN A 10.1.0.4"]
    );
    server.end().await;
}

#[tokio::test]
async fn a_token_that_is_refused_leaves_the_process_up_and_unready_and_is_said_once() {
    let api = cluster().await;
    for kind in KINDS {
        api.fault(kind, |it| it.refuse = Some((401, None)));
    }
    let (files, _) = watching(&api);
    let kubeconfig = files.path().join("kubeconfig");
    let upstream = FakeUpstream::start("www.example.org. 60 IN A 192.0.2.1").await;
    let upstream_address = upstream.address.to_string();
    let server = Process::start(serve(&[
        "--kubeconfig",
        text(&kubeconfig),
        "--upstream",
        &upstream_address,
    ]));
    let said = server.line("refused the credentials").await;
    assert!(said.contains("ERROR"), "{said}");
    for kind in KINDS {
        within(kind, api.until_asked(kind, Asked::Stream, 3)).await;
    }
    let (dns, admin) = (server.dns().await, server.admin().await);
    assert_eq!(
        get(admin, "/readyz?verbose").await,
        (503, NOT_SYNCED.to_owned())
    );
    assert_eq!(ask(dns, WEB).await, NOT_READY);
    assert_eq!(
        ask(dns, "www.example.org. A").await,
        ["NoError", "www.example.org. 60 IN A 192.0.2.1"]
    );
    assert_eq!(server.count("refused the credentials"), 1);
}

/// A question by UDP and one by TCP in sockets that nobody reads, and then a process that has them.
async fn queued(api: &ApiServer) -> (Client, Connection, Running) {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let dns = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind(dns).unwrap();
    let client = Client::at("127.0.0.1", dns).await;
    client.send(1, WEB).await;
    let mut connection = Connection::to(dns).await;
    connection.send(2, WEB).await;
    for kind in KINDS {
        api.fault(kind, |it| it.hold = true);
    }
    let (_files, mut config) = watching(api);
    config.listen = vec![dns];
    let inherited = Inherited::lasting(vec![udp.into(), tcp.into()]);
    (client, connection, Running::at(config, inherited).await)
}

#[tokio::test]
async fn what_is_queued_in_sockets_of_before_is_answered_once_the_lists_have_come() {
    let api = cluster().await;
    let (client, mut connection, server) = queued(&api).await;
    for kind in KINDS {
        within(kind, api.until_asked(kind, Asked::Stream, 1)).await;
        api.fault(kind, |it| it.hold = false);
    }
    let answer = ["NoError", "web.shop.svc.cluster.local. 5 IN A 10.96.0.1"];
    for (reply, id) in [(client.reply().await, 1), (connection.reply().await, 2)] {
        assert_eq!(reply, (id, answer.map(str::to_owned).to_vec()));
    }
    server.end().await;
}

#[tokio::test]
async fn what_is_queued_in_sockets_of_before_does_not_wait_for_ever() {
    let api = cluster().await;
    let (client, mut connection, server) = queued(&api).await;
    for (reply, id) in [(client.reply().await, 1), (connection.reply().await, 2)] {
        assert_eq!(reply, (id, NOT_READY.map(str::to_owned).to_vec()));
    }
    assert_eq!(get(server.admin, "/livez").await, (200, "ok\n".to_owned()));
    server.end().await;
}
