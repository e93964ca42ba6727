//! What is known of cameras by their maker: RTSP paths (port 554, channel 1), and where their menus let ONVIF in. Pure.

use crate::source::StreamChoice;

/// One family of paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vendor {
    /// Words in a device's maker or model (lower case) that name the family.
    pub hints: &'static [&'static str],
    /// Path and query of the main stream.
    pub main: &'static str,
    /// Path and query of the sub-stream; the main one where there is none.
    pub sub: &'static str,
}

/// The families, the most common first. A family with an older path has a row for each.
pub const VENDORS: &[Vendor] = &[
    Vendor {
        hints: &["hikvision", "hilook", "hiwatch"],
        main: "/Streaming/Channels/101",
        sub: "/Streaming/Channels/102",
    },
    Vendor {
        hints: &["dahua", "imou", "amcrest"],
        main: "/cam/realmonitor?channel=1&subtype=0",
        sub: "/cam/realmonitor?channel=1&subtype=1",
    },
    Vendor { hints: &["tp-link", "tplink", "tapo", "vigi"], main: "/stream1", sub: "/stream2" },
    Vendor { hints: &["uniview", "unv"], main: "/unicast/c1/s0/live", sub: "/unicast/c1/s1/live" },
    Vendor { hints: &["uniview", "unv"], main: "/media/video1", sub: "/media/video2" },
    Vendor {
        hints: &["axis"],
        main: "/axis-media/media.amp?camera=1",
        sub: "/axis-media/media.amp?camera=1",
    },
    // Sources disagree which profile is the main one: 1 is MJPEG on many, so 2 first.
    Vendor {
        hints: &["hanwha", "samsung", "wisenet"],
        main: "/profile2/media.smp",
        sub: "/profile3/media.smp",
    },
    Vendor { hints: &["reolink"], main: "/Preview_01_main", sub: "/Preview_01_sub" },
    Vendor { hints: &["reolink"], main: "/h264Preview_01_main", sub: "/h264Preview_01_sub" },
    Vendor {
        hints: &["hikvision", "hilook", "hiwatch"],
        main: "/h264/ch1/main/av_stream",
        sub: "/h264/ch1/sub/av_stream",
    },
];

/// Words in a maker or model (lower case), and where in that maker's own menu ONVIF is let in, in the menu's words.
///
/// A maker whose menu no public source shows is not in it (Uniview, VIGI): the page then says what to look for.
const MENUS: &[(&[&str], &str)] = &[
    // Off since firmware 5.5; its users are others than the camera's:
    // https://securitycamcenter.com/enable-onvif-hikvision-cameras/
    (
        &["hikvision", "hilook", "hiwatch"],
        "Configuration > Network > Advanced Settings > Integration Protocol > Enable ONVIF",
    ),
    // Users of its own as well: Dahua DH-IPC-PDBW82041N-B360, Operation Manual, 6.6.2.3; DH-IPC-HDBW5231E, User's Manual, 4.8.4.3.
    (&["dahua", "amcrest"], "Setting > System > Account > ONVIF User"),
    // The account is made in the app, and RTSP and ONVIF are off until it is: https://www.tp-link.com/us/support/faq/2680/
    (&["tapo", "tp-link", "tplink"], "Tapo app > Device Settings > Advanced Settings > Camera Account"),
    // The first ONVIF account switches it on: AXIS OS web interface help, "System", "ONVIF".
    (&["axis"], "System > ONVIF > Add accounts"),
    // What ONVIF may do is said for each user: Hanwha XNF-8010RW, User Manual, "User".
    (&["hanwha", "samsung", "wisenet"], "Setup > Basic > User"),
    // https://support.reolink.com/hc/en-us/articles/360008718893-Introduction-to-ONVIF-Protocol/ (older: Port Settings)
    (&["reolink"], "Settings > Network > Advanced > Server Settings > ONVIF"),
];

/// Where ONVIF is let in, in the words of the maker's own menu; `maker` may hold the model, too. `None` where it is not known.
pub fn menu(maker: &str) -> Option<&'static str> {
    let known = maker.to_lowercase();
    // VIGI is TP-Link's, too, but has another menu.
    let is_vigi = known.contains("vigi");
    let named = |words: &[&str]| words.iter().any(|word| known.contains(word)) && !is_vigi;
    MENUS.iter().find(|(words, _)| named(words)).map(|(_, menu)| *menu)
}

/// Paths to try on a device, best first: those of its maker where it is known, then all others.
pub fn candidates(maker_and_model: &str, choice: StreamChoice) -> Vec<&'static str> {
    let known = maker_and_model.to_lowercase();
    let is_named = |vendor: &&Vendor| vendor.hints.iter().any(|hint| known.contains(hint));
    let named = VENDORS.iter().filter(is_named);
    let others = VENDORS.iter().filter(|vendor| !is_named(vendor));
    named
        .chain(others)
        .map(|vendor| if choice == StreamChoice::Sub { vendor.sub } else { vendor.main })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_makers_own_paths_come_first() {
        let paths = candidates("Dahua IPC-HFW", StreamChoice::Auto);
        assert_eq!(paths.first(), Some(&"/cam/realmonitor?channel=1&subtype=0"));
        assert_eq!(paths.len(), VENDORS.len());
        let paths = candidates("REOLINK RLC-810A", StreamChoice::Sub);
        assert_eq!(paths.get(..2), Some(&["/Preview_01_sub", "/h264Preview_01_sub"][..]));
        assert_eq!(candidates("", StreamChoice::Main).first(), Some(&"/Streaming/Channels/101"));
    }

    #[test]
    fn a_menu_is_told_only_where_it_is_known() {
        assert_eq!(menu("HIKVISION"), menu("HiLook IPC-T240H"));
        assert!(menu("TP-Link Tapo C210").unwrap().contains("Camera Account"));
        assert_eq!(menu("TP-Link VIGI C440"), None);
        assert_eq!((menu("Uniview"), menu("")), (None, None));
        for maker in ["Dahua", "AXIS", "Hanwha Vision", "reolink"] {
            assert!(menu(maker).unwrap().contains(" > "), "{maker}");
        }
    }

    #[test]
    fn every_path_is_one() {
        for vendor in VENDORS {
            for path in [vendor.main, vendor.sub] {
                assert!(
                    path.starts_with('/') && url::Url::parse(&format!("rtsp://10.0.0.1{path}")).is_ok(),
                    "{path}"
                );
            }
        }
    }
}
