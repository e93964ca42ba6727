//! Who may watch what not everybody may: a real gateway, a real store, a signer of tokens and a decision hook, all on
//! loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../common/boxes.rs"]
mod boxes;
#[path = "../common/browser.rs"]
mod browser;
#[path = "../common/cameras.rs"]
mod cameras;
#[path = "../common/clock.rs"]
mod clock;
#[path = "../common/folder.rs"]
mod folder;
mod hook;
mod issuer;
#[path = "../common/log.rs"]
mod log;
mod others;
mod refused;
mod running;
mod secrets;
mod shares;
mod stage;
mod tokens;
