//! Hardware addresses (IEEE 802 MAC-48), and whose network cards they are. A maker read from a prefix is a hint for the page: a
//! network card is easily renamed.

use std::fmt;

/// A hardware address of one station: never a group's, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

impl Mac {
    /// The address of these bytes; `None` for a group's (IEEE 802-2014, 8.2.2) and for zeros, which nobody has.
    pub fn new(bytes: [u8; 6]) -> Option<Self> {
        let [first, ..] = bytes;
        (first & 1 == 0 && bytes != [0; 6]).then_some(Self(bytes))
    }

    /// The address in twelve hexadecimal digits, with `:`, `-` or nothing between the bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b':' | b'-')).take(13).collect();
        if text.len() > 17 || digits.len() != 12 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let number = u64::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?;
        let [_, _, bytes @ ..] = number.to_be_bytes();
        Self::new(bytes)
    }

    /// Its bytes, as they are sent.
    pub const fn bytes(self) -> [u8; 6] {
        self.0
    }

    /// The maker of cameras whose network card it is.
    pub fn maker(self) -> Option<&'static str> {
        let [a, b, c, ..] = self.0;
        let prefix = u32::from_be_bytes([0, a, b, c]);
        CAMERA_MAKERS.iter().find(|(_, prefixes)| prefixes.contains(&prefix)).map(|(maker, _)| *maker)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if at == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// Prefixes that the IEEE gave to makers who sell little but cameras and recorders (registry MA-L,
/// <https://standards-oui.ieee.org/oui/oui.txt>, as Debian's wireshark 4.0 carries it). Makers of routers and phones who also
/// sell cameras are left out: their prefix says nothing.
#[allow(clippy::unreadable_literal, reason = "prefixes are written in six digits, as the registry does")]
const CAMERA_MAKERS: &[(&str, &[u32])] = &[
    (
        "Hikvision",
        &[
            0x040312, 0x085411, 0x08a189, 0x08cc81, 0x0c75d2, 0x1012fb, 0x1868cb, 0x188025, 0x240f9b,
            0x2428fd, 0x2432ae, 0x244845, 0x24b105, 0x2857be, 0x2ca59c, 0x340962, 0x3c1bf8, 0x40acbf,
            0x4419b6, 0x4447cc, 0x44a642, 0x4c62df, 0x4cbd8f, 0x4cf5dc, 0x50e538, 0x548c81, 0x54c415,
            0x5803fb, 0x5850ed, 0x5c345b, 0x64db8b, 0x686dbc, 0x743fc2, 0x80489f, 0x807c62, 0x80beaf,
            0x80f5ae, 0x849a40, 0x8ce748, 0x94e1ac, 0x988b0a, 0x989de5, 0x98df82, 0x98f112, 0xa0ff0c,
            0xa41437, 0xa42902, 0xa4a459, 0xa4d5c2, 0xacb92f, 0xaccb51, 0xb4a382, 0xbc2978, 0xbc5e33,
            0xbc9b5e, 0xbcad28, 0xbcbac2, 0xc0517e, 0xc056e3, 0xc06ded, 0xc42f90, 0xd4e853, 0xdc07f8,
            0xdcd26a, 0xe0baad, 0xe0ca3c, 0xe0df13, 0xe8a0ed, 0xeca971, 0xecc89c, 0xf84dfc, 0xfc9ffd,
        ],
    ),
    ("EZVIZ", &[0x20bbbc, 0x34c6dd, 0x54d60d, 0x588fcf, 0x64f2fb, 0x78a6a0, 0x78c1ae, 0xec97e0]),
    (
        "Dahua",
        &[
            0x08eded, 0x14a78b, 0x24526a, 0x30ddaa, 0x38af29, 0x3ce36b, 0x3cef8c, 0x4c11bf, 0x5cf51a,
            0x64fd29, 0x6c1c71, 0x74c929, 0x8ce9b4, 0x9002a9, 0x98f9cc, 0x9c1463, 0xa0bd1d, 0xb44c3b,
            0xbc325f, 0xc0395a, 0xc4aac4, 0xd4430e, 0xe02efe, 0xe0508b, 0xe4246c, 0xf4b1c2, 0xf8ce07,
            0xfc5f49, 0xfcb69d,
        ],
    ),
    ("Amcrest", &[0x00651e, 0x9c8ecd, 0xa06032]),
    ("Axis", &[0x00408c, 0xaccc8e, 0xb8a44f, 0xe82725]),
    ("Uniview", &[0x48ea63, 0x6cf17e, 0xc47905]),
    ("Hanwha", &[0x000918, 0x44b423, 0x8c1d55, 0xe43022]),
    ("Reolink", &[0xec71db]),
    ("Vivotek", &[0x0002d1]),
    ("MOBOTIX", &[0x0003c5]),
    ("GeoVision", &[0x0013e2]),
    ("Tiandy", &[0x3cda6d, 0xe4e66c]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn addresses_are_read_as_makers_write_them() {
        for text in ["c4-2f-90-ab-cd-ef", "C4:2F:90:AB:CD:EF", " c42f90abcdef "] {
            assert_eq!(
                Mac::parse(text).map(|mac| mac.to_string()).as_deref(),
                Some("c4:2f:90:ab:cd:ef"),
                "{text}"
            );
        }
        for text in [
            "",
            "c4-2f-90-ab-cd",
            "c4-2f-90-ab-cd-eg",
            "00-00-00-00-00-00",
            "01:00:5e:7f:ff:fa",
            "ff:ff:ff:ff:ff:ff",
        ] {
            assert_eq!(Mac::parse(text), None, "{text}");
        }
        assert_eq!(Mac::parse(&"-".repeat(10_000)), None);
    }

    #[test]
    fn a_network_card_tells_its_maker() {
        let maker = |text: &str| Mac::parse(text).and_then(Mac::maker);
        assert_eq!(maker("44:19:b6:11:22:33"), Some("Hikvision"));
        assert_eq!(maker("3c:ef:8c:41:6c:ce"), Some("Dahua"));
        assert_eq!(maker("00:40:8c:00:00:01"), Some("Axis"));
        assert_eq!(maker("48:ea:63:00:00:01"), Some("Uniview"));
        assert_eq!(maker("02:00:00:00:00:01"), None);
    }

    #[test]
    fn no_prefix_has_two_makers() {
        let all: Vec<u32> = CAMERA_MAKERS.iter().flat_map(|(_, prefixes)| prefixes.iter().copied()).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }
}
