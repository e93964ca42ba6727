//! The box's owner at its set-up page, as a program: signed in, with the cookies of the session.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::http::{Response, Site};

/// An answer of the box's comes at once; the limit is for busy machines.
const ANSWER: Duration = Duration::from_secs(10);

/// An owner who is signed in.
#[derive(Debug, Clone)]
pub struct Account {
    site: Site,
    /// The header line with the cookies.
    cookies: String,
}

impl Account {
    /// Becomes the owner of a box that has none, else signs in as its owner.
    ///
    /// # Errors
    /// When the box refuses.
    pub fn open(site: Site, password: &str) -> Result<Self> {
        let claim = json!({ "password": password, "language": "en" });
        let mut answer = site.post("/api/v1/setup/claim", &claim)?;
        if answer.status == 409 {
            answer = site.post("/api/v1/setup/login", &json!({ "password": password }))?;
        }
        ensure!(answer.status == 200, "signing in at the box: {} {}", answer.status, answer.text());
        let lines = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
        let cookies: Vec<&str> = lines.filter_map(|(_, line)| line.split(';').next()).collect();
        Ok(Self { site, cookies: format!("cookie: {}\r\n", cookies.join("; ")) })
    }

    /// One GET that must answer 200 with JSON.
    ///
    /// # Errors
    /// Any other status, or something that is no JSON.
    pub fn json(&self, path: &str) -> Result<Value> {
        let answer = self.site.ask_with(path, &self.cookies, ANSWER)?;
        ensure!(answer.status == 200, "GET {path}: {} {}", answer.status, answer.text());
        serde_json::from_slice(&answer.body).with_context(|| format!("JSON at {path}: {}", answer.text()))
    }

    /// One POST as the page would send it, whatever its status.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn post(&self, path: &str, body: &Value) -> Result<Response> {
        self.site.post_with(path, &self.cookies, body)
    }
}
