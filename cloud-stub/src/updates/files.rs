//! The folder's files as answers. Only names of the forms that a publisher writes are looked for, so that no address leads out
//! of the folder or to a file that is not whole yet.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use axum::body::Body;
use bytes::Bytes;
use futures::stream::{self, Stream};
use hyper::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use nix::fcntl::OFlag;

use crate::http::not_found;

/// Most bytes of a file: the metadata of some ten thousand releases.
const MOST: u64 = 32 << 20;
/// Bytes of a file that are in memory for one reader, however slowly it reads.
const PIECE: u64 = 64 << 10;
/// Everything but the timestamp has a number or a hash in its name.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// The answer to a request for a file below the folder.
pub(super) fn answer(folder: &Path, path: &str) -> Response<Body> {
    let Some(kind) = kind(path) else { return not_found() };
    let Some((file, length)) = open(&folder.join(path)) else { return not_found() };
    let mut response = Response::new(Body::from_stream(pieces(file.take(length))));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
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

/// A file and its length; a link is none.
fn open(path: &Path) -> Option<(fs::File, u64)> {
    let file = fs::OpenOptions::new().read(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path).ok()?;
    let about = file.metadata().ok()?;
    (about.is_file() && about.len() <= MOST).then_some((file, about.len()))
}

/// A file's bytes, each piece read when the one before has gone out.
fn pieces(file: io::Take<fs::File>) -> impl Stream<Item = io::Result<Bytes>> {
    stream::try_unfold(file, async |mut file| {
        let read = move || {
            let mut piece = Vec::with_capacity(PIECE.min(file.limit()) as usize);
            file.by_ref().take(PIECE).read_to_end(&mut piece)?;
            io::Result::Ok((Bytes::from(piece), file))
        };
        let (piece, file) = tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??;
        Ok((!piece.is_empty()).then_some((piece, file)))
    })
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn a_slow_reader_holds_a_piece_of_a_file_and_not_the_file() {
        let folder = std::env::temp_dir().join(format!("cloud-files-{}", std::process::id()));
        fs::create_dir_all(folder.join("metadata")).unwrap();
        let bytes: Vec<u8> = (0..1_000_003_u32).map(|n| (n % 251) as u8).collect();
        fs::write(folder.join("metadata/1.root.json"), &bytes).unwrap();
        fs::write(folder.join("metadata/2.root.json"), b"").unwrap();
        let mut response = answer(&folder, "metadata/1.root.json");
        let none = answer(&folder, "metadata/2.root.json");
        // Whoever has begun to read reads to the end.
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(response.headers()["content-length"], "1000003");
        let mut got = Vec::new();
        while let Some(frame) = response.body_mut().frame().await {
            let piece = frame.unwrap().into_data().unwrap();
            assert!(piece.len() <= 64 << 10, "{}", piece.len());
            got.extend_from_slice(&piece);
        }
        assert!(got == bytes);
        assert_eq!(none.headers()["content-length"], "0");
        assert!(none.into_body().collect().await.unwrap().to_bytes().is_empty());
    }

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
