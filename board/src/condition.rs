//! What the box is doing, in four words. Page and lights show this one value, and [`decide`] is the only place that makes it.

use std::fmt;
use std::time::Duration;

use model::Trouble;
use serde::{Deserialize, Serialize};

/// A camera that did not answer for this long does not come back by itself: somebody must look at its power or cable. A
/// camera needs up to 90 s to start, and its worker's pauses between tries end at 60 s.
pub const UNSEEN: Duration = Duration::from_secs(150);

/// What the box is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It has power and no network.
    Plugged,
    /// It has a network, and not all cameras that it wants.
    Searching,
    /// All cameras that it wants are live.
    Streaming,
    /// Something stands in the way that only a person can put right.
    Trouble,
}

/// What [`decide`] looks at.
#[derive(Debug, Clone, Default)]
pub struct Facts<'a> {
    /// Whether any network interface has a cable and an address.
    pub network: bool,
    /// The cameras that are wanted; those that are switched off are not among them.
    pub cameras: Vec<Camera<'a>>,
    /// Whether something else waits for a person: the cloud has revoked the box, the state directory cannot be written.
    pub blocked: bool,
}

/// One camera that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Camera<'a> {
    /// Whether its pictures arrive.
    pub live: bool,
    /// What stands in its way.
    pub trouble: Option<&'a Trouble>,
    /// For how long there was no picture.
    pub dark_for: Duration,
}

/// What the box is doing. Without a network nothing else can be known; what a person must do comes before what goes well.
pub fn decide(facts: &Facts<'_>) -> Condition {
    if !facts.network {
        Condition::Plugged
    } else if facts.blocked || facts.cameras.iter().any(Camera::needs_person) {
        Condition::Trouble
    } else if !facts.cameras.is_empty() && facts.cameras.iter().all(|camera| camera.live) {
        Condition::Streaming
    } else {
        Condition::Searching
    }
}

impl Camera<'_> {
    fn needs_person(&self) -> bool {
        let Some(trouble) = self.trouble.filter(|_| !self.live) else { return false };
        match trouble {
            Trouble::WrongPassword
            | Trouble::PasswordNeeded
            | Trouble::NotRtsp { .. }
            | Trouble::NoSuchStream
            | Trouble::NoVideo
            | Trouble::UnsupportedCodec { .. }
            | Trouble::NotActivated
            | Trouble::OnvifOff
            | Trouble::ChangedDevice => true,
            // A cable that was pulled, a restart, a camera that is busy: often over before anybody could look.
            _ => self.dark_for >= UNSEEN,
        }
    }
}

impl Condition {
    /// Its name on the page and in files.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Plugged => "plugged",
            Self::Searching => "searching",
            Self::Streaming => "streaming",
            Self::Trouble => "trouble",
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(live: bool, trouble: Option<&Trouble>, dark_s: u64) -> Camera<'_> {
        Camera { live, trouble, dark_for: Duration::from_secs(dark_s) }
    }

    fn with(cameras: Vec<Camera<'_>>) -> Condition {
        decide(&Facts { network: true, cameras, blocked: false })
    }

    #[test]
    fn a_box_without_a_cable_is_only_plugged() {
        let wrong = Trouble::WrongPassword;
        let facts = Facts { network: false, cameras: vec![camera(false, Some(&wrong), 999)], blocked: true };
        assert_eq!(decide(&facts), Condition::Plugged);
    }

    #[test]
    fn it_searches_until_every_camera_is_live() {
        assert_eq!(with(vec![]), Condition::Searching);
        assert_eq!(with(vec![camera(true, None, 0), camera(false, None, 10)]), Condition::Searching);
        assert_eq!(with(vec![camera(true, None, 0), camera(true, None, 0)]), Condition::Streaming);
    }

    #[test]
    fn what_only_a_person_can_change_is_trouble_at_once_and_a_silent_camera_after_a_while() {
        for trouble in
            [Trouble::WrongPassword, Trouble::NotActivated, Trouble::OnvifOff, Trouble::NoSuchStream]
        {
            let cameras = vec![camera(true, None, 0), camera(false, Some(&trouble), 1)];
            assert_eq!(with(cameras), Condition::Trouble, "{trouble:?}");
        }
        let silent = Trouble::Unreachable { address: "10.0.0.7:554".into() };
        assert_eq!(with(vec![camera(false, Some(&silent), 149)]), Condition::Searching);
        assert_eq!(with(vec![camera(false, Some(&silent), 150)]), Condition::Trouble);
        // A trouble of earlier does not count for a camera that plays again.
        assert_eq!(with(vec![camera(true, Some(&Trouble::WrongPassword), 999)]), Condition::Streaming);
    }

    #[test]
    fn what_waits_for_a_person_beside_cameras_is_trouble_too() {
        let facts = Facts { network: true, cameras: vec![camera(true, None, 0)], blocked: true };
        assert_eq!(decide(&facts), Condition::Trouble);
    }

    #[test]
    fn the_page_reads_the_same_words_as_the_lights() {
        for condition in [Condition::Plugged, Condition::Searching, Condition::Streaming, Condition::Trouble]
        {
            assert_eq!(serde_json::to_value(condition).unwrap(), condition.word());
        }
    }
}
