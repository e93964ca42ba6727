//! One camera: where it is, how it is asked, and what it sends.
//!
//! ```text
//! Source ──> run ──┬─ onvif   which streams are there? (SOAP over HTTP)
//!                  ├─ vendor  which paths do cameras of this maker use?
//!                  ├─ choice  which of the streams plays in a browser?
//!                  └─ session one RTSP session (retina) ──> Event ──> Output
//! Source ──> errand::run ── onvif   one question beside the stream: encoder, still picture, channels
//! ```
//!
//! Rules of this crate:
//! * [`run`] holds at most one RTSP session and never gives up: what stands in the way is told as
//!   [`model::CameraState`], in time for a page to show it.
//! * Every await on the camera has a deadline ([`session::limits`]); what the camera sends has a size limit.
//! * A user name and password are refused at most once per device ([`ledger`]): cameras lock out.
//! * Only the address that answered is ever contacted, whatever URLs, redirects and XAddrs say.
//! * Pure parts: [`source`], [`wire`], [`choice`], [`vendor`], [`ledger`], [`onvif::message`]. They name no
//!   socket and no clock.

mod backoff;
pub mod choice;
pub mod errand;
pub mod event;
pub mod ledger;
pub mod onvif;
mod random;
pub mod session;
pub mod source;
mod supervise;
pub mod vendor;
pub mod wire;

pub use event::{DeviceFacts, Event, Login, Output};
pub use source::{Address, AddressError, Source, StreamChoice, Transport};
pub use supervise::run;
