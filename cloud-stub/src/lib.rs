//! The cloud: boxes enrol here, keep a WireGuard tunnel to its hub, and viewers watch their cameras through its
//! gateway.
//!
//! * [`gateway`]: viewers' requests, answered from a cache or fetched from the box, once, however many watch.
//! * [`store`]: what must survive a restart, in SQLite or PostgreSQL, and the [`store::Directory`] in memory that hub and
//!   gateway read: a database that is gone does not stop a stream.

pub mod gateway;
pub mod store;
