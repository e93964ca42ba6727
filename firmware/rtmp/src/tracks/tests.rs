use media::VideoFormat;
use proptest::prelude::*;

use super::*;

const SPS: &[u8] = &[
    0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x03, 0xc5, 0x68, 0x40, 0, 0, 3, 0, 0x40, 0, 0, 0x0c, 3, 0xc5, 0x8b, 0x92,
];
const PPS: &[u8] = &[0x68, 0xcb, 0x8c, 0xb2];

/// A sequence header (FLV) with these sets.
fn header(sps: &[u8], pps: &[u8]) -> Vec<u8> {
    let mut body = vec![0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, sps.len() as u8];
    body.extend(sps);
    body.extend([1, 0, pps.len() as u8]);
    body.extend(pps);
    body
}

/// A picture of these NAL units, shown so many milliseconds after its time.
fn picture(composition: u8, units: &[&[u8]]) -> Vec<u8> {
    let mut body = vec![0x27, 1, 0, 0, composition];
    for unit in units {
        body.extend((unit.len() as u32).to_be_bytes());
        body.extend(*unit);
    }
    body
}

const KEY: &[u8] = &[0x65, 1, 2, 3];

fn started() -> Tracks {
    let mut tracks = Tracks::new();
    assert_eq!(tracks.video(0, &header(SPS, PPS), 0), Ok(Taken::default()));
    assert!(tracks.video(0, &picture(0, &[KEY]), 0).unwrap().format.is_some());
    tracks
}

fn h264(sps: &[u8], pps: &[u8]) -> VideoFormat {
    VideoFormat::H264 { sps: Bytes::copy_from_slice(sps), pps: Bytes::copy_from_slice(pps) }
}

#[test]
fn the_format_comes_with_the_first_picture_and_once() {
    let mut tracks = Tracks::new();
    assert_eq!(tracks.video(0, &picture(0, &[KEY]), 0), Ok(Taken::default()), "nothing can be shown yet");
    tracks.audio(0, &[0xaf, 0, 0x12, 0x10], 0).unwrap();
    assert_eq!(tracks.audio(0, &[0xaf, 1, 5], 0), Ok(Taken::default()), "no sound before pictures");
    tracks.video(0, &header(SPS, PPS), 0).unwrap();
    let taken = tracks.video(40, &picture(80, &[KEY]), 7).unwrap();
    let format = taken.format.unwrap();
    assert_eq!(format.video, h264(SPS, PPS));
    let Some(AudioFormat::Aac { sample_rate, channels, .. }) = format.audio else { panic!("no sound") };
    assert_eq!((sample_rate.get(), channels), (44_100, 2));
    let unit = taken.unit.unwrap();
    assert_eq!((unit.stamp, unit.clock_rate.get(), unit.arrival_us), (120 * 90, 90_000, 7));
    assert!(unit.random_access && !unit.loss);
    assert_eq!(unit.data[..], [0, 0, 0, 4, 0x65, 1, 2, 3]);
    // The same header again is nothing new.
    tracks.video(40, &header(SPS, PPS), 0).unwrap();
    assert_eq!(tracks.video(80, &picture(0, &[KEY]), 0).unwrap().format, None);
    // Neither is sound that was another for a moment in which nothing was heard.
    tracks.audio(90, &[0x2f, 1], 0).unwrap();
    tracks.audio(90, &[0xaf, 0, 0x12, 0x10], 0).unwrap();
    let taken = tracks.audio(100, &[0xaf, 1, 5], 0).unwrap();
    assert_eq!(taken.format, None);
    let sound = taken.unit.unwrap();
    assert_eq!((sound.stamp, sound.clock_rate.get()), (4410, 44_100));
    let facts = tracks.facts("rtmp://push/live").unwrap();
    assert_eq!((facts.video, facts.audio, facts.notes.len()), (CodecKind::H264, Some(CodecKind::Aac), 0));
    assert!(facts.size.0 > 0);
}

#[test]
fn new_parameter_sets_are_told_however_they_come() {
    let other = &[0x68, 0xce, 0x3c, 0x80][..];
    let mut tracks = started();
    tracks.video(40, &header(SPS, other), 0).unwrap();
    let taken = tracks.video(40, &picture(0, &[KEY]), 0).unwrap();
    assert_eq!(taken.format.unwrap().video, h264(SPS, other), "by a header");
    let taken = tracks.video(80, &picture(0, &[SPS, PPS, KEY]), 0).unwrap();
    assert_eq!(taken.format.unwrap().video, h264(SPS, PPS), "beside a keyframe");
    let taken = tracks.video(120, &picture(0, &[SPS, PPS, KEY]), 0).unwrap();
    assert_eq!((taken.format, taken.unit.unwrap().data.len()), (None, 8), "and are not repeated");
}

#[test]
fn enhanced_h265_takes_over_from_h264() {
    let clip = include_bytes!("../../../fuzz/corpus/nal/h265-main.bin");
    let sets: Vec<&[u8]> = media::nal::units(clip).collect();
    let set = |kind: u8| *sets.iter().find(|unit| unit[0] >> 1 & 0x3f == kind).unwrap();
    let mut record = b"\x90hvc1\x01".to_vec();
    record.extend([0; 20]);
    record.extend([0xff, 3]);
    for kind in 32..35 {
        record.extend([kind, 0, 1, 0, set(kind).len() as u8]);
        record.extend(set(kind));
    }
    let mut tracks = started();
    tracks.video(40, &record, 0).unwrap();
    assert_eq!(tracks.video(40, &picture(0, &[KEY]), 0).unwrap(), Taken::default(), "a late H.264 picture");
    let taken = tracks.video(80, b"\x93hvc1\0\0\0\x03\x26\x01\x05", 0).unwrap();
    assert!(matches!(taken.format.unwrap().video, VideoFormat::H265 { .. }));
    assert!(taken.unit.unwrap().random_access);
    assert_eq!(tracks.facts("").unwrap().video, CodecKind::H265);
}

#[test]
fn sound_that_browsers_do_not_play_is_left_out_and_named() {
    let mut tracks = started();
    for (body, codec) in
        [(&[0x7f, 1][..], "G.711 A-law"), (b"\x91Opus\x01", "Opus"), (&[0xaf, 0, 0xff], "AAC of a rare kind")]
    {
        assert_eq!(tracks.audio(0, body, 0), Ok(Taken::default()));
        assert_eq!(tracks.silent(), Some(codec));
    }
    assert!(tracks.facts("").unwrap().notes[0].contains("AAC of a rare kind"));
    tracks.audio(0, &[0xaf, 0, 0x12, 0x10], 0).unwrap();
    let taken = tracks.audio(0, &[0xaf, 1, 5], 0).unwrap();
    assert!(taken.format.unwrap().audio.is_some() && taken.unit.is_some(), "until AAC comes");
    assert!(tracks.facts("").unwrap().notes.is_empty());
    // And the other way round: the format loses its sound.
    tracks.audio(0, &[0x2f, 1], 0).unwrap();
    assert_eq!(tracks.video(40, &picture(0, &[KEY]), 0).unwrap().format.unwrap().audio, None);
}

#[test]
fn pictures_that_cannot_be_passed_on_end_it() {
    let mut tracks = started();
    let unsupported = |codec: &str| Err(Trouble::UnsupportedCodec { codec: codec.into() });
    assert_eq!(tracks.video(0, b"\x90av01\0", 0), unsupported("AV1"));
    tracks.video(0, &header(&[0x67, 0xff, 0xff], PPS), 0).unwrap();
    assert_eq!(tracks.video(0, &picture(0, &[KEY]), 0), unsupported("H.264 of a kind beyond use"));
}

#[test]
fn a_torn_picture_is_left_out_and_the_next_one_says_so() {
    let mut tracks = started();
    let mut torn = picture(0, &[KEY]);
    torn.pop();
    assert_eq!(tracks.video(40, &torn, 0), Ok(Taken::default()));
    assert!(tracks.video(80, &picture(0, &[KEY]), 0).unwrap().unit.unwrap().loss);
    assert!(!tracks.video(120, &picture(0, &[KEY]), 0).unwrap().unit.unwrap().loss);
}

#[test]
fn stamps_go_on_beyond_32_bits_and_back() {
    let mut tracks = started();
    let mut stamp =
        |timestamp| tracks.video(timestamp, &picture(0, &[KEY]), 0).unwrap().unit.unwrap().stamp / 90;
    assert_eq!(stamp(0x7000_0000), 0x7000_0000);
    assert_eq!(stamp(0xe000_0000), 0xe000_0000);
    assert_eq!(stamp(0x10), 0x1_0000_0010, "after 49 days");
    assert_eq!(stamp(0xffff_fff0), 0xffff_fff0, "back again");
}

proptest! {
    #[test]
    fn no_messages_panic(messages in proptest::collection::vec(
        (any::<bool>(), any::<u32>(), any::<i64>(), proptest::collection::vec(any::<u8>(), 0..40), 0_usize..4), 0..20))
    {
        let mut tracks = Tracks::new();
        for (video, timestamp, arrival, noise, kind) in messages {
            let mut body = match kind {
                0 => header(SPS, PPS),
                1 => picture(1, &[KEY]),
                2 => vec![0xaf, 0, 0x12, 0x10],
                _ => Vec::new(),
            };
            let place = noise.len().min(body.len());
            if kind == 3 || noise.len() > 30 {
                body.splice(place.., noise);
            }
            let _ = if video { tracks.video(timestamp, &body, arrival) } else { tracks.audio(timestamp, &body, arrival) };
        }
    }
}
