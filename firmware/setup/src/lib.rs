//! The LAN page that sets a box up, and everything that only its owner may ask for.
//!
//! ```text
//! browser ── front door (limits, Host names) ── Unix socket ── serve (tiny_http)
//!                                                                  │ embedded-svc's Connection
//!                                              gate (who may) ── handlers (what can be asked)
//!                                                                  │ desk::Ask
//!                                                                boxd (does it, keeps it)
//! ```
//!
//! * [`desk`]: the questions that the page's process puts to the box's main process, and the answers: also what the page's
//!   JSON is made of.
//! * [`page`]: the page and its files, made of `web/` by `build.rs`.

pub mod desk;
pub mod page;
