//! Signed updates without sockets, files or a clock: what may be installed, from which pieces, and whether it is healthy.
//!
//! * [`Release`] names what a release is made of: two images cut into chunks, each under the SHA-256 of its plain bytes.
//! * [`health`]: whether a new system may stay.

pub mod health;

mod release;

pub use release::{Chunk, FORMAT, Image, ImageKind, Release, ReleaseError};
