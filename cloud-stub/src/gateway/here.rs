//! Answers from a feed that this cloud fills itself, in the same words as those from boxes.

use door::Body;
use feed::Feed;
use hyper::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_RANGE, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use media::{Answer, Cache};

use super::answer;
use super::directory::Camera;
use super::object::{Key, LONGEST_OUTSIDE_S, content_type};

/// An object of this feed, as this request asks for it; what is announced is waited for.
pub(super) async fn object(feed: &Feed, key: &Key, request: &Parts) -> Response<Body> {
    feed.watch();
    match feed::wait(feed, key.object, key.directives).await {
        Answer::Ready(body) => media(body, key, request),
        Answer::NotYet => answer::unavailable(None),
        Answer::NotFound => answer::not_found(),
        Answer::BadRequest => answer::malformed(),
    }
}

/// What is known of a camera, with what its feed shows at this moment.
pub(super) fn seen(feed: &Feed, camera: Camera, now_ms: u64) -> Camera {
    let (since, state) = match feed.trouble() {
        // Trouble lasts over the next tries.
        Some((trouble, since)) => (since, model::CameraState::Stopped { trouble }),
        None => (feed.state_age(), feed.state()),
    };
    let since_ms = now_ms.saturating_sub(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    Camera { state: Some(state), since_ms: Some(since_ms), ..camera }
}

fn media(body: media::Body, key: &Key, request: &Parts) -> Response<Body> {
    // A name stands for the same bytes for ever, so it is its own strong validator.
    let lasting = body.cache == Cache::Immutable;
    let etag = lasting.then(|| HeaderValue::try_from(format!("\"{}\"", key.object)).ok()).flatten();
    let cache = match body.cache {
        Cache::NoStore => "no-store".to_owned(),
        Cache::Seconds(seconds) => format!("public, max-age={}", u64::from(seconds).min(LONGEST_OUTSIDE_S)),
        Cache::Immutable => format!("public, max-age={LONGEST_OUTSIDE_S}, immutable"),
    };
    let mut response = if etag.as_ref().is_some_and(|etag| answer::known(&request.headers, etag)) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        // A range of what was changed meanwhile is none (RFC 9110, 13.1.5).
        let stale = request.headers.get(IF_RANGE).is_some_and(|tag| Some(tag) != etag.as_ref());
        let mut request = request.clone();
        if stale {
            request.headers.remove(RANGE);
        }
        let mut response = feed::ready(body, &request);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(key.object)));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    };
    if response.status() != StatusCode::RANGE_NOT_SATISFIABLE {
        let headers = response.headers_mut();
        if let Ok(cache) = HeaderValue::try_from(cache) {
            headers.insert(CACHE_CONTROL, cache);
        }
        if let Some(etag) = etag {
            headers.insert(ETAG, etag);
        }
    }
    answer::open(response)
}

#[cfg(test)]
mod tests {
    use hyper::Request;
    use hyper::header::IF_NONE_MATCH;
    use media::Stream;
    use model::{CameraId, CameraState, Trouble};

    use super::*;

    fn key(name: &str) -> Key {
        Key::parse(&CameraId::new("gate").unwrap(), name, "").unwrap().unwrap()
    }

    fn asked(name: &str, header: Option<(hyper::header::HeaderName, &str)>) -> Response<Body> {
        let mut request = Request::get("/gate/7.m4s");
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let chunks = vec![bytes::Bytes::from_static(b"01234"), bytes::Bytes::from_static(b"56789")];
        let cache = if name == "7.m4s" { Cache::Immutable } else { Cache::NoStore };
        media(media::Body { chunks, len: 10, content_type: "text/html", cache }, &key(name), &parts)
    }

    #[test]
    fn what_lasts_is_known_by_its_name_and_a_playlist_is_never_kept() {
        let header = |response: &Response<Body>, name: hyper::header::HeaderName| {
            response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        let whole = asked("7.m4s", None);
        assert_eq!(whole.status(), 200);
        assert_eq!(header(&whole, ETAG).as_deref(), Some("\"7.m4s\""));
        assert_eq!(header(&whole, CACHE_CONTROL).as_deref(), Some("public, max-age=60, immutable"));
        assert_eq!(header(&whole, CONTENT_TYPE).as_deref(), Some("video/mp4"));
        let again = asked("7.m4s", Some((IF_NONE_MATCH, "\"7.m4s\"")));
        assert_eq!((again.status().as_u16(), header(&again, ETAG).as_deref()), (304, Some("\"7.m4s\"")));
        assert_eq!(asked("7.m4s", Some((RANGE, "bytes=3-6"))).status(), 206);
        assert_eq!(asked("7.m4s", Some((RANGE, "bytes=10-"))).status(), 416);
        let playlist = asked("live.m3u8", Some((IF_NONE_MATCH, "*")));
        assert_eq!((playlist.status().as_u16(), header(&playlist, ETAG)), (200, None));
        assert_eq!(header(&playlist, CACHE_CONTROL).as_deref(), Some("no-store"));
    }

    #[tokio::test]
    async fn a_stranger_learns_nothing_of_what_stands_in_the_way() {
        use http_body_util::BodyExt as _;
        let feed = Feed::new(Stream::new(media::Options::default(), 1));
        let trouble = Trouble::Unreachable { address: "10.0.0.5:554".into() };
        feed.set_state(CameraState::Waiting { trouble, retry_in_ms: 5 });
        let (parts, ()) = Request::get("/gate/live.m3u8").body(()).unwrap().into_parts();
        let response = object(&feed, &key("live.m3u8"), &parts).await;
        assert_eq!(response.status(), 503);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&body[..], b"{\"offline_since_ms\":null}");
        // It lasts over the next try.
        feed.set_state(CameraState::Connecting);
        let camera = Camera { name: "Gate".into(), state: None, since_ms: None, heard_ms: None };
        let seen = seen(&feed, camera, 1_000_000);
        assert!(seen.state.unwrap().trouble().is_some());
    }
}
