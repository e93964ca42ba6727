//! One camera's stream: access units in, playlists and objects out.

use core::time::Duration;

use bytes::Bytes;

use crate::{AccessUnit, Answer, Container, Facts, Format, ObjectName, Request};

/// What the owner may choose for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Longest part of a low-latency segment (PART-TARGET). Default 200 ms. Shorter: less latency, more requests.
    pub part: Duration,
    /// A segment ends at the first keyframe after this long. Default 900 ms, so that a GOP of 1 s is a segment.
    pub segment: Duration,
    /// How much the playlists list. Default 10 s. Longer: slower players survive, more memory.
    pub window: Duration,
    /// Most bytes of access units kept, listed or still fetchable. Default 12 MiB.
    pub window_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            part: Duration::from_millis(200),
            segment: Duration::from_millis(900),
            window: Duration::from_secs(10),
            window_bytes: 12 * 1024 * 1024,
        }
    }
}

/// What a call changed for those who wait for an [`Answer::NotYet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// A part was closed: wake the waiters.
    pub part_closed: bool,
    /// A segment was closed, with its last part.
    pub segment_closed: bool,
}

/// Why a format cannot be packaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the camera's description of its {track} cannot be used: {reason}")]
pub struct UnusableFormat {
    /// `video` or `audio`.
    pub track: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// One camera's stream.
#[derive(Debug)]
pub struct Stream {
    options: Options,
    next_msn: u64,
}

impl Stream {
    /// An empty stream. Its media sequence numbers count from `first_msn`: unix seconds at the start, so that they never go
    /// back over a restart.
    pub fn new(options: Options, first_msn: u64) -> Self {
        Self { options, next_msn: first_msn }
    }

    /// What the access units from here on are made of. The same format again changes nothing.
    ///
    /// # Errors
    /// [`UnusableFormat`]: the format before it stays.
    pub fn set_format(&mut self, format: Format) -> Result<Progress, UnusableFormat> {
        let _ = (format, self.options);
        Ok(Progress::default())
    }

    /// The next access unit of either track, in the order of arrival.
    pub fn push(&mut self, unit: AccessUnit) -> Progress {
        let _ = (unit, self.next_msn);
        Progress::default()
    }

    /// The session with the camera was lost: what is open is closed, and what comes next starts anew after a
    /// discontinuity.
    pub fn interrupt(&mut self) -> Progress {
        Progress::default()
    }

    /// The multivariant playlist, once a format is known and something can be played.
    pub fn multivariant(&mut self) -> Option<Bytes> {
        None
    }

    /// A media playlist, with the delivery directives of the request.
    pub fn playlist(&mut self, _container: Container, _request: Request) -> Answer {
        Answer::NotYet
    }

    /// Any object by its name; playlists as without directives.
    pub fn object(&mut self, _name: &ObjectName) -> Answer {
        Answer::NotYet
    }

    /// Numbers for metrics and for the page.
    pub fn facts(&self) -> Facts {
        Facts::default()
    }
}
