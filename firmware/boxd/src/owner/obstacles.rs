//! What stands in the way of a picture, or makes it worse than it could be, in the page's words. Pure.

use model::{CodecKind, Device, DeviceKey, Trouble};
use setup::desk::{Fix, Obstacle};

/// A GOP of more seconds than this costs every viewer who comes in a wait, and the delay grows with it.
const LONG_GOP: f64 = 2.5;

/// A camera at one moment.
#[derive(Debug, Default)]
pub(super) struct Looks<'a> {
    pub(super) trouble: Option<&'a Trouble>,
    /// When a refused login may be shown again, milliseconds since 1970.
    pub(super) until_ms: Option<u64>,
    pub(super) codec: Option<CodecKind>,
    /// Seconds between keyframes; 0 while unknown.
    pub(super) gop_seconds: f64,
    /// As far as somebody told.
    pub(super) maker: Option<&'a str>,
    /// The page may change it.
    pub(super) ours: bool,
}

/// What stands in a camera's way, worst first.
pub(super) fn of_camera(looks: &Looks<'_>) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    if let Some(trouble) = looks.trouble {
        obstacles.push(of_trouble(trouble, looks));
    }
    if looks.codec == Some(CodecKind::H265) {
        obstacles.push(Obstacle {
            fix: Some(Fix::Improve),
            ..plain(
                "h265_only",
                "The camera sends H.265, which not every browser plays: let the box set it to H.264.",
            )
        });
    }
    if looks.gop_seconds > LONG_GOP {
        let seconds = (looks.gop_seconds * 10.0).round() / 10.0;
        obstacles.push(Obstacle {
            number: Some(seconds),
            fix: Some(Fix::Improve),
            ..plain(
                "long_gop",
                &format!(
                    "The camera sends a whole picture only every {seconds} s, so the video starts late: let the box set it to 1 s."
                ),
            )
        });
    }
    obstacles
}

fn of_trouble(trouble: &Trouble, looks: &Looks<'_>) -> Obstacle {
    let sentence = trouble.to_string();
    let fix = match trouble {
        Trouble::WrongPassword | Trouble::PasswordNeeded if looks.ours => Some(Fix::Login),
        Trouble::NotActivated | Trouble::OnvifOff | Trouble::UnsupportedCodec { .. } => Some(Fix::OpenDevice),
        _ => None,
    };
    let menu = match trouble {
        Trouble::OnvifOff => camera::vendor::menu(looks.maker.unwrap_or_default()),
        _ => None,
    };
    let until_ms =
        looks.until_ms.filter(|_| matches!(trouble, Trouble::WrongPassword | Trouble::Locked { .. }));
    Obstacle { menu: menu.map(str::to_owned), until_ms, fix, ..plain(trouble.code(), &sentence) }
}

/// What stands in a device's way before it is a camera. `near`: one of its addresses is in a subnet of the box.
pub(super) fn of_device(device: &Device, near: bool, changed: bool) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    if changed {
        obstacles.push(Obstacle {
            fix: Some(Fix::Login),
            ..plain("changed_device", &Trouble::ChangedDevice.to_string())
        });
    }
    if device.activated == Some(false) {
        obstacles.push(Obstacle {
            fix: Some(Fix::OpenDevice),
            ..plain("not_activated", &Trouble::NotActivated.to_string())
        });
    }
    if !near && !device.addresses.is_empty() {
        obstacles.push(Obstacle {
            fix: Some(Fix::Reach),
            ..plain(
                "other_subnet",
                "The camera has an address of another network, so the box cannot reach it: let the box take a second address for a while.",
            )
        });
    }
    // The other network comes first: nobody opens the page of a camera that cannot be reached.
    obstacles.sort_by_key(|obstacle| obstacle.code != "other_subnet");
    obstacles
}

/// Whether two keys can be the same device's.
pub(super) fn same(device: &Device, key: Option<&DeviceKey>) -> bool {
    key == Some(&device.key)
}

fn plain(code: &str, sentence: &str) -> Obstacle {
    Obstacle {
        code: code.to_owned(),
        sentence: sentence.to_owned(),
        menu: None,
        until_ms: None,
        number: None,
        fix: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(obstacles: &[Obstacle]) -> Vec<&str> {
        obstacles.iter().map(|obstacle| obstacle.code.as_str()).collect()
    }

    #[test]
    fn a_good_camera_has_nothing_in_its_way_and_a_bad_one_has_it_in_order() {
        let good = Looks { codec: Some(CodecKind::H264), gop_seconds: 2.0, ..Looks::default() };
        assert!(of_camera(&good).is_empty());
        let slow = Looks { codec: Some(CodecKind::H265), gop_seconds: 10.04, ..Looks::default() };
        let told = of_camera(&slow);
        assert_eq!(codes(&told), ["h265_only", "long_gop"]);
        assert_eq!((told[1].number, told[1].fix), (Some(10.0), Some(Fix::Improve)));
    }

    #[test]
    fn a_refused_login_says_when_it_is_tried_again_and_asks_for_another() {
        let looks = Looks {
            trouble: Some(&Trouble::WrongPassword),
            until_ms: Some(5),
            ours: true,
            ..Looks::default()
        };
        let told = of_camera(&looks);
        assert_eq!(
            (told[0].code.as_str(), told[0].until_ms, told[0].fix),
            ("wrong_password", Some(5), Some(Fix::Login))
        );
        let file = Looks { ours: false, ..looks };
        assert_eq!(of_camera(&file)[0].fix, None, "the configuration file is changed elsewhere");
    }

    #[test]
    fn a_new_camera_of_another_network_says_both() {
        let mut device = Device::new(DeviceKey::Mac("00:11:22:33:44:55".into()));
        device.addresses = vec!["192.168.1.64".parse().unwrap()];
        device.activated = Some(false);
        assert_eq!(codes(&of_device(&device, false, false)), ["other_subnet", "not_activated"]);
        assert_eq!(codes(&of_device(&device, true, true)), ["changed_device", "not_activated"]);
    }
}
