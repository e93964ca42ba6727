//! The front as strangers and boxes meet it: a real listener on loopback, a real store in a file, bytes over TCP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod find;
#[path = "../common/folder.rs"]
mod folder;
mod limits;
#[path = "../common/log.rs"]
mod log;
mod program;
#[path = "../common/shop.rs"]
mod shop;
mod stage;
mod tls;
mod updates;
mod way_in;
