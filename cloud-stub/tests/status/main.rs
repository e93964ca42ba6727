//! How cameras are and were, as the portal shows it: a scripted outage through the real store, API, mail and webhooks, with
//! a clock that only the test moves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../common/boxes.rs"]
mod boxes;
mod delivery;
#[path = "../common/log.rs"]
mod log;
mod outage;
mod post;
mod secure;
mod size;
mod stage;
