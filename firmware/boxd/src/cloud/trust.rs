//! Whose certificate the box believes, and at what time it is judged.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};

use super::time::Time;

const VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
/// Most certificates of a chain that may each begin later than the one before.
const CHAIN: usize = 4;

/// Why no certificate can be judged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// The extra roots cannot be used.
    #[error(
        "[tunnel] ca: {0} holds no certificate that can be read (PEM): give the file with the cloud's root."
    )]
    Ca(String),
    /// The TLS library refuses.
    #[error("TLS is not available: {0}.")]
    Tls(String),
}

/// How TLS connections to the cloud are made.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    /// Believes what is valid by the box's clock.
    pub(crate) strict: Arc<ClientConfig>,
    /// Also believes what is not valid *yet*: only to learn from a server what time it may be.
    pub(crate) early: Arc<ClientConfig>,
}

impl Trust {
    /// The roots that browsers know, and those of a PEM file. Judged at the box's own [`Time`].
    ///
    /// # Errors
    /// [`TrustError`].
    pub(crate) fn new(ca: Option<&Path>, time: &Arc<Time>) -> Result<Self, TrustError> {
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
        let roots = Arc::new(roots);
        let provider = Arc::new(ring::default_provider());
        let builder = || {
            ClientConfig::builder_with_details(provider.clone(), time.clone())
                .with_protocol_versions(VERSIONS)
                .map_err(|error| TrustError::Tls(error.to_string()))
        };
        let strict = builder()?.with_root_certificates(roots.clone()).with_no_client_auth();
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
            .build()
            .map_err(|error| TrustError::Tls(error.to_string()))?;
        let early = builder()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Early(verifier)))
            .with_no_client_auth();
        Ok(Self { strict: Arc::new(strict), early: Arc::new(early) })
    }
}

/// Judges as usual, but a certificate that is not valid yet at the moment when it begins to be.
#[derive(Debug)]
struct Early(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Early {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        mut now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        for _ in 0..CHAIN {
            let judged =
                self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
            match judged {
                Err(Error::InvalidCertificate(CertificateError::NotValidYetContext {
                    not_before, ..
                })) if not_before > now => now = not_before,
                judged => return judged,
            }
        }
        Err(Error::InvalidCertificate(CertificateError::NotValidYet))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
