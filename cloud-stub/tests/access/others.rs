//! Other people's servers: a signer of tokens with its key set, and a decision hook.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A server that counts who asks, and says what it is told to.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) asked: Arc<AtomicUsize>,
    pub(crate) heard: Arc<Mutex<Vec<(String, Value)>>>,
    pub(crate) status: Arc<AtomicU16>,
    pub(crate) says: Arc<Mutex<String>>,
}

/// A status that is never said: the server does not answer at all.
pub(crate) const SILENT: u16 = 0;

impl Server {
    pub(crate) async fn start(says: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            heard: Arc::default(),
            status: Arc::new(AtomicU16::new(200)),
            says: Arc::new(Mutex::new(says.to_owned())),
        };
        let (asked, heard) = (server.asked.clone(), server.heard.clone());
        let (status, says) = (server.status.clone(), server.says.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (asked, heard) = (asked.clone(), heard.clone());
                let (status, says) = (status.clone(), says.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    asked.fetch_add(1, Ordering::SeqCst);
                    let (heard, says) = (heard.clone(), says.clone());
                    let status = status.load(Ordering::SeqCst);
                    async move {
                        let bearer = request.headers().get("authorization");
                        let bearer =
                            bearer.map_or(String::new(), |bearer| bearer.to_str().unwrap().to_owned());
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                        heard.lock().unwrap().push((bearer, body));
                        if status == SILENT {
                            std::future::pending::<()>().await;
                        }
                        // Long enough for a crowd to come together.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        let mut response =
                            Response::new(Full::<Bytes>::from(Bytes::from(says.lock().unwrap().clone())));
                        *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap();
                        Ok::<_, Infallible>(response)
                    }
                });
                let server = hyper::server::conn::http1::Builder::new();
                tokio::spawn(async move { server.serve_connection(TokioIo::new(stream), service).await });
            }
        });
        server
    }

    pub(crate) fn says(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Signs tokens by Ed25519.
pub(crate) struct Signer {
    pair: Ed25519KeyPair,
    kid: String,
}

impl Signer {
    pub(crate) fn new(seed: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        Self { pair, kid: format!("key-{seed}") }
    }

    pub(crate) fn jwk(&self) -> Value {
        let x = encode(self.pair.public_key());
        json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": self.kid, "x": x })
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = json!({ "alg": "EdDSA", "kid": self.kid });
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        format!("{signed}.{}", encode(self.pair.sign(signed.as_bytes())))
    }
}

/// The key set of these.
pub(crate) fn jwks(signers: &[&Signer]) -> String {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    json!({ "keys": keys }).to_string()
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
