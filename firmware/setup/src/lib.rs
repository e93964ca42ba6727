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
//! * [`gate`]: claiming, signing in, sessions; [`password`], [`throttle`] and [`sessions`] are its parts. No IO.
//! * [`routes`]: every address; [`handlers`]: what is answered there, written against embedded-svc's traits.
//! * [`serve`]: tiny_http and threads; [`desk_client`]: the way to the main process.
//! * [`page`]: the page and its files, made of `web/` by `build.rs`.

mod answer;
pub mod desk;
pub mod desk_client;
pub mod gate;
pub mod handlers;
mod known;
pub mod page;
pub mod password;
mod request;
pub mod routes;
pub mod serve;
pub mod sessions;
pub mod throttle;

pub use request::BODY_BYTES;
