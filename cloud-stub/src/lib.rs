//! The cloud: boxes enrol here, keep a WireGuard tunnel to its hub, and viewers watch their cameras through its
//! gateway.
//!
//! * [`wiring`] puts it together; [`config`] and [`cli`] are what the operator chooses, [`owner`] the commands.
//! * [`store`]: what must survive a restart, in SQLite or PostgreSQL, and the [`store::Directory`] in memory that hub and
//!   gateway read: a database that is gone does not stop a stream.
//! * [`enrol`]: how boxes come in. [`find`]: how people find a box's page. [`http`]: what strangers reach, and its limits, certificates and figures.
//! * [`nodes`]: several clouds on one database.
//! * [`hub`]: the cloud's end of every box's tunnel.
//! * [`people`]: who asks, and what they may do.
//! * [`things`]: a tenant's sites, boxes and cameras.
//! * [`push`]: encoders that send by RTMP.
//! * [`status`]: how cameras are and were, uptime, and who is told.
//! * [`updates`]: releases for boxes, and which of them a box is to have. [`fleet`]: how a release reaches all of them.
//! * [`access`]: who may watch what not everybody may.
//! * [`ingest`]: cameras without a box.
//! * [`portal`]: the page on which people sign in and do their work, made of `web/`.
//! * [`gateway`]: viewers' requests, answered from a cache or fetched from the box, once, however many watch.

pub mod access;
pub mod cli;
pub mod config;
pub mod enrol;
pub mod find;
pub mod fleet;
pub mod gateway;
mod hex;
pub mod http;
pub mod hub;
pub mod ingest;
pub mod log;
pub mod nodes;
pub mod owner;
pub mod peer;
pub mod people;
pub mod portal;
pub mod push;
pub mod status;
pub mod store;
pub mod things;
pub mod updates;
pub mod wiring;
