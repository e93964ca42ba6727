//! The guarantees hold for whatever comes.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// What a camera may do.
#[derive(Debug, Clone)]
enum Act {
    Unit { unit: AccessUnit },
    Interrupt,
    Format(usize),
}

fn formats() -> Vec<Format> {
    let [pyramid, h265] =
        [clips::H264_PYRAMID, clips::H265_OPEN_GOP].map(|text| clips::Clip::read(text).format);
    let broken = VideoFormat::H265 { vps: Bytes::new(), sps: Bytes::from_static(&[0x42]), pps: Bytes::new() };
    let strange = AudioFormat::Aac { config: Bytes::new(), sample_rate: NonZeroU32::MAX, channels: 0 };
    vec![
        format(true),
        format(false),
        Format { video: pyramid, audio: format(true).audio },
        Format { video: h265, audio: None },
        Format { video: broken, audio: Some(strange) },
    ]
}

fn any_time() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => 0..200_000_i64,
        2 => -2_000_000_000..2_000_000_000_i64,
        1 => any::<i64>(),
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(0)],
    ]
}

fn any_slice() -> impl Strategy<Value = Bytes> {
    let real = prop::sample::select(clips::Clip::read(clips::H264_PYRAMID).units);
    let real_h265 = prop::sample::select(clips::Clip::read(clips::H265_OPEN_GOP).units);
    let noise = proptest::collection::vec(any::<u8>(), 0..24);
    prop_oneof![
        real.prop_map(|unit| unit.data),
        real_h265.prop_map(|unit| unit.data),
        noise.clone().prop_map(Bytes::from),
        noise.prop_map(|bytes| crate::testing::sample(&[&bytes]).into()),
    ]
}

fn any_act() -> impl Strategy<Value = Act> {
    let track = prop_oneof![Just(Track::Video), Just(Track::Audio)];
    let rate = prop_oneof![6 => Just(90_000), 3 => Just(AUDIO_RATE), 1 => 1_u32..];
    let any_unit = (track, any_time(), rate, any_time(), any::<bool>(), any::<bool>(), any_slice());
    let any_unit = any_unit.prop_map(|(track, stamp, rate, arrival_us, random_access, loss, data)| {
        let clock_rate = NonZeroU32::new(rate).unwrap();
        Act::Unit { unit: AccessUnit { track, stamp, clock_rate, arrival_us, random_access, loss, data } }
    });
    prop_oneof![
        40 => any_unit,
        1 => Just(Act::Interrupt),
        1 => (0..formats().len()).prop_map(Act::Format),
    ]
}

proptest! {
    #[test]
    fn time_only_goes_on(acts in proptest::collection::vec(any_act(), 1..120)) {
        let formats = formats();
        let mut timeline = Timeline::new();
        timeline.set_format(&formats[0]);
        let mut audio = true;
        // Seconds, because the ticks of the sound change with its rate.
        let mut last: HashMap<Track, (i64, u32)> = HashMap::new();
        for act in acts {
            match act {
                Act::Interrupt => timeline.interrupt(),
                Act::Format(at) => {
                    audio = formats[at].audio.is_some();
                    timeline.set_format(&formats[at]);
                }
                Act::Unit { unit } => {
                    let (track, data, random_access) = (unit.track, unit.data.clone(), unit.random_access);
                    let Some(timed) = timeline.push(unit) else {
                        prop_assert!(track == Track::Audio && !audio);
                        continue;
                    };
                    prop_assert_eq!((timed.track, &timed.data, timed.random_access), (track, &data, random_access));
                    prop_assert!(timed.dts >= 0 && timed.pts >= timed.dts);
                    let rate = timeline.timescale(track);
                    if let Some((dts, before)) = last.insert(track, (timed.dts, rate)) {
                        let later = i128::from(timed.dts) * i128::from(before) > i128::from(dts) * i128::from(rate);
                        prop_assert!(later, "{} at {rate} Hz is not after {dts} at {before} Hz", timed.dts);
                    }
                    prop_assert!(timeline.predicted_interval(track) >= 1);
                }
            }
        }
    }

    /// A camera that behaves, but loses a fifth of its frames and jitters, is never corrected.
    #[test]
    fn losses_and_jitter_are_not_repaired(
        frames in proptest::collection::vec((0..5, -180..180_i64, 0..100_i64), 2..300))
    {
        let mut camera = Camera::new(false);
        let mut first = None;
        for (frame, (kept, jitter, late)) in frames.into_iter().enumerate().filter(|(_, (kept, ..))| *kept > 0) {
            let frame = frame as i64;
            let _ = kept;
            let stamp = frame * FRAME + jitter;
            let pts = camera.picture(stamp, frame * 40 + late).pts;
            prop_assert_eq!(pts - stamp, *first.get_or_insert(pts - stamp));
        }
        prop_assert_eq!(camera.timeline.repairs(), Repairs::default());
    }
}
