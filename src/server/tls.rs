//! The server's side of TLS: a certificate and its key, made of PEM texts, which others may take the place of, and what is offered with
//! them. It opens no file.

use arc_swap::ArcSwap;
use std::{fmt, sync::Arc};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::ring,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject as _},
        },
    },
};

/// What the server proves who it is with, to all connections that begin from now on.
#[derive(Clone)]
pub struct Tls(Arc<ArcSwap<Proof>>);

struct Proof {
    chain: Vec<CertificateDer<'static>>,
    config: Arc<ServerConfig>,
}

/// The protocol that is spoken inside (RFC 7301); clients that name none may go on.
const PROTOCOL: &[u8] = b"h2";

/// Why a certificate and a key cannot be served.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The certificates' text.
    #[error("expected certificates in PEM (`BEGIN CERTIFICATE`), the server's own first; {0}")]
    Certificate(String),
    /// The key's text.
    #[error("expected a private key in PEM (`BEGIN PRIVATE KEY`), without a passphrase; {0}")]
    Key(String),
    /// Each is fine by itself.
    #[error("expected the private key of the certificate; it is another's")]
    Pair,
}

impl Tls {
    /// Reads a chain of certificates, the server's own first, and its key (RFC 7468).
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let unusable = |error: &dyn fmt::Display| TlsError::Certificate(error.to_string());
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
        let chain = chain.map_err(|error| TlsError::Certificate(unreadable(error)))?;
        if chain.is_empty() {
            return Err(unusable(&"there is none"));
        }
        let key = PrivateKeyDer::from_pem_slice(key);
        let key = key.map_err(|error| TlsError::Key(unreadable(error)))?;
        // Named, because a process with two providers has no default one.
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .with_no_client_auth()
            .with_single_cert(chain.clone(), key);
        match config {
            Ok(mut config) => {
                config.alpn_protocols = vec![PROTOCOL.to_vec()];
                let config = Arc::new(config);
                Ok(Self(Arc::new(ArcSwap::from_pointee(Proof {
                    chain,
                    config,
                }))))
            }
            Err(rustls::Error::InconsistentKeys(_)) => Err(TlsError::Pair),
            Err(rustls::Error::General(reason)) => Err(TlsError::Key(reason)),
            Err(error) => Err(unusable(&error)),
        }
    }

    /// Another certificate, or chain of them, takes the place of this one, wherever it is served; says whether it is another.
    pub fn replace(&self, by: &Self) -> bool {
        let by = by.0.load_full();
        let differs = self.0.load().chain != by.chain;
        if differs {
            self.0.store(by);
        }
        differs
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.0.load().config).into()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls") // a key is in it
    }
}

fn unreadable(error: pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "there is none".to_owned(),
        error => error.to_string(),
    }
}
