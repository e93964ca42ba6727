//! Cameras without a box as viewers and tenants meet them: the real cloud on loopback, simulated cameras, a real ffmpeg.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod exec;
#[path = "../common/folder.rs"]
mod folder;
mod pull;
mod stage;
mod tenants;
