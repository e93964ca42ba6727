//! Who may ask: Basic (RFC 7617), Digest with MD5 and SHA-256 (RFC 7616, 2069), WS-UsernameToken (OASIS WSS 1.1),
//! and one ledger of failed logins for all of them.
//!
//! Invariant: a request without credentials is never a failure; one with wrong credentials is, exactly once.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use md5::{Digest, Md5};
use sha2::Sha256;

/// A way to log in that a camera offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// RFC 7617.
    Basic,
    /// RFC 7616 with MD5.
    Md5,
    /// RFC 7616 with SHA-256.
    Sha256,
}

impl Scheme {
    /// Reads `basic`, `md5` or `sha256`.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "basic" => Ok(Self::Basic),
            "md5" => Ok(Self::Md5),
            "sha256" => Ok(Self::Sha256),
            _ => Err(format!("{text}: a login scheme is basic, md5 or sha256")),
        }
    }
}

/// User, password and how they are asked for.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
    /// Challenges in the order in which they are sent.
    pub schemes: Vec<Scheme>,
    /// Protection space.
    pub realm: String,
    /// The server's nonce.
    pub nonce: String,
    /// Whether challenges offer `qop="auth"` (RFC 2069 did not).
    pub qop: bool,
}

impl Login {
    /// The values of the `WWW-Authenticate` headers.
    pub fn challenges(&self) -> Vec<String> {
        let qop = if self.qop { ", qop=\"auth\"" } else { "" };
        let digest = |algorithm: &str| {
            format!("Digest realm=\"{}\", nonce=\"{}\", algorithm={algorithm}{qop}", self.realm, self.nonce)
        };
        self.schemes
            .iter()
            .map(|scheme| match scheme {
                Scheme::Basic => format!("Basic realm=\"{}\"", self.realm),
                Scheme::Md5 => digest("MD5"),
                Scheme::Sha256 => digest("SHA-256"),
            })
            .collect()
    }

    /// Whether an `Authorization` header is right for a method.
    pub fn accepts(&self, method: &str, header: &str) -> bool {
        let Some((scheme, rest)) = header.trim().split_once(' ') else { return false };
        if scheme.eq_ignore_ascii_case("basic") {
            let expected = STANDARD.encode(format!("{}:{}", self.user, self.password));
            return self.schemes.contains(&Scheme::Basic) && rest.trim() == expected;
        }
        if !scheme.eq_ignore_ascii_case("digest") {
            return false;
        }
        let given = parameters(rest);
        let get =
            |name: &str| given.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        let (scheme, hash): (_, fn(&str) -> String) = match get("algorithm").to_ascii_uppercase().as_str() {
            "" | "MD5" => (Scheme::Md5, hex::<Md5>),
            "SHA-256" => (Scheme::Sha256, hex::<Sha256>),
            _ => return false,
        };
        // a user name beyond ASCII comes in the extended form (RFC 7616 3.4, RFC 8187)
        let extended = get("username*").strip_prefix("UTF-8''").map(percent_decoded);
        if !self.schemes.contains(&scheme)
            || extended.as_deref().unwrap_or_else(|| get("username")) != self.user
            || get("realm") != self.realm
            || get("nonce") != self.nonce
        {
            return false;
        }
        let secret = hash(&format!("{}:{}:{}", self.user, self.realm, self.password));
        let request = hash(&format!("{method}:{}", get("uri")));
        let expected = match get("qop") {
            "" => hash(&format!("{secret}:{}:{request}", self.nonce)),
            "auth" => {
                hash(&format!("{secret}:{}:{}:{}:auth:{request}", self.nonce, get("nc"), get("cnonce")))
            }
            _ => return false,
        };
        get("response").eq_ignore_ascii_case(&expected)
    }

    /// Whether a WS-UsernameToken's password digest is right: Base64(SHA-1(nonce + created + password)).
    pub fn accepts_token(&self, user: &str, digest: &str, nonce: &str, created: &str) -> bool {
        let Ok(nonce) = STANDARD.decode(nonce.trim()) else { return false };
        let mut hash = sha1::Sha1::new();
        Digest::update(&mut hash, &nonce);
        Digest::update(&mut hash, created.as_bytes());
        Digest::update(&mut hash, self.password.as_bytes());
        user == self.user && digest.trim() == STANDARD.encode(Digest::finalize(hash))
    }
}

fn hex<H: Digest>(text: &str) -> String {
    H::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push(match byte {
            b'%' => digit().zip(digit()).map_or(b'?', |(high, low)| (high * 16 + low) as u8),
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `key=value, key="value"` with quoted commas and escapes (RFC 9110 11.2).
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut rest = text.trim_start();
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_matches(|c: char| c == ',' || c.is_whitespace()).to_ascii_lowercase();
        let mut value = String::new();
        let after = after.trim_start();
        if let Some(quoted) = after.strip_prefix('"') {
            let mut end = quoted.len();
            let mut escaped = false;
            for (at, char) in quoted.char_indices() {
                match char {
                    '\\' if !escaped => escaped = true,
                    '"' if !escaped => {
                        end = at + 1;
                        break;
                    }
                    other => {
                        value.push(other);
                        escaped = false;
                    }
                }
            }
            rest = quoted.get(end..).unwrap_or_default();
        } else {
            let (plain, after) = after.split_once(',').unwrap_or((after, ""));
            plain.trim().clone_into(&mut value);
            rest = after;
        }
        all.push((key, value));
    }
    all
}

/// What is known of logins to one camera.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Right logins.
    pub right: u64,
    /// Wrong logins, those during a lock-out too.
    pub wrong: u64,
    failures: u32,
    locked_until: Option<Instant>,
}

impl Ledger {
    /// Notes a login and says whether it passes. `limit`: wrong ones in a row that lock; 0 for never.
    pub fn note(&mut self, right: bool, now: Instant, limit: u32, lasts: Duration) -> bool {
        if self.locked(now) {
            self.wrong += 1;
            return false;
        }
        if right {
            self.right += 1;
            self.failures = 0;
            return true;
        }
        self.wrong += 1;
        self.failures += 1;
        if limit > 0 && self.failures >= limit {
            self.failures = 0;
            self.locked_until = Some(now + lasts);
        }
        false
    }

    /// Seconds that a lock-out still lasts, if there is one.
    pub fn left(&self, now: Instant) -> Option<u64> {
        let left = self.locked_until?.checked_duration_since(now)?;
        Some(left.as_secs() + 1)
    }

    /// Whether every login fails now.
    pub fn locked(&self, now: Instant) -> bool {
        self.locked_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7616 3.9.1.
    fn mufasa(schemes: Vec<Scheme>) -> Login {
        Login {
            user: "Mufasa".into(),
            password: "Circle of Life".into(),
            schemes,
            realm: "http-auth@example.org".into(),
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v".into(),
            qop: true,
        }
    }

    const HEAD: &str = r#"Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html",
        nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, qop=auth,
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS","#;

    #[test]
    fn digests_of_rfc_7616_pass() {
        let md5 = format!("{HEAD} algorithm=MD5, response=\"8ca523f5e9506fed4657c9700eebdbec\"");
        let sha = format!(
            "{HEAD} algorithm=SHA-256, response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\""
        );
        let both = mufasa(vec![Scheme::Sha256, Scheme::Md5]);
        assert!(both.accepts("GET", &md5) && both.accepts("GET", &sha));
        assert!(!both.accepts("POST", &md5));
        assert!(!mufasa(vec![Scheme::Sha256]).accepts("GET", &md5), "a scheme that was not offered");
        assert!(!mufasa(vec![Scheme::Md5]).accepts("GET", &sha), "a scheme that was not offered");
        assert!(!both.accepts("GET", &md5.replace("8ca5", "8ca6")));
    }

    #[test]
    fn the_digest_of_rfc_2069_as_corrected_passes() {
        let login = Login {
            user: "Mufasa".into(),
            password: "CircleOfLife".into(),
            schemes: vec![Scheme::Md5],
            realm: "testrealm@host.com".into(),
            nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093".into(),
            qop: false,
        };
        // RFC 2069 erratum 749
        let header = r#"Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
            uri="/dir/index.html", response="1949323746fe6a43ef61f9606e7febea""#;
        assert!(login.accepts("GET", header));
        assert_eq!(
            login.challenges(),
            [
                r#"Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", algorithm=MD5"#
            ]
        );
    }

    #[test]
    fn basic_of_rfc_7617_passes() {
        let mut login = mufasa(vec![Scheme::Basic]);
        (login.user, login.password) = ("Aladdin".into(), "open sesame".into());
        assert!(login.accepts("GET", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        assert!(!login.accepts("GET", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZT=="));
    }

    #[test]
    fn the_token_of_the_onvif_guide_passes() {
        // ONVIF Application Programmer's Guide 1.0, 6.1.1.3
        let login = Login { user: "user".into(), password: "userpassword".into(), ..mufasa(Vec::new()) };
        let (nonce, created) = ("LKqI6G/AikKCQrN0zqZFlg==", "2010-09-16T07:50:45Z");
        assert!(login.accepts_token("user", "tuOSpGlFlIXsozq4HFNeeGeFLEI=", nonce, created));
        assert!(!login.accepts_token("user", "tuOSpGlFlIXsozq4HFNeeGeFLEI=", nonce, "2010-09-16T07:50:46Z"));
    }

    #[test]
    fn a_locked_camera_refuses_the_right_password_until_the_time_is_over() {
        let (mut ledger, now, lasts) = (Ledger::default(), Instant::now(), Duration::from_secs(10));
        for _ in 0..5 {
            assert!(!ledger.note(false, now, 5, lasts));
        }
        assert!(!ledger.note(true, now + lasts / 2, 5, lasts));
        assert!(ledger.note(true, now + lasts, 5, lasts));
        assert_eq!((ledger.right, ledger.wrong), (1, 6));
    }
}
