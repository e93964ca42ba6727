//! Makers by the words that their devices say. A hint for the page and for the vendor table, never a proof.

/// Word in lower case, the maker's name, and whether the maker makes nothing but cameras and recorders (so that the
/// word alone tells a camera from a television or a router).
const MAKERS: &[(&str, &str, bool)] = &[
    ("hikvision", "Hikvision", true),
    ("hilook", "Hikvision", true),
    ("hiwatch", "Hikvision", true),
    ("ezviz", "EZVIZ", true),
    ("dahua", "Dahua", true),
    ("imou", "Imou", true),
    ("amcrest", "Amcrest", true),
    ("axis", "Axis", true),
    ("uniview", "Uniview", true),
    ("unv", "Uniview", true),
    ("tp-link", "TP-Link", false),
    ("tapo", "TP-Link", true),
    ("vigi", "TP-Link", true),
    ("hanwha", "Hanwha", true),
    ("wisenet", "Hanwha", true),
    ("reolink", "Reolink", true),
    ("foscam", "Foscam", true),
    ("vivotek", "Vivotek", true),
    ("mobotix", "MOBOTIX", true),
    ("avigilon", "Avigilon", true),
    ("geovision", "GeoVision", true),
    ("trassir", "Trassir", true),
    ("bosch", "Bosch", false),
    ("h264dvr", "XMeye", true),
];

fn find(text: &str) -> Option<&'static (&'static str, &'static str, bool)> {
    let text = text.to_ascii_lowercase();
    let part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    MAKERS.iter().find(|(word, ..)| {
        text.match_indices(word).any(|(at, _)| {
            // A whole word, or one with a model glued behind it (`HikvisionDS-2CD`), but never the middle of another.
            let before = text.get(..at).and_then(|head| head.chars().next_back());
            let after = text.get(at + word.len()..).and_then(|tail| tail.chars().next());
            !before.is_some_and(part) && (word.len() > 5 || !after.is_some_and(|c| c.is_ascii_alphabetic()))
        })
    })
}

/// The maker that a text names, if any.
pub(crate) fn named_in(text: &str) -> Option<String> {
    find(text).map(|(_, maker, _)| (*maker).to_owned())
}

/// Whether a text names a maker of nothing but cameras.
pub(crate) fn means_camera(text: &str) -> bool {
    find(text).is_some_and(|(.., only_cameras)| *only_cameras)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_maker_is_a_word_of_its_own() {
        assert_eq!(named_in("HIKVISION%20DS").as_deref(), Some("Hikvision"));
        assert_eq!(named_in("HikvisionDS-2CD1").as_deref(), Some("Hikvision"));
        assert_eq!(named_in("AXIS P1375-E").as_deref(), Some("Axis"));
        assert_eq!(named_in("pan-axis taxis axiSing"), None);
        assert!(!means_camera("TP-Link Archer C7"));
        assert!(means_camera("UPnP/1.0 Reolink/1"));
    }
}
