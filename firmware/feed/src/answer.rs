//! A camera's playlists and media, over HTTP.
//!
//! What is announced but not there yet is waited for: a blocking playlist reload, a part that was hinted, the first
//! playlist of a camera that has just been started. The wait ends when a part is closed, and has a deadline.

use std::time::Duration;

use hyper::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONTENT_RANGE, HeaderMap,
    HeaderValue, RANGE, RETRY_AFTER,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use media::{Answer, Cache, ObjectName, Request};

use door::range::{self, Asked};
use door::{Body, reply, text};

use crate::feed::Feed;

/// A wait lasts at most three target durations (RFC 8216bis, 6.2.5.2); the target follows the camera's GOP, and a
/// player gives up by itself after some 20 s.
const TARGETS: f64 = 3.0;
/// Shortest and longest wait, seconds.
const WAIT: (f64, f64) = (6.0, 18.0);

/// Answers a request for an object, and notes that somebody watches.
pub async fn answer(feed: &Feed, object: ObjectName, request: &Parts) -> Response<Body> {
    feed.watch();
    let response = object_of(feed, object, request).await;
    // Taken away while somebody waited: the same answer as for one that never was.
    if feed.is_closed() { not_found() } else { open(response) }
}

/// The answer for cameras and names that are not there.
pub fn not_found() -> Response<Body> {
    open(door::not_found())
}

/// Pages of any origin may read it.
fn open(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("content-length, content-range, date"),
    );
    response
}

/// Tells a browser that a page of any origin may fetch from here.
pub fn open_to_all_origins(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("range"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
}

async fn object_of(feed: &Feed, object: ObjectName, request: &Parts) -> Response<Body> {
    let Some(directives) = Request::from_query(request.uri.query().unwrap_or_default()) else {
        return text(StatusCode::BAD_REQUEST, "An HLS directive is malformed.\n");
    };
    match wait(feed, object, directives).await {
        Answer::Ready(body) => ready(body, request),
        Answer::NotYet => {
            let sentence = match feed.trouble() {
                Some((trouble, _)) => format!("{trouble}\n"),
                None => "The camera has sent no picture yet.\n".to_owned(),
            };
            let mut response = text(StatusCode::SERVICE_UNAVAILABLE, sentence);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
        Answer::NotFound => door::not_found(),
        Answer::BadRequest => text(StatusCode::BAD_REQUEST, "That playlist cannot be asked for.\n"),
    }
}

/// Asks the stream, again after each of its steps while the answer is still to come and the camera is in no trouble.
pub async fn wait(feed: &Feed, object: ObjectName, directives: Request) -> Answer {
    let ask = || {
        feed.with(|stream| match object {
            ObjectName::Playlist(container) => stream.playlist(container, directives),
            other => stream.object(&other),
        })
    };
    // Subscribed before asking: a step in between is not missed.
    let mut progress = feed.progress();
    let first = ask();
    if first != Answer::NotYet {
        return first;
    }
    let target = feed.with(|stream| stream.facts()).gop_seconds;
    let longest = Duration::from_secs_f64((TARGETS * target).clamp(WAIT.0, WAIT.1));
    let patient = async {
        // With a camera in trouble nothing comes for long: say so at once instead.
        while !feed.is_closed() && feed.state().trouble().is_none() && progress.changed().await.is_ok() {
            let answer = ask();
            if answer != Answer::NotYet {
                return answer;
            }
        }
        Answer::NotYet
    };
    tokio::time::timeout(longest, patient).await.unwrap_or(Answer::NotYet)
}

/// What is there, as this request asks for it: whole, or a range of what lasts (RFC 9110, 14).
pub fn ready(body: media::Body, request: &Parts) -> Response<Body> {
    let lasting = body.cache == Cache::Immutable;
    let wanted = request.headers.get(RANGE).filter(|_| lasting && request.method == Method::GET);
    let wanted = wanted.and_then(|range| range.to_str().ok());
    let (status, chunks, content_range) = match range::asked(wanted, body.len) {
        Asked::Whole => (StatusCode::OK, body.chunks, None),
        Asked::Part(part) => {
            let content_range = format!("bytes {}-{}/{}", part.start, part.end - 1, body.len);
            (StatusCode::PARTIAL_CONTENT, range::slice(body.chunks, &part), Some(content_range))
        }
        Asked::Beyond => {
            (StatusCode::RANGE_NOT_SATISFIABLE, Vec::new(), Some(format!("bytes */{}", body.len)))
        }
    };
    let mut response = reply(status, body.content_type, Body::chunks(chunks));
    let headers = response.headers_mut();
    if lasting {
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    if let Some(value) = content_range.and_then(|range| HeaderValue::try_from(range).ok()) {
        headers.insert(CONTENT_RANGE, value);
    }
    let cache = match body.cache {
        Cache::NoStore => None,
        Cache::Seconds(seconds) => HeaderValue::try_from(format!("public, max-age={seconds}")).ok(),
        Cache::Immutable => Some(HeaderValue::from_static("public, max-age=31536000, immutable")),
    };
    if let Some(cache) = cache.filter(|_| status != StatusCode::RANGE_NOT_SATISFIABLE) {
        headers.insert(CACHE_CONTROL, cache);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetched(range: Option<&str>, cache: Cache) -> (u16, Option<String>, Option<u64>) {
        let mut request = hyper::Request::get("/gate/1.m4s");
        if let Some(range) = range {
            request = request.header(RANGE, range);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let chunks = vec![bytes::Bytes::from_static(b"01234"), bytes::Bytes::from_static(b"56789")];
        let response = ready(media::Body { chunks, len: 10, content_type: "video/mp4", cache }, &parts);
        let range = response.headers().get(CONTENT_RANGE).map(|range| range.to_str().unwrap().to_owned());
        let len = hyper::body::Body::size_hint(response.body()).exact();
        (response.status().as_u16(), range, len)
    }

    #[test]
    fn a_range_of_a_segment_is_cut_out_and_a_playlist_is_whole() {
        assert_eq!(fetched(None, Cache::Immutable), (200, None, Some(10)));
        assert_eq!(fetched(Some("bytes=3-6"), Cache::Immutable), (206, Some("bytes 3-6/10".into()), Some(4)));
        assert_eq!(fetched(Some("bytes=10-"), Cache::Immutable), (416, Some("bytes */10".into()), Some(0)));
        assert_eq!(fetched(Some("bytes=3-6"), Cache::NoStore), (200, None, Some(10)));
    }
}
