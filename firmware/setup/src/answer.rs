//! What goes back to the browser, whole and in memory.

use std::borrow::Cow;

use assets::Served;
use serde::Serialize;

use crate::desk::Refusal;
use crate::gate::Refused;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// HTTP's status.
    pub(crate) status: u16,
    /// Header lines, without the length.
    pub(crate) headers: Vec<(&'static str, Cow<'static, str>)>,
    /// The body.
    pub(crate) body: Cow<'static, [u8]>,
}

/// Why there is none, as the page's scripts tell errors apart.
#[derive(Debug, Serialize)]
pub(crate) struct Fault {
    #[serde(skip)]
    pub(crate) status: u16,
    /// A short stable name.
    code: Cow<'static, str>,
    /// The sentence in plain English.
    error: Cow<'static, str>,
    /// Another header line.
    #[serde(skip)]
    header: Option<(&'static str, String)>,
}

impl Answer {
    /// Something that no cache keeps and no browser guesses the type of.
    fn new(status: u16, content_type: &'static str, body: Vec<u8>) -> Self {
        let headers = [
            ("content-type", content_type),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ];
        let headers = headers.map(|(name, value)| (name, Cow::Borrowed(value))).to_vec();
        Self { status, headers, body: body.into() }
    }

    /// JSON.
    pub(crate) fn json(status: u16, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self::new(status, "application/json", body),
            // None of the types here can fail to serialise: their keys are strings.
            Err(_) => Self::new(500, "application/json", b"{\"code\":\"failed\",\"error\":\"\"}".to_vec()),
        }
    }

    /// It is done, and there is nothing to say about it.
    pub(crate) fn done() -> Self {
        Self::json(200, &serde_json::json!({}))
    }

    /// A file of another type.
    pub(crate) fn file(content_type: &'static str, body: Vec<u8>) -> Self {
        Self::new(200, content_type, body)
    }

    /// With one more header line.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl From<Served> for Answer {
    fn from(served: Served) -> Self {
        let headers = served.headers.into_iter().map(|(name, value)| (name, Cow::Borrowed(value))).collect();
        Self { status: served.status, headers, body: served.body.into() }
    }
}

impl From<Fault> for Answer {
    fn from(fault: Fault) -> Self {
        let answer = Self::json(fault.status, &fault);
        match fault.header {
            Some((name, value)) => answer.with(name, value),
            None => answer,
        }
    }
}

impl Fault {
    pub(crate) fn new(
        status: u16,
        code: impl Into<Cow<'static, str>>,
        error: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, code: code.into(), error: error.into(), header: None }
    }

    /// The method is not understood at this address.
    pub(crate) fn method(allowed: String) -> Self {
        let fault = Self::new(405, "method", format!("Here only {allowed} are understood."));
        Self { header: Some(("allow", allowed)), ..fault }
    }

    /// What was sent is not what the address takes. What exactly is wrong with it is not repeated: it may be a password.
    pub(crate) fn malformed() -> Self {
        Self::new(400, "malformed", "This is not what this address takes: see /api/v1/openapi.json.")
    }

    /// The box's main process gave another answer than the one to this question.
    pub(crate) fn unexpected() -> Self {
        Self::new(500, "failed", "The box gave an unexpected answer: restart it.")
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        let (status, code) = match refused {
            Refused::Owned => (409, "claimed"),
            Refused::Contended => (409, "contended"),
            Refused::Closed => (403, "claim_closed"),
            Refused::Far => (403, "not_near"),
            Refused::Unowned => (409, "unclaimed"),
            Refused::Wrong => (401, "wrong_password"),
            Refused::Later(_) => (429, "too_many_tries"),
        };
        let fault = Self::new(status, code, refused.to_string());
        match refused {
            Refused::Later(wait) => {
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Self { header: Some(("retry-after", seconds.to_string())), ..fault }
            }
            _ => fault,
        }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.code.as_str() {
            "late" => 504,
            "gone" => 503,
            code if code.starts_with("no_such") => 404,
            code if code.starts_with("invalid") => 400,
            _ => 409,
        };
        Self::new(status, refusal.code, refusal.sentence)
    }
}
