//! What a camera's worker tells the rest of the box.

use std::future::Future;
use std::io;

use serde::{Deserialize, Serialize};

/// One thing told by [`crate::run`], in order.
///
/// A [`Event::Format`] comes before the first [`Event::Unit`] of a session and again before the first unit that
/// needs another one. [`Event::Interrupted`] comes once after the last unit of a session that ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// What the camera is doing now.
    State(model::CameraState),
    /// What the next units are made of.
    Format(media::Format),
    /// One access unit.
    Unit(media::AccessUnit),
    /// The session ended: the next unit comes from another one, with other stamps.
    Interrupted,
    /// What the device says of itself (ONVIF). Told at most once per session.
    Facts(DeviceFacts),
    /// What comes of a login. Only between a worker and the box: [`crate::run`] calls [`Output::may_log_in`] and
    /// [`Output::logged_in`] instead.
    Login(Login),
}

/// What comes of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "login", rename_all = "snake_case")]
pub enum Login {
    /// The device is to be shown it: may it?
    Wanted,
    /// The device accepted it.
    Accepted,
    /// The device refused it.
    Refused {
        /// The device refuses every login for so many seconds more; 0: it did not say.
        locked_s: u32,
    },
    /// Neither: no answer, or none was asked for.
    Unknown,
}

impl Login {
    /// What a trouble tells of the login that was shown before it.
    pub const fn after(trouble: &model::Trouble) -> Self {
        match trouble {
            model::Trouble::WrongPassword => Self::Refused { locked_s: 0 },
            model::Trouble::Locked { seconds } => Self::Refused { locked_s: *seconds },
            _ => Self::Unknown,
        }
    }
}

/// What an ONVIF device says of itself. Every text is the device's own and may be anything; at most
/// 256 characters each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceFacts {
    /// Maker (GetDeviceInformation).
    pub maker: Option<String>,
    /// Model (GetDeviceInformation).
    pub model: Option<String>,
    /// Firmware version (GetDeviceInformation).
    pub firmware: Option<String>,
    /// Serial number (GetDeviceInformation).
    pub serial: Option<String>,
    /// Where a still picture is, with the host that answered and without user and password (GetSnapshotUri).
    pub snapshot: Option<String>,
    /// The device's clock minus the box's clock, seconds (GetSystemDateAndTime).
    pub clock_offset_s: Option<i64>,
    /// Names of the profiles that it offers, as it orders them.
    pub profiles: Vec<String>,
    /// It offers a smaller picture than the one that was chosen.
    #[serde(default)]
    pub has_small: bool,
}

/// Where [`crate::run`] tells events. An error ends the run: nobody listens any more.
pub trait Output {
    /// Takes one event. Waiting here holds the camera's stream back, so it should be short.
    ///
    /// # Errors
    /// When nobody listens any more.
    fn send(&mut self, event: Event) -> impl Future<Output = io::Result<()>>;

    /// Whether the camera's bytes may from now on be read a few frames later than they come: true while a session plays
    /// over TCP, where the kernel keeps them; false while one is opened, and over UDP.
    fn may_wait(&mut self, _may: bool) {}

    /// Returns once the device may be shown its login; [`Self::logged_in`] follows. Who runs several pictures of one
    /// device waits here, so that a wrong password is shown once ([`crate::ledger`]).
    ///
    /// # Errors
    /// When nobody listens any more.
    fn may_log_in(&mut self) -> impl Future<Output = io::Result<()>> {
        async { Ok(()) }
    }

    /// What came of it. After a refusal [`crate::run`] waits for half an hour by itself; whoever knows better ends it.
    ///
    /// # Errors
    /// When nobody listens any more.
    fn logged_in(&mut self, _outcome: Login) -> impl Future<Output = io::Result<()>> {
        async { Ok(()) }
    }
}
