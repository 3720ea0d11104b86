//! Whom an encrypted upstream has to be certified by. It opens no file; without authorities nobody is trusted, and there is no
//! way to trust without one.

use std::{fmt, io, sync::Arc};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, TrustAnchor, pem::PemObject as _},
    },
};

/// The certificate authorities that are trusted; none by default.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Roots(Arc<[TrustAnchor<'static>]>);

/// Why certificates cannot be taken for authorities.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected certificates of authorities in PEM (`BEGIN CERTIFICATE`); {0}")]
pub struct BadRoots(String);

impl Roots {
    /// Reads certificates of authorities (RFC 7468).
    pub fn from_pem(text: &[u8]) -> Result<Self, BadRoots> {
        let bad = |error: &dyn fmt::Display| BadRoots(error.to_string());
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(text) {
            let certificate = certificate.map_err(|error| bad(&error))?;
            store.add(certificate).map_err(|error| bad(&error))?;
        }
        match store.is_empty() {
            true => Err(bad(&"there is none")),
            false => Ok(Self(store.roots.into())),
        }
    }

    /// Those of a system's certificates that can be read: its store may hold odd ones.
    pub fn from_system(certificates: Vec<CertificateDer<'static>>) -> Self {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(certificates);
        Self(store.roots.into())
    }

    /// Is nobody trusted?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Opens sessions that speak this protocol (RFC 7301).
    pub fn connector(&self, protocol: &[u8]) -> TlsConnector {
        // Named, because a process with two providers has no default one.
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the cipher suites of TLS 1.2 and 1.3")
            .with_root_certificates(RootCertStore::from_iter(self.0.iter().cloned()))
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config).into()
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({})", self.0.len())
    }
}

/// Did a handshake fail because of who the server is, or is not?
pub(super) fn is_about_certificate(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|it| it.downcast_ref());
    matches!(
        inner,
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
    )
}
