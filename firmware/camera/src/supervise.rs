//! Keeps one camera's stream alive.

use core::convert::Infallible;
use std::io;

use crate::event::Output;
use crate::source::Source;

/// Runs one camera for ever.
///
/// # Errors
/// The first error of `output`; there is no other way out.
pub async fn run(source: Source, output: &mut impl Output, seed: u64) -> io::Result<Infallible> {
    let _ = (source, seed);
    output.send(crate::Event::State(model::CameraState::Connecting)).await?;
    std::future::pending().await
}

/// Milliseconds until try number `attempt`.
pub fn retry_delay_ms(attempt: u32, random: u64) -> u64 {
    u64::from(attempt) + random
}
