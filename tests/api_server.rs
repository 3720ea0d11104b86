//! What only a real API server can show: that our role is admitted and is enough, and what it answers to the requests
//! that the feed is built on. `tests/control-plane/build` prepares the binaries.

#[path = "support/control_plane.rs"]
mod control_plane;

use control_plane::{ControlPlane, ETCD_WITHOUT_STREAMING_LISTS, get};
use kube::Client;
use std::path::Path;

/// The status of an answer, without its body.
async fn status(client: &Client, path: &str) -> u16 {
    let response = client.send(get(path).map(Into::into)).await;
    response.expect("an answer").status().as_u16()
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn the_shipped_role_lists_and_watches_what_is_answered_from_and_nothing_else() {
    let control_plane = ControlPlane::start().await;
    let gapless = control_plane.gapless().await;
    const READABLE: [&str; 3] = [
        "/api/v1/services",
        "/api/v1/namespaces",
        "/apis/discovery.k8s.io/v1/endpointslices",
    ];
    const CLOSED: [&str; 5] = [
        "/api/v1/pods",
        "/api/v1/secrets",
        "/api/v1/configmaps",
        "/api/v1/nodes",
        "/apis/apps/v1/statefulsets",
    ];
    for path in READABLE {
        for query in ["limit=1", "watch=1&timeoutSeconds=1"] {
            let asked = format!("{path}?{query}");
            assert_eq!((status(&gapless, &asked).await, &asked), (200, &asked));
        }
    }
    for path in CLOSED {
        for query in ["limit=1", "watch=1&timeoutSeconds=1"] {
            let asked = format!("{path}?{query}");
            assert_eq!((status(&gapless, &asked).await, &asked), (403, &asked));
        }
    }
    let one = "/api/v1/namespaces/default/services/kubernetes";
    assert_eq!(status(&gapless, one).await, 403);
    let write = http::Request::delete(one).body(kube::client::Body::empty());
    let refused = gapless.send(write.unwrap()).await.expect("an answer");
    assert_eq!(refused.status().as_u16(), 403);
}

#[tokio::test]
#[ignore = "needs KUBEBUILDER_ASSETS"]
async fn explore() {
    let old = std::env::var_os("OLD").is_some();
    let control_plane = if old {
        ControlPlane::start_with_etcd(Path::new(ETCD_WITHOUT_STREAMING_LISTS)).await
    } else {
        ControlPlane::start().await
    };
    println!("ready; {}", std::fs::read_to_string(control_plane.gapless_kubeconfig()).unwrap());
    let cmd = std::env::var("EXPLORE").unwrap();
    let st = std::process::Command::new("bash").arg("-c").arg(cmd).env("D", control_plane.gapless_kubeconfig().parent().unwrap()).status();
    println!("{st:?}");
}
