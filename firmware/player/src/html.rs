//! HTML from templates. Every text that comes from outside (device names, errors) goes through [`Escaped`]; templates are
//! filled in one pass, so that a value is never taken for a placeholder.

use std::fmt::{self, Write as _};

use bytes::Bytes;
use http::Response;
use http::header::{self, HeaderValue};

/// The box's list of cameras and devices; `cloud`, `cameras` and `devices` are to be filled in.
pub const INDEX: &str = include_str!(concat!(env!("OUT_DIR"), "/index.html"));
/// The player of one camera; see [`player`].
pub const PLAYER: &str = include_str!(concat!(env!("OUT_DIR"), "/player.html"));

/// Scripts, styles and media come from this server only; nothing is inline. hls.js feeds the picture through `blob:`.
const POLICY: &str = "default-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'";

/// What a player page says before its script runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Player<'a> {
    /// The camera's id in links.
    pub id: &'a str,
    /// Its name for people.
    pub name: &'a str,
    /// What stands between the viewer and the picture now, if anything.
    pub sentence: Option<&'a str>,
    /// Where the script asks how the camera is, relative to the page or to the root.
    pub status: &'a str,
    /// Whether a list of all cameras is behind `/`.
    pub list: bool,
}

/// The player page as HTML.
pub fn player(player: Player<'_>) -> String {
    let sentence = player.sentence.unwrap_or_default();
    let hidden = |hide| if hide { "hidden" } else { "" };
    let (id, name) = (Escaped(player.id).to_string(), Escaped(player.name).to_string());
    let (words, status) = (Escaped(sentence).to_string(), Escaped(player.status).to_string());
    fill(
        PLAYER,
        &[
            ("id", &id),
            ("name", &name),
            ("sentence", &words),
            ("hidden", hidden(sentence.is_empty())),
            ("status", &status),
            ("no-list", hidden(!player.list)),
        ],
    )
}

/// An answer with this page, that no cache keeps.
pub fn page(html: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(html));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Puts values in the place of `{{name}}`, in one pass. An unknown placeholder becomes nothing.
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut page =
        String::with_capacity(template.len() + values.iter().map(|(_, value)| value.len()).sum::<usize>());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else { break };
        page.push_str(before);
        page.extend(values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value));
        rest = after;
    }
    page.push_str(rest);
    page
}

/// FNV-1a, 64 bits: a short name for a text, the same with every compiler. No protection against collisions on purpose.
pub fn fnv1a(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Text that means itself in HTML, in an element and in a quoted attribute. Characters that reorder or hide text
/// are shown as �, so that a device cannot pose as another.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            '\n' | '\t' => f.write_char(character),
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {
                f.write_char('\u{fffd}')
            }
            control if control.is_control() => f.write_char('\u{fffd}'),
            other => f.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NASTY: &str = "\"><script>alert(1)</script>'&{{id}}\u{202e}\0";

    #[test]
    fn a_hostile_name_stays_text() {
        let escaped = Escaped(NASTY).to_string();
        assert!(!escaped.contains(['<', '>', '"', '\'', '\0', '\u{202e}']), "{escaped}");
        assert!(
            escaped.starts_with("&quot;&gt;&lt;script&gt;"),
            "a reader still sees what it was: {escaped}"
        );
        let camera = Player { id: "gate", name: NASTY, sentence: Some(NASTY), status: NASTY, list: false };
        let html = player(camera);
        assert_eq!(html.matches("<script").count(), PLAYER.matches("<script").count(), "{html}");
    }

    #[test]
    fn a_value_is_never_a_placeholder() {
        assert_eq!(
            fill("<p>{{name}}</p>{{id}}{{none}}!", &[("name", "{{id}}"), ("id", "gate")]),
            "<p>{{id}}</p>gate!"
        );
        assert_eq!(fill("a {{ b", &[("b", "c")]), "a {{ b", "an open brace is text");
    }

    #[test]
    fn a_page_shows_what_stands_in_the_way_and_lists_only_where_there_is_a_list() {
        let quiet = Player { id: "gate", name: "Gate", sentence: None, status: "status", list: false };
        let html = player(quiet);
        assert!(
            html.contains("role=\"status\" hidden>") && html.contains("data-status=\"status\""),
            "{html}"
        );
        assert!(html.contains("aria-label=\"All cameras\" hidden>"), "{html}");
        let html = player(Player { sentence: Some("No power."), list: true, ..quiet });
        assert!(html.contains("role=\"status\" ><p id=\"words\">No power.</p>"), "{html}");
        assert!(!html.contains("aria-label=\"All cameras\" hidden>"), "{html}");
    }
}
