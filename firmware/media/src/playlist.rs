//! Playlists (RFC 8216bis): multivariant, low-latency media with its delta, and MPEG-TS media.

use core::fmt::Write;

use crate::object::{Container, ObjectName};
use crate::window::{Segment, VIDEO_RATE, Window};

mod date;

/// Parts are listed for this many target durations before the end (RFC 8216bis 4.4.4.9), and for as many segments,
/// which is how validators count.
const PARTS_LISTED: i64 = 3;
/// CAN-SKIP-UNTIL in target durations (4.4.3.8).
const SKIP_UNTIL: i64 = 6;
/// HOLD-BACK in target durations, PART-HOLD-BACK in part targets (4.4.3.8).
const HOLD_BACK: i64 = 3;
/// PART-HOLD-BACK of a stream with B-frames. With 3 part targets Firefox's decoder takes all that is there, gives out what it
/// kept for reordering, and drops the B-frames that come afterwards: up to a sixth of the pictures were never shown, none with 4.
const HOLD_BACK_REORDERED: i64 = 4;
/// What packaging adds to the bit rate, percent: transport packets of small audio frames at the worst.
const OVERHEAD_PERCENT: u64 = 10;

/// What the playlists speak of.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) window: &'a Window,
    /// PART-TARGET, video ticks.
    pub(crate) part_target: i64,
    /// The part that comes next.
    pub(crate) next_part: (u64, usize),
    /// How much is listed, video ticks.
    pub(crate) listed: i64,
    /// Pictures come in another order than they are shown in.
    pub(crate) reorders: bool,
}

impl View<'_> {
    /// The multivariant playlist; `None` before the first complete segment.
    pub(crate) fn multivariant(self) -> Option<String> {
        let last = self.window.listed().next_back()?;
        let rate =
            |bytes: u64, ticks: i64| bytes * 8 * VIDEO_RATE.unsigned_abs() / ticks.max(1).unsigned_abs();
        let with_overhead = |rate: u64| rate + rate * OVERHEAD_PERCENT / 100;
        // Shorter ones than half the target duration do not count for the peak (4.4.6.2, BANDWIDTH).
        let half = self.window.target_seconds() * VIDEO_RATE / 2;
        let peak = self.window.listed().filter(|segment| segment.duration >= half);
        let peak = peak.map(|segment| rate(segment.bytes, segment.duration)).max();
        let bytes = self.window.listed().map(|segment| segment.bytes).sum();
        let ticks = self.window.listed().map(|segment| segment.duration).sum();
        let average = with_overhead(rate(bytes, ticks));
        let peak = peak.map_or(average, |peak| with_overhead(peak).max(average));
        let picture = &last.packaging.picture;
        let fps = last.video.len() as f64 * VIDEO_RATE as f64 / last.duration.max(1) as f64;
        let mut text = String::with_capacity(256);
        let _ = write!(
            text,
            "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-STREAM-INF:BANDWIDTH={peak},AVERAGE-BANDWIDTH={average},CODECS=\"{}\",\
             RESOLUTION={}x{},FRAME-RATE={fps:.3}\n{}\n",
            last.packaging.codecs(),
            picture.width,
            picture.height,
            ObjectName::Playlist(Container::Fmp4),
        );
        Some(text)
    }

    /// Whether deltas are offered: only where something would be left out.
    pub(crate) fn can_skip(self) -> bool {
        self.listed > self.skip_until()
    }

    fn skip_until(self) -> i64 {
        SKIP_UNTIL * self.window.target_seconds() * VIDEO_RATE
    }

    /// The low-latency media playlist, as a delta on demand.
    pub(crate) fn low_latency(self, delta: bool) -> String {
        let target = self.window.target_seconds();
        let open = self.window.open.as_ref().filter(|open| !open.parts.is_empty());
        let mut remaining: i64 = self.window.listed().chain(open).map(|segment| segment.duration).sum();
        // The segment that comes next counts from its hint on: strict parsers take it for one.
        let mut after = self.window.listed().count() as i64 + 1;
        let mut text = String::with_capacity(4096);
        let _ = write!(
            text,
            "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{target}\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={},HOLD-BACK={}",
            Seconds(if self.reorders { HOLD_BACK_REORDERED } else { HOLD_BACK } * self.part_target),
            HOLD_BACK * target,
        );
        if self.can_skip() {
            let _ = write!(text, ",CAN-SKIP-UNTIL={}", SKIP_UNTIL * target);
        }
        let _ = writeln!(text, "\n#EXT-X-PART-INF:PART-TARGET={}", Seconds(self.part_target));
        self.sequence(&mut text);

        let mut skipped = 0;
        let mut skipping = delta && self.can_skip();
        let mut format = None;
        for segment in self.window.listed().chain(open) {
            let near = remaining <= PARTS_LISTED * target * VIDEO_RATE && after <= PARTS_LISTED;
            remaining -= segment.duration;
            after -= 1;
            if skipping && remaining >= self.skip_until() {
                skipped += 1;
                format = Some(segment.packaging.number);
                continue;
            }
            if skipped > 0 && skipping {
                let _ = writeln!(text, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
            }
            skipping = false;
            if segment.discontinuity {
                text.push_str("#EXT-X-DISCONTINUITY\n");
            }
            if format != Some(segment.packaging.number) {
                format = Some(segment.packaging.number);
                let _ = writeln!(text, "#EXT-X-MAP:URI=\"{}\"", ObjectName::Init(segment.packaging.number));
            }
            date_time(&mut text, segment);
            // Parts of another length than the target says are as good as gone: the segment has their pictures.
            if near && segment.part_target == self.part_target {
                parts(&mut text, segment);
            }
            if open.is_none_or(|open| open.msn != segment.msn) {
                let name = ObjectName::Segment(Container::Fmp4, segment.msn);
                let _ = write!(text, "#EXTINF:{},\n{name}\n", Seconds(segment.duration));
            }
        }
        let (msn, part) = self.next_part;
        let hint = ObjectName::Part(msn, u32::try_from(part).unwrap_or(u32::MAX));
        let _ = writeln!(text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{hint}\"");
        text
    }

    /// The MPEG-TS media playlist. Its names are relative to its own folder.
    pub(crate) fn transport_stream(self) -> String {
        let target = self.window.target_seconds();
        let mut text = String::with_capacity(1024);
        let _ = write!(
            text,
            "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{target}\n\
             #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,HOLD-BACK={}\n",
            HOLD_BACK * target,
        );
        self.sequence(&mut text);
        for segment in self.window.listed() {
            if segment.discontinuity {
                text.push_str("#EXT-X-DISCONTINUITY\n");
            }
            date_time(&mut text, segment);
            let _ = write!(text, "#EXTINF:{},\n{}.ts\n", Seconds(segment.duration), segment.msn);
        }
        text
    }

    fn sequence(self, text: &mut String) {
        let first = self.window.listed().next().map_or(self.next_part.0, |segment| segment.msn);
        let _ = write!(
            text,
            "#EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-DISCONTINUITY-SEQUENCE:{}\n",
            self.window.discontinuities()
        );
    }
}

fn date_time(text: &mut String, segment: &Segment) {
    let _ = writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{}", date::DateTime(segment.wall_us));
}

fn parts(text: &mut String, segment: &Segment) {
    for (index, part) in (0..).zip(&segment.parts) {
        let name = ObjectName::Part(segment.msn, index);
        let independent = if part.independent { ",INDEPENDENT=YES" } else { "" };
        let _ = writeln!(text, "#EXT-X-PART:DURATION={},URI=\"{name}\"{independent}", Seconds(part.duration));
    }
}

/// Video ticks as decimal seconds, to the nearest of five places: less than a tick is lost.
struct Seconds(i64);

impl core::fmt::Display for Seconds {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let places = (self.0.max(0) * 100_000 + VIDEO_RATE / 2) / VIDEO_RATE;
        write!(f, "{}.{:05}", places / 100_000, places % 100_000)
    }
}
