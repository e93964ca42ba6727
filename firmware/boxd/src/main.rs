//! The box: supervisor, camera workers, front door.
//!
//! `main` → [`cli`] → [`wiring`] → the rest. `boxd` alone is the supervisor and front door; `boxd camera ID` is one
//! camera's worker, started by the supervisor only.

mod door;
mod feed;
mod state;

fn main() {}
