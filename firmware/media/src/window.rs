//! The store of one stream: complete segments, the one that is being filled, and what of it playlists may list.
//!
//! Always: `bytes() <= limit`; segments are whole, in order of their media sequence numbers and without a hole; each
//! access unit is kept as the one [`Bytes`] it came in.

use core::ops::Range;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::fmp4;
use crate::packaging::Packaging;
use crate::timeline::Timeline;
use crate::ts;

/// Video ticks per second.
pub(crate) const VIDEO_RATE: i64 = Timeline::VIDEO_TIMESCALE as i64;

/// An access unit in its place. Its decode time is its track's start in the part plus the durations before it.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// NAL units with lengths, or a raw AAC frame.
    pub(crate) data: Bytes,
    /// Ticks of its track until the next sample's decode time.
    pub(crate) duration: u32,
    /// Ticks from decode to presentation time.
    pub(crate) composition: u32,
    /// Decoding may start here.
    pub(crate) random_access: bool,
}

/// A stretch of a segment that is delivered as soon as it is complete.
#[derive(Debug)]
pub(crate) struct Part {
    /// Its samples in [`Segment::video`]; never empty.
    pub(crate) video: Range<usize>,
    /// Its samples in [`Segment::audio`].
    pub(crate) audio: Range<usize>,
    /// Decode time of its first video sample, video ticks.
    pub(crate) video_start: i64,
    /// Decode time of its first audio sample, audio ticks.
    pub(crate) audio_start: i64,
    /// Video ticks.
    pub(crate) duration: i64,
    /// It holds a random access point.
    pub(crate) independent: bool,
    /// Counts the parts of a stream (mfhd).
    pub(crate) sequence: u32,
    /// moof and mdat header, once somebody asked.
    pub(crate) header: Option<Bytes>,
}

/// A stretch of the stream that playlists list as one.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) msn: u64,
    pub(crate) packaging: Arc<Packaging>,
    /// Its time or format does not follow from the segment before.
    pub(crate) discontinuity: bool,
    /// The box's clock at its first picture, microseconds since 1970.
    pub(crate) wall_us: i64,
    /// Longest part at the time of its cutting, video ticks.
    pub(crate) part_target: i64,
    /// Decode time of its first picture, video ticks.
    pub(crate) start: i64,
    /// Sum of its parts' durations, video ticks.
    pub(crate) duration: i64,
    pub(crate) video: Vec<Sample>,
    pub(crate) audio: Vec<Sample>,
    pub(crate) parts: Vec<Part>,
    /// Bytes of its access units, those after the last part included.
    pub(crate) bytes: u64,
    /// Continuity counters before its first transport packet.
    pub(crate) counters: ts::Counters,
    /// It as MPEG-TS, once somebody asked.
    pub(crate) ts: Option<Bytes>,
}

impl Segment {
    /// Whether its first picture is a random access point.
    pub(crate) fn starts_at_key(&self) -> bool {
        self.video.first().is_some_and(|sample| sample.random_access)
    }

    /// The chunks of one part, muxing its header if nobody has asked before.
    pub(crate) fn part(&mut self, index: usize) -> Option<Vec<Bytes>> {
        let header = self.part_header(index)?;
        let part = self.parts.get(index)?;
        let mut chunks = Vec::with_capacity(1 + part.video.len() + part.audio.len());
        chunks.push(header);
        self.append_samples(part, &mut chunks);
        Some(chunks)
    }

    /// The chunks of all its parts, one after the other.
    pub(crate) fn chunks(&mut self) -> Vec<Bytes> {
        let mut chunks = Vec::with_capacity(self.parts.len() + self.video.len() + self.audio.len());
        for index in 0..self.parts.len() {
            chunks.extend(self.part_header(index));
            if let Some(part) = self.parts.get(index) {
                self.append_samples(part, &mut chunks);
            }
        }
        chunks
    }

    /// The segment as MPEG-TS, muxed once. `None` never happens with what the segmenter makes.
    pub(crate) fn transport_stream(&mut self) -> Option<Bytes> {
        if self.ts.is_none() {
            self.ts = ts::mux(self).ok();
        }
        self.ts.clone()
    }

    fn part_header(&mut self, index: usize) -> Option<Bytes> {
        let part = self.parts.get(index)?;
        if let Some(header) = &part.header {
            return Some(header.clone());
        }
        let header = fmp4::part_header(part, self.part_video(part), self.part_audio(part))?;
        self.parts.get_mut(index)?.header = Some(header.clone());
        Some(header)
    }

    fn append_samples(&self, part: &Part, chunks: &mut Vec<Bytes>) {
        chunks.extend(
            self.part_video(part).iter().chain(self.part_audio(part)).map(|sample| sample.data.clone()),
        );
    }

    pub(crate) fn part_video(&self, part: &Part) -> &[Sample] {
        self.video.get(part.video.clone()).unwrap_or_default()
    }

    pub(crate) fn part_audio(&self, part: &Part) -> &[Sample] {
        self.audio.get(part.audio.clone()).unwrap_or_default()
    }

    /// Bytes that packaging added.
    fn packaged_bytes(&self) -> u64 {
        let headers: usize = self.parts.iter().filter_map(|part| part.header.as_ref()).map(Bytes::len).sum();
        (headers + self.ts.as_ref().map_or(0, Bytes::len)) as u64
    }
}

/// The segments of one stream.
#[derive(Debug)]
pub(crate) struct Window {
    /// Most bytes of access units.
    limit: u64,
    /// Complete segments, oldest first.
    segments: VecDeque<Segment>,
    /// How many of the oldest are no longer listed.
    unlisted: usize,
    /// The one that is being filled.
    pub(crate) open: Option<Segment>,
    /// Bytes of the complete ones.
    closed_bytes: u64,
    /// Discontinuities of segments that are no longer listed (EXT-X-DISCONTINUITY-SEQUENCE).
    discontinuities: u64,
    /// Longest segment so far, rounded to seconds (EXT-X-TARGETDURATION).
    target_seconds: i64,
}

impl Window {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            segments: VecDeque::new(),
            unlisted: 0,
            open: None,
            closed_bytes: 0,
            discontinuities: 0,
            target_seconds: 1,
        }
    }

    /// Bytes of access units held.
    pub(crate) fn bytes(&self) -> u64 {
        self.closed_bytes + self.open.as_ref().map_or(0, |open| open.bytes)
    }

    pub(crate) fn packaged_bytes(&self) -> u64 {
        self.all().map(Segment::packaged_bytes).sum()
    }

    /// EXT-X-TARGETDURATION, seconds. It only ever grows.
    pub(crate) fn target_seconds(&self) -> i64 {
        self.target_seconds
    }

    /// Makes room in EXT-X-TARGETDURATION for a segment this long, in video ticks (rounded as RFC 8216 4.4.3.1 says).
    pub(crate) fn expect_duration(&mut self, ticks: i64) {
        self.target_seconds = self.target_seconds.max((ticks + VIDEO_RATE / 2) / VIDEO_RATE);
    }

    pub(crate) fn discontinuities(&self) -> u64 {
        self.discontinuities
    }

    /// All segments with the open one, oldest first.
    pub(crate) fn all(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.segments.iter().chain(&self.open)
    }

    /// Complete segments that playlists list, oldest first.
    pub(crate) fn listed(&self) -> impl DoubleEndedIterator<Item = &Segment> + Clone {
        self.segments.range(self.unlisted.min(self.segments.len())..)
    }

    /// The newest complete segment.
    pub(crate) fn newest(&self) -> Option<&Segment> {
        self.segments.back()
    }

    /// A segment by its media sequence number, complete or open.
    pub(crate) fn segment_mut(&mut self, msn: u64) -> Option<&mut Segment> {
        if self.open.as_ref().is_some_and(|open| open.msn == msn) {
            return self.open.as_mut();
        }
        self.complete_mut(msn)
    }

    /// A complete segment by its media sequence number.
    pub(crate) fn complete_mut(&mut self, msn: u64) -> Option<&mut Segment> {
        let index = self.segments.binary_search_by_key(&msn, |segment| segment.msn).ok()?;
        self.segments.get_mut(index)
    }

    /// Adds a complete segment and lets go of what is older than `listed` video ticks for playlists and `listed + grace`
    /// for fetching. Three target durations stay listed in any case (RFC 8216 6.2.2).
    pub(crate) fn add(&mut self, mut segment: Segment, listed: i64, grace: i64) {
        segment.video.shrink_to_fit();
        segment.audio.shrink_to_fit();
        segment.parts.shrink_to_fit();
        self.expect_duration(segment.duration);
        self.closed_bytes += segment.bytes;
        self.segments.push_back(segment);

        let least = 3 * self.target_seconds * VIDEO_RATE;
        let mut total: i64 = self.listed().map(|segment| segment.duration).sum();
        loop {
            let (count, duration) = self.first_group();
            let rest = total - duration;
            if count == 0 || total <= listed || rest < least {
                break;
            }
            total = rest;
            for _ in 0..count {
                self.unlist_first();
            }
        }
        let mut kept: i64 = self.segments.iter().take(self.unlisted).map(|segment| segment.duration).sum();
        while self.unlisted > 0 && kept > grace {
            kept -= self.segments.front().map_or(0, |segment| segment.duration);
            self.drop_first();
        }
    }

    /// Lets go of the oldest segments until `more` bytes fit. Says whether something listed went.
    pub(crate) fn make_room(&mut self, more: u64) -> bool {
        let before = self.listed().count();
        while !self.fits(more) && !self.segments.is_empty() {
            self.drop_first();
        }
        self.listed().count() != before
    }

    /// The oldest listed segments up to the next one that starts with a keyframe: how many, and their video ticks. They
    /// leave the list together, so that nobody starts in the middle of a GOP; one alone when no keyframe follows.
    fn first_group(&self) -> (usize, i64) {
        let listed = self.listed();
        let next_key = listed.clone().skip(1).position(Segment::starts_at_key);
        let count = next_key.map_or(1, |between| between + 1);
        listed.take(count).fold((0, 0), |(count, ticks), segment| (count + 1, ticks + segment.duration))
    }

    /// Whether there is room for `more` bytes.
    pub(crate) fn fits(&self, more: u64) -> bool {
        self.bytes() + more <= self.limit
    }

    /// Forgets all MPEG-TS.
    pub(crate) fn drop_transport_streams(&mut self) {
        for segment in &mut self.segments {
            segment.ts = None;
        }
    }

    fn unlist_first(&mut self) {
        if let Some(segment) = self.segments.get(self.unlisted) {
            self.discontinuities += u64::from(segment.discontinuity);
            self.unlisted += 1;
        }
    }

    fn drop_first(&mut self) {
        if self.unlisted == 0 {
            self.unlist_first();
        }
        if let Some(segment) = self.segments.pop_front() {
            self.closed_bytes -= segment.bytes;
            self.unlisted = self.unlisted.saturating_sub(1);
        }
    }
}
