//! Whatever a camera does, a viewer's player can rely on the playlists and on the time in the fragments.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::camera::{FIRST_MSN, START_US, format, unit};
use crate::viewer::{Playlist, SECOND, Segment, bytes, fetch, fragments, text};
use media::{Answer, Container, Options, Request, Stream, Track};
use proptest::prelude::*;

/// What happens to a stream.
#[derive(Debug, Clone)]
enum Step {
    /// Pictures at this interval (90 kHz ticks), late by up to the jitter, each with its sound if asked for.
    Pictures {
        count: u8,
        interval: i64,
        jitter: i64,
        key_every: u8,
        bytes: usize,
        sound: bool,
    },
    /// A stamp from nowhere.
    Mad {
        stamp: i64,
        key: bool,
    },
    Silence {
        ms: i64,
    },
    Sounds {
        count: u8,
    },
    Interrupt,
    Format {
        number: usize,
        audio: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let interval = prop_oneof![
        4 => Just(3600_i64), 2 => Just(3000), 1 => Just(1500), 1 => Just(7500), 1 => Just(45_000), 1 => 900..200_000_i64
    ];
    prop_oneof![
        8 => (1..90_u8, interval, 0..4000_i64, 1..80_u8, 13..3000_usize, any::<bool>()).prop_map(
            |(count, interval, jitter, key_every, bytes, sound)| Step::Pictures { count, interval, jitter, key_every, bytes, sound }
        ),
        1 => (any::<i64>(), any::<bool>()).prop_map(|(stamp, key)| Step::Mad { stamp, key }),
        1 => (0..20_000_i64).prop_map(|ms| Step::Silence { ms }),
        1 => (1..100_u8).prop_map(|count| Step::Sounds { count }),
        1 => Just(Step::Interrupt),
        1 => (0..3_usize, any::<bool>()).prop_map(|(number, audio)| Step::Format { number, audio }),
    ]
}

/// A stream, its camera's clock and everything its viewer has seen.
struct World {
    stream: Stream,
    now_us: i64,
    stamp: i64,
    sound_stamp: i64,
    numbers: [u64; 2],
    pushed: [Vec<Vec<u8>>; 2],
    limit: u64,
    target: i64,
    segments: BTreeMap<u64, (Segment, Vec<u8>)>,
    /// The discontinuity sequence number of each segment.
    sequences: BTreeMap<u64, u64>,
}

impl World {
    fn new(options: Options) -> Self {
        let mut stream = Stream::new(options, FIRST_MSN);
        stream.set_format(format(0, true)).unwrap();
        Self {
            stream,
            now_us: START_US,
            stamp: 0,
            sound_stamp: 0,
            numbers: [0; 2],
            pushed: [Vec::new(), Vec::new()],
            limit: options.window_bytes,
            target: 0,
            segments: BTreeMap::new(),
            sequences: BTreeMap::new(),
        }
    }

    fn push(&mut self, track: Track, key: bool, size: usize, stamp: i64) -> Result<(), TestCaseError> {
        let index = usize::from(track == Track::Audio);
        let unit = unit(track, self.numbers[index], key, size, stamp, self.now_us);
        self.numbers[index] += 1;
        self.pushed[index].push(unit.data.to_vec());
        let progress = self.stream.push(unit);
        prop_assert!(self.stream.facts().window_bytes <= self.limit);
        if progress.part_closed || progress.segment_closed { self.look() } else { Ok(()) }
    }

    fn act(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Pictures { count, interval, jitter, key_every, bytes, sound } => {
                for picture in 0..count {
                    self.stamp += interval;
                    self.now_us += interval * 1_000_000 / 90_000;
                    let late = i64::from(picture) * 7919 % (jitter + 1);
                    self.push(Track::Video, picture % key_every == 0, bytes, self.stamp + late)?;
                    while sound && self.sound_stamp * 90_000 / 16_000 < self.stamp {
                        self.sound_stamp += 1024;
                        self.push(Track::Audio, true, 100, self.sound_stamp)?;
                    }
                }
            }
            Step::Mad { stamp, key } => self.push(Track::Video, key, 500, stamp)?,
            Step::Silence { ms } => {
                self.now_us += ms * 1000;
                self.stamp += ms * 90;
                self.sound_stamp += ms * 16;
            }
            Step::Sounds { count } => {
                for _ in 0..count {
                    self.sound_stamp += 1024;
                    self.now_us += 64_000;
                    self.stamp += 5760;
                    self.push(Track::Audio, true, 100, self.sound_stamp)?;
                }
            }
            Step::Interrupt => {
                self.stream.interrupt();
                self.look()?;
            }
            Step::Format { number, audio } => {
                self.stream.set_format(format(number, audio)).unwrap();
                self.look()?;
            }
        }
        Ok(())
    }

    /// Reads the playlists and everything they list.
    fn look(&mut self) -> Result<(), TestCaseError> {
        let Answer::Ready(live) = self.stream.playlist(Container::Fmp4, Request::default()) else {
            return Ok(());
        };
        let live = Playlist::read(&String::from_utf8(live.chunks.concat()).unwrap());
        prop_assert!(live.target >= self.target, "the target duration never shrinks");
        self.target = live.target;
        let part_target = live.part_target.unwrap();
        prop_assert!(live.control("PART-HOLD-BACK").unwrap() + 2 >= 3 * part_target);
        prop_assert!(live.control("HOLD-BACK").unwrap() >= 3 * live.target);
        prop_assert!(live.control("CAN-SKIP-UNTIL").is_none_or(|until| until >= 6 * live.target));
        prop_assert!(live.segments[0].map.is_some() && live.segments[0].uri.is_some());

        let mut sequence = live.discontinuities;
        for segment in &live.segments {
            let complete = segment.uri.is_some();
            if complete {
                prop_assert!((segment.duration + SECOND / 2) / SECOND * SECOND <= live.target);
                prop_assert!(segment.date.is_some());
            }
            let parts: i64 = segment.parts.iter().map(|part| part.duration).sum();
            if complete && !segment.parts.is_empty() {
                // Each number is rounded to 10 us.
                prop_assert!((parts - segment.duration).abs() <= segment.parts.len() as i64, "{segment:?}");
            }
            for (index, part) in segment.parts.iter().enumerate() {
                prop_assert!(part.duration <= part_target, "{part:?} of {part_target}");
                let last = index + 1 == segment.parts.len() && complete;
                prop_assert!(last || part.duration * 100 >= part_target * 85, "{part:?} of {part_target}");
            }
            sequence += u64::from(segment.discontinuity);
            prop_assert_eq!(
                *self.sequences.entry(segment.msn).or_insert(sequence),
                sequence,
                "{:?}",
                segment
            );
            self.collect(segment)?;
        }

        let with_parts: Vec<_> = live.segments.iter().filter(|segment| !segment.parts.is_empty()).collect();
        prop_assert!(with_parts.len() <= 3, "parts are listed near the end only");
        let hint = live.hint.unwrap();
        prop_assert_eq!(fetch(&mut self.stream, &hint), Answer::NotYet, "{}", hint);
        self.ask(&live.segments, live.first)?;

        let ts = Playlist::read(&text(self.stream.playlist(Container::Ts, Request::default())));
        let complete: Vec<_> = live.segments.iter().filter(|segment| segment.uri.is_some()).collect();
        prop_assert_eq!(ts.segments.len(), complete.len());
        for (ts, mp4) in ts.segments.iter().zip(complete) {
            prop_assert_eq!(
                (ts.msn, ts.duration, ts.discontinuity),
                (mp4.msn, mp4.duration, mp4.discontinuity)
            );
        }
        Ok(())
    }

    /// Fetches what a segment's lines name.
    fn collect(&mut self, segment: &Segment) -> Result<(), TestCaseError> {
        let mut parts = Vec::new();
        for part in &segment.parts {
            parts.extend(bytes(fetch(&mut self.stream, &part.uri)));
        }
        let Some(uri) = &segment.uri else { return Ok(()) };
        let body = bytes(fetch(&mut self.stream, uri));
        prop_assert!(segment.parts.is_empty() || parts == body, "a segment is its parts");
        if let Some(map) = &segment.map {
            prop_assert!(matches!(fetch(&mut self.stream, map), Answer::Ready(_)));
        }
        let ts = bytes(fetch(&mut self.stream, &format!("ts/{}.ts", segment.msn)));
        prop_assert_eq!(ts.len() % 188, 0);
        self.segments.entry(segment.msn).or_insert_with(|| (segment.clone(), body));
        Ok(())
    }

    /// Blocking requests around the end of the playlist.
    fn ask(&mut self, segments: &[Segment], first: u64) -> Result<(), TestCaseError> {
        let last = segments.last().unwrap();
        for msn in first.saturating_sub(1)..last.msn + 4 {
            for part in [None, Some(0), Some(last.parts.len() as u32), Some(1000)] {
                let answer =
                    self.stream.playlist(Container::Fmp4, Request { msn: Some(msn), part, skip: false });
                let there = if msn == last.msn && last.uri.is_none() {
                    part.is_some_and(|part| (part as usize) < last.parts.len())
                } else {
                    msn < last.msn || (msn == last.msn && part.is_none())
                };
                match answer {
                    Answer::Ready(_) => prop_assert!(msn <= last.msn),
                    Answer::NotYet => prop_assert!(!there, "{msn} {part:?} {last:?}"),
                    Answer::BadRequest => {
                        // The advance part limit is three parts at least.
                        let beyond = msn >= last.msn && part.is_some_and(|part| part >= 3);
                        prop_assert!(!there && (msn > last.msn + 2 || beyond), "{msn} {part:?}");
                    }
                    Answer::NotFound => prop_assert!(false, "a playlist is always there"),
                }
            }
        }
        Ok(())
    }

    /// Every unit in one part, time without a hole.
    fn check_fragments(mut self) -> Result<(), TestCaseError> {
        self.stream.interrupt();
        self.look()?;
        let mut seen: [Vec<Vec<u8>>; 2] = [Vec::new(), Vec::new()];
        let mut ends: [Option<i64>; 2] = [None; 2];
        let mut first = [true; 2];
        for (segment, body) in self.segments.values() {
            let mut duration = 0;
            if segment.discontinuity {
                first = [true; 2];
            }
            for runs in fragments(body) {
                prop_assert_eq!(runs[0].track, 1, "each part has pictures");
                duration += runs[0].duration();
                for run in runs {
                    let index = run.track as usize - 1;
                    // Time may leap over a discontinuity, but it never goes back.
                    let leaps = std::mem::take(&mut first[index]);
                    let follows = |end| end == run.start || (leaps && end < run.start);
                    prop_assert!(
                        ends[index].is_none_or(follows),
                        "{:?} then {} of track {} in {segment:?}",
                        ends[index],
                        run.start,
                        run.track
                    );
                    ends[index] = Some(run.start + run.duration());
                    prop_assert!(
                        run.samples.iter().all(|sample| sample.duration > 0 && sample.composition >= 0)
                    );
                    seen[index].extend(run.samples.into_iter().map(|sample| sample.data));
                }
            }
            prop_assert!((duration * 10 / 9 - segment.duration).abs() <= 1, "EXTINF of {segment:?}");
        }
        let facts = self.stream.facts();
        let count = (seen[0].len() + seen[1].len()) as u64;
        prop_assert_eq!(
            count + facts.dropped_units,
            facts.units,
            "each unit in a part, or counted as dropped"
        );
        for (seen, pushed) in seen.iter().zip(&self.pushed) {
            let mut pushed = pushed.iter();
            prop_assert!(seen.iter().all(|unit| pushed.any(|other| other == unit)), "in order, each once");
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_player_can_rely_on_everything(steps in prop::collection::vec(step(), 1..14), part_ms in 100..600_u64) {
        let options = Options {
            part: Duration::from_millis(part_ms),
            window: Duration::from_secs(600),
            window_bytes: 1 << 30,
            ..Options::default()
        };
        let mut world = World::new(options);
        for step in &steps {
            world.act(step)?;
        }
        world.check_fragments()?;
    }

    #[test]
    fn a_small_window_holds_its_bounds_and_all_that_is_listed(
        steps in prop::collection::vec(step(), 1..10), large in 1..60_usize, seconds in 1..5_u64)
    {
        let options = Options { window: Duration::from_secs(seconds), window_bytes: 1 << 20, ..Options::default() };
        let mut world = World::new(options);
        for step in &steps {
            let step = match step.clone() {
                Step::Pictures { count, interval, jitter, key_every, bytes, sound } =>
                    Step::Pictures { count, interval, jitter, key_every, bytes: bytes * large, sound },
                other => other,
            };
            world.act(&step)?;
        }
    }
}
