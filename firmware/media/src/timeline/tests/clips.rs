//! Real streams with B-frames: the decode times are what the encoder wrote, as ffprobe shows them.

use super::*;

pub(super) const H264_PYRAMID: &str = include_str!("clips/h264_pyramid.txt");
pub(super) const H265_OPEN_GOP: &str = include_str!("clips/h265_open_gop.txt");
const H264_OPEN_GOP: &str = include_str!("clips/h264_open_gop.txt");
const H264_NO_B: &str = include_str!("clips/h264_no_b.txt");
const H265_CLOSED_GOP: &str = include_str!("clips/h265_closed_gop.txt");

/// ffprobe counts 12,800 ticks a second in these files.
const FFPROBE_FRAME: i64 = 512;

/// The beginnings of a clip's pictures, as a camera would stamp them, and the encoder's decode times.
pub(super) struct Clip {
    pub(super) format: VideoFormat,
    pub(super) units: Vec<AccessUnit>,
    dts: Vec<i64>,
}

impl Clip {
    pub(super) fn read(text: &str) -> Self {
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let sets: Vec<Bytes> = lines.next().unwrap().split(' ').map(|set| hex(set).into()).collect();
        let format = match sets.as_slice() {
            [sps, pps] => VideoFormat::H264 { sps: sps.clone(), pps: pps.clone() },
            [vps, sps, pps] => VideoFormat::H265 { vps: vps.clone(), sps: sps.clone(), pps: pps.clone() },
            _ => panic!("two or three parameter sets"),
        };
        let (mut units, mut dts) = (Vec::new(), Vec::new());
        for (count, line) in lines.enumerate() {
            let [shown, decoded, slice] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("three fields")
            };
            let ticks = |text: &str| text.parse::<i64>().unwrap() / FFPROBE_FRAME * FRAME;
            let data = crate::testing::sample(&[&hex(slice)]).into();
            units.push(AccessUnit { data, ..unit(Track::Video, ticks(shown), WALL + count as i64 * 40_000) });
            dts.push(ticks(decoded));
        }
        Self { format, units, dts }
    }

    fn play(&self) -> (Vec<Timed>, Timeline) {
        let mut timeline = Timeline::new();
        timeline.set_format(&Format { video: self.format.clone(), audio: None });
        let timed = self.units.iter().map(|unit| timeline.push(unit.clone()).unwrap()).collect();
        (timed, timeline)
    }
}

#[test]
fn decode_times_are_those_of_the_encoder() {
    for text in [H264_PYRAMID, H264_OPEN_GOP, H264_NO_B, H265_OPEN_GOP, H265_CLOSED_GOP] {
        let clip = Clip::read(text);
        let (timed, timeline) = clip.play();
        let zero = timed[0].dts - clip.dts[0];
        assert_eq!(timed.iter().map(|timed| timed.dts - zero).collect::<Vec<_>>(), clip.dts, "{text}");
        let stamps: Vec<i64> = clip.units.iter().map(|unit| unit.stamp).collect();
        assert_eq!(timed.iter().map(|timed| timed.pts - zero).collect::<Vec<_>>(), stamps, "{text}");
        assert_eq!(timeline.repairs(), Repairs::default(), "{text}");
    }
}

/// Parts close on this prediction: one that is too long would push the next picture behind its own time.
#[test]
fn the_next_decode_time_is_foretold_among_b_frames() {
    for text in [H264_PYRAMID, H264_OPEN_GOP, H265_OPEN_GOP, H265_CLOSED_GOP] {
        let clip = Clip::read(text);
        let mut timeline = Timeline::new();
        timeline.set_format(&Format { video: clip.format.clone(), audio: None });
        let mut foretold = None;
        for (count, unit) in clip.units.iter().enumerate() {
            let timed = timeline.push(unit.clone()).unwrap();
            if let Some(foretold) = foretold.filter(|_| count > 2) {
                assert_eq!(timed.dts, foretold, "picture {count} of {text}");
            }
            foretold = Some(timed.dts + timeline.predicted_interval(Track::Video));
        }
    }
}

#[test]
fn a_mad_stamp_among_b_frames_is_put_where_its_order_says() {
    for (text, mad) in [(H264_PYRAMID, -9_800 * 90_000), (H265_OPEN_GOP, 37_600 * 90_000)] {
        let clip = Clip::read(text);
        let (good, _) = clip.play();
        for at in 8..clip.units.len() {
            let mut clip = Clip::read(text);
            clip.units[at].stamp += mad;
            let (timed, timeline) = clip.play();
            assert_eq!(timeline.repairs().stamps, 1);
            let off =
                timed.iter().zip(&good).map(|(timed, good)| (timed.pts - good.pts).abs()).max().unwrap();
            // At an IDR picture nothing tells how many pictures are shown before it.
            let allowed = if timed[at].data[4] == 0x65 { 2 * FRAME } else { 2 };
            assert!(off <= allowed, "picture {at} of {text} moved by {off}");
        }
    }
}

/// The same pictures from an encoder that does not tell how far it reorders: found out at the first B-frames, and right
/// half a second later.
#[test]
fn an_unknown_reorder_depth_is_found_out() {
    let mut clip = Clip::read(H264_PYRAMID);
    let VideoFormat::H264 { sps, pps } = clip.format else { panic!("H.264") };
    clip.format = VideoFormat::H264 { sps: sps.slice(..13), pps };
    assert_eq!(clip.format.facts().unwrap().reorder, None);
    let (timed, timeline) = clip.play();
    let zero = timed[0].pts;
    for (timed, unit) in timed.iter().zip(&clip.units).skip(12) {
        assert_eq!(timed.pts - zero, unit.stamp);
    }
    let settled: Vec<i64> = timed.windows(2).skip(12).map(|pair| pair[1].dts - pair[0].dts).collect();
    assert!(settled.iter().all(|step| *step == FRAME), "{settled:?}");
    assert!(timeline.repairs().stamps <= 1);
}

/// After a lost IDR picture orders seem to go back by a whole GOP; that is no reordering.
#[test]
fn a_lost_idr_picture_does_not_deepen_the_reordering() {
    let mut clip = Clip::read(H265_CLOSED_GOP);
    let idr = clip.units.iter().rposition(|unit| unit.data[4] == 0x28).unwrap();
    assert!(idr > 0, "the clip has a second IDR picture");
    let (mut whole, _) = clip.play();
    clip.units.remove(idr);
    whole.remove(idr);
    let (timed, timeline) = clip.play();
    for (timed, whole) in timed.iter().zip(&whole) {
        assert_eq!(timed.pts, whole.pts);
        assert!((0..=2 * FRAME).contains(&(whole.dts - timed.dts)), "{} for {}", timed.dts, whole.dts);
    }
    assert_eq!(timeline.repairs(), Repairs::default());
}
