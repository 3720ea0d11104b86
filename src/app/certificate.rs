//! The certificate of DNS over HTTPS and its key: the two files as they are at the start, and every later version of them. It knows no
//! connection, and of TLS only why a file cannot be used.

use crate::{
    config,
    lifecycle::Drain,
    metrics,
    notices::Notices,
    server::{Tls, TlsError},
};
use anyhow::Context as _;
use std::{
    fs::File,
    io::{self, Read as _},
    mem,
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
    let follow = async {
        loop {
            let files = https.clone();
            // Watched anew each time, for where the links lead now, and read after that: nothing is missed between.
            let reading = tokio::task::spawn_blocking(move || {
                let notices = Notices::of_files(&[&files.certificate, &files.key]);
                (notices, read(&files))
            });
            let Ok((notices, read)) = reading.await else {
                return; // The runtime ends.
            };
            let error = read.as_ref().err().map(|error| format!("{error:#}"));
            let is_new = mem::replace(&mut last_error, error.clone()) != error;
            match (read, error) {
                (Ok(new), _) if tls.replace(&new) => {
                    tracing::info!(
                        "{}: another certificate is served from now on",
                        https.certificate.display()
                    );
                    metrics.certificate(true);
                }
                (Err(_), Some(error)) if is_new => {
                    tracing::warn!("{error}; the former certificate stays");
                    metrics.certificate(false);
                }
                _ => {}
            }
            notices.next().await;
        }
    };
    drain.run_until_cancelled(follow).await;
}

fn octets(path: &Path) -> io::Result<Vec<u8>> {
    let mut octets = vec![];
    File::open(path)?.take(READ_MAX).read_to_end(&mut octets)?;
    Ok(octets)
}
