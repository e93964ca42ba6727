//! ONVIF: which streams a device offers (ONVIF Core 23.06, Media 1 and 2), SOAP 1.2 over HTTP.
//!
//! [`message`] writes requests and reads answers, [`xml`] reads XML under limits (both pure); [`client`] talks.

mod client;
pub mod message;
pub mod xml;

pub use client::{Answer, Device};

/// Path of the device service (ONVIF Core, 5.1.1).
pub const DEVICE_PATH: &str = "/onvif/device_service";
