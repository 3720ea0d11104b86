//! The server's side of TLS: a certificate and its key, made of PEM texts, and what is offered with them. It opens no file.

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

/// What the server proves who it is with.
#[derive(Clone)]
pub struct Tls(ServerConfig);

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
            .with_single_cert(chain, key);
        match config {
            Ok(config) => Ok(Self(config)),
            Err(rustls::Error::InconsistentKeys(_)) => Err(TlsError::Pair),
            Err(rustls::Error::General(reason)) => Err(TlsError::Key(reason)),
            Err(error) => Err(unusable(&error)),
        }
    }

    /// Takes connections that speak this protocol (RFC 7301); clients that name none may go on.
    pub(super) fn acceptor(mut self, protocol: &[u8]) -> TlsAcceptor {
        self.0.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(self.0).into()
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
