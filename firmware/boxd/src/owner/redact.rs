//! Takes secrets out of a text that leaves the box. Pure.
//!
//! Invariant: no known secret stays, in whatever form texts hold them: as it is, percent-encoded, quoted as JSON, in base64 as
//! HTTP's Basic sends it; nor does what stands where URLs have their credentials, known or not.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// What stands in a secret's place.
const GONE: &str = "***";
/// A secret of fewer characters is only taken out where it stands alone: otherwise it would tear words apart and show by that
/// what it is.
const SHORT: usize = 4;
/// Keys whose values are secrets in a URL or a query.
const KEYS: [&str; 8] =
    ["password=", "passwd=", "pwd=", "pass=", "token=", "secret=", "response=\"", "nonce=\""];

/// The text without these secrets. `logins` are pairs of user and password.
pub(super) fn redacted(text: &str, secrets: &[&str], logins: &[(&str, &str)]) -> String {
    let mut forms: Vec<String> = Vec::new();
    for secret in secrets.iter().copied().chain(logins.iter().map(|(_, password)| *password)) {
        if secret.is_empty() {
            continue;
        }
        forms.push(secret.to_owned());
        forms.push(percent(secret, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)));
        // As browsers and the URL crate write user information: fewer characters are encoded.
        forms.push(percent(secret, |byte| {
            byte.is_ascii_graphic() && !b" \"#%<>?`{}/:;=@[\\]^|".contains(&byte)
        }));
        let json = serde_json::to_string(secret).unwrap_or_default();
        forms.push(json.trim_matches('"').to_owned());
        forms.push(format!("{secret:?}").trim_matches('"').to_owned());
        forms.push(STANDARD_NO_PAD.encode(secret));
    }
    for (user, password) in logins {
        let pair = format!("{user}:{password}");
        forms.extend([STANDARD.encode(&pair), STANDARD_NO_PAD.encode(&pair), URL_SAFE_NO_PAD.encode(&pair)]);
    }
    // The longest first: one secret may be the beginning of another.
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    forms.dedup();
    forms.retain(|form| !form.is_empty());
    let mut text = text.to_owned();
    for form in &forms {
        text =
            if form.chars().count() < SHORT { without_word(&text, form) } else { text.replace(form, GONE) };
    }
    text.lines().map(|line| keys(&urls(line))).collect::<Vec<_>>().join("\n")
}

/// Percent-encodes all bytes but the plain ones.
fn percent(text: &str, plain: impl Fn(u8) -> bool) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in text.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Takes a short text out where no letter or digit stands beside it.
fn without_word(text: &str, word: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, after) =
            (rest.get(..at).unwrap_or_default(), rest.get(at + word.len()..).unwrap_or_default());
        let left = before.chars().next_back().or_else(|| out.chars().next_back());
        let beside = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
        out.push_str(before);
        out.push_str(if beside(left) || beside(after.chars().next()) { word } else { GONE });
        rest = after;
    }
    out + rest
}

/// Takes out what stands between `://` and the last `@` before the next blank or quote.
fn urls(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (scheme, behind) =
            (rest.get(..at + 3).unwrap_or_default(), rest.get(at + 3..).unwrap_or_default());
        out.push_str(scheme);
        let end = behind.find([' ', '"', '\'', '<', '>', '\t']).unwrap_or(behind.len());
        let url = behind.get(..end).unwrap_or_default();
        match url.rfind('@') {
            Some(at) => {
                out.push_str(GONE);
                out.push_str(url.get(at..).unwrap_or_default());
            }
            None => out.push_str(url),
        }
        rest = behind.get(end..).unwrap_or_default();
    }
    out + rest
}

/// Takes out the values of [`KEYS`].
fn keys(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let mut out = String::with_capacity(line.len());
    let mut at = 0;
    while let Some(rest) = lower.get(at..).filter(|rest| !rest.is_empty()) {
        let next = KEYS.iter().filter_map(|key| rest.find(key).map(|found| found + key.len())).min();
        let Some(value) = next else { break };
        out.push_str(line.get(at..at + value).unwrap_or_default());
        out.push_str(GONE);
        let ends = ['&', ';', ' ', '"', '\'', ',', '#'];
        let end = rest.get(value..).and_then(|value| value.find(ends)).unwrap_or(rest.len() - value);
        at += value + end;
    }
    out + line.get(at..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_secret_goes_in_every_form() {
        let secret = "п@:/#% \"c\\anary";
        let user = "admin";
        let basic = STANDARD.encode(format!("{user}:{secret}"));
        let text = format!(
            "plain {secret} end\nurl {} end\njson {} end\ndebug {secret:?} end\nAuthorization: Basic {basic} end",
            percent(secret, |byte| byte.is_ascii_alphanumeric()),
            serde_json::to_string(secret).unwrap(),
        );
        let out = redacted(&text, &[], &[(user, secret)]);
        for form in [secret, "anary", "%D0%BF", &basic] {
            assert!(!out.contains(form), "{out}");
        }
        assert_eq!(out.matches(" end").count(), 5, "the rest stays: {out}");
    }

    #[test]
    fn what_stands_where_credentials_stand_goes_though_nobody_knows_it() {
        let out = redacted(
            "a rtsp://u:canary@x@10.0.0.1/s?token=canary&b=1 http://10.0.0.2/Password=canary;c \"ws://h/\"\nno user@host",
            &[],
            &[],
        );
        assert_eq!(
            out,
            "a rtsp://***@10.0.0.1/s?token=***&b=1 http://10.0.0.2/Password=***;c \"ws://h/\"\nno user@host"
        );
    }

    #[test]
    fn a_short_secret_tears_no_words() {
        assert_eq!(redacted("a cat sat, a=1 \"a\"", &["a"], &[]), "*** cat sat, ***=1 \"***\"");
    }

    proptest! {
        #[test]
        fn no_secret_stays(before in "\\PC{0,30}", secret in "[^\\*\r\n]{4,20}", after in "\\PC{0,30}") {
            let out = redacted(&format!("{before}{secret}{after}"), &[&secret], &[]);
            prop_assert!(!out.contains(&secret), "{}", out);
        }

        #[test]
        fn any_text_is_taken(text in "\\PC{0,80}", secret in "\\PC{0,5}") {
            let _ = redacted(&text, &[&secret], &[(&text, &secret)]);
        }
    }
}
