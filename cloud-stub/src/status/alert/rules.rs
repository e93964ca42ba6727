//! Who is told of a tenant's outages: a JSON object in the tenant's row.

use model::Private;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::store::Directory;

/// How long an outage must last before people are told, seconds: when nothing is said, at least, at most.
const AFTER_S: u64 = 120;
const LEAST_S: u64 = 30;
const MOST_S: u64 = 86_400;
/// Most of each.
const EMAILS: usize = 20;
const WEBHOOKS: usize = 5;
/// Longest address, bytes.
const LONGEST: usize = 500;

/// Who is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// By mail, each in their own language if they have an account.
    pub emails: Vec<String>,
    /// By POST.
    pub webhooks: Vec<Webhook>,
    /// After so many seconds; 0: as usual.
    pub after_s: u64,
}

/// A program that is told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Its address. Whoever knows it may be able to speak in our name: it is not logged.
    pub url: Private<String>,
    /// What its messages are signed with.
    #[serde(default)]
    pub secret: Private<String>,
}

/// Why rules are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRules {
    /// An address for mail.
    #[error("one of the e-mail addresses is none, such as name@example.org")]
    Email,
    /// An address for POST.
    #[error("a webhook's address begins with https:// and has neither user nor password in it")]
    Webhook,
    /// Too many.
    #[error("at most {EMAILS} e-mail addresses and {WEBHOOKS} webhooks are told")]
    TooMany,
    /// The time.
    #[error("people are told after {LEAST_S} to {MOST_S} seconds")]
    After,
}

impl Rules {
    /// Those of a tenant, by its id. What is not said is nobody's.
    pub fn of(directory: &Directory, tenant: &str) -> Self {
        let row = directory.portal().tenants.get(tenant);
        row.and_then(|row| serde_json::from_str(&row.alerts).ok()).unwrap_or_default()
    }

    /// How long an outage must last before people are told, milliseconds.
    pub fn after_ms(&self) -> u64 {
        1000 * if self.after_s == 0 { AFTER_S } else { self.after_s }
    }

    /// As it is kept, secrets and all.
    pub fn kept(&self) -> String {
        let webhook = |hook: &Webhook| json!({ "url": hook.url.expose(), "secret": hook.secret.expose() });
        let webhooks: Vec<Value> = self.webhooks.iter().map(webhook).collect();
        json!({ "emails": self.emails, "webhooks": webhooks, "after_s": self.after_s }).to_string()
    }

    /// Judges what somebody wants. `allow_private`: webhooks may be plain HTTP.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, allow_private: bool) -> Result<(), InvalidRules> {
        if self.emails.len() > EMAILS || self.webhooks.len() > WEBHOOKS {
            return Err(InvalidRules::TooMany);
        }
        if self.after_s != 0 && !(LEAST_S..=MOST_S).contains(&self.after_s) {
            return Err(InvalidRules::After);
        }
        let email = |email: &String| email.len() <= LONGEST && email.parse::<lettre::Address>().is_ok();
        if !self.emails.iter().all(email) {
            return Err(InvalidRules::Email);
        }
        let fits = |webhook: &Webhook| {
            let Ok(url) = Url::parse(webhook.url.expose()) else { return false };
            let scheme = url.scheme() == "https" || url.scheme() == "http" && allow_private;
            let short = webhook.url.expose().len() <= LONGEST;
            scheme && short && url.has_host() && url.username().is_empty() && url.password().is_none()
        };
        if self.webhooks.iter().all(fits) { Ok(()) } else { Err(InvalidRules::Webhook) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(email: &str, url: &str, after_s: u64) -> Rules {
        let webhook = Webhook { url: Private::new(url.to_owned()), secret: Private::default() };
        Rules { emails: vec![email.to_owned()], webhooks: vec![webhook], after_s }
    }

    #[test]
    fn only_addresses_are_told() {
        let good = "https://example.org/hook?key=1";
        assert_eq!(rules("a@example.org", good, 0).check(false), Ok(()));
        for email in ["", "a", "a@b\r\nBcc: c@d", "A <a@example.org>", "a@example.org, b@example.org"] {
            assert_eq!(rules(email, good, 0).check(false), Err(InvalidRules::Email), "{email}");
        }
        for url in ["http://example.org/", "https://u:p@example.org/", "file:///etc/passwd", "https:", "x"] {
            assert_eq!(rules("a@example.org", url, 0).check(false), Err(InvalidRules::Webhook), "{url}");
        }
        assert_eq!(rules("a@example.org", "http://10.0.0.1/", 0).check(true), Ok(()));
        for after_s in [1, 29, 86_401] {
            assert_eq!(rules("a@example.org", good, after_s).check(false), Err(InvalidRules::After));
        }
        let many = Rules { emails: vec!["a@example.org".to_owned(); 21], ..Rules::default() };
        assert_eq!(many.check(false), Err(InvalidRules::TooMany));
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let mut rules = rules("a@example.org", "https://example.org/", 60);
        rules.webhooks[0].secret = Private::new("secret".to_owned());
        assert_eq!(serde_json::from_str::<Rules>(&rules.kept()).unwrap(), rules);
    }

    #[test]
    fn a_webhooks_address_is_not_printed() {
        assert!(!format!("{:?}", rules("a@b.c", "https://canary/", 60)).contains("canary"));
    }
}
