//! The certificate of DNS over HTTPS and its key: the two files as they are at the start, and every later version of them. It knows no
//! connection, and of TLS only why a file cannot be used.

use crate::{
    config,
    lifecycle::Drain,
    metrics, notices,
    server::{Tls, TlsError},
};
use anyhow::Context as _;
use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

/// What is read of a file: some hundreds of certificates. Of a longer one the rest is missing, which is an error in it.
const READ_MAX: u64 = 1 << 20;

/// Reads the two files.
pub(super) fn read(https: &config::Https) -> anyhow::Result<Tls> {
    let certificate = format!("https.certificate {}", https.certificate.display());
    let key = format!("https.key {}", https.key.display());
    let tls = Tls::from_pem(
        &octets(&https.certificate).with_context(|| certificate.clone())?,
        &octets(&https.key).with_context(|| key.clone())?,
    );
    tls.map_err(|error| {
        let file = match error {
            TlsError::Certificate(_) => certificate,
            TlsError::Key(_) | TlsError::Pair => key,
        };
        anyhow::Error::new(error).context(file)
    })
}

/// Has every version to come served from then on, until the drain. While there is none that can be, the one before is.
pub(super) async fn follow(https: config::Https, tls: Tls, metrics: metrics::Server, drain: Drain) {
    let mut last_error = None;
    let take = |read: anyhow::Result<Tls>| match read {
        Ok(new) => {
            last_error = None;
            if tls.replace(&new) {
                tracing::info!(
                    "{}: another certificate is served from now on",
                    https.certificate.display()
                );
                metrics.certificate(true);
            }
        }
        Err(error) => {
            let error = format!("{error:#}");
            if last_error.as_ref() != Some(&error) {
                tracing::warn!("{error}; the former certificate stays");
                metrics.certificate(false);
            }
            last_error = Some(error);
        }
    };
    let files = https.clone();
    let paths = vec![https.certificate.clone(), https.key.clone()];
    let follow = notices::follow(paths, move || read(&files), take);
    drain.run_until_cancelled(follow).await;
}

fn octets(path: &Path) -> io::Result<Vec<u8>> {
    let mut octets = vec![];
    File::open(path)?.take(READ_MAX).read_to_end(&mut octets)?;
    Ok(octets)
}
