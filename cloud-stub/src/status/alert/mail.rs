//! Mail by SMTP: over TLS, or plainly on this machine.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use model::Private;
use url::{Host, Url};

/// How a certificate begins in PEM (RFC 7468 section 2).
const PEM: &[u8] = b"-----BEGIN CERTIFICATE-----";
/// A mail must have been taken by then.
const TIME: Duration = Duration::from_secs(20);

/// Where and how mail is sent.
#[derive(Debug, Clone)]
pub struct Options {
    /// `smtps://host:465`, `smtp://host:587` (STARTTLS), or `smtp://127.0.0.1:25` (plain, on this machine only and without
    /// `ca`).
    pub smtp: Url,
    /// Who it comes from: `Name <address>`, or an address.
    pub from: Mailbox,
    /// The account there.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Private<String>>,
    /// One more root for its certificate, PEM.
    pub ca: Option<PathBuf>,
}

/// Why a mail was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of roots is none.
    #[error("{0} holds no certificate that can be read (PEM)")]
    Ca(String),
    /// Its certificate is not good.
    #[error("the certificate of the mail server is not good ([mail] smtp; ca can name its root): {0}")]
    Certificate(String),
    /// The server cannot be used so.
    #[error("the mail server of [mail] smtp cannot be used: {0}")]
    Server(String),
    /// The mail cannot be written.
    #[error("a mail cannot be written: {0}")]
    Message(String),
    /// The server did not take it.
    #[error("the mail server did not take it: {0}")]
    Refused(String),
    /// The server does not answer in time.
    #[error("the mail server takes too long")]
    Late,
}

/// Sends mail.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Options {
    /// Reads where mail goes; `None` when it is no such address.
    pub fn server(text: &str) -> Option<Url> {
        let url = Url::parse(text).ok()?;
        let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        let known =
            matches!(url.scheme(), "smtp" | "smtps") && url.username().is_empty() && url.password().is_none();
        (known && bare && url.host_str().is_some_and(|host| !host.is_empty())).then_some(url)
    }
}

impl Mailer {
    /// A sender for these options.
    ///
    /// # Errors
    /// [`Error::Server`], [`Error::Ca`].
    pub fn new(options: &Options) -> Result<Self, Error> {
        type Smtp = AsyncSmtpTransport<Tokio1Executor>;
        let host = options.smtp.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let own = match options.smtp.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            // Schemes that the parser does not know keep their host as it was written.
            Some(Host::Domain(name)) => {
                name == "localhost"
                    || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
            }
            None => false,
        };
        let wrong = |error: lettre::transport::smtp::Error| Error::Server(error.to_string());
        let mut tls = TlsParameters::builder(host.clone());
        if let Some(file) = &options.ca {
            let roots =
                std::fs::read(file).ok().filter(|text| text.windows(PEM.len()).any(|part| part == PEM));
            let roots = roots.and_then(|text| Certificate::from_pem(&text).ok());
            tls = tls.add_root_certificate(roots.ok_or_else(|| Error::Ca(file.display().to_string()))?);
        }
        let tls = tls.build().map_err(wrong)?;
        let (tls, usual) = match options.smtp.scheme() {
            "smtps" => (Tls::Wrapper(tls), 465),
            _ if own && options.ca.is_none() => (Tls::None, 25),
            // The password is never sent before TLS stands.
            _ => (Tls::Required(tls), 587),
        };
        let builder = Smtp::builder_dangerous(&host).tls(tls);
        let builder = builder.port(options.smtp.port().unwrap_or(usual)).timeout(Some(TIME / 2));
        let builder = match (&options.user, &options.password) {
            (Some(user), Some(password)) => {
                builder.credentials(Credentials::new(user.clone(), password.expose().clone()))
            }
            _ => builder,
        };
        Ok(Self { transport: builder.build(), from: options.from.clone() })
    }

    /// Sends a text.
    ///
    /// # Errors
    /// When the server did not take it. The words hold no password.
    pub async fn send(&self, to: &str, subject: &str, text: String) -> Result<(), Error> {
        let wrong = |error: &dyn std::fmt::Display| Error::Message(error.to_string());
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to.parse().map_err(|error| wrong(&error))?))
            .subject(subject)
            .header(ContentType::TEXT_PLAIN)
            .body(text)
            .map_err(|error| wrong(&error))?;
        let sent = tokio::time::timeout(TIME, self.transport.send(message)).await.map_err(|_| Error::Late)?;
        sent.map(|_| ()).map_err(|error| match certificate(&error) {
            Some(why) => Error::Certificate(why),
            None => Error::Refused(error.to_string()),
        })
    }
}

/// What is wrong with the server's certificate, if it is that.
fn certificate(error: &lettre::transport::smtp::Error) -> Option<String> {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = cause.downcast_ref().or(inner.and_then(|inner| inner.downcast_ref()));
        if let Some(rustls::Error::InvalidCertificate(why)) = tls {
            return Some(why.to_string());
        }
        source = cause.source();
    }
    None
}

impl std::fmt::Debug for Mailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailer").field("from", &self.from).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_address_is_read_or_refused() {
        for good in ["smtp://mail.example.org", "smtps://mail.example.org:465", "smtp://127.0.0.1:2525/"] {
            assert!(Options::server(good).is_some(), "{good}");
        }
        for bad in [
            "mail.example.org",
            "http://mail.example.org",
            "smtp://u:p@mail.example.org",
            "smtp://h/x",
            "smtp:",
        ] {
            assert!(Options::server(bad).is_none(), "{bad}");
        }
    }
}
