//! From a URL to the one address that is contacted, and to the URL that retina gets.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the camera's own sockets and deadlines"
)]

use std::net::{IpAddr, SocketAddr};

use model::Trouble;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::{Host, Url};

use super::limits;

/// One camera port, resolved: nothing else is contacted for it, whatever the camera answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Host as the owner wrote it.
    pub host: Host,
    /// The address.
    pub address: SocketAddr,
    /// Over TLS.
    pub tls: bool,
}

impl Target {
    /// Resolves the host of an `rtsp`, `rtsps`, `http` or `https` URL.
    ///
    /// # Errors
    /// [`Trouble::UnknownHost`].
    pub async fn resolve(url: &Url) -> Result<Self, Trouble> {
        Self::resolve_or(url, None).await
    }

    /// The same, but `pinned` is contacted, if it is given, whatever the name means.
    ///
    /// # Errors
    /// [`Trouble::UnknownHost`].
    pub async fn resolve_or(url: &Url, pinned: Option<IpAddr>) -> Result<Self, Trouble> {
        let tls = matches!(url.scheme(), "rtsps" | "https");
        let default = match url.scheme() {
            "rtsps" => 322,
            "http" => 80,
            "https" => 443,
            _ => 554,
        };
        let port = url.port().unwrap_or(default);
        let text = url.host_str().unwrap_or_default();
        let host = Host::parse(text).map_err(|_| Trouble::UnknownHost { host: text.to_owned() })?;
        let address = match (pinned, &host) {
            (Some(ip), _) => SocketAddr::new(ip, port),
            (None, Host::Ipv4(ip)) => SocketAddr::from((*ip, port)),
            (None, Host::Ipv6(ip)) => SocketAddr::from((*ip, port)),
            (None, Host::Domain(name)) => {
                let unknown = || Trouble::UnknownHost { host: name.clone() };
                let found = timeout(limits::RESOLVE, tokio::net::lookup_host((name.as_str(), port)))
                    .await
                    .map_err(|_| unknown())?
                    .map_err(|_| unknown())?
                    .min_by_key(SocketAddr::is_ipv6);
                found.ok_or_else(unknown)?
            }
        };
        Ok(Self { host, address, tls })
    }

    /// Connects.
    ///
    /// # Errors
    /// [`Trouble::Unreachable`].
    pub async fn connect(&self) -> Result<TcpStream, Trouble> {
        match timeout(limits::CONNECT, TcpStream::connect(self.address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true); // a hint: the stream works without it
                Ok(stream)
            }
            Ok(Err(_)) | Err(_) => Err(self.unreachable()),
        }
    }

    /// Nothing answers here.
    pub fn unreachable(&self) -> Trouble {
        Trouble::Unreachable { address: self.shown() }
    }

    /// Something else than RTSP answers here.
    pub fn not_rtsp(&self) -> Trouble {
        Trouble::NotRtsp { address: self.shown() }
    }

    /// Host and port for the owner.
    pub fn shown(&self) -> String {
        format!("{}:{}", self.host, self.address.port())
    }

    /// `url` with the resolved address for its host and the plain scheme: what goes into requests. `via` stands in
    /// for the address when a local pipe carries the connection.
    pub fn request_url(&self, url: &Url, via: Option<SocketAddr>) -> Option<Url> {
        let address = via.unwrap_or(self.address);
        let mut text = format!("rtsp://{address}{}", url.path());
        if let Some(query) = url.query() {
            text.push('?');
            text.push_str(query);
        }
        Url::parse(&text).ok()
    }
}
