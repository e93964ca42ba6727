//! Ids of cameras and boxes: short, safe in a path, a host name, a file name and a log line.

use core::fmt;

use serde::{Deserialize, Serialize};

/// The name of one camera: 1 to 32 characters of `a-z`, `0-9`, `-` and `_`, starting with a letter or digit.
///
/// It is the first path segment of every link (`/{camera_id}/index.m3u8`), so the names that the front door
/// keeps for itself ([`CameraId::RESERVED`]) are refused.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct CameraId(heapless::String<32>);

/// Why a text is not a [`CameraId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidCameraId;

impl CameraId {
    /// First path segments that belong to the front door.
    pub const RESERVED: [&'static str; 6] = ["api", "healthz", "metrics", "assets", "join", "setup"];

    /// Checks a text.
    ///
    /// # Errors
    /// [`InvalidCameraId`] when the text is empty, too long, reserved, or has another character.
    pub fn new(text: &str) -> Result<Self, InvalidCameraId> {
        let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = text.bytes().next().is_some_and(word)
            && text.bytes().all(|byte| word(byte) || byte == b'-' || byte == b'_')
            && !Self::RESERVED.contains(&text);
        if !fits {
            return Err(InvalidCameraId);
        }
        heapless::String::try_from(text).map(Self).map_err(|_| InvalidCameraId)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for CameraId {
    type Error = InvalidCameraId;

    fn try_from(text: &str) -> Result<Self, InvalidCameraId> {
        Self::new(text)
    }
}

impl TryFrom<String> for CameraId {
    type Error = InvalidCameraId;

    fn try_from(text: String) -> Result<Self, InvalidCameraId> {
        Self::new(&text)
    }
}

impl core::str::FromStr for CameraId {
    type Err = InvalidCameraId;

    fn from_str(text: &str) -> Result<Self, InvalidCameraId> {
        Self::new(text)
    }
}

impl fmt::Display for CameraId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CameraId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for InvalidCameraId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a camera id is 1 to 32 characters of a-z, 0-9, - and _, starts with a letter or digit, and is not one of ")?;
        f.write_str(&CameraId::RESERVED.join(", "))
    }
}

impl core::error::Error for InvalidCameraId {}

/// The name of one box: 26 characters of `a-z` and `2-7`, the first 128 bits of its identity key's hash.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct BoxId(heapless::String<{ BoxId::LENGTH }>);

/// Why a text is not a [`BoxId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidBoxId;

impl BoxId {
    /// Characters of an id: 128 bits, five a character.
    pub const LENGTH: usize = 26;

    /// Checks a text.
    ///
    /// # Errors
    /// [`InvalidBoxId`] when it has another length or another character.
    pub fn new(text: &str) -> Result<Self, InvalidBoxId> {
        let fits =
            text.len() == Self::LENGTH && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
        if !fits {
            return Err(InvalidBoxId);
        }
        heapless::String::try_from(text).map(Self).map_err(|_| InvalidBoxId)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for BoxId {
    type Error = InvalidBoxId;

    fn try_from(text: String) -> Result<Self, InvalidBoxId> {
        Self::new(&text)
    }
}

impl core::str::FromStr for BoxId {
    type Err = InvalidBoxId;

    fn from_str(text: &str) -> Result<Self, InvalidBoxId> {
        Self::new(text)
    }
}

impl fmt::Display for BoxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BoxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for InvalidBoxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a box id is {} characters of a-z and 2-7", BoxId::LENGTH)
    }
}

impl core::error::Error for InvalidBoxId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_safe_in_a_path() {
        for good in ["gate", "cam-1", "9", "a_b", &"x".repeat(32)] {
            assert!(CameraId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "Gate", "a/b", "..", "a b", "ж", "api", "assets", &"x".repeat(33)] {
            assert!(CameraId::new(bad).is_err(), "{bad}");
        }
    }
}
