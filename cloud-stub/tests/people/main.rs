//! The portal's API as browsers meet it: a real listener on loopback, a real store in a file, cookies and headers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod command_line;
mod forged;
mod secrets;
mod sign_in;
mod stage;
mod tenants;
mod things;
mod walk;
