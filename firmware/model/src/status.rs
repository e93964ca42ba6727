//! What a box reports through the tunnel, and what it is told: `POST /box/v1/status` at the hub's inner address.
//! The sender is known by its address inside the tunnel, which its key alone may use.

use serde::{Deserialize, Serialize};

use crate::enrol::Findable;
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
