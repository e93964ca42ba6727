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

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of files that a text refers to: after `before`, up to a quote.
    fn named<'t>(text: &'t str, before: &'static str) -> impl Iterator<Item = &'t str> {
        text.split(before).skip(1).filter_map(|rest| rest.split('"').next())
    }

    #[test]
    fn the_page_has_nothing_inline_and_every_file_it_names_is_served() {
        let served = page();
        let text = std::str::from_utf8(served.body).unwrap();
        for inline in ["<style", "style=", "onclick", "javascript:", "{{", "http://", "https://"] {
            assert!(!text.contains(inline), "{inline} in {text}");
        }
        assert!(text.split("<script").skip(1).all(|tag| tag.contains("src=") && tag.contains("></script>")));
        let files: Vec<&str> = named(text, "\"/setup/assets/").collect();
        assert!(files.len() > 20, "{files:?}");
        for name in &files {
            assert_eq!(asset(name, None, None).map(|file| file.status), Some(200), "{name}");
        }
        for module in ASSETS.iter().filter(|asset| asset.content_type.starts_with("text/javascript")) {
            let text = std::str::from_utf8(module.plain).unwrap();
            // Comments name the modules that types come from, which no browser reads.
            let comment = |line: &str| ["/**", "*"].iter().any(|mark| line.trim_start().starts_with(mark));
            let code: Vec<&str> = text.lines().filter(|line| !comment(line)).collect();
            let text = &code.join("\n");
            for import in named(text, "from \"./").chain(named(text, "from\"./")) {
                assert!(asset(import, None, None).is_some(), "{} imports {import}", module.name);
                assert!(
                    files.contains(&import),
                    "{import} is fetched only after {}: preload it",
                    module.name
                );
            }
            for bare in ["preact", "preact/hooks", "htm", "uqr"] {
                assert!(!text.contains(&format!("from \"{bare}\"")), "{} imports {bare}", module.name);
                assert!(!text.contains(&format!("from\"{bare}\"")), "{} imports {bare}", module.name);
            }
            assert!(!text.contains("sourceMappingURL"), "{} asks for a map", module.name);
        }
    }

    #[test]
    fn the_policy_lets_only_this_server_in_and_nobody_frame_the_page() {
        let policy =
            page().headers.into_iter().find(|(name, _)| *name == "content-security-policy").unwrap().1;
        assert!(
            policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains(':'), "{policy}");
    }

    #[test]
    fn the_page_is_small_on_the_wire_in_every_language() {
        for language in ["kk", "ru", "en"] {
            let loaded = ASSETS.iter().filter(|asset| {
                asset.content_type != "application/json"
                    || asset.name.starts_with(&format!("words-{language}"))
            });
            let bytes = PAGE.len() + loaded.map(|asset| asset.gzip.len()).sum::<usize>();
            assert!(bytes < 64 * 1024, "{bytes} bytes in {language}");
        }
    }
}
