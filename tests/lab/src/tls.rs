//! An authority for one test, certificates by it, and a client that believes nobody else.

use std::{
    fs,
    io::{BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData, date_time_ymd};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    factory::Host,
    http::{Response, read},
};

/// Bounds every read and every connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// The authority and what it has signed, as files.
#[derive(Debug, Clone)]
pub struct Authority {
    root: CertificateDer<'static>,
    root_file: PathBuf,
    certificate_file: PathBuf,
    key_file: PathBuf,
    fingerprint: String,
}

impl Authority {
    /// Makes an authority and one certificate by it for these names; files go to `folder`.
    ///
    /// Both are valid from 2020 on: a box that starts in 1970 sets its clock to the day it was built.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn new(folder: &Path, names: &[&str]) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(rcgen::DnType::CommonName, "Lab authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2020, 1, 1);
        let key = KeyPair::generate()?;
        let root = params.self_signed(&key)?;
        let issuer = Issuer::new(params, key);

        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut leaf = CertificateParams::new(names)?;
        leaf.not_before = date_time_ymd(2020, 1, 1);
        let leaf_key = KeyPair::generate()?;
        let certificate = leaf.signed_by(&leaf_key, &issuer)?;
        let file = |name: &str, text: String| -> Result<PathBuf> {
            let path = folder.join(name);
            fs::write(&path, text)?;
            Ok(path)
        };
        Ok(Self {
            root_file: file("root.pem", root.pem())?,
            certificate_file: file("certificate.pem", certificate.pem())?,
            key_file: file("key.pem", leaf_key.serialize_pem())?,
            root: root.der().clone(),
            fingerprint: BASE64_STANDARD.encode(Sha256::digest(leaf_key.subject_public_key_info())),
        })
    }

    /// The authority's own certificate, PEM.
    pub fn root_file(&self) -> &Path {
        &self.root_file
    }

    /// The server's certificate, PEM.
    pub fn certificate_file(&self) -> &Path {
        &self.certificate_file
    }

    /// The server's key, PEM.
    pub fn key_file(&self) -> &Path {
        &self.key_file
    }

    /// SHA-256 of the server's public key, base64, as Chromium's `--ignore-certificate-errors-spki-list` takes it.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// A client's view of a server that this authority knows by `name`.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn site(&self, name: &str, address: Ipv4Addr, port: u16) -> Result<SecureSite> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone())?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(SecureSite { name: name.to_owned(), address: (address, port).into(), config: Arc::new(config) })
    }
}

/// A web server behind TLS.
#[derive(Debug, Clone)]
pub struct SecureSite {
    name: String,
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

/// One open connection to it, asked again and again.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
    host: String,
}

impl SecureSite {
    /// The absolute URL of a path that starts with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.host())
    }

    /// The path of a URL of this server.
    ///
    /// # Errors
    /// When it is another server's.
    pub fn path<'a>(&self, url: &'a str) -> Result<&'a str> {
        url.strip_prefix(&format!("https://{}", self.host()))
            .with_context(|| format!("{url}: not of {}", self.host()))
    }

    /// Connects from a host.
    ///
    /// # Errors
    /// When no connection comes about, or the certificate is not one of the authority's.
    pub fn open(&self, from: &Host) -> Result<Connection> {
        let tcp = from.within(|| Ok(TcpStream::connect_timeout(&self.address, PATIENCE)?))?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(self.name.clone())?;
        let tls = ClientConnection::new(Arc::clone(&self.config), name)?;
        Ok(Connection { stream: BufReader::new(StreamOwned::new(tls, tcp)), host: self.host() })
    }

    /// One GET on a connection of its own, whatever its status.
    ///
    /// # Errors
    /// When there is no complete answer.
    pub fn ask(&self, from: &Host, path: &str) -> Result<Response> {
        self.open(from)?.ask(path).with_context(|| format!("GET {}", self.url(path)))
    }

    /// One GET that must answer 200.
    ///
    /// # Errors
    /// Any other status, or no answer.
    pub fn get(&self, from: &Host, path: &str) -> Result<Response> {
        let response = self.ask(from, path)?;
        ensure!(response.status == 200, "GET {}: {} {}", self.url(path), response.status, response.text());
        Ok(response)
    }

    fn host(&self) -> String {
        let (name, port) = (&self.name, self.address.port());
        if port == 443 { name.clone() } else { format!("{name}:{port}") }
    }
}

impl Connection {
    /// One GET, whatever its status.
    ///
    /// # Errors
    /// When there is no complete answer.
    pub fn ask(&mut self, path: &str) -> Result<Response> {
        self.ask_with(path, "")
    }

    /// One GET with these header lines, each with its end, whatever its status.
    ///
    /// # Errors
    /// When there is no complete answer.
    pub fn ask_with(&mut self, path: &str, headers: &str) -> Result<Response> {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: {}\r\n{headers}\r\n", self.host))
    }

    /// One POST of JSON, whatever its status.
    ///
    /// # Errors
    /// When there is no complete answer.
    pub fn post(&mut self, path: &str, body: &Value) -> Result<Response> {
        self.post_with(path, "", body)
    }

    /// One POST of JSON with these header lines, each with its end, whatever its status.
    ///
    /// # Errors
    /// When there is no complete answer.
    pub fn post_with(&mut self, path: &str, headers: &str, body: &Value) -> Result<Response> {
        self.send_with("POST", path, headers, body)
    }

    /// As [`Connection::post_with`], by another method.
    ///
    /// # Errors
    /// When there is no complete answer.
    pub fn send_with(&mut self, method: &str, path: &str, headers: &str, body: &Value) -> Result<Response> {
        let body = body.to_string();
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n{headers}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        ))
    }

    fn send(&mut self, request: &str) -> Result<Response> {
        let stream = self.stream.get_mut();
        stream.write_all(request.as_bytes())?;
        stream.flush()?;
        read(&mut self.stream)
    }
}
