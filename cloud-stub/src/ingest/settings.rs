//! What is kept of a camera of kind `pull`, as JSON.

use camera::{Address, Source as Target};
use model::CameraId;
use serde::{Deserialize, Serialize};

use super::seal::Safe;

/// Where it is, and its login.
#[derive(Serialize, Deserialize)]
pub(super) struct Pull {
    /// The RTSP address without a login.
    url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

impl Pull {
    /// What is kept of a source; `None` when it is not RTSP or cannot be sealed.
    pub(super) fn of(source: &Target, safe: &Safe, random: [u8; 16]) -> Option<Self> {
        let Address::Rtsp(url) = &source.address else { return None };
        let password = match &source.password {
            Some(password) => Some(safe.seal(password, random)?),
            None => None,
        };
        Some(Self { url: url.to_string(), user: source.user.clone(), password })
    }

    /// The source again.
    ///
    /// # Errors
    /// A sentence for its owner.
    pub(super) fn source(self, id: &CameraId, safe: &Safe) -> Result<Target, String> {
        let password = self.password.map(|sealed| safe.open(&sealed)).transpose();
        let password = password.map_err(|error| error.to_string())?;
        // What stands before an @ was taken out before it was kept.
        let source = Target::new(id.clone(), &self.url, None, None).map_err(|error| error.to_string())?;
        Ok(Target { user: self.user, password, ..source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_holds_no_secret_and_gives_the_source_again() {
        let id = CameraId::new("gate").unwrap();
        let safe = Safe::new(&[3; 32]).unwrap();
        let source =
            Target::new(id.clone(), "rtsps://us%20er:can@ry@cam.example.org:8322/1?a=b", None, None).unwrap();
        let text = serde_json::to_string(&Pull::of(&source, &safe, [1; 16]).unwrap()).unwrap();
        assert!(!text.contains("can@ry"), "{text}");
        assert_eq!(serde_json::from_str::<Pull>(&text).unwrap().source(&id, &safe), Ok(source));
        let onvif = Target::new(id, "http://cam.example.org", None, None).unwrap();
        assert!(Pull::of(&onvif, &safe, [1; 16]).is_none());
    }
}
