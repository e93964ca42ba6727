//! What the player page says of a camera: plain words for a stranger, without what only the owner may know (addresses,
//! makers, what exactly is wrong).

use model::{CameraState, CodecKind, Trouble};
use serde_json::{Value, json};

use super::directory::Camera;
use super::upstream::Contact;

/// A box reports every 30 s; two reports may get lost.
const SILENT_MS: u64 = 75_000;

/// The site itself cannot be reached.
const SITE_OFFLINE: &str = "The camera's site is offline. The picture comes back by itself.";
/// The site is there, the camera is not.
const CAMERA_OFFLINE: &str = "The camera is offline. The picture comes back by itself.";
/// Only somebody there can change it.
const NEEDS_CARE: &str = "The camera cannot be shown until somebody at its site sets it right.";

/// What stands in a viewer's way, and since when (milliseconds since 1970).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Obstacle {
    /// The sentence.
    pub(super) sentence: &'static str,
    /// `None`: not known.
    pub(super) since_ms: Option<u64>,
}

/// A box that is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Away {
    /// Its last sign of life, milliseconds since 1970; `None` when there was none.
    pub(super) since_ms: Option<u64>,
}

/// Whether a box is away: it was not heard for long, or could not be reached since. `heard_ms` is its last report.
pub(super) fn away(heard_ms: Option<u64>, contact: Contact, now_ms: u64) -> Option<Away> {
    let since_ms = heard_ms.max(contact.answered_ms);
    let silent = since_ms.is_some_and(|since| now_ms.saturating_sub(since) > SILENT_MS);
    (silent || contact.failed_ms > since_ms).then_some(Away { since_ms })
}

/// What stands in the way of a camera's picture.
pub(super) fn obstacle(camera: &Camera, contact: Contact, now_ms: u64) -> Option<Obstacle> {
    if let Some(Away { since_ms }) = away(camera.heard_ms, contact, now_ms) {
        return Some(Obstacle { sentence: SITE_OFFLINE, since_ms });
    }
    let trouble = camera.state.as_ref()?.trouble()?;
    let sentence = match trouble {
        Trouble::WrongPassword
        | Trouble::PasswordNeeded
        | Trouble::NotRtsp { .. }
        | Trouble::NoSuchStream
        | Trouble::NoVideo
        | Trouble::UnsupportedCodec { .. } => NEEDS_CARE,
        _ => CAMERA_OFFLINE,
    };
    Some(Obstacle { sentence, since_ms: camera.since_ms })
}

/// `/{public_id}/status`, in the form that the player page knows from the box.
pub(super) fn json(camera: &Camera, obstacle: Option<Obstacle>, now_ms: u64) -> Value {
    let (state, video) = match (&camera.state, obstacle) {
        (_, Some(_)) => ("offline", None),
        (Some(CameraState::Streaming(facts)), None) => ("streaming", Some(facts.video)),
        _ => ("connecting", None),
    };
    let video = video.map(|video| match video {
        CodecKind::H264 => "h264",
        CodecKind::H265 => "h265",
        CodecKind::Aac => "aac",
    });
    json!({
        "now_ms": now_ms,
        "state": { "state": state, "video": video },
        "sentence": obstacle.map(|obstacle| obstacle.sentence),
        "since_ms": obstacle.map_or(camera.since_ms, |obstacle| obstacle.since_ms),
        "facts": {},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn camera(state: Option<CameraState>, heard_ms: Option<u64>) -> Camera {
        Camera { name: "Gate".into(), state, since_ms: Some(NOW - 5000), heard_ms }
    }

    #[test]
    fn a_site_is_offline_since_its_last_sign_of_life() {
        let contact = |answered_ms, failed_ms| Contact { answered_ms, failed_ms };
        let nobody_asked = Contact::default();
        let away_since = |since_ms| Some(Away { since_ms });
        assert_eq!(away(Some(NOW - 30_000), nobody_asked, NOW), None);
        assert_eq!(away(Some(NOW - 80_000), nobody_asked, NOW), away_since(Some(NOW - 80_000)));
        assert_eq!(away(Some(NOW - 80_000), contact(Some(NOW - 100), None), NOW), None, "it plays");
        let noticed = away(Some(NOW - 20_000), contact(Some(NOW - 3000), Some(NOW - 10)), NOW);
        assert_eq!(noticed, away_since(Some(NOW - 3000)), "a fetch notices first");
        assert_eq!(away(Some(NOW - 5), contact(None, Some(NOW - 10)), NOW), None, "it reported since");
        assert_eq!(away(None, contact(None, Some(NOW)), NOW), away_since(None));
        assert_eq!(away(None, nobody_asked, NOW), None, "the cloud itself has just started");
    }

    #[test]
    fn a_stranger_learns_nothing_of_the_factory() {
        let trouble = Trouble::Unreachable { address: "192.168.1.64:554".into() };
        let state = CameraState::Waiting { trouble, retry_in_ms: 1 };
        let camera = camera(Some(state), Some(NOW));
        let said = json(&camera, obstacle(&camera, Contact::default(), NOW), NOW).to_string();
        assert!(said.contains("camera is offline") && said.contains(&(NOW - 5000).to_string()), "{said}");
        assert!(!said.contains("192.168"), "{said}");
        let facts = model::StreamFacts {
            url: "rtsp://10.0.0.9/secret".into(),
            video: CodecKind::H265,
            size: (1, 1),
            audio: None,
            notes: vec!["note".into()],
        };
        let camera = Camera { state: Some(CameraState::Streaming(facts)), ..camera };
        let said = json(&camera, obstacle(&camera, Contact::default(), NOW), NOW);
        assert_eq!(said["state"], json!({ "state": "streaming", "video": "h265" }));
        assert!(!said.to_string().contains("10.0.0.9"), "{said}");
    }
}
