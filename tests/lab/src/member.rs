//! Somebody of a tenant, signed in at the portal as a program is: with the cookie and the word that changes need.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::http::Response;

/// Who is signed in.
#[derive(Debug, Clone)]
pub struct Member {
    /// The header lines of its requests, each with its end.
    pub headers: String,
    /// The id of its first tenant.
    pub tenant: String,
}

impl Member {
    /// Takes the invitation that `cloud person add` has printed: `post` sends JSON to a path of the cloud.
    ///
    /// # Errors
    /// When nothing was printed, or the cloud refuses.
    pub fn invited(printed: &str, post: impl FnOnce(&str, &Value) -> Result<Response>) -> Result<Self> {
        let link =
            printed.split_whitespace().find(|word| word.starts_with("http")).context("no invitation")?;
        let secret = link.trim_end_matches('/').rsplit(['/', '=', '#']).next().context("no secret")?;
        let words = json!({ "name": "Owner", "password": "correct horse battery", "language": "en" });
        let answer = post(&format!("/api/v1/invitations/{secret}"), &words)?;
        ensure!(answer.status == 200, "the invitation: {} {}", answer.status, answer.text());
        let cookie =
            answer.header("set-cookie").and_then(|cookie| cookie.split(';').next()).context("no cookie")?;
        let me: Value = serde_json::from_slice(&answer.body)?;
        let text = |value: &Value| value.as_str().map(ToOwned::to_owned).context("the answer lacks a text");
        let headers = format!("cookie: {cookie}\r\nx-csrf: {}\r\n", text(&me["csrf"])?);
        Ok(Self { headers, tenant: text(&me["tenants"][0]["id"])? })
    }
}
