//! The box's own certificate, for those who want the page over TLS: made by the box itself, for its names and addresses.
//!
//! No browser knows its signer, so people compare the fingerprint, once: it must change rarely. It is made anew only when a name or
//! an address is missing in it, when two thirds of its two years are over, or when the clock says that it is not valid.
//! Names of before stay in it, as long as there is room.

use std::fmt::Write as _;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use ring::digest::{SHA256, digest};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::cloud::Files;
use crate::names::interfaces;
use crate::state::stopping;
use crate::whereabouts::Whereabouts;

/// The certificate and its key in the state directory, readable by the box only.
const FILE: &str = "page-certificate.json";
/// How long a certificate is good: Apple's systems believe none that is good for more than 825 days.
const LIFE: Duration = Duration::from_secs(730 * 86_400);
/// It begins before it is made: clocks differ.
const BEFORE: Duration = Duration::from_secs(2 * 86_400);
/// Most names and addresses in it.
const NAMES: usize = 24;
/// How often names, addresses and clock are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The certificate that is shown now; a handle, cheap to clone. It is replaced while connections go on.
#[derive(Clone, Default)]
pub(crate) struct Shown(Arc<RwLock<Option<Arc<CertifiedKey>>>>);

/// What is kept of a certificate.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The names and addresses in it, newest first.
    names: Vec<String>,
    /// From when, seconds since 1970.
    from_s: u64,
    /// Until when.
    until_s: u64,
    /// It, PEM.
    certificate: String,
    /// Its private key, PEM.
    key: String,
}

/// Keeps a certificate that fits.
pub(crate) struct Certificate {
    files: Files,
    whereabouts: Whereabouts,
    own_name: String,
    shown: Shown,
    kept: Option<Kept>,
}

impl Certificate {
    /// The certificate that is kept, or a new one when it does not fit. `own_name` is the machine's.
    ///
    /// # Errors
    /// When none can be made.
    pub(crate) fn open(files: Files, whereabouts: Whereabouts, own_name: &str) -> anyhow::Result<Self> {
        let own_name = own_name.to_owned();
        let mut certificate = Self { files, whereabouts, own_name, shown: Shown::default(), kept: None };
        // One that cannot be read or used is made anew: nothing depends on it but people's memory of a fingerprint.
        let kept = certificate.files.read(FILE).ok().flatten();
        certificate.kept = kept.and_then(|text| serde_json::from_slice(&text).ok());
        if let Some(kept) = &certificate.kept
            && certificate.show(kept).is_err()
        {
            certificate.kept = None;
        }
        certificate.refresh(now())?;
        Ok(certificate)
    }

    /// TLS 1.2 and 1.3 with this certificate, whatever name is asked for.
    ///
    /// # Errors
    /// None in practice: ring knows both versions.
    pub(crate) fn tls(&self) -> anyhow::Result<Arc<ServerConfig>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("cannot set up TLS")?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.shown.clone()));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Keeps it fitting until `stop` turns true.
    pub(crate) async fn keep(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stopping(&mut stop) => return,
            }
            if let Err(error) = self.refresh(now()) {
                tracing::warn!("the page's certificate stays as it is: {error:#}");
            }
        }
    }

    /// Makes another one if it must be.
    fn refresh(&mut self, now: Duration) -> anyhow::Result<()> {
        let wanted = self.wanted();
        if self.kept.as_ref().is_some_and(|kept| kept.fits(&wanted, now)) {
            return Ok(());
        }
        let mut names = wanted;
        for name in self.kept.iter().flat_map(|kept| &kept.names) {
            if names.len() < NAMES && !names.contains(name) {
                names.push(name.clone());
            }
        }
        let kept = make(names, &self.called(), now)?;
        self.show(&kept)?;
        tracing::info!(fingerprint = %fingerprint(&kept)?, "the page has a new certificate");
        let text = serde_json::to_vec(&kept).context("cannot write down the certificate")?;
        self.kept = Some(kept);
        if let Err(error) = self.files.write(FILE, &text) {
            tracing::warn!(%error, "cannot keep the page's certificate ([state] dir): the next start makes another one");
        }
        Ok(())
    }

    fn called(&self) -> String {
        self.whereabouts.called().map_or_else(|| "Streambox".to_owned(), |names| names.friendly())
    }

    /// The names and addresses by which the page is called.
    fn wanted(&self) -> Vec<String> {
        let mut wanted: Vec<String> = Vec::new();
        let hosts = self.whereabouts.called().map(|names| names.hosts()).unwrap_or_default();
        // The plain name and the shortest unique one.
        for host in hosts.iter().take(2) {
            wanted.extend([format!("{host}.local"), host.clone()]);
        }
        wanted.push(self.own_name.to_ascii_lowercase());
        let interfaces = interfaces::list().unwrap_or_default();
        wanted.extend(interfaces.iter().map(|interface| interface.address.to_string()));
        wanted.extend(["localhost".to_owned(), "127.0.0.1".to_owned()]);
        let usable = |name: &String| !name.is_empty() && name.is_ascii() && !name.contains(['_', ' ']);
        let mut names: Vec<String> = Vec::new();
        for name in wanted.into_iter().filter(usable).take(NAMES) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn show(&self, kept: &Kept) -> anyhow::Result<()> {
        let chain = vec![der(kept)?];
        let key = PrivateKeyDer::from_pem_slice(kept.key.as_bytes()).context("the key is not PEM")?;
        let provider = rustls::crypto::ring::default_provider();
        let certified =
            CertifiedKey::from_der(chain, key, &provider).context("the key is not the certificate's")?;
        *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(certified));
        self.whereabouts.set_fingerprint(fingerprint(kept)?);
        Ok(())
    }
}

impl Kept {
    fn fits(&self, wanted: &[String], now: Duration) -> bool {
        let renewal_s = self.from_s + self.until_s.saturating_sub(self.from_s) / 3 * 2;
        (self.from_s..renewal_s).contains(&now.as_secs())
            && wanted.iter().all(|name| self.names.contains(name))
    }
}

fn make(names: Vec<String>, called: &str, now: Duration) -> anyhow::Result<Kept> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).context("cannot make a key")?;
    let mut params = CertificateParams::new(names.clone()).context("a name cannot stand in a certificate")?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, called);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let from = now.saturating_sub(BEFORE);
    let until = from + LIFE;
    params.not_before = (UNIX_EPOCH + from).into();
    params.not_after = (UNIX_EPOCH + until).into();
    let made = params.self_signed(&key).context("cannot make a certificate")?;
    let (from_s, until_s) = (from.as_secs(), until.as_secs());
    Ok(Kept { names, from_s, until_s, certificate: made.pem(), key: key.serialize_pem() })
}

fn der(kept: &Kept) -> anyhow::Result<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(kept.certificate.as_bytes()).context("the certificate is not PEM")
}

/// SHA-256 as browsers show it.
fn fingerprint(kept: &Kept) -> anyhow::Result<String> {
    let certificate = der(kept)?;
    let mut text = String::new();
    for (index, byte) in digest(&SHA256, &certificate).as_ref().iter().enumerate() {
        let colon = if index == 0 { "" } else { ":" };
        write!(text, "{colon}{byte:02X}")?;
    }
    Ok(text)
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::cloud::files_tests::Scratch;
    use crate::names::Names;

    const DAY: Duration = Duration::from_secs(86_400);

    fn open(scratch: &Scratch, plain: &str) -> Certificate {
        let whereabouts = Whereabouts::default();
        let id = Some("abcdefghijklmnopqrstuvwxyz".to_owned());
        whereabouts.set_called(Names { plain: plain.to_owned(), id, port: 8080 });
        Certificate::open(scratch.files(), whereabouts, "box7").unwrap()
    }

    fn shown(certificate: &Certificate) -> String {
        fingerprint(certificate.kept.as_ref().unwrap()).unwrap()
    }

    #[test]
    fn a_restart_shows_the_same_certificate_and_nobody_else_reads_its_key() {
        let scratch = Scratch::new("certificate");
        let first = shown(&open(&scratch, "streambox"));
        assert_eq!(first.len(), 32 * 3 - 1);
        assert_eq!(shown(&open(&scratch, "streambox")), first);
        let mode = std::fs::metadata(scratch.files().path(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        scratch.files().write(FILE, b"{}").unwrap();
        assert_ne!(shown(&open(&scratch, "streambox")), first, "a damaged one is made anew");
    }

    #[test]
    fn a_new_name_makes_a_new_one_that_is_good_for_the_old_name_too() {
        let scratch = Scratch::new("certificate-names");
        let first = shown(&open(&scratch, "streambox"));
        let renamed = open(&scratch, "kamera");
        assert_ne!(shown(&renamed), first);
        let names = &renamed.kept.as_ref().unwrap().names;
        for name in ["kamera.local", "kamera-abcd.local", "streambox.local", "box7", "localhost"] {
            assert!(names.contains(&name.to_owned()), "{name} in {names:?}");
        }
        // Back again: nothing is missing, so people need not compare anew.
        assert_eq!(shown(&open(&scratch, "streambox")), shown(&renamed));
    }

    #[test]
    fn it_is_renewed_in_time_and_when_the_clock_was_wrong() {
        let scratch = Scratch::new("certificate-time");
        let mut certificate = open(&scratch, "streambox");
        let (first, start) = (shown(&certificate), now());
        certificate.refresh(start + 470 * DAY).unwrap();
        assert_eq!(shown(&certificate), first);
        certificate.refresh(start + 490 * DAY).unwrap();
        let renewed = shown(&certificate);
        assert_ne!(renewed, first);
        // Made in 1970, and then the clock was set.
        certificate.refresh(Duration::from_secs(60)).unwrap();
        let early = shown(&certificate);
        assert_ne!(early, renewed);
        certificate.refresh(start).unwrap();
        assert_ne!(shown(&certificate), early);
        let kept = certificate.kept.as_ref().unwrap();
        assert!(kept.until_s - kept.from_s <= 825 * 86_400);
    }
}
