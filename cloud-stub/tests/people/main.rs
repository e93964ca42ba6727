//! The portal's API as browsers meet it: a real listener on loopback, a real store in a file, cookies and headers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../common/boxes.rs"]
mod boxes;
#[path = "../common/browser.rs"]
mod browser;
#[path = "../common/cameras.rs"]
mod cameras;
#[path = "../common/clock.rs"]
mod clock;
mod command_line;
mod console;
mod fleet;
#[path = "../common/folder.rs"]
mod folder;
mod forged;
#[path = "../common/log.rs"]
mod log;
mod secrets;
#[path = "../common/shop.rs"]
mod shop;
mod sign_in;
mod stage;
mod tenants;
mod things;
mod walk;
