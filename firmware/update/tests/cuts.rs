//! The power is cut at every operation, with every possible rest of what was not flushed, over the real code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and tells how long it took"
)]

mod cuts {
    mod explore;
    mod faults;
    mod files;
    mod life;
    mod migrate;
    mod rig;
    mod systems;
    mod updates;
}
