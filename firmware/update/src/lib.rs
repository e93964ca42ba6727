//! Signed updates without sockets, files or a clock: what may be installed, from which pieces, and whether it is healthy.
//!
//! * [`Release`] names what a release is made of: two images cut into chunks, each under the SHA-256 of its plain bytes.
//! * [`health`]: whether a new system may stay.
//! * [`tuf`]: which releases are signed, by whom, and how fresh that is; [`assignment`]: which of them this box is to have;
//!   [`floors`]: below what it never goes again.
//! * [`plan`]: which chunk comes from where, and what that costs; [`install`]: puts them into the other slot.
//! * [`restart`]: when a box restarts into what was installed.
//! * [`migrate`]: data of two versions side by side.

pub mod assignment;
pub mod floors;
pub mod health;
pub mod install;
pub mod migrate;
pub mod plan;
pub mod restart;
pub mod tuf;

mod release;

pub use floors::Floors;
pub use release::{Chunk, FORMAT, Image, ImageKind, Release, ReleaseError};
