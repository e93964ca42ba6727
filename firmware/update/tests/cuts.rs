//! The power is cut at every operation, with every possible rest of what was not flushed, over the real code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod cuts {
    mod files;
    mod migrate;
}
