//! The pages' files: each under a name that changes with its content, so that a browser keeps it for ever.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};

const ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// A file of the pages.
struct Asset {
    name: &'static str,
    content_type: &'static str,
    etag: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
}

/// The answer to a request for `/assets/{name}` with these headers: 200 or 304. `None` when there is no such file.
pub fn asset(name: &str, request: &HeaderMap) -> Option<Response<Bytes>> {
    let asset = ASSETS.iter().find(|asset| asset.name == name)?;
    let known = request.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let fresh = known
        .is_some_and(|tags| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == asset.etag));
    let gzip = accepts_gzip(request);
    let mut response = if fresh {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let mut response = Response::new(Bytes::from_static(if gzip { asset.gzip } else { asset.plain }));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
        response
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers.insert(header::ETAG, HeaderValue::from_static(asset.etag));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if gzip && !fresh {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Some(response)
}

/// Whether gzip is welcome (RFC 9110, 12.5.3); `q=0` forbids it.
fn accepts_gzip(request: &HeaderMap) -> bool {
    let lists = request.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
        let refused = parts.any(|part| {
            part.strip_prefix("q=")
                .is_some_and(|quality| quality.parse::<f32>().is_ok_and(|quality| quality <= 0.0))
        });
        named && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{INDEX, PLAYER};

    #[test]
    fn pages_have_no_inline_script_and_every_file_they_name_is_served() {
        for page in [INDEX, PLAYER] {
            assert!(!page.contains("<style") && !page.contains("onclick") && !page.contains("style="));
            for script in page.split("<script").skip(1) {
                assert!(
                    script
                        .split_once('>')
                        .is_some_and(|(tag, rest)| tag.contains("src=") && rest.starts_with("</script>"))
                );
            }
            let mut named = 0;
            for reference in page.split("\"/assets/").skip(1) {
                let name = reference.split('"').next().unwrap();
                assert_eq!(asset(name, &HeaderMap::new()).unwrap().status(), StatusCode::OK, "{name}");
                named += 1;
            }
            assert!(named >= 3, "the page names its files");
        }
        for script in ASSETS
            .iter()
            .filter(|asset| asset.name.starts_with("player-") || asset.name.starts_with("index-"))
        {
            let text = std::str::from_utf8(script.plain).unwrap();
            for import in text.split("from \"./").skip(1) {
                let name = import.split('"').next().unwrap();
                assert!(asset(name, &HeaderMap::new()).is_some(), "{} imports {name}", script.name);
            }
        }
    }

    #[test]
    fn the_player_is_small_on_the_wire() {
        let own = ASSETS.iter().filter(|asset| !asset.name.starts_with("hls-"));
        let bytes = PLAYER.len() + own.map(|asset| asset.gzip.len()).sum::<usize>();
        assert!(bytes < 20 * 1024, "{bytes} bytes without hls.js");
    }

    #[test]
    fn a_file_is_kept_for_ever_gzipped_when_welcome_and_not_sent_twice() {
        let style = ASSETS.iter().find(|asset| asset.name.starts_with("style-")).unwrap();
        let ask = |name, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_str(value).unwrap());
            asset(style.name, &headers).unwrap()
        };
        let plain = asset(style.name, &HeaderMap::new()).unwrap();
        assert!(plain.headers()["cache-control"].to_str().unwrap().contains("immutable"));
        assert!(plain.headers().get("content-encoding").is_none());
        for welcome in ["gzip", "br, gzip;q=0.8", "*", "GZIP"] {
            assert_eq!(
                ask(header::ACCEPT_ENCODING, welcome).headers()["content-encoding"],
                "gzip",
                "{welcome}"
            );
        }
        for not in ["br", "gzip;q=0", "identity, gzip; q=0.0"] {
            assert!(ask(header::ACCEPT_ENCODING, not).headers().get("content-encoding").is_none(), "{not}");
        }
        let again = ask(header::IF_NONE_MATCH, plain.headers()["etag"].to_str().unwrap());
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert!(asset("nothing.js", &HeaderMap::new()).is_none());
    }
}
