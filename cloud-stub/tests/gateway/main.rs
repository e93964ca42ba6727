//! The gateway before a box that is a small web server: counted, slow, hostile or gone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod answers;
mod crowd;
mod cut_off;
mod hostile;
mod slow;
mod stage;
