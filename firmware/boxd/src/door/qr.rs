//! QR codes as SVG, drawn on the box: nothing is asked of the Internet for them.

use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};

/// The code of a text, or nothing when it is too long for one (about 2,300 bytes).
pub(crate) fn svg(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let drawn = code
        .render::<svg::Color<'_>>()
        .min_dimensions(180, 180)
        .dark_color(svg::Color("#000"))
        .light_color(svg::Color("#fff"))
        .build();
    // In HTML the declaration of XML has no place.
    let start = drawn.find("<svg")?;
    let picture = drawn.get(start..)?;
    Some(picture.replacen("<svg", "<svg class=\"qr\" role=\"img\" aria-label=\"QR code\"", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_becomes_a_picture_that_stands_in_html() {
        let picture = svg("https://video.example.org/abcdefghijklmnopqrstuvwxyz/").unwrap();
        assert!(picture.starts_with("<svg class=\"qr\"") && picture.ends_with("</svg>"), "{picture}");
        assert!(
            !picture.contains("<?xml") && !picture.contains("style="),
            "the page's policy allows no inline style"
        );
        assert_ne!(picture, svg("https://video.example.org/bbcdefghijklmnopqrstuvwxyz/").unwrap());
        assert_eq!(svg(&"x".repeat(5000)), None);
    }
}
