//! The pages' files: each under a name that changes with its content, so that a browser keeps it for ever.

use assets::{Asset, Served};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

const ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The answer to a request for `/assets/{name}` with these headers: 200 or 304. `None` when there is no such file.
pub fn asset(name: &str, request: &HeaderMap) -> Option<Response<Bytes>> {
    let lines = |name| {
        let values: Vec<&str> =
            request.get_all(name).iter().filter_map(|value: &HeaderValue| value.to_str().ok()).collect();
        values.join(",")
    };
    let (accept, known) = (lines(header::ACCEPT_ENCODING), lines(header::IF_NONE_MATCH));
    let Served { status, headers, body } = assets::serve(ASSETS, name, Some(&accept), Some(&known))?;
    let mut response = Response::new(Bytes::from_static(body));
    *response.status_mut() = StatusCode::from_u16(status).ok()?;
    for (name, value) in headers {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    Some(response)
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
    fn what_a_browser_says_reaches_the_choice() {
        let style = ASSETS.iter().find(|asset| asset.name.starts_with("style-")).unwrap();
        let ask = |name, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_str(value).unwrap());
            asset(style.name, &headers).unwrap()
        };
        let plain = asset(style.name, &HeaderMap::new()).unwrap();
        assert_eq!(plain.body(), style.plain);
        assert!(plain.headers()["cache-control"].to_str().unwrap().contains("immutable"));
        let gzip = ask(header::ACCEPT_ENCODING, "br, gzip;q=0.8");
        assert_eq!(
            (&gzip.headers()["content-encoding"], &gzip.body()[..]),
            (&HeaderValue::from_static("gzip"), style.gzip)
        );
        let again = ask(header::IF_NONE_MATCH, plain.headers()["etag"].to_str().unwrap());
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert!(asset("nothing.js", &HeaderMap::new()).is_none());
    }
}
