//! Several clouds on one database: who lives, who holds which box, and what one cloud asks of another, on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod gateways;
mod placement;
mod stage;
