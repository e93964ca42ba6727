//! Where the stream is cut: access units into parts, parts into segments, by the decode time of the video.
//!
//! * A part is closed when the next picture, as predicted, would not begin before the part target is used up: the
//!   last picture of a part does not wait for the next. Its duration is the prediction.
//! * Per track, the first sample of a part begins exactly where the part before ended, so that the decode times of a
//!   track never have a hole (a hole makes browsers throw pictures away up to the next keyframe: Media Source
//!   Extensions, coded frame processing). What the prediction missed goes into the durations that follow; presentation
//!   times stay true unless they would fall before the decode time.
//! * No part is longer than the part target; all but the last of a segment have at least 85 % of it (RFC 8216bis
//!   4.4.4.9), whatever the stamps do.
//! * A segment begins at a keyframe, except after the first cut of a start, after [`LONGEST_SEGMENT`], and when a GOP
//!   is longer than the regular ones before it.

use std::sync::Arc;

use crate::packaging::Packaging;
use crate::timeline::Timed;
use crate::ts;
use crate::unit::Track;
use crate::window::{Part, Sample, Segment, VIDEO_RATE, Window};

/// A GOP that runs longer is cut without a keyframe, video ticks (6 s).
pub(crate) const LONGEST_SEGMENT: i64 = 6 * VIDEO_RATE;

/// The first segment after a start ends after this, video ticks (0.4 s): players that need a whole segment wait no
/// longer, and the segments after it begin at keyframes again.
const FIRST_SEGMENT: i64 = 4 * VIDEO_RATE / 10;

/// Pictures this much later than their place are not caught up with but begin a discontinuity, video ticks (5 s).
const MOST_LAG: i64 = 5 * VIDEO_RATE;

/// Audio without pictures is kept for this long, seconds.
const MOST_AUDIO_SECONDS: i64 = 10;

/// Longest interval between pictures that the part target grows for, video ticks (5 s).
const LONGEST_INTERVAL: i64 = 5 * VIDEO_RATE;

/// What the owner chose, in video ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) part: i64,
    pub(crate) segment: i64,
    pub(crate) window: i64,
    pub(crate) window_bytes: u64,
}

/// What a call closed, and what it could not take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) part: bool,
    pub(crate) segment: bool,
    /// Something listed had to go for its bytes.
    pub(crate) evicted: bool,
    /// Units that no playlist can hold.
    pub(crate) dropped: u64,
}

/// Where a track stands.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    /// Decode time of the last sample after the last part.
    last: Option<i64>,
    /// Where the last part's samples ended.
    end: Option<i64>,
}

/// The cutter of one stream. The open segment is in the [`Window`].
#[derive(Debug)]
pub(crate) struct Segmenter {
    rules: Rules,
    part_target: i64,
    packaging: Option<Arc<Packaging>>,
    next_msn: u64,
    next_sequence: u32,
    counters: ts::Counters,
    /// The next segment is the first after a start.
    fresh: bool,
    /// Some part was closed before.
    begun: bool,
    video: Cursor,
    audio: Cursor,
    /// Ticks to the next audio unit, as predicted.
    audio_interval: i64,
    /// The next audio unit is the first after a discontinuity and may stand apart from the last.
    audio_leaps: bool,
    /// The last predicted interval was longer than the part target.
    slow: bool,
    /// Presentation time of the last picture.
    shown: i64,
    /// Pictures of this format came in another order than they are shown in.
    reorders: bool,
    gop: Gop,
    /// How long segments that left the playlists stay, video ticks.
    pub(crate) grace: i64,
}

/// The rhythm of keyframes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gop {
    /// Pictures since the last keyframe, with it.
    pictures: u32,
    last_pictures: u32,
    /// Pictures of a GOP, when the last two had as many.
    regular: Option<u32>,
    last_key: Option<i64>,
    /// Video ticks between the last two keyframes.
    pub(crate) ticks: i64,
}

impl Gop {
    fn picture(&mut self, unit: &Timed) {
        if unit.random_access {
            self.regular =
                (self.pictures == self.last_pictures && self.pictures > 0).then_some(self.pictures);
            self.last_pictures = self.pictures;
            self.pictures = 0;
            self.ticks = self.last_key.map_or(0, |key| unit.dts - key);
            self.last_key = Some(unit.dts);
        }
        self.pictures = self.pictures.saturating_add(1);
    }

    fn key_is_next(&self) -> bool {
        self.regular == Some(self.pictures)
    }
}

impl Segmenter {
    pub(crate) fn new(rules: Rules, first_msn: u64) -> Self {
        Self {
            rules,
            part_target: rules.part,
            packaging: None,
            next_msn: first_msn,
            next_sequence: 1,
            counters: ts::Counters::default(),
            fresh: true,
            begun: false,
            video: Cursor::default(),
            audio: Cursor::default(),
            audio_interval: 1024,
            audio_leaps: false,
            slow: false,
            shown: i64::MIN,
            reorders: false,
            gop: Gop::default(),
            grace: 0,
        }
    }

    /// PART-TARGET, video ticks.
    pub(crate) fn part_target(&self) -> i64 {
        self.part_target
    }

    pub(crate) fn gop(&self) -> Gop {
        self.gop
    }

    /// Whether the stream has B-frames, as far as was seen.
    pub(crate) fn reorders(&self) -> bool {
        self.reorders
    }

    /// The media sequence number and part that come next.
    pub(crate) fn next_part(&self, window: &Window) -> (u64, usize) {
        window.open.as_ref().map_or((self.next_msn, 0), |open| (open.msn, open.parts.len()))
    }

    /// What is pushed from here on is packaged like this. The caller interrupts first.
    pub(crate) fn set_packaging(&mut self, mut packaging: Packaging) {
        let rate = |packaging: &Packaging| packaging.audio_rate().map(i128::from);
        let before = self.packaging.as_deref().and_then(rate);
        if let (Some(before), Some(after), Some(end)) = (before, rate(&packaging), self.audio.end) {
            // Audio goes on from the same moment, counted in its new ticks.
            self.audio.end = i64::try_from((i128::from(end) * after).div_euclid(before.max(1))).ok();
        }
        packaging.number = self.next_msn;
        self.reorders = false;
        self.packaging = Some(Arc::new(packaging));
    }

    pub(crate) fn packaging(&self) -> Option<&Arc<Packaging>> {
        self.packaging.as_ref()
    }

    /// Closes what is open. What comes next begins at a keyframe, after a discontinuity.
    pub(crate) fn interrupt(&mut self, window: &mut Window, video_interval: i64) -> Cut {
        let mut cut = Cut::default();
        self.end_open(window, video_interval, &mut cut);
        cut
    }

    /// Takes a unit. `interval`: predicted ticks to the next one of its track.
    pub(crate) fn push(&mut self, window: &mut Window, unit: Timed, interval: i64) -> Cut {
        let mut cut = Cut::default();
        let size = unit.data.len() as u64;
        if size > self.rules.window_bytes || u32::try_from(size).is_err() {
            cut.dropped = 1;
            return cut;
        }
        let interval = interval.clamp(1, LONGEST_INTERVAL);
        match unit.track {
            Track::Video => self.video(window, unit, interval, &mut cut),
            Track::Audio => self.audio(window, unit, interval, &mut cut),
        }
        cut
    }

    fn video(&mut self, window: &mut Window, unit: Timed, interval: i64, cut: &mut Cut) {
        let Some(packaging) = self.packaging.clone() else {
            cut.dropped += 1;
            return;
        };
        if window.open.is_none() && !unit.random_access {
            cut.dropped += 1;
            return;
        }
        self.gop.picture(&unit);
        self.reorders |= unit.pts < self.shown;
        self.shown = unit.pts;
        self.fit_part_target(window, interval, cut);
        self.close_before(window, &unit, interval, cut);
        if !self.bound_open(window, unit.data.len() as u64, cut) {
            cut.dropped += 1;
            return;
        }
        if window.open.is_none() {
            let start = self.video.end.map_or(unit.dts, |end| end.max(unit.dts));
            self.open(window, packaging, start, self.begun);
            self.audio.last = None;
            self.audio_leaps = true;
        }
        let Some(open) = &mut window.open else { return };

        let part_start = open.start + open.duration;
        let limit = part_start + self.part_target;
        let decode = match self.video.last {
            None => part_start,
            Some(last) => {
                let decode = unit.dts.clamp(last + 1, limit - 1);
                set_last_duration(&mut open.video, decode - last);
                decode
            }
        };
        if open.video.is_empty() {
            open.wall_us = unit.wall_us;
        }
        let size = unit.data.len() as u64;
        open.bytes += size;
        open.video.push(Sample {
            data: unit.data,
            duration: 0,
            composition: ticks(unit.pts - decode),
            random_access: unit.random_access,
        });
        self.video.last = Some(decode);

        let next = unit.dts.saturating_add(interval);
        let early = self.early(interval);
        let end = next.clamp(decode + 1, limit);
        if self.gop.key_is_next() && next - open.start >= self.rules.segment {
            self.close_part(window, end, cut);
            self.close_segment(window, cut);
        } else if next >= limit - early {
            self.close_part(window, end, cut);
        }
    }

    fn audio(&mut self, window: &mut Window, unit: Timed, interval: i64, cut: &mut Cut) {
        if window.open.is_none() || !self.bound_open(window, unit.data.len() as u64, cut) {
            cut.dropped += 1;
            return;
        }
        let rate = self.packaging.as_ref().and_then(|packaging| packaging.audio_rate());
        let (Some(open), Some(rate)) = (&mut window.open, rate) else {
            cut.dropped += 1;
            return;
        };
        let begin = self.audio.end.unwrap_or(unit.dts);
        if self.audio.last.is_some_and(|last| last - begin > MOST_AUDIO_SECONDS * i64::from(rate)) {
            cut.dropped += 1;
            return;
        }
        let decode = match self.audio.last {
            None if self.audio_leaps => begin.max(unit.dts),
            None => begin,
            Some(last) => {
                let decode = unit.dts.clamp(last + 1, last + i64::from(i32::MAX));
                set_last_duration(&mut open.audio, decode - last);
                decode
            }
        };
        if self.audio.last.is_none() {
            self.audio.end = Some(decode);
        }
        self.audio_leaps = false;
        open.bytes += unit.data.len() as u64;
        open.audio.push(Sample { data: unit.data, duration: 0, composition: 0, random_access: true });
        self.audio.last = Some(decode);
        self.audio_interval = interval;
    }

    /// How much less than the part target a part may have and still be closed because the next picture does not fit: at
    /// most an eighth, so that 85 % are kept.
    fn early(&self, interval: i64) -> i64 {
        (interval / 2).min(self.part_target / 8)
    }

    /// Lets the part target grow to the interval of a camera that sends fewer pictures than parts. It never shrinks.
    fn fit_part_target(&mut self, window: &mut Window, interval: i64, cut: &mut Cut) {
        let slow = interval > self.part_target;
        let surely = slow && (self.slow || !self.begun);
        self.slow = slow;
        if !surely {
            return;
        }
        // Parts of both lengths in one segment would break the 85 % rule.
        if window.open.as_ref().is_some_and(|open| !open.parts.is_empty()) {
            self.close_open_part(window, interval, cut);
            self.close_segment(window, cut);
        }
        self.part_target = interval + interval / 10;
        if let Some(open) = &mut window.open {
            open.part_target = self.part_target;
        }
    }

    /// Closes what a picture at this time cannot belong to.
    fn close_before(&mut self, window: &mut Window, unit: &Timed, interval: i64, cut: &mut Cut) {
        let Some(open) = &window.open else { return };
        let part_start = open.start + open.duration;
        let limit = part_start + self.part_target;
        let key_cuts =
            unit.random_access && (!open.starts_at_key() || unit.dts - open.start >= self.rules.segment);
        // Where the camera was silent, only a new segment can tell the new date.
        let cuts = key_cuts || unit.discontinuity;
        let place = self.video.last.unwrap_or(part_start);
        if unit.dts - place > MOST_LAG {
            self.end_open(window, interval, cut);
        } else if cuts && !open.video.is_empty() {
            if let Some(last) = self.video.last {
                self.close_part(window, unit.dts.clamp(last + 1, limit), cut);
            }
            self.close_segment(window, cut);
        } else if let Some(last) = self.video.last
            && (unit.dts >= limit - self.early(interval) || last + 1 >= limit)
        {
            self.close_part(window, unit.dts.clamp(last + 1, limit), cut);
        }
    }

    /// Keeps the open segment below half of the window, so that complete segments fit beside it. Says whether there is
    /// room now.
    fn bound_open(&mut self, window: &mut Window, more: u64, cut: &mut Cut) -> bool {
        let full = window.open.as_ref().is_some_and(|open| open.bytes + more > self.rules.window_bytes / 2);
        if full {
            let interval = self.part_target;
            self.close_open_part(window, interval, cut);
            self.close_segment(window, cut);
        }
        cut.evicted |= window.make_room(more);
        window.fits(more)
    }

    fn open(&mut self, window: &mut Window, packaging: Arc<Packaging>, start: i64, discontinuity: bool) {
        let (video, audio, parts) =
            window.newest().map_or((0, 0, 0), |last| (last.video.len(), last.audio.len(), last.parts.len()));
        window.open = Some(Segment {
            msn: self.next_msn,
            packaging,
            discontinuity,
            wall_us: 0,
            part_target: self.part_target,
            start,
            duration: 0,
            video: Vec::with_capacity(video),
            audio: Vec::with_capacity(audio),
            parts: Vec::with_capacity(parts),
            bytes: 0,
            counters: self.counters,
            ts: None,
        });
        self.next_msn += 1;
    }

    /// Closes the part that is being filled, if it has a picture, where the next one is expected.
    fn close_open_part(&mut self, window: &mut Window, interval: i64, cut: &mut Cut) {
        let Some(open) = &window.open else { return };
        let limit = open.start + open.duration + self.part_target;
        if let Some(last) = self.video.last {
            self.close_part(
                window,
                (last.saturating_add(interval)).clamp(last + 1, limit.max(last + 1)),
                cut,
            );
        }
    }

    fn close_part(&mut self, window: &mut Window, end: i64, cut: &mut Cut) {
        let Some(open) = &mut window.open else { return };
        let Some(last) = self.video.last.take() else { return };
        let video_start = open.start + open.duration;
        set_last_duration(&mut open.video, end - last);
        let audio_start = self.audio.end.unwrap_or(0);
        if let Some(last) = self.audio.last.take() {
            set_last_duration(&mut open.audio, self.audio_interval);
            self.audio.end = Some(last + self.audio_interval);
        }
        let (video_from, audio_from) =
            open.parts.last().map_or((0, 0), |part| (part.video.end, part.audio.end));
        let video = video_from..open.video.len();
        let independent = open
            .video
            .get(video.clone())
            .is_some_and(|samples| samples.iter().any(|sample| sample.random_access));
        open.parts.push(Part {
            video,
            audio: audio_from..open.audio.len(),
            video_start,
            audio_start,
            duration: end - video_start,
            independent,
            sequence: self.next_sequence,
            header: None,
        });
        self.next_sequence = self.next_sequence.wrapping_add(1);
        self.video.end = Some(end);
        open.duration = end - open.start;
        cut.part = true;
        self.begun = true;
        let duration = open.duration;
        window.expect_duration(duration);
        if (self.fresh && duration >= FIRST_SEGMENT) || duration + self.part_target > LONGEST_SEGMENT {
            self.close_segment(window, cut);
        }
    }

    /// Completes the open segment, if it has a part, and opens the next where it ends.
    fn close_segment(&mut self, window: &mut Window, cut: &mut Cut) {
        let Some(open) = window.open.take_if(|open| !open.parts.is_empty()) else { return };
        let (packaging, end) = (Arc::clone(&open.packaging), open.start + open.duration);
        let rest = self.finish(window, open, cut);
        self.open(window, packaging, end, false);
        if let Some(next) = &mut window.open {
            next.bytes = rest.iter().map(|sample| sample.data.len() as u64).sum();
            next.audio.extend(rest);
        }
    }

    /// Completes the open segment and opens none: the next keyframe does.
    fn end_open(&mut self, window: &mut Window, interval: i64, cut: &mut Cut) {
        self.close_open_part(window, interval, cut);
        if let Some(open) = window.open.take() {
            if open.parts.is_empty() {
                cut.dropped += open.audio.len() as u64;
                // Its number was never shown as complete; the next segment takes it.
                self.next_msn = open.msn;
            } else {
                let rest = self.finish(window, open, cut);
                cut.dropped += rest.len() as u64;
            }
        }
        self.audio.last = None;
        self.video.last = None;
        self.fresh = true;
        self.gop = Gop { ticks: self.gop.ticks, ..Gop::default() };
    }

    /// Hands a segment to the window; gives back the audio that came after its last part.
    fn finish(&mut self, window: &mut Window, mut segment: Segment, cut: &mut Cut) -> Vec<Sample> {
        let used = segment.parts.last().map_or(0, |part| part.audio.end);
        let rest = segment.audio.split_off(used.min(segment.audio.len()));
        segment.bytes -= rest.iter().map(|sample| sample.data.len() as u64).sum::<u64>();
        self.counters = ts::counters_after(&segment);
        window.add(segment, self.rules.window, self.grace);
        self.fresh = false;
        cut.segment = true;
        rest
    }
}

fn set_last_duration(samples: &mut [Sample], duration: i64) {
    if let Some(last) = samples.last_mut() {
        last.duration = ticks(duration);
    }
}

/// Ticks that fit a box field, not negative.
fn ticks(value: i64) -> u32 {
    u32::try_from(value.clamp(0, i64::from(i32::MAX))).unwrap_or(0)
}
