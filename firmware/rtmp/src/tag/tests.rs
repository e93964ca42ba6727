use proptest::prelude::*;

use super::*;

const H264: CodecKind = CodecKind::H264;
const H265: CodecKind = CodecKind::H265;

#[test]
fn flv_heads_tell_codec_and_time() {
    assert_eq!(video(&[0x17, 0, 0, 0, 0, 1, 2]), Some(Video::Config(H264, &[1, 2])));
    let picture = |composition| Some(Video::Picture { codec: H264, composition, data: &[5][..] });
    assert_eq!(video(&[0x27, 1, 0, 0, 80, 5]), picture(80));
    assert_eq!(video(&[0x27, 1, 0xff, 0xff, 0xd8, 5]), picture(-40), "signed");
    assert_eq!(video(&[0x17, 2, 0, 0, 0]), Some(Video::Other), "end of sequence");
    assert_eq!(video(&[0x57, 0]), Some(Video::Other), "a seek");
    assert_eq!(video(&[0x1c, 0, 0, 0, 0, 9]), Some(Video::Config(H265, &[9])), "the makers' own number");
    assert_eq!(video(&[0x24, 1, 2]), Some(Video::Foreign("VP6".into())));
    assert_eq!(video(&[0x17, 1, 0]), None);
    assert_eq!(audio(&[0xaf, 0, 0x12, 0x10]), Some(Audio::Config(&[0x12, 0x10])));
    assert_eq!(audio(&[0xaf, 1, 7]), Some(Audio::Frame(&[7])));
    assert_eq!(audio(&[0x7f, 1, 7]), Some(Audio::Foreign("G.711 A-law".into())));
    assert_eq!((audio(&[]), audio(&[0xaf])), (Some(Audio::Other), None));
}

#[test]
fn enhanced_heads_tell_codec_and_time() {
    let with = |head: &[u8], data: &[u8]| [head, data].concat();
    assert_eq!(video(&with(b"\x90hvc1", &[1])), Some(Video::Config(H265, &[1])));
    let picture = |codec, composition| Some(Video::Picture { codec, composition, data: &[5][..] });
    assert_eq!(video(&with(b"\xa1hvc1\0\0\x28", &[5])), picture(H265, 40));
    assert_eq!(video(&with(b"\xa1avc1\xff\xff\xff", &[5])), picture(H264, -1));
    assert_eq!(video(&with(b"\xa3hvc1", &[5])), picture(H265, 0));
    assert_eq!(video(b"\xa2hvc1"), Some(Video::Other), "end of sequence");
    assert_eq!(video(b"\x94hvc1\x02"), Some(Video::Other), "metadata");
    assert_eq!(video(b"\xd1\x01"), Some(Video::Other), "a seek");
    assert_eq!(video(b"\x90av01"), Some(Video::Foreign("AV1".into())));
    assert_eq!(
        video(b"\x90a\x1b[1"),
        Some(Video::Foreign("a??1".into())),
        "nothing that a terminal would obey"
    );
    assert_eq!(video(b"\x90hv"), None);
    assert_eq!(audio(b"\x90mp4a\x12\x10"), Some(Audio::Config(&[0x12, 0x10])));
    assert_eq!(audio(b"\x91mp4a\x07"), Some(Audio::Frame(&[7])));
    assert_eq!(audio(b"\x91Opus\x07"), Some(Audio::Foreign("Opus".into())));
}

#[test]
fn modifiers_are_passed_over_and_the_default_track_is_taken() {
    let picture = Some(Video::Picture { codec: H265, composition: 0, data: &[5][..] });
    // Nanoseconds (three bytes), then coded frames.
    assert_eq!(video(b"\xa7\x02\x00\x00\x09\x03hvc1\x05"), picture);
    let mut long = vec![0xa7, 255, 1, 0];
    long.extend([0; 257]);
    long.extend(b"\x03hvc1\x05");
    assert_eq!(video(&long), picture);
    // One track; many of a codec; many of many.
    assert_eq!(video(b"\xa6\x03hvc1\x00\x05"), picture);
    assert_eq!(video(b"\xa6\x13hvc1\x01\x00\x00\x02\x09\x09\x00\x00\x00\x01\x05"), picture);
    assert_eq!(video(b"\xa6\x23avc1\x01\x00\x00\x01\x09hvc1\x00\x00\x00\x01\x05"), picture);
    assert_eq!(video(b"\xa6\x13hvc1\x01\x00\x00\x02\x09\x09"), Some(Video::Other), "not the default track");
    assert_eq!(video(b"\xa6\x13hvc1\x00\x00\x00\x09\x05"), None);
    assert_eq!(audio(b"\x95\x11mp4a\x00\x00\x00\x01\x07"), Some(Audio::Frame(&[7])));
}

proptest! {
    #[test]
    fn no_bytes_panic(
        first in prop_oneof![Just(0x17_u8), Just(0x1c), Just(0x90), Just(0xa1), Just(0xa6), Just(0xa7), Just(0xaf), any::<u8>()],
        mut rest in proptest::collection::vec(prop_oneof![0_u8..4, Just(0xff), any::<u8>()], 0..40),
        four in any::<bool>(),
    ) {
        if four {
            rest.splice(0..0, *b"hvc1");
        }
        rest.insert(0, first);
        let _ = (video(&rest), audio(&rest));
    }
}
