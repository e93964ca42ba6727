//! The clockwork: one thread that sends every frame of every camera when it is due.
//!
//! Invariant: a frame is never sent early, and late only by what the kernel's timer and the frames due before it cost.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::camera::{Camera, Track};

/// Sends for ever.
pub(crate) fn run(cameras: &[Arc<Camera>]) {
    // The default of 50 us would blur the stamps that latency is measured against.
    let _ = nix::sys::prctl::set_timerslack(1_000);
    let mut due = BinaryHeap::new();
    for (index, camera) in cameras.iter().enumerate() {
        for stream in 0..camera.streams.len() {
            for track in [Track::Video, Track::Sound] {
                due.extend(camera.due(stream, track).map(|at| Reverse((at, index, stream, track))));
            }
        }
    }
    let mut scratch = Vec::new();
    while let Some(Reverse((at, index, stream, track))) = due.pop() {
        let wait = at.saturating_duration_since(Instant::now());
        if wait > Duration::ZERO {
            thread::sleep(wait);
        }
        let Some(camera) = cameras.get(index) else { continue };
        camera.send(stream, track, &mut scratch);
        due.extend(camera.due(stream, track).map(|at| Reverse((at, index, stream, track))));
    }
}
