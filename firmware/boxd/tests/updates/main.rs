//! Updates with real processes over a disk that is a file: the updater alone, and the guard with the whole box.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "a test fails by panicking, and brings its own disk and servers"
)]

mod cloud;
mod departs;
mod front;
mod guarded;
mod hostile;
mod lying_clock;
mod siege;
mod sticks;
mod stolen;
mod updater;
mod world;
