//! What a camera is doing, as values that a page, a metric and a log line can each show.

use core::fmt;

use serde::{Deserialize, Serialize};

/// What one camera is doing now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum CameraState {
    /// Its worker is being started, or is asking the camera which stream to take.
    Connecting,
    /// Access units arrive.
    Streaming(StreamFacts),
    /// Something stands in the way; the worker tries again by itself.
    Waiting {
        /// What stands in the way.
        trouble: Trouble,
        /// Milliseconds from this report until the next try.
        retry_in_ms: u64,
    },
    /// Something stands in the way that only the owner can change; nothing is tried until then.
    Stopped {
        /// What stands in the way.
        trouble: Trouble,
    },
}

/// What is known of a running stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamFacts {
    /// The stream's address without user and password.
    pub url: String,
    /// The video codec.
    pub video: CodecKind,
    /// Picture size in pixels: width, height.
    pub size: (u32, u32),
    /// The audio codec that is passed on, if any.
    pub audio: Option<CodecKind>,
    /// What was left out or chosen otherwise than the owner would expect, in a plain sentence each
    /// (for example: G.711 sound is dropped because browsers cannot play it in HLS).
    pub notes: Vec<String>,
}

/// A codec that the box passes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodecKind {
    /// ITU-T H.264.
    H264,
    /// ITU-T H.265.
    H265,
    /// MPEG-4 AAC.
    Aac,
}

/// A codec by the name that the camera gave it, passed on or not.
pub type Codec = String;

/// What stands between the box and a camera's picture. [`fmt::Display`] is the sentence for the owner: what is
/// wrong, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "trouble", rename_all = "snake_case")]
pub enum Trouble {
    /// The camera refused the user name and password (RTSP or ONVIF).
    WrongPassword,
    /// The camera asks for a password and none was given.
    PasswordNeeded,
    /// The host name has no address.
    UnknownHost {
        /// The host as given.
        host: String,
    },
    /// Nothing answers at the address: refused, no route, or silent.
    Unreachable {
        /// Host and port.
        address: String,
    },
    /// Something answers, but it does not speak RTSP.
    NotRtsp {
        /// Host and port.
        address: String,
    },
    /// The camera knows no such stream (404).
    NoSuchStream,
    /// The description of the stream has no video in it.
    NoVideo,
    /// The video's codec cannot be passed on.
    UnsupportedCodec {
        /// The codec's name.
        codec: Codec,
    },
    /// The connection stands but no picture came for this long.
    Stalled {
        /// Seconds without an access unit.
        seconds: u32,
    },
    /// The camera has no free session (453).
    Busy,
    /// The camera closed the connection.
    Closed,
    /// The camera sends more than the box accepts (access unit, description, header).
    TooLarge {
        /// What was too large.
        what: String,
    },
    /// The camera broke the protocol.
    Protocol {
        /// What it did, without secrets.
        detail: String,
    },
    /// The camera's own worker process died; it is started again.
    WorkerDied,
    /// Another device than the one that the owner picked is at the camera's address: it is shown no login.
    ChangedDevice,
    /// The camera is new and has no password yet: it answers nothing before it gets one.
    NotActivated,
    /// RTSP answers at the address, but ONVIF does on none of its usual ports: the owner must switch it on.
    OnvifOff,
    /// The camera refuses every login for a while, the right one too.
    Locked {
        /// Seconds until it ends, from this report.
        seconds: u32,
    },
    /// What was asked to be changed cannot be H.264.
    NoH264 {
        /// The name of another of its streams that is H.264, if it has one.
        other: Option<String>,
    },
    /// The camera refused to change its settings, or kept the old ones.
    Refused {
        /// What it said, without secrets.
        detail: String,
    },
    /// The camera has no still picture, or what it gives is none.
    NoSnapshot,
    /// A cloud does not contact the camera: its address is nobody's public one, or its port no camera's.
    Forbidden {
        /// Which, and who can allow it.
        detail: String,
    },
    /// The command that makes the pictures has ended.
    Command {
        /// The last that it said, or how it ended.
        detail: String,
    },
}

impl Trouble {
    /// A short stable name for metrics and tests, equal to the JSON tag.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::WrongPassword => "wrong_password",
            Self::PasswordNeeded => "password_needed",
            Self::UnknownHost { .. } => "unknown_host",
            Self::Unreachable { .. } => "unreachable",
            Self::NotRtsp { .. } => "not_rtsp",
            Self::NoSuchStream => "no_such_stream",
            Self::NoVideo => "no_video",
            Self::UnsupportedCodec { .. } => "unsupported_codec",
            Self::Stalled { .. } => "stalled",
            Self::Busy => "busy",
            Self::Closed => "closed",
            Self::TooLarge { .. } => "too_large",
            Self::Protocol { .. } => "protocol",
            Self::WorkerDied => "worker_died",
            Self::ChangedDevice => "changed_device",
            Self::NotActivated => "not_activated",
            Self::OnvifOff => "onvif_off",
            Self::Locked { .. } => "locked",
            Self::NoH264 { .. } => "no_h264",
            Self::Refused { .. } => "refused",
            Self::NoSnapshot => "no_snapshot",
            Self::Forbidden { .. } => "forbidden",
            Self::Command { .. } => "command",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongPassword => f.write_str(
                "The camera refused the user name or password. It is not tried again by itself, so that the camera does not lock you out: correct the password.",
            ),
            Self::PasswordNeeded => f.write_str("The camera asks for a user name and password: enter them."),
            Self::UnknownHost { host } => {
                write!(f, "No address is known for the name “{host}”: check the spelling, or use the camera's IP address.")
            }
            Self::Unreachable { address } => {
                write!(f, "Nothing answers at {address}: check that the camera has power and is on this network.")
            }
            Self::NotRtsp { address } => {
                write!(f, "Something answers at {address}, but it is not a camera stream (RTSP): check the address and port.")
            }
            Self::NoSuchStream => {
                f.write_str("The camera answers but knows no such stream: check the path at the end of the address.")
            }
            Self::NoVideo => f.write_str("The stream has no video in it: choose another stream of this camera."),
            Self::UnsupportedCodec { codec } => {
                write!(f, "The camera sends {codec}, which browsers cannot play: set its video to H.264 in the camera's own menu.")
            }
            Self::Stalled { seconds } => {
                write!(f, "The camera is connected but has sent no picture for {seconds} s: restart the camera if this stays.")
            }
            Self::Busy => f.write_str("The camera has no free connection: close other programs that watch it."),
            Self::Closed => f.write_str("The camera closed the connection; the box connects again."),
            Self::TooLarge { what } => write!(f, "The camera sends too much at once ({what}): lower its resolution or bit rate."),
            Self::Protocol { detail } => write!(f, "The camera's answer could not be understood: {detail}."),
            Self::WorkerDied => f.write_str("This camera's reader stopped unexpectedly and is being started again."),
            Self::ChangedDevice => f.write_str("Another device than before is at this camera's address, so it gets no password: if that is right, add it again."),
            Self::NotActivated => f.write_str("The camera is new and has no password yet: open its own page, give it one, then enter that here."),
            Self::OnvifOff => f.write_str("ONVIF is switched off in the camera, so the box cannot ask it anything: switch it on in the camera's own menu."),
            Self::Locked { seconds } => {
                let minutes = seconds.div_ceil(60).max(1);
                write!(f, "The camera refuses every login for another {minutes} min, the right one too: wait, then check the password.")
            }
            Self::NoH264 { other: Some(other) } => {
                write!(f, "This stream of the camera cannot be H.264, but its stream {other} is: choose that one.")
            }
            Self::NoH264 { other: None } => {
                f.write_str("The camera cannot send H.264: only browsers that play H.265 will show it.")
            }
            Self::Refused { detail } => {
                write!(f, "The camera refused the new settings ({detail}): set H.264 and a keyframe each second in its own menu.")
            }
            Self::NoSnapshot => f.write_str("The camera gives no still picture; its video is not affected."),
            Self::Forbidden { detail } => write!(f, "The camera is not contacted: {detail}."),
            Self::Command { detail } => write!(f, "The command that makes the pictures has ended ({detail}); it is started again."),
        }
    }
}

impl CameraState {
    /// What stands in the way, if anything does.
    pub const fn trouble(&self) -> Option<&Trouble> {
        match self {
            Self::Waiting { trouble, .. } | Self::Stopped { trouble } => Some(trouble),
            Self::Connecting | Self::Streaming(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_the_json_tag() -> Result<(), serde_json::Error> {
        let all = [
            Trouble::WrongPassword,
            Trouble::UnknownHost { host: "cam".into() },
            Trouble::Stalled { seconds: 10 },
            Trouble::TooLarge { what: "SDP".into() },
            Trouble::WorkerDied,
            Trouble::ChangedDevice,
            Trouble::NotActivated,
            Trouble::OnvifOff,
            Trouble::Locked { seconds: 1_800 },
            Trouble::NoH264 { other: None },
            Trouble::Refused { detail: "no".into() },
            Trouble::NoSnapshot,
            Trouble::Forbidden { detail: "no".into() },
            Trouble::Command { detail: "no".into() },
        ];
        for trouble in all {
            let json = serde_json::to_value(&trouble)?;
            assert_eq!(json["trouble"], trouble.code());
            assert!(!trouble.to_string().contains('_'), "a sentence, not a code: {trouble}");
        }
        Ok(())
    }
}
