//! How people are told of outages: the mail server, and where webhooks may be.

use std::path::PathBuf;

use model::Private;
use settings::{Error, Section};

use crate::status::alert::mail::Options as Mail;

/// Where webhooks may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alerts {
    /// At addresses that are not public, and without TLS.
    pub private: bool,
    /// One more root for their certificates, PEM.
    pub ca: Option<PathBuf>,
}

pub(super) fn alerts(table: &Section<'_>) -> Result<Alerts, Error> {
    let private = table.boolean("allow_private")?.unwrap_or(false);
    Ok(Alerts { private, ca: table.string("ca")?.map(PathBuf::from) })
}

/// Where mail goes and who it is from; a user name and a password belong together.
pub(super) fn mail(table: &Section<'_>) -> Result<Option<Mail>, Error> {
    let form = "smtps://HOST:465, smtp://HOST:587, or smtp://127.0.0.1:25 on this machine";
    let smtp = table.parsed("smtp", form, Mail::server)?;
    let form = "a sender such as \"Cameras <cameras@example.org>\"";
    let from = table.parsed("from", form, |text| text.parse().ok())?;
    let user = table.string("user")?.map(str::to_owned);
    let password = table.string("password")?.map(|text| Private::new(text.to_owned()));
    let ca = table.string("ca")?.map(PathBuf::from);
    if smtp.is_none() && from.is_none() && user.is_none() && password.is_none() && ca.is_none() {
        return Ok(None);
    }
    let (smtp, from) = (table.required("smtp", smtp)?, table.required("from", from)?);
    if user.is_some() != password.is_some() {
        let missing = if user.is_some() { "password" } else { "user" };
        return Err(table.error(missing, "is missing"));
    }
    Ok(Some(Mail { smtp, from, user, password, ca }))
}
