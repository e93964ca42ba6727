//! Text from the wire, made fit for a page: bounded, without control characters, percent-decoded once.

use percent_encoding::percent_decode_str;

/// Longest name, maker or model that is kept, in characters.
const MAX_CHARACTERS: usize = 64;

/// The text without control characters and outer or doubled blanks, cut to 64 characters. `None` when nothing is
/// left.
pub(crate) fn clean(text: &str) -> Option<String> {
    let mut kept = String::new();
    let visible = |c: char| if c.is_control() || is_invisible(c) { ' ' } else { c };
    let spaced: String = text.chars().take(MAX_CHARACTERS * 4).map(visible).collect();
    for word in spaced.split_whitespace() {
        if !kept.is_empty() {
            kept.push(' ');
        }
        kept.push_str(word);
    }
    let short: String = kept.chars().take(MAX_CHARACTERS).collect();
    let short = short.trim_end();
    (!short.is_empty()).then(|| short.to_owned())
}

/// Characters that turn or hide text on a page: a name that reads as another name.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fffd}')
}

/// Percent-decoded (RFC 3986 section 2.1), then [`clean`].
pub(crate) fn decoded(text: &str) -> Option<String> {
    clean(&percent_decode_str(text).decode_utf8_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_short_line() {
        assert_eq!(decoded("HIKVISION%20DS-2CD2042WD-I").as_deref(), Some("HIKVISION DS-2CD2042WD-I"));
        assert_eq!(decoded("%D0%A6%D0%B5%D1%85%201").as_deref(), Some("Цех 1"));
        assert_eq!(clean("a\r\nb\u{202e}\0 c").as_deref(), Some("a b c"));
        assert_eq!(clean(&"я".repeat(500)).map(|name| name.chars().count()), Some(64));
        assert_eq!(clean(" \t\u{200b}"), None);
        assert_eq!(decoded("bad%GG%2"), Some("bad%GG%2".into()));
    }
}
