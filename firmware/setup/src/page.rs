//! The page itself and its files, in plain types. The page is the same for everybody: what differs, its scripts ask for.

use assets::{Asset, Served};

const ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));
const PAGE: &str = include_str!(concat!(env!("OUT_DIR"), "/page.html"));

/// Scripts, styles and pictures come from this server only and nothing is inline; the live picture is the player's page of the
/// same server in a frame; no page of anybody may put this one into a frame.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

/// The answer to `GET /setup/`.
pub fn page() -> Served {
    Served {
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
    }
}

/// The answer to `GET /setup/assets/{name}` with these two headers, several lines of one joined by commas: 200 or 304. `None`
/// when there is no such file.
pub fn asset(name: &str, accept_encoding: Option<&str>, if_none_match: Option<&str>) -> Option<Served> {
    assets::serve(ASSETS, name, accept_encoding, if_none_match)
}
