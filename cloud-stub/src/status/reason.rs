//! Why there is no picture, in few words that every language has a sentence for.

use serde::{Deserialize, Serialize};

/// Why there is no picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The camera does not answer, sends nothing, or breaks off.
    Camera,
    /// It refuses the login, or somebody must look at it before it is shown one.
    Password,
    /// It answers, but what it is asked for is not there or no browser can play it.
    Settings,
    /// What reads it stopped and is started again.
    Reader,
    /// Nothing is heard of the whole site: no power, no network, or the way to the cloud.
    Site,
    /// The cloud itself was away.
    Cloud,
    /// The link was switched off: counts for nobody.
    Off,
    /// It is not in the box any more: counts for nobody.
    Removed,
}

impl Reason {
    const ALL: [Self; 8] = [
        Self::Camera,
        Self::Password,
        Self::Settings,
        Self::Reader,
        Self::Site,
        Self::Cloud,
        Self::Off,
        Self::Removed,
    ];

    /// Its word in the database and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Camera => "camera",
            Self::Password => "password",
            Self::Settings => "settings",
            Self::Reader => "reader",
            Self::Site => "site",
            Self::Cloud => "cloud",
            Self::Off => "off",
            Self::Removed => "removed",
        }
    }

    /// The reason of a word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// The reason of what a box says: [`model::Trouble::code`]. What is not known is the camera's.
    pub fn of_trouble(code: &str) -> Self {
        match code {
            "wrong_password" | "password_needed" | "changed_device" | "not_activated" | "locked" => {
                Self::Password
            }
            "no_such_stream" | "no_video" | "unsupported_codec" | "not_rtsp" | "too_large" | "onvif_off" => {
                Self::Settings
            }
            "worker_died" => Self::Reader,
            _ => Self::Camera,
        }
    }

    /// Whether its time counts as bad. Else it counts for nobody: neither as good nor as bad.
    pub const fn counts(self) -> bool {
        !matches!(self, Self::Off | Self::Removed)
    }
}

#[cfg(test)]
mod tests {
    use model::Trouble;

    use super::*;

    #[test]
    fn words_and_reasons_are_one_to_one() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_name(reason.name()), Some(reason));
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
        }
        assert_eq!(Reason::of_trouble(Trouble::WrongPassword.code()), Reason::Password);
        assert_eq!(Reason::of_trouble(Trouble::NoVideo.code()), Reason::Settings);
        assert_eq!(Reason::of_trouble("a word of a later box"), Reason::Camera);
    }
}
