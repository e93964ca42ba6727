//! Access units in, access units on one steady timeline out, whatever stamps the camera sends.
//!
//! Per track and for any input: `dts` strictly increases, `pts >= dts`, every unit of a track that the format
//! has comes out exactly once and at once (no look-ahead, so no added latency).
//!
//! * A stamp is believed when it moves on by a few frame intervals at most, or by as much as the clock on the wall
//!   did. Any other is replaced by a prediction; three of a kind in a row mean that the camera's clock was set, and
//!   its track is anchored anew.
//! * When a camera was silent for more than two seconds, the silence is left out, so that a player simply goes on; but
//!   where the other track was alive meanwhile, the track jumps forward to stay with it. `wall_us` tells the truth.
//! * After a lost session, and for the first unit of a track, the zeros of the tracks are joined by the stamps where
//!   the arrivals confirm them within half a second, else by the arrivals.

use bytes::Bytes;

use crate::unit::{AccessUnit, AudioFormat, Format, Track};

mod anchor;
mod audio;
mod interval;
mod order;
mod reorder;
mod video;
mod wall;

use anchor::Surroundings;
use audio::AudioClock;
use video::VideoClock;
use wall::Wall;

/// Where the timeline starts, in microseconds: far enough from zero that neither reordering nor the earlier track
/// can lead below it.
const START_US: i64 = 10_000_000;
/// Silence that is longer is a gap, in microseconds: two segments of the usual second. Slower cameras get four of their
/// frame intervals.
const GAP_US: i64 = 2_000_000;
/// How far stamps and arrivals may disagree when the zeros of two tracks are joined, in microseconds: more than the
/// jitter of a LAN and a camera's buffers, less than a viewer forgives.
const JOIN_US: i64 = 500_000;
/// Units in a row that must agree on another clock before it is believed.
const JUMP_UNITS: u32 = 3;

/// An access unit with its place on the stream's timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed {
    /// Its elementary stream.
    pub track: Track,
    /// Decode time in ticks of the track's timescale ([`Timeline::timescale`]); strictly increasing, never negative.
    pub dts: i64,
    /// Presentation time in the same ticks; never before `dts`. Both tracks share one zero.
    pub pts: i64,
    /// Decoding may start here.
    pub random_access: bool,
    /// Real time is missing right before this unit: a session was lost or the camera was silent. `dts` follows
    /// on without a hole when the other track was silent too; else it jumps forward, to stay with that track.
    pub discontinuity: bool,
    /// The box's clock at `dts`, microseconds since 1970, for EXT-X-PROGRAM-DATE-TIME. It goes back only when the
    /// box's clock was set back by more than two seconds.
    pub wall_us: i64,
    /// The unit's bytes, as they came.
    pub data: Bytes,
}

/// How often the timeline had to help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repairs {
    /// Units whose stamp was replaced by a prediction.
    pub stamps: u64,
    /// Times a track was anchored anew because its clock had jumped for good.
    pub jumps: u64,
    /// Times a track was silent for longer than two seconds and four of its intervals.
    pub gaps: u64,
}

/// The common timeline of one camera's tracks.
#[derive(Debug, Default)]
pub struct Timeline {
    video: Option<VideoClock>,
    audio: Option<AudioClock>,
    video_wall: Wall,
    audio_wall: Wall,
}

/// Where a unit was placed, in ticks of its track.
#[derive(Debug, Clone, Copy)]
struct Placed {
    dts: i64,
    pts: i64,
    discontinuity: bool,
}

/// What becomes of a stamp.
enum Verdict {
    /// It stands here, in ticks.
    Believed(i64),
    /// A prediction takes its place.
    Replaced,
    /// The track is anchored anew, because real time was lost or because the camera's clock jumped.
    Anew { lost_time: bool },
}

impl Timeline {
    /// Ticks per second of every video track.
    pub const VIDEO_TIMESCALE: u32 = 90_000;

    /// An empty timeline. Units are refused until [`Timeline::set_format`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what the stream is made of from the next unit on. Where the audio's sample rate changes, its ticks
    /// change with it, and its time goes on.
    pub fn set_format(&mut self, format: &Format) {
        self.video.get_or_insert_default().set_format(&format.video);
        match &format.audio {
            Some(AudioFormat::Aac { config, sample_rate, .. }) => {
                self.audio.get_or_insert_default().set_format(config, sample_rate.get());
            }
            None => {
                if let Some(audio) = &mut self.audio {
                    audio.mute();
                }
            }
        }
    }

    /// The session was lost: stamps start anew with the next unit.
    pub fn interrupt(&mut self) {
        if let Some(video) = &mut self.video {
            video.interrupt();
        }
        if let Some(audio) = &mut self.audio {
            audio.interrupt();
        }
    }

    /// Places one unit. `None` only when the format has no such track.
    pub fn push(&mut self, unit: AccessUnit) -> Option<Timed> {
        let end_us = self.end_us();
        let placed = match unit.track {
            Track::Video => {
                let other = self.audio.as_ref().and_then(AudioClock::here);
                let around = Surroundings { other, end_us };
                self.video.as_mut()?.push(&unit, &around)
            }
            Track::Audio => {
                let other = self.video.as_ref().and_then(VideoClock::here);
                let around = Surroundings { other, end_us };
                self.audio.as_mut()?.push(&unit, &around)?
            }
        };
        let Placed { dts, pts, discontinuity } = placed;
        let at_us = anchor::to_us(dts, self.timescale(unit.track));
        let wall = match unit.track {
            Track::Video => &mut self.video_wall,
            Track::Audio => &mut self.audio_wall,
        };
        let wall_us = wall.at(at_us, unit.arrival_us);
        let AccessUnit { track, random_access, data, .. } = unit;
        Some(Timed { track, dts, pts, random_access, discontinuity, wall_us, data })
    }

    /// Ticks per second of a track: 90,000 for video, the sample rate for audio (1 before there is one).
    pub fn timescale(&self, track: Track) -> u32 {
        match track {
            Track::Video => Self::VIDEO_TIMESCALE,
            Track::Audio => self.audio.as_ref().map_or(1, AudioClock::timescale),
        }
    }

    /// The best guess of `next dts - last dts`, in ticks, at least 1: the duration to give to the last sample of
    /// a part that is closed before its next unit comes. Errors of earlier guesses are already worked into it.
    pub fn predicted_interval(&self, track: Track) -> i64 {
        match track {
            Track::Video => self.video.as_ref().map_or(1, VideoClock::predicted_interval),
            Track::Audio => self.audio.as_ref().map_or(1, AudioClock::predicted_interval),
        }
    }

    /// How often the timeline had to help so far.
    pub fn repairs(&self) -> Repairs {
        let video = self.video.as_ref().map(|video| video.repairs).unwrap_or_default();
        let audio = self.audio.as_ref().map(|audio| audio.repairs).unwrap_or_default();
        Repairs {
            stamps: video.stamps + audio.stamps,
            jumps: video.jumps + audio.jumps,
            gaps: video.gaps + audio.gaps,
        }
    }

    /// Where the later of the tracks ends, in microseconds.
    fn end_us(&self) -> i64 {
        let video = self.video.as_ref().and_then(VideoClock::end_us);
        let audio = self.audio.as_ref().and_then(AudioClock::end_us);
        video.max(audio).unwrap_or(START_US)
    }
}

#[cfg(test)]
mod tests;
