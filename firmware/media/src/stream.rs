//! One camera's stream: access units in, playlists and objects out.

use core::time::Duration;

use bytes::Bytes;

use crate::facts::Facts;
use crate::object::{Answer, Body, Cache, Container, ObjectName, Request};
use crate::packaging::{Packaging, UnusableFormat};
use crate::playlist::View;
use crate::segmenter::{Cut, Rules, Segmenter};
use crate::timeline::Timeline;
use crate::unit::{AccessUnit, Format, Track};
use crate::window::{Segment, VIDEO_RATE, Window};

const PLAYLIST: &str = "application/vnd.apple.mpegurl";
const MP4: &str = "video/mp4";
const MPEG_TS: &str = "video/mp2t";

/// Who has not asked for this long is gone, microseconds (30 s).
const GONE_US: u64 = 30_000_000;
/// While somebody watches, segments stay this many target durations after they left the playlists.
const GRACE: i64 = 2;
/// A blocking answer may be kept this many target durations (RFC 8216bis, appendix B.1).
const BLOCKING_CACHE: i64 = 6;

/// What the owner may choose for a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Longest part of a low-latency segment (PART-TARGET), 50 ms to 2 s. Default 200 ms. Shorter: less latency, more
    /// requests. It grows for a camera whose pictures are further apart.
    pub part: Duration,
    /// A segment ends at the first keyframe after this long, up to 6 s. Default 900 ms, so that a GOP of 1 s is a segment.
    /// Longer: fewer requests, more latency for players that take whole segments.
    pub segment: Duration,
    /// How much the playlists list, 1 s to 10 min. Default 10 s. Longer: slower players survive, more memory.
    pub window: Duration,
    /// Most bytes of access units kept, listed or still fetchable; 1 MiB at least. Default 12 MiB. Where the bit rate is
    /// too high for it, less than `window` is listed. While somebody watches MPEG-TS, its segments come on top: as much
    /// again for those that are asked for.
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

impl Options {
    fn rules(self) -> Rules {
        let ticks = |duration: Duration, least: Duration, most: Duration| {
            let micros = duration.clamp(least, most).as_micros();
            i64::try_from(micros).unwrap_or(i64::MAX / VIDEO_RATE) * VIDEO_RATE / 1_000_000
        };
        Rules {
            part: ticks(self.part, Duration::from_millis(50), Duration::from_secs(2)),
            segment: ticks(self.segment, Duration::ZERO, Duration::from_secs(6)),
            window: ticks(self.window, Duration::from_secs(1), Duration::from_secs(600)),
            window_bytes: self.window_bytes.max(1024 * 1024),
        }
    }
}

/// What a call changed for those who wait for an [`Answer::NotYet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// A part was closed: wake the waiters.
    pub part_closed: bool,
    /// A segment was closed: wake the waiters.
    pub segment_closed: bool,
}

/// One camera's stream.
#[derive(Debug)]
pub struct Stream {
    rules: Rules,
    timeline: Timeline,
    segmenter: Segmenter,
    window: Window,
    /// Formats so far, modulo 32.
    formats: u8,
    /// Playlists as they stand until something is closed.
    texts: Texts,
    /// Arrival of the last unit, microseconds since 1970.
    now_us: Option<i64>,
    /// When a playlist, and when MPEG-TS was last asked for.
    asked_us: Option<i64>,
    asked_ts_us: Option<i64>,
    units: u64,
    lossy_units: u64,
    dropped_units: u64,
}

#[derive(Debug, Default)]
struct Texts {
    live: Option<Bytes>,
    delta: Option<Bytes>,
    ts: Option<Bytes>,
}

impl Stream {
    /// An empty stream. Its media sequence numbers count from `first_msn`. They name the objects, which caches keep for
    /// ever, so a stream that is made anew must not use a number again: count twice the seconds since a fixed day.
    /// Segments last a second or so each, so that no stream overtakes it.
    pub fn new(options: Options, first_msn: u64) -> Self {
        let rules = options.rules();
        Self {
            rules,
            timeline: Timeline::new(),
            segmenter: Segmenter::new(rules, first_msn),
            window: Window::new(rules.window_bytes),
            formats: 0,
            texts: Texts::default(),
            now_us: None,
            asked_us: None,
            asked_ts_us: None,
            units: 0,
            lossy_units: 0,
            dropped_units: 0,
        }
    }

    /// What the access units from here on are made of. The same format again changes nothing; another one ends the
    /// open segment, and what comes next begins at a keyframe after a discontinuity.
    ///
    /// # Errors
    /// [`UnusableFormat`]: the format before it stays.
    pub fn set_format(&mut self, format: Format) -> Result<Progress, UnusableFormat> {
        if self.segmenter.packaging().is_some_and(|packaging| packaging.format == format) {
            return Ok(Progress::default());
        }
        let packaging = Packaging::new(format, self.formats)?;
        self.formats = (self.formats + 1) % 32;
        let cut = self.end_open();
        self.timeline.set_format(&packaging.format);
        self.segmenter.set_packaging(packaging);
        Ok(self.note(cut))
    }

    /// The next access unit of either track, in the order of arrival.
    pub fn push(&mut self, unit: AccessUnit) -> Progress {
        self.units += 1;
        self.lossy_units += u64::from(unit.loss);
        self.now_us = Some(unit.arrival_us);
        let Some(timed) = self.timeline.push(unit) else {
            self.dropped_units += 1;
            return Progress::default();
        };
        let interval = self.timeline.predicted_interval(timed.track);
        let cut = self.segmenter.push(&mut self.window, timed, interval);
        if cut.part {
            self.forget_the_gone();
        }
        self.note(cut)
    }

    /// The session with the camera was lost: what is open is closed, and what comes next begins at a keyframe after a
    /// discontinuity.
    pub fn interrupt(&mut self) -> Progress {
        let cut = self.end_open();
        self.timeline.interrupt();
        self.note(cut)
    }

    /// The multivariant playlist, once a segment is complete.
    pub fn multivariant(&mut self) -> Option<Bytes> {
        self.asked_us = self.now_us;
        view(&self.window, &self.segmenter, self.rules).multivariant().map(Bytes::from)
    }

    /// A media playlist, with the delivery directives of the request (RFC 8216bis 6.2.5).
    pub fn playlist(&mut self, container: Container, request: Request) -> Answer {
        self.asked_us = self.now_us;
        if container == Container::Ts {
            self.asked_ts_us = self.now_us;
        }
        match self.wait(container, request) {
            Wait::Over => {}
            Wait::On => return Answer::NotYet,
            Wait::Never => return Answer::BadRequest,
        }
        let view = view(&self.window, &self.segmenter, self.rules);
        let delta = request.skip && view.can_skip();
        let bytes = match container {
            Container::Fmp4 if delta => self.texts.delta.get_or_insert_with(|| view.low_latency(true).into()),
            Container::Fmp4 => self.texts.live.get_or_insert_with(|| view.low_latency(false).into()),
            Container::Ts => self.texts.ts.get_or_insert_with(|| view.transport_stream().into()),
        }
        .clone();
        let cache = if request.msn.is_some() {
            Cache::Seconds(u32::try_from(BLOCKING_CACHE * self.window.target_seconds()).unwrap_or(1))
        } else {
            Cache::NoStore
        };
        Answer::Ready(Body::new(vec![bytes], PLAYLIST, cache))
    }

    /// Any object by its name; playlists as without directives.
    pub fn object(&mut self, name: &ObjectName) -> Answer {
        let found = match *name {
            ObjectName::Multivariant => {
                return self.multivariant().map_or(Answer::NotYet, |text| {
                    Answer::Ready(Body::new(vec![text], PLAYLIST, Cache::NoStore))
                });
            }
            ObjectName::Playlist(container) => return self.playlist(container, Request::default()),
            ObjectName::Init(number) => self.init(number).map(|init| (vec![init], MP4)),
            ObjectName::Segment(Container::Fmp4, msn) => {
                self.window.complete_mut(msn).map(|segment| (segment.chunks(), MP4))
            }
            ObjectName::Segment(Container::Ts, msn) => {
                self.asked_ts_us = self.now_us;
                let ts = self.window.complete_mut(msn).and_then(Segment::transport_stream);
                ts.map(|ts| (vec![ts], MPEG_TS))
            }
            ObjectName::Part(msn, part) => {
                let index = usize::try_from(part).unwrap_or(usize::MAX);
                if (msn, index) == self.segmenter.next_part(&self.window) {
                    return Answer::NotYet;
                }
                self.window
                    .segment_mut(msn)
                    .and_then(|segment| segment.part(index))
                    .map(|chunks| (chunks, MP4))
            }
        };
        found.map_or(Answer::NotFound, |(chunks, kind)| {
            Answer::Ready(Body::new(chunks, kind, Cache::Immutable))
        })
    }

    /// Numbers for metrics and for the page.
    pub fn facts(&self) -> Facts {
        let seconds = |ticks: i64| ticks as f64 / VIDEO_RATE as f64;
        let texts = [&self.texts.live, &self.texts.delta, &self.texts.ts];
        let texts: usize = texts.into_iter().flatten().map(Bytes::len).sum();
        let ticks: i64 = self.window.all().map(|segment| segment.duration).sum();
        let (listed_bytes, listed_ticks) = self
            .window
            .listed()
            .fold((0, 0), |(bytes, ticks), segment| (bytes + segment.bytes, ticks + segment.duration));
        Facts {
            window_bytes: self.window.bytes(),
            packaged_bytes: self.window.packaged_bytes() + texts as u64,
            window_units: self
                .window
                .all()
                .map(|segment| segment.video.len() + segment.audio.len())
                .sum::<usize>() as u64,
            window_seconds: seconds(ticks),
            segments: self.window.listed().count() as u64,
            units: self.units,
            lossy_units: self.lossy_units,
            repaired_stamps: self.timeline.repairs().stamps,
            dropped_units: self.dropped_units,
            last_wall_us: self.now_us,
            fps: self
                .window
                .newest()
                .map_or(0.0, |segment| segment.video.len() as f64 / seconds(segment.duration.max(1))),
            bit_rate: listed_bytes * 8 * VIDEO_RATE.unsigned_abs() / listed_ticks.max(1).unsigned_abs(),
            gop_seconds: seconds(self.segmenter.gop().ticks),
        }
    }

    fn init(&self, number: u64) -> Option<Bytes> {
        let current = self.segmenter.packaging().filter(|packaging| packaging.number == number);
        let kept = || {
            self.window.all().map(|segment| &segment.packaging).find(|packaging| packaging.number == number)
        };
        current.or_else(kept).map(|packaging| packaging.init.clone())
    }

    fn end_open(&mut self) -> Cut {
        let interval = self.timeline.predicted_interval(Track::Video);
        self.segmenter.interrupt(&mut self.window, interval)
    }

    fn note(&mut self, cut: Cut) -> Progress {
        self.dropped_units += cut.dropped;
        if cut.part || cut.segment || cut.evicted {
            self.texts = Texts::default();
        }
        Progress { part_closed: cut.part, segment_closed: cut.segment }
    }

    /// Lets go of what is kept for viewers who have not asked for long.
    fn forget_the_gone(&mut self) {
        let here = |asked: Option<i64>| {
            asked.zip(self.now_us).is_some_and(|(asked, now)| now.abs_diff(asked) <= GONE_US)
        };
        let watched = here(self.asked_us);
        self.segmenter.grace = if watched { GRACE * self.window.target_seconds() * VIDEO_RATE } else { 0 };
        if self.asked_ts_us.is_some() && !here(self.asked_ts_us) {
            self.asked_ts_us = None;
            self.window.drop_transport_streams();
        }
    }

    /// Whether a playlist request has to wait (RFC 8216bis 6.2.5.2).
    fn wait(&self, container: Container, request: Request) -> Wait {
        let Some(newest) = self.window.listed().next_back() else {
            return if request.part.is_some() && request.msn.is_none() { Wait::Never } else { Wait::On };
        };
        let Some(msn) = request.msn else {
            return if request.part.is_some() { Wait::Never } else { Wait::Over };
        };
        let (open, parts) = self.segmenter.next_part(&self.window);
        let last = if parts > 0 && container == Container::Fmp4 { open } else { newest.msn };
        if msn > last.saturating_add(2) {
            return Wait::Never;
        }
        let over = match (container, request.part) {
            (Container::Fmp4, Some(part)) => {
                let part = usize::try_from(part).unwrap_or(usize::MAX);
                let there = if msn == open {
                    parts
                } else if msn == newest.msn {
                    newest.parts.len()
                } else {
                    0
                };
                if msn >= last && part >= self.advance_limit() + there {
                    return Wait::Never;
                }
                // A part beyond the end of its segment stands for the first of the next.
                if msn == newest.msn && part >= there { parts > 0 } else { msn < open || part < there }
            }
            _ => msn <= newest.msn,
        };
        if over { Wait::Over } else { Wait::On }
    }

    /// How many parts ahead a request may be (RFC 8216bis 6.2.5.2, Advance Part Limit).
    fn advance_limit(&self) -> usize {
        let target = self.segmenter.part_target().unsigned_abs().clamp(1, VIDEO_RATE.unsigned_abs());
        usize::try_from((3 * VIDEO_RATE).unsigned_abs().div_ceil(target)).unwrap_or(3)
    }
}

/// What the playlists speak of, apart from where their texts are kept.
fn view<'a>(window: &'a Window, segmenter: &Segmenter, rules: Rules) -> View<'a> {
    View {
        window,
        part_target: segmenter.part_target(),
        next_part: segmenter.next_part(window),
        reorders: segmenter.reorders(),
        listed: rules.window,
    }
}

/// Whether a request has to wait.
enum Wait {
    Over,
    On,
    Never,
}
