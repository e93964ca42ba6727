//! Mail by SMTP: over TLS, or plainly on this machine.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use model::Private;
use url::{Host, Url};

/// A mail must have been taken by then.
const TIME: Duration = Duration::from_secs(20);

/// Where and how mail is sent.
#[derive(Debug, Clone)]
pub struct Options {
    /// `smtps://host:465`, `smtp://host:587` (STARTTLS), or `smtp://127.0.0.1:25` (plain, this machine only).
    pub smtp: Url,
    /// Who it comes from: `Name <address>`, or an address.
    pub from: Mailbox,
    /// The account there.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Private<String>>,
}

/// Why a mail was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
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
    /// [`Error::Server`].
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
        let (builder, usual) = match options.smtp.scheme() {
            "smtps" => (Smtp::relay(&host).map_err(wrong)?, 465),
            _ if own => (Smtp::builder_dangerous(&host), 25),
            // The password is never sent before TLS stands.
            _ => (Smtp::starttls_relay(&host).map_err(wrong)?, 587),
        };
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
        sent.map(|_| ()).map_err(|error| Error::Refused(error.to_string()))
    }
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
