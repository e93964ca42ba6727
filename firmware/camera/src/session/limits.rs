//! Deadlines and sizes. A camera that passes one of them is given up and tried again later.

use core::time::Duration;

/// Longest wait for a name's address.
pub const RESOLVE: Duration = Duration::from_secs(5);
/// Longest wait for a TCP connection, and for the TLS handshake on it.
pub const CONNECT: Duration = Duration::from_secs(5);
/// Longest wait for a description, authentication included.
pub const DESCRIBE: Duration = Duration::from_secs(10);
/// Longest wait for each SETUP.
pub const SETUP: Duration = Duration::from_secs(10);
/// Longest wait for PLAY.
pub const PLAY: Duration = Duration::from_secs(10);
/// Longest time without a picture, whatever TCP says.
pub const PICTURE: Duration = Duration::from_secs(10);
/// Longest wait for the end of a session before another is opened: cameras have few.
pub const TEARDOWN: Duration = Duration::from_secs(2);

/// Most bytes of a description (THREATS.md, row 1).
pub const SDP_BYTES: usize = 64 << 10;
/// Most media in a description (THREATS.md, row 1).
pub const SDP_MEDIA: usize = 16;
/// Most bytes of an RTSP head; real ones are below 1 KiB.
pub const HEAD_BYTES: usize = 16 << 10;
/// Most bytes of one access unit (THREATS.md, row 2).
pub const UNIT_BYTES: usize = crate::wire::MAX_UNIT_BYTES;
