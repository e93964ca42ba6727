//! The folder's files as answers. Only names of the forms that a publisher writes are looked for, so that no address leads out
//! of the folder or to a file that is not whole yet.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use axum::body::Body;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use nix::fcntl::OFlag;

use crate::http::not_found;

/// Most bytes of a file: the metadata of some ten thousand releases.
const MOST: u64 = 32 << 20;
/// Everything but the timestamp has a number or a hash in its name.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// The answer to a request for a file below the folder.
pub(super) fn answer(folder: &Path, path: &str) -> Response<Body> {
    let Some(kind) = kind(path) else { return not_found() };
    let Some(bytes) = read(&folder.join(path)) else { return not_found() };
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    let fixed = path != "metadata/timestamp.json";
    headers.insert(CACHE_CONTROL, if fixed { FOR_EVER } else { ASK_AGAIN });
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// The media type of a file of a publisher's; `None` for every other name.
fn kind(path: &str) -> Option<&'static str> {
    let parts: Vec<&str> = path.split('/').collect();
    if !parts.iter().all(|part| is_name(part)) {
        return None;
    }
    let end = path.rsplit_once('.').map(|(_, end)| end)?;
    match parts.as_slice() {
        ["metadata", _] | ["targets", _, _] if end == "json" => Some("application/json"),
        ["chunks", two, _] if two.len() == 2 && end == "zst" => Some("application/zstd"),
        _ => None,
    }
}

fn is_name(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with('.')
        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte))
}

/// A file's bytes; a link is none.
fn read(path: &Path) -> Option<Vec<u8>> {
    let file = fs::OpenOptions::new().read(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path).ok()?;
    let about = file.metadata().ok()?;
    if !about.is_file() || about.len() > MOST {
        return None;
    }
    let mut bytes = Vec::with_capacity(about.len() as usize);
    file.take(MOST).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_a_publisher_writes_are_files() {
        let hash = "a".repeat(64);
        for good in [
            "metadata/timestamp.json".to_owned(),
            "metadata/12.root.json".to_owned(),
            format!("targets/qemu-aarch64/{hash}.1.0.0+b.json"),
            format!("chunks/aa/{hash}.zst"),
        ] {
            assert!(kind(&good).is_some(), "{good}");
        }
        for bad in [
            "",
            "metadata",
            "metadata/",
            "metadata/../keys/online.json",
            "../a.json",
            "/etc/a.json",
            "metadata//a.json",
            "metadata/.a.json",
            "metadata/a.json.part",
            "chunks/aa/a.zst.part",
            "chunks/aaa/a.zst",
            "chunks/../a.zst",
            "targets/a.json",
            "targets/../a/b.json",
            "keys/online.pem",
            "metadata/a\0.json",
            "metadata/%2e%2e.json",
            "metadata\\a.json",
            "metadata/é.json",
        ] {
            assert_eq!(kind(bad), None, "{bad:?}");
        }
    }
}
