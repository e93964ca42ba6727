//! What a box reports through the tunnel, and what it is told: `POST /box/v1/status` at the hub's inner address.
//! The sender is known by its address inside the tunnel, which its key alone may use.

use serde::{Deserialize, Serialize};

use crate::enrol::{Findable, Hub};
use crate::{CameraId, CameraState};

/// A box's report: every 30 s, and at once when a camera's state has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Its firmware's version.
    pub version: String,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// Its clock, milliseconds since 1970.
    pub time_ms: u64,
    /// Every camera that it streams or tries to.
    pub cameras: Vec<CameraReport>,
    /// The way out.
    pub uplink: Uplink,
    /// How people who stand before it find its page; boxes of older versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findable: Option<Findable>,
}

/// One camera in a [`Report`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CameraReport {
    /// Its name in the box's own links.
    pub id: CameraId,
    /// What people call it.
    pub name: String,
    /// What it is doing.
    pub state: CameraState,
    /// Which of its pictures goes out.
    pub stream: Picture,
    /// Frames per second, measured.
    pub fps: f32,
    /// Bits per second, measured.
    pub bit_rate: u64,
    /// Milliseconds since the last picture came; `None` before the first, and from older boxes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_frame_age_ms: Option<u64>,
    /// Milliseconds since the last picture came that decoding may start at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyframe_age_ms: Option<u64>,
    /// From the last packet of a picture, as it was read from the camera's connection, to the end of its part, when a
    /// viewer could fetch it: the mean over the pictures of the last half to full minute, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u32>,
    /// How long the camera's RTSP port took to accept a TCP connection, milliseconds, asked every 30 s; `None` when it
    /// did not, or has not been asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_ms: Option<u32>,
    /// Stretches without a picture that no report has told yet as far as its sender knows, oldest first; the last one
    /// may still go on. Told again, one is the same one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outages: Vec<Outage>,
}

/// A stretch without a picture, from the last picture before it to the first one after. In ages at the moment of the
/// report, so that no two clocks have to agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// Milliseconds since it began.
    pub from_age_ms: u64,
    /// Milliseconds since it ended; `None` while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_age_ms: Option<u64>,
    /// What stood in the way last: [`crate::Trouble::code`], or empty when nothing is known.
    #[serde(default)]
    pub reason: String,
}

/// The large or the small picture of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Picture {
    /// The main stream.
    #[default]
    Main,
    /// The sub-stream.
    Sub,
}

/// The box's way to the cloud.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Uplink {
    /// `udp`, or `tls` while UDP gets no answer.
    pub via: String,
    /// Bits per second that went out through the tunnel, over the last 30 s.
    pub sent_bit_rate: u64,
    /// True while it carries less than the cameras that are watched need.
    pub short: bool,
    /// The cap that the owner set, bits per second.
    pub cap_bit_rate: Option<u64>,
}

/// The cloud's answer to a [`Report`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The cloud's clock, milliseconds since 1970. It came through the tunnel, so it may be trusted.
    pub time_ms: u64,
    /// The public links of the cameras reported.
    pub cameras: Vec<CameraLink>,
    /// The hubs by which the box may reach the cloud from now on, best first; empty from clouds of older versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hubs: Vec<Hub>,
}

/// The public link of one camera.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CameraLink {
    /// Its name in the box's own links.
    pub id: CameraId,
    /// Its public id: 128 random bits in 26 characters, the same for ever.
    pub public_id: CameraId,
    /// The page to open: `https://…/{public_id}/`.
    pub url: String,
    /// False: the owner has switched the link off.
    pub on: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{"id":"gate","name":"Gate","state":{"state":"connecting"},"stream":"main","fps":25.0,"bit_rate":9}"#;

    #[test]
    fn a_box_that_measures_less_is_understood() -> Result<(), serde_json::Error> {
        let camera: CameraReport = serde_json::from_str(OLD)?;
        assert_eq!((camera.last_frame_age_ms, camera.ping_ms, camera.outages.len()), (None, None, 0));
        assert_eq!(serde_json::to_string(&camera)?, OLD, "what was not measured is not said");
        Ok(())
    }

    /// What the clouds before this version read.
    #[derive(Deserialize)]
    struct OldCloud {
        fps: f32,
    }

    #[test]
    fn a_cloud_that_knows_less_reads_the_rest() -> Result<(), serde_json::Error> {
        let mut camera: CameraReport = serde_json::from_str(OLD)?;
        camera.ping_ms = Some(3);
        camera.outages = vec![Outage { from_age_ms: 9_000, to_age_ms: Some(2_000), reason: "closed".into() }];
        let text = serde_json::to_string(&camera)?;
        let old: OldCloud = serde_json::from_str(&text)?;
        assert!((old.fps - 25.0).abs() < f32::EPSILON);
        assert_eq!(serde_json::from_str::<CameraReport>(&text)?, camera);
        Ok(())
    }
}
