//! Where a board has its lights and its button, as a configuration file or a board's own data file writes it.

use std::str::FromStr;

use serde::Deserialize;

/// Which lights.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub enum LightsAt {
    /// None: `none`.
    #[default]
    None,
    /// A simulated one in the state directory: `file`.
    File,
    /// An LED of the kernel's: `sysfs:NAME`.
    Sysfs(String),
}

/// Which button.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub enum ButtonAt {
    /// None: `none`.
    #[default]
    None,
    /// A simulated one, a named pipe in the state directory: `pipe`.
    Pipe,
    /// An input device of the kernel's: `evdev:NAME`.
    Evdev(String),
}

/// A text that names no such thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnknownPlace(&'static str);

impl FromStr for LightsAt {
    type Err = UnknownPlace;

    fn from_str(text: &str) -> Result<Self, UnknownPlace> {
        match (text, text.strip_prefix("sysfs:")) {
            ("none", _) => Ok(Self::None),
            ("file", _) => Ok(Self::File),
            (_, Some(name)) if !name.is_empty() => Ok(Self::Sysfs(name.to_owned())),
            _ => Err(UnknownPlace(
                "lights are \"none\", \"file\", or \"sysfs:NAME\" with a name of /sys/class/leds",
            )),
        }
    }
}

impl FromStr for ButtonAt {
    type Err = UnknownPlace;

    fn from_str(text: &str) -> Result<Self, UnknownPlace> {
        match (text, text.strip_prefix("evdev:")) {
            ("none", _) => Ok(Self::None),
            ("pipe", _) => Ok(Self::Pipe),
            (_, Some(name)) if !name.is_empty() => Ok(Self::Evdev(name.to_owned())),
            _ => Err(UnknownPlace(
                "a button is \"none\", \"pipe\", or \"evdev:NAME\" with a name of /dev/input",
            )),
        }
    }
}

impl TryFrom<String> for LightsAt {
    type Error = UnknownPlace;

    fn try_from(text: String) -> Result<Self, UnknownPlace> {
        text.parse()
    }
}

impl TryFrom<String> for ButtonAt {
    type Error = UnknownPlace;

    fn try_from(text: String) -> Result<Self, UnknownPlace> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_anything_else_is_refused_with_what_is_allowed() {
        assert_eq!("sysfs:box:status".parse(), Ok(LightsAt::Sysfs("box:status".to_owned())));
        assert_eq!("file".parse(), Ok(LightsAt::File));
        assert_eq!("evdev:event0".parse(), Ok(ButtonAt::Evdev("event0".to_owned())));
        assert_eq!("pipe".parse(), Ok(ButtonAt::Pipe));
        for wrong in ["", "led0", "sysfs:", "evdev:"] {
            assert!(wrong.parse::<LightsAt>().unwrap_err().to_string().contains("sysfs:NAME"), "{wrong}");
            assert!(wrong.parse::<ButtonAt>().unwrap_err().to_string().contains("evdev:NAME"), "{wrong}");
        }
    }
}
