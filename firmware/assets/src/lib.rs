//! The files that pages are made of, each under a name that holds the hash of its content, so that a browser keeps it for ever.
//!
//! * `build` (for build scripts, feature `build`): a room's `web/` and its packages from npm become a table of files, gzipped
//!   once, with the references between them made to fit.
//! * [`serve`]: the answer to a request for one of them, with the caching rules of HTTP, in plain types.

#[cfg(feature = "build")]
pub mod build;
mod serve;

pub use serve::{Asset, Served, serve};
