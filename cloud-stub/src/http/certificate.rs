//! The certificate that the front shows: swapped while it runs, so that nobody is cut off by a renewal.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::validity::Validity;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Holds the present certificate; a handle, cheap to clone.
#[derive(Clone, Default)]
pub struct Shown(Arc<RwLock<Option<Arc<CertifiedKey>>>>);

impl Shown {
    /// Shows this one from now on: a chain and its private key, PEM.
    ///
    /// # Errors
    /// When they are not a chain and its key.
    pub fn show(&self, chain: &[u8], key: &[u8]) -> anyhow::Result<Validity> {
        let (certified, validity) = certified(chain, key)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(certified));
        Ok(validity)
    }

    /// How long the present one is good.
    pub fn validity(&self) -> Option<Validity> {
        let shown = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Validity::of(shown.as_ref()?.cert.first()?)
    }

    /// TLS 1.2 and 1.3, HTTP/1.1, this certificate whatever name is asked for.
    ///
    /// # Errors
    /// None in practice: ring knows both versions.
    pub fn server_config(&self) -> anyhow::Result<Arc<ServerConfig>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("cannot set up TLS")?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").field("validity", &self.validity()).finish()
    }
}

fn certified(chain: &[u8], key: &[u8]) -> anyhow::Result<(CertifiedKey, Validity)> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .context("the certificate is not PEM")?;
    let key = PrivateKeyDer::from_pem_slice(key).context("the private key is not PEM")?;
    let provider = rustls::crypto::ring::default_provider();
    let certified = CertifiedKey::from_der(chain, key, &provider)
        .context("the certificate and the private key do not belong together")?;
    let validity = certified.cert.first().and_then(|first| Validity::of(first));
    let validity = validity.context("the certificate does not say how long it is good")?;
    Ok((certified, validity))
}

/// Certificates from two files.
#[derive(Debug)]
pub struct Files {
    cert: PathBuf,
    key: PathBuf,
    shown: Shown,
    seen: Option<[SystemTime; 2]>,
}

impl Files {
    /// Reads them for the first time.
    ///
    /// # Errors
    /// When they cannot be read, or are not what they should be.
    pub fn open(cert: &Path, key: &Path, shown: Shown) -> anyhow::Result<Self> {
        let mut files = Self { cert: cert.to_owned(), key: key.to_owned(), shown, seen: None };
        files.read()?;
        Ok(files)
    }

    /// Looks for changes, for ever. Files that are wrong leave the last certificate in place.
    pub async fn watch(mut self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if self.times() == self.seen {
                continue;
            }
            match self.read() {
                Ok(validity) => tracing::info!(until_s = validity.until_s, "a new certificate is shown"),
                Err(error) => {
                    tracing::warn!("{error:#}; the certificate that was there before is shown on");
                    // Complained about once.
                    self.seen = self.times();
                }
            }
        }
    }

    fn read(&mut self) -> anyhow::Result<Validity> {
        // Before reading: a change in between is seen the next time.
        let times = self.times();
        let read =
            |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let named = || format!("{} and {}", self.cert.display(), self.key.display());
        let validity = self.shown.show(&read(&self.cert)?, &read(&self.key)?).with_context(named)?;
        self.seen = times;
        Ok(validity)
    }

    fn times(&self) -> Option<[SystemTime; 2]> {
        let time = |path: &Path| std::fs::metadata(path).and_then(|file| file.modified()).ok();
        Some([time(&self.cert)?, time(&self.key)?])
    }
}
