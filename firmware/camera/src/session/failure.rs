//! Retina's errors as troubles: it tells them only by status code and text.

#![allow(clippy::disallowed_methods, reason = "the camera's own deadlines")]

use model::{CodecKind, Trouble};
use tokio::time::timeout;

use super::probe::refused;
use super::stream::Ended;
use super::target::Target;

/// Runs one request of retina under its deadline.
pub async fn within<T>(
    limit: core::time::Duration,
    target: &Target,
    request: impl Future<Output = Result<T, retina::Error>>,
) -> Result<T, Ended> {
    match timeout(limit, request).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(classify(&error, target)),
        Err(_) => Err(target.unreachable().into()),
    }
}

/// The trouble behind one of retina's errors, which are told only by status code and text.
pub fn classify(error: &retina::Error, target: &Target) -> Ended {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let detail = |what: &str| Trouble::Protocol { detail: what.to_owned() };
    match error.status_code() {
        Some(461) => return Ended { transport: true, ..detail("it offers neither TCP nor UDP").into() },
        // The same login was accepted a moment ago: a nonce has aged, the password is right.
        Some(401) => return detail("it accepted the login and then asked for it again").into(),
        Some(200..=299) => return detail(&plain(line)).into(),
        Some(status) => return refused(status).into(),
        None => {}
    }
    if line.starts_with("Unable to connect") {
        return target.unreachable().into();
    }
    if line.starts_with("Error reading") || line.starts_with("Error writing") {
        return Trouble::Closed.into();
    }
    if line.contains("at EOF") {
        return Trouble::Closed.into();
    }
    if text.contains("SPS has invalid pixel dimensions") {
        return beyond_use(CodecKind::H264).into();
    }
    Ended { stumbled: true, ..detail(&plain(line)).into() }
}

/// The trouble of pictures that are too large, or described in a way that nothing can read.
pub fn beyond_use(codec: CodecKind) -> Trouble {
    let codec = if codec == CodecKind::H264 { "H.264" } else { "H.265" };
    Trouble::UnsupportedCodec { codec: format!("{codec} of an impossible size") }
}

/// A line of retina's as a short detail: no addresses (a path may hold a password), no control characters.
fn plain(line: &str) -> String {
    let words = line.split_whitespace().filter(|word| !word.contains("://"));
    let text: String =
        words.collect::<Vec<_>>().join(" ").chars().filter(|c| !c.is_control()).take(160).collect();
    text.trim_end_matches(['.', ':']).to_owned()
}
