//! ONVIF: which streams a device offers (ONVIF Core 23.06, Media 1 and 2), SOAP 1.2 over HTTP.
//!
//! [`message`] writes requests and reads answers, [`encoder`] knows an encoder's settings, [`refusal`] why nobody is let in,
//! [`xml`] reads XML under limits (all pure); [`client`] talks, over [`http`].

mod client;
pub mod encoder;
mod http;
pub mod message;
pub mod refusal;
pub mod xml;

pub use client::{Answer, Device, PICTURE_BYTES, Services};

/// Path of the device service (ONVIF Core, 5.1.1).
pub const DEVICE_PATH: &str = "/onvif/device_service";
