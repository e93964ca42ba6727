//! Whose certificates are believed: those of the roots that browsers know and, where the operator names a file, of its own.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// Why nobody can be asked.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The extra roots cannot be used.
    #[error("{0} holds no certificate that can be read (PEM)")]
    Ca(String),
    /// The TLS library refuses.
    #[error("TLS is not available: {0}")]
    Tls(String),
}

/// TLS as a client. Beside the roots that browsers know, those of a PEM file are believed.
///
/// # Errors
/// [`TrustError`].
pub fn client_config(ca: Option<&Path>) -> Result<ClientConfig, TrustError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
    if let Some(file) = ca {
        let wrong = || TrustError::Ca(file.display().to_string());
        let before = roots.len();
        for certificate in CertificateDer::pem_file_iter(file).map_err(|_| wrong())? {
            roots.add(certificate.map_err(|_| wrong())?).map_err(|_| wrong())?;
        }
        if roots.len() == before {
            return Err(wrong());
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TrustError::Tls(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
