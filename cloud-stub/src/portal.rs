//! The portal's page and its files. The page is the same for everybody, signed in or not: what differs, its scripts ask for.
//!
//! It stands at `/`, and at the addresses that boxes and letters lead to, whose rest only the scripts read.

use assets::{Asset, Served};
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::response::Response;
use axum::routing::get;
use hyper::StatusCode;
use hyper::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};

use crate::http::not_found;

const ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));
const PAGE: &str = include_str!(concat!(env!("OUT_DIR"), "/portal.html"));

/// Scripts, styles and pictures come from this server only and nothing is inline; a live picture is the player's page of the same
/// server in a frame; no page of anybody may put this one into a frame.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

/// The page and its files.
pub fn routes() -> Router {
    let page = || get(async || page());
    Router::new()
        .route("/", page())
        .route("/claim", page())
        .route("/portal", page())
        .route("/portal/", page())
        .route("/portal/assets/{name}", get(asset))
}

fn page() -> Response {
    answer(Served {
        status: 200,
        headers: vec![
            ("content-type", "text/html; charset=utf-8"),
            ("cache-control", "no-store"),
            ("content-security-policy", POLICY),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
        ],
        body: PAGE.as_bytes(),
    })
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let lines = |name| {
        let values: Vec<&str> =
            headers.get_all(name).iter().filter_map(|value: &HeaderValue| value.to_str().ok()).collect();
        values.join(",")
    };
    let (accept, known) = (lines(ACCEPT_ENCODING), lines(IF_NONE_MATCH));
    assets::serve(ASSETS, &name, Some(&accept), Some(&known)).map_or_else(not_found, answer)
}

fn answer(Served { status, headers, body }: Served) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    for (name, value) in headers {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use http_body_util::BodyExt as _;
    use hyper::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(path: &str, headers: &[(&'static str, &'static str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_static(value));
        }
        let (parts, body) = routes().oneshot(request).await.unwrap().into_parts();
        (parts.status, parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
    }

    /// Names of files that a text refers to: after `before`, up to a quote.
    fn named<'t>(text: &'t str, before: &'static str) -> impl Iterator<Item = &'t str> {
        text.split(before).skip(1).filter_map(|rest| rest.split('"').next())
    }

    #[tokio::test]
    async fn the_page_has_nothing_inline_and_every_file_it_names_is_served() {
        let (_, _, page) = ask("/", &[]).await;
        let page = String::from_utf8(page).unwrap();
        for inline in ["<style", "style=", "onclick", "javascript:", "{{", "http://", "https://"] {
            assert!(!page.contains(inline), "{inline} in {page}");
        }
        assert!(page.split("<script").skip(1).all(|tag| tag.contains("src=") && tag.contains("></script>")));
        let files: Vec<&str> = named(&page, "\"/portal/assets/").collect();
        assert!(files.len() > 30, "{files:?}");
        for name in &files {
            let (status, headers, _) = ask(&format!("/portal/assets/{name}"), &[]).await;
            assert_eq!(status, StatusCode::OK, "{name}");
            assert!(headers["cache-control"].to_str().unwrap().contains("immutable"));
        }
        for module in ASSETS.iter().filter(|asset| asset.content_type.starts_with("text/javascript")) {
            let text = std::str::from_utf8(module.plain).unwrap();
            // Comments name the modules that types come from, which no browser reads.
            let comment = |line: &str| ["/**", "*"].iter().any(|mark| line.trim_start().starts_with(mark));
            let code: Vec<&str> = text.lines().filter(|line| !comment(line)).collect();
            let text = &code.join("\n");
            let later = module.name.starts_with("graph-");
            for import in named(text, "from \"./").chain(named(text, "from\"./")) {
                assert!(ASSETS.iter().any(|asset| asset.name == import), "{} imports {import}", module.name);
                assert!(later || files.contains(&import), "{import} comes late: preload it");
            }
            for import in named(text, "import(\"./") {
                assert!(ASSETS.iter().any(|asset| asset.name == import), "{} imports {import}", module.name);
            }
            for bare in ["preact", "preact/hooks", "htm", "uqr", "uplot", "../../firmware"] {
                assert!(!text.contains(&format!("from \"{bare}\"")), "{} imports {bare}", module.name);
                assert!(!text.contains(&format!("from \"{bare}/")), "{} imports {bare}", module.name);
            }
            assert!(!text.contains("sourceMappingURL"), "{} asks for a map", module.name);
        }
    }

    #[tokio::test]
    async fn the_page_is_framed_by_nobody_and_runs_only_what_is_ours() {
        for path in ["/", "/claim", "/portal", "/portal/"] {
            let (status, headers, _) = ask(path, &[]).await;
            assert_eq!(status, StatusCode::OK, "{path}");
            let policy = headers["content-security-policy"].to_str().unwrap();
            assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"));
            assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains(':'), "{policy}");
            assert_eq!(headers["x-frame-options"], "DENY");
            assert_eq!(headers["referrer-policy"], "no-referrer", "an invitation's secret stays here");
            assert_eq!(headers["x-content-type-options"], "nosniff");
            assert_eq!(headers["cache-control"], "no-store");
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_there() {
        for path in ["/portal/assets/none.js", "/portal/assets/..%2fportal.html", "/portal/x", "/claim/x"] {
            assert_eq!(ask(path, &[]).await.0, StatusCode::NOT_FOUND, "{path}");
        }
        let style = ASSETS.iter().find(|asset| asset.name.starts_with("portal-")).unwrap();
        let path = format!("/portal/assets/{}", style.name);
        let (_, headers, body) = ask(&path, &[("accept-encoding", "gzip")]).await;
        assert_eq!(
            (&headers["content-encoding"], &body[..]),
            (&HeaderValue::from_static("gzip"), style.gzip)
        );
        let (again, _, _) = ask(&path, &[("if-none-match", style.etag)]).await;
        assert_eq!(again, StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn the_page_is_small_on_the_wire_in_every_language() {
        for language in ["kk", "ru", "en"] {
            let loaded = ASSETS.iter().filter(|asset| {
                !asset.name.starts_with("uplot-")
                    && (asset.content_type != "application/json"
                        || asset.name.starts_with(&format!("words-{language}")))
            });
            let bytes = PAGE.len() + loaded.map(|asset| asset.gzip.len()).sum::<usize>();
            println!("{language}: {bytes} bytes");
            assert!(bytes < 100 * 1024, "{bytes} bytes in {language}");
        }
    }
}
