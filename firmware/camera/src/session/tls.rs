//! RTSP over TLS (`rtsps://`): retina speaks only plain TCP, so a [`super::pipe`] carries its connection.
//!
//! Cameras come with certificates that they signed themselves, for no name: nothing can be verified when it is
//! first seen. The first certificate is pinned instead: every later connection of the same worker to the same
//! camera must show it again. That stops a listener, and an attacker who comes later, not one who was first.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the camera's own sockets and deadlines"
)]

use std::sync::{Arc, Mutex};

use model::Trouble;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Host;

use super::limits;
use super::target::Target;

/// TLS towards one camera, with its pinned certificate.
#[derive(Clone)]
pub struct Tls(TlsConnector);

#[derive(Debug)]
struct Pin {
    seen: Mutex<Option<CertificateDer<'static>>>,
    provider: Arc<CryptoProvider>,
}

impl Tls {
    /// TLS towards a camera whose certificate is not known yet.
    pub fn new() -> Option<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let pin = Arc::new(Pin { seen: Mutex::new(None), provider: Arc::clone(&provider) });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .ok()?
            .dangerous()
            .with_custom_certificate_verifier(pin)
            .with_no_client_auth();
        Some(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Connects and shakes hands.
    ///
    /// # Errors
    /// [`Trouble::Unreachable`] without a connection, [`Trouble::Protocol`] without TLS on it or with another
    /// certificate than before.
    pub async fn connect(&self, target: &Target) -> Result<TlsStream<TcpStream>, Trouble> {
        let stream = target.connect().await?;
        let name = match &target.host {
            Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|_| target.unreachable())?,
            Host::Ipv4(ip) => ServerName::from(std::net::IpAddr::from(*ip)),
            Host::Ipv6(ip) => ServerName::from(std::net::IpAddr::from(*ip)),
        };
        match timeout(limits::CONNECT, self.0.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(_)) => Err(Trouble::Protocol {
                detail: format!(
                    "no TLS connection with {} (or its certificate is another one than before)",
                    target.shown()
                ),
            }),
            Err(_) => Err(target.unreachable()),
        }
    }
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let mut seen = self.seen.lock().map_err(|_| rustls::Error::General("poisoned".into()))?;
        match seen.as_ref() {
            Some(pinned) if pinned != end_entity => {
                return Err(rustls::Error::General("another certificate than before".into()));
            }
            Some(_) => {}
            None => *seen = Some(end_entity.clone().into_owned()),
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
