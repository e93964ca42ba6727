//! Words that box and cloud share. No logic, no IO.
//!
//! * [`CameraId`]: the name of a camera in links, logs and files.
//! * [`Private`]: a secret that cannot be printed by accident.
//! * [`CameraState`], [`Trouble`]: what a camera is doing, in values that a page can show.
//! * [`BoxId`]: the name of a box; [`enrol`], [`status`] and [`update`]: what it says to its cloud.
//! * [`Device`], [`Fact`], [`Source`]: what was heard of a device on the LAN, and from where.

mod device;
pub mod enrol;
mod id;
mod private;
mod state;
pub mod status;
pub mod update;

pub use device::{Device, DeviceKey, Fact, Source};
pub use id::{BoxId, CameraId, InvalidBoxId, InvalidCameraId};
pub use private::Private;
pub use state::{CameraState, Codec, CodecKind, StreamFacts, Trouble};
