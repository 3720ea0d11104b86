//! The certificate of DNS over HTTPS is followed as Kubernetes mounts a Secret: its directory is replaced by a link, all at once.

use crate::{
    asking::{metrics_once, within},
    running::{Running, demo},
    tls,
};
use gapless::config;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::{fs, io, net::SocketAddr, os::unix::fs::symlink, path::Path, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, rustls::pki_types::CertificateDer};

/// Lays a version of a Secret beside the others, and makes it the current one.
fn mount(directory: &Path, version: &str, certificate: &str, key: &str) {
    let files = directory.join(version);
    fs::create_dir(&files).unwrap();
    fs::write(files.join("tls.crt"), certificate).unwrap();
    fs::write(files.join("tls.key"), key).unwrap();
    symlink(version, directory.join("..data_tmp")).unwrap();
    fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
}

fn self_signed() -> CertifiedKey<rcgen::KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

/// Connects as a client that trusts this certificate, and no other.
async fn connect(server: SocketAddr, trusted: &CertificateDer<'static>) -> io::Result<()> {
    let stream = TcpStream::connect(server).await.unwrap();
    let connector = TlsConnector::from(Arc::new(tls::trusting(trusted.clone())));
    let connecting = connector.connect("localhost".try_into().unwrap(), stream);
    within("a handshake", connecting).await.map(drop)
}

#[tokio::test]
async fn a_renewed_certificate_is_served_and_one_that_cannot_be_leaves_the_former() {
    let secret = tempfile::tempdir().unwrap();
    let [first, second, third] = [self_signed(), self_signed(), self_signed()];
    let mount = |version: &str, of: &CertifiedKey<rcgen::KeyPair>, key: &CertifiedKey<_>| {
        let key: &rcgen::KeyPair = &key.signing_key;
        mount(secret.path(), version, &of.cert.pem(), &key.serialize_pem());
    };
    mount("..1", &first, &first);
    for name in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(name), secret.path().join(name)).unwrap();
    }
    let mut config = demo();
    config.https = Some(config::Https {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        certificate: secret.path().join("tls.crt"),
        key: secret.path().join("tls.key"),
        path: "/dns-query".to_owned(),
    });
    let server = Running::start(config).await;
    let https = server.https.unwrap();
    let changes = async |outcome: &str, count: u32| {
        let line = format!(
            "gapless_server_https_certificate_changes_total{{outcome=\"{outcome}\"}} {count}\n"
        );
        metrics_once(server.admin, |page| page.contains(&line)).await
    };
    changes("taken", 0).await;
    connect(https, first.cert.der()).await.unwrap();

    mount("..2", &second, &second);
    changes("taken", 1).await;
    connect(https, second.cert.der()).await.unwrap();
    assert!(connect(https, first.cert.der()).await.is_err());

    mount("..3", &third, &second); // another's key
    changes("unusable", 1).await;
    connect(https, second.cert.der()).await.unwrap();

    mount("..4", &third, &third);
    let page = changes("taken", 2).await;
    connect(https, third.cert.der()).await.unwrap();
    assert!(page.contains("changes_total{outcome=\"unusable\"} 1\n"));
    server.end().await;
}
