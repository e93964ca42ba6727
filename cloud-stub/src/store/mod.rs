//! What must survive a restart.

mod directory;

pub use directory::{BoxRow, BoxState, CameraRow, Directory, Seen, Watched};
