//! Playlists and boxes as they go over the wire, and when a request has to wait.

use std::fmt::Write;

use crate::camera::{Camera, FIRST_MSN, format};
use crate::viewer::{Playlist, body, bytes, fetch, text};
use media::{Answer, Cache, Container, Options, Request, Stream};
use mp4_atom::{Header, ReadFrom};

fn live(stream: &mut Stream) -> String {
    text(stream.playlist(Container::Fmp4, Request::default()))
}

/// 25 pictures per second, GOP of one second, with AAC.
fn usual() -> (Stream, Camera) {
    let mut stream = Stream::new(Options::default(), FIRST_MSN);
    stream.set_format(format(0, true)).unwrap();
    (stream, Camera::new(25, 25, true))
}

#[test]
fn the_first_playlist_comes_after_two_parts() {
    let (mut stream, mut camera) = usual();
    camera.run(&mut stream, 9);
    assert_eq!(stream.playlist(Container::Fmp4, Request::default()), Answer::NotYet);
    assert_eq!(stream.multivariant(), None);
    assert!(camera.run(&mut stream, 1).segment_closed);
    insta::assert_snapshot!("first", live(&mut stream));
    insta::assert_snapshot!("first_ts", text(stream.playlist(Container::Ts, Request::default())));
}

#[test]
fn a_part_does_not_wait_for_the_picture_after_it() {
    let (mut stream, mut camera) = usual();
    camera.run(&mut stream, 100);
    for _ in 0..20 {
        assert!(!camera.run(&mut stream, 4).part_closed);
        assert!(camera.run(&mut stream, 1).part_closed, "closed with its fifth picture, not with the sixth");
    }
}

#[test]
fn a_regular_gop_closes_its_segment_with_its_last_picture() {
    let (mut stream, mut camera) = usual();
    camera.gop = 33;
    camera.run(&mut stream, 33 * 4);
    for _ in 0..4 {
        assert!(!camera.run(&mut stream, 32).segment_closed);
        assert!(camera.run(&mut stream, 1).segment_closed);
    }
    let playlist = Playlist::read(&live(&mut stream));
    let last = playlist.segments.last().unwrap();
    assert_eq!(last.duration, 132_000);
    assert_eq!(
        last.parts.iter().map(|part| part.duration).collect::<Vec<_>>(),
        [20_000, 20_000, 20_000, 20_000, 20_000, 20_000, 12_000]
    );
}

#[test]
fn a_running_stream() {
    let (mut stream, mut camera) = usual();
    camera.run(&mut stream, 25 * 20 + 12);
    insta::assert_snapshot!("live", live(&mut stream));
    let skip = Request { skip: true, ..Request::default() };
    insta::assert_snapshot!("delta", text(stream.playlist(Container::Fmp4, skip)));
    insta::assert_snapshot!("ts", text(stream.playlist(Container::Ts, Request::default())));
    insta::assert_snapshot!(
        "multivariant",
        String::from_utf8(stream.multivariant().unwrap().to_vec()).unwrap()
    );
}

#[test]
fn what_is_listed_starts_with_a_keyframe_once_the_start_has_left() {
    let (mut stream, mut camera) = usual();
    camera.gop = 50;
    let mut starts = std::collections::BTreeSet::new();
    for _ in 0..50 * 15 {
        if !camera.run(&mut stream, 1).segment_closed {
            continue;
        }
        let text = live(&mut stream);
        let first = text.split("#EXT-X-MEDIA-SEQUENCE:").nth(1).unwrap().lines().next().unwrap();
        let segment = bytes(fetch(&mut stream, &format!("{first}.m4s")));
        let media = segment.windows(4).position(|four| four == b"mdat").unwrap() + 4;
        assert_eq!(segment[media + 4], 0x65, "{first} starts in the middle of a GOP");
        starts.insert(first.to_owned());
    }
    assert!(starts.len() > 3 && !starts.contains(&(FIRST_MSN + 1).to_string()), "{starts:?}");
}

#[test]
fn another_format_and_a_lost_session_are_discontinuities() {
    let (mut stream, mut camera) = usual();
    camera.run(&mut stream, 50);
    stream.set_format(format(1, true)).unwrap();
    camera.run(&mut stream, 50);
    stream.interrupt();
    let (mut later, gap_us) = (Camera::new(25, 25, true), 60_000_000);
    for _ in 0..70 {
        let mut unit = later.next();
        unit.arrival_us += gap_us;
        stream.push(unit);
    }
    insta::assert_snapshot!("discontinuities", live(&mut stream));
    let multivariant = String::from_utf8(stream.multivariant().unwrap().to_vec()).unwrap();
    assert!(multivariant.contains("RESOLUTION=1280x720"), "{multivariant}");
    let maps = Playlist::read(&live(&mut stream)).segments.into_iter().filter_map(|segment| segment.map);
    let inits: Vec<_> = maps.map(|map| bytes(fetch(&mut stream, &map))).collect();
    assert_eq!(inits.len(), 2);
    assert_ne!(inits[0], inits[1]);
    assert_eq!(fetch(&mut stream, "init-1.mp4"), Answer::NotFound);
}

/// Caches keep objects for ever: a name that comes again after a restart would show an old picture.
#[test]
fn an_initialisation_segment_is_named_after_its_first_segment() {
    let (mut stream, mut camera) = usual();
    camera.run(&mut stream, 50);
    stream.set_format(format(1, true)).unwrap();
    // Nothing came in this format: its name was never shown and may be used again.
    stream.set_format(format(0, true)).unwrap();
    camera.run(&mut stream, 50);
    for segment in Playlist::read(&live(&mut stream)).segments {
        assert_eq!(
            segment.map,
            (segment.discontinuity || segment.msn == FIRST_MSN).then(|| format!("init-{}.mp4", segment.msn))
        );
    }
}

#[test]
fn the_same_format_again_changes_nothing() {
    let (mut stream, mut camera) = usual();
    camera.run(&mut stream, 60);
    let before = live(&mut stream);
    assert_eq!(stream.set_format(format(0, true)), Ok(media::Progress::default()));
    assert_eq!(live(&mut stream), before);
}

#[test]
fn a_format_that_cannot_be_used_leaves_the_one_before() {
    let (mut stream, mut camera) = usual();
    camera.run(&mut stream, 60);
    let before = live(&mut stream);
    let mut broken = format(1, true);
    broken.video = media::VideoFormat::H264 { sps: vec![0x67].into(), pps: vec![0x68].into() };
    let error = stream.set_format(broken).unwrap_err();
    assert!(error.to_string().contains("SPS"), "{error}");
    assert_eq!(live(&mut stream), before);
    camera.run(&mut stream, 50);
    assert_ne!(live(&mut stream), before);
}

#[test]
fn boxes_are_those_of_a_fragmented_mp4() {
    let (mut stream, mut camera) = usual();
    camera.run(&mut stream, 35);
    let h264 = bytes(fetch(&mut stream, &format!("init-{FIRST_MSN}.mp4")));
    let part = bytes(fetch(&mut stream, &format!("{}.0.m4s", FIRST_MSN + 1)));
    let mut stream = Stream::new(Options::default(), FIRST_MSN);
    stream.set_format(format(2, false)).unwrap();
    let h265 = bytes(fetch(&mut stream, &format!("init-{FIRST_MSN}.mp4")));
    let mut tree = String::new();
    for (name, file) in [("H.264 and AAC", h264), ("a part", part), ("H.265", h265)] {
        tree.push_str(name);
        tree.push('\n');
        boxes(&file, 1, &mut tree);
    }
    insta::assert_snapshot!("boxes", tree);
}

/// The tree of boxes with their sizes.
fn boxes(mut file: &[u8], depth: usize, out: &mut String) {
    while !file.is_empty() {
        let header = Header::read_from(&mut file).unwrap();
        let (content, rest) = file.split_at(header.size.unwrap());
        let kind = header.kind.to_string();
        writeln!(out, "{:indent$}{kind} {}", "", content.len() + 8, indent = depth * 2).unwrap();
        // Bytes of own fields before the boxes inside.
        let fields = match kind.as_str() {
            "moov" | "trak" | "mdia" | "minf" | "dinf" | "stbl" | "mvex" | "moof" | "traf" => Some(0),
            "stsd" | "dref" => Some(8),
            "avc1" | "hvc1" => Some(78),
            "mp4a" => Some(28),
            _ => None,
        };
        if let Some(fields) = fields {
            boxes(&content[fields..], depth + 1, out);
        }
        file = rest;
    }
}

#[test]
fn a_request_waits_for_what_it_names() {
    let (mut stream, mut camera) = usual();
    // Segments of 0.4, 0.6, 1, 1 s; 12 pictures of the fifth: two parts.
    camera.run(&mut stream, 25 * 3 + 12);
    let open = FIRST_MSN + 4;
    let ask = |msn: u64, part: Option<u32>| Request { msn: Some(msn), part, skip: false };
    let mut answer = |container, request| match stream.playlist(container, request) {
        Answer::Ready(_) => "ready",
        Answer::NotYet => "wait",
        Answer::BadRequest => "bad",
        Answer::NotFound => "none",
    };
    for (request, expected) in [
        (Request::default(), "ready"),
        (ask(open - 1, None), "ready"),
        (ask(open - 1, Some(4)), "ready"),
        // Beyond its end: the first part of the next, which is there.
        (ask(open - 1, Some(5)), "ready"),
        (ask(open, Some(0)), "ready"),
        (ask(open, Some(1)), "ready"),
        (ask(open, Some(2)), "wait"),
        (ask(open, None), "wait"),
        (ask(open + 1, Some(0)), "wait"),
        (ask(open + 2, None), "wait"),
        (ask(open + 3, None), "bad"),
        // 15 parts of 200 ms are 3 s: the advance part limit.
        (ask(open, Some(16)), "wait"),
        (ask(open, Some(17)), "bad"),
        (Request { part: Some(0), ..Request::default() }, "bad"),
        (ask(1, Some(3)), "ready"),
        (ask(u64::MAX, Some(u32::MAX)), "bad"),
    ] {
        assert_eq!(answer(Container::Fmp4, request), expected, "{request:?}");
    }
    for (request, expected) in [
        (ask(open - 1, None), "ready"),
        (ask(open, None), "wait"),
        (ask(open + 1, None), "wait"),
        (ask(open + 2, None), "bad"),
    ] {
        assert_eq!(answer(Container::Ts, request), expected, "{request:?}");
    }
}

#[test]
fn a_part_beyond_the_end_waits_for_the_next_segment() {
    let (mut stream, mut camera) = usual();
    camera.run(&mut stream, 25 * 3);
    let last = FIRST_MSN + 3;
    let beyond = Request { msn: Some(last), part: Some(5), skip: false };
    assert_eq!(stream.playlist(Container::Fmp4, beyond), Answer::NotYet);
    camera.run(&mut stream, 5);
    let playlist = Playlist::read(&text(stream.playlist(Container::Fmp4, beyond)));
    assert_eq!(playlist.segments.last().unwrap().msn, last + 1);
}

#[test]
fn the_hinted_part_is_waited_for() {
    let (mut stream, mut camera) = usual();
    // Two whole GOPs tell where the third ends.
    camera.run(&mut stream, 75);
    for _ in 0..60 {
        let hint = Playlist::read(&live(&mut stream)).hint.unwrap();
        assert_eq!(fetch(&mut stream, &hint), Answer::NotYet);
        camera.run(&mut stream, 5);
        assert!(matches!(fetch(&mut stream, &hint), Answer::Ready(_)), "{hint}");
    }
}

#[test]
fn a_waited_for_playlist_may_be_kept_and_another_not() {
    let (mut stream, mut camera) = usual();
    camera.run(&mut stream, 60);
    let blocking = Request { msn: Some(FIRST_MSN), ..Request::default() };
    assert_eq!(body(stream.playlist(Container::Fmp4, blocking)).cache, Cache::Seconds(6));
    let plain = Request::default();
    assert_eq!(body(stream.playlist(Container::Fmp4, plain)).cache, Cache::NoStore);
    assert_eq!(body(fetch(&mut stream, &format!("{FIRST_MSN}.m4s"))).cache, Cache::Immutable);
}

#[test]
fn chunks_are_the_camera_s_own_bytes() {
    let (mut stream, mut camera) = usual();
    camera.run(&mut stream, 50);
    let units: Vec<_> =
        (0..5).map(|_| camera.next()).filter(|unit| unit.track == media::Track::Video).collect();
    for unit in &units {
        stream.push(unit.clone());
    }
    camera.run(&mut stream, 25);
    let segment = body(fetch(&mut stream, &format!("{}.m4s", FIRST_MSN + 3)));
    for unit in &units {
        assert!(
            segment.chunks.iter().any(|chunk| chunk.as_ptr() == unit.data.as_ptr()),
            "shared, not copied"
        );
    }
}

#[test]
fn what_left_the_playlist_stays_for_a_while_if_somebody_watches() {
    let (mut stream, mut camera) = usual();
    camera.run(&mut stream, 25 * 12);
    for watched in [false, true] {
        let before = Playlist::read(&live(&mut stream));
        for _ in 0..5 * 35 {
            camera.run(&mut stream, 5);
            if watched {
                live(&mut stream);
            }
        }
        let first = Playlist::read(&live(&mut stream)).first;
        assert!(first > before.first + 30);
        let old = format!("{}.m4s", first - 1);
        assert_eq!(matches!(fetch(&mut stream, &old), Answer::Ready(_)), watched);
        assert_eq!(fetch(&mut stream, &format!("{}.m4s", first - 3)), Answer::NotFound);
    }
}

#[test]
fn transport_streams_are_shared_and_go_when_nobody_asks() {
    let (mut stream, mut camera) = usual();
    camera.run(&mut stream, 25 * 12);
    assert_eq!(stream.facts().packaged_bytes, 0, "nothing is packaged for nobody");
    let playlist = Playlist::read(&text(stream.playlist(Container::Ts, Request::default())));
    let name = format!("ts/{}", playlist.segments[5].uri.as_ref().unwrap());
    let one = body(fetch(&mut stream, &name));
    let other = body(fetch(&mut stream, &name));
    assert_eq!(one.chunks[0].as_ptr(), other.chunks[0].as_ptr());
    assert!(stream.facts().packaged_bytes > one.len);
    drop((one, other));
    camera.run(&mut stream, 25 * 32);
    assert_eq!(stream.facts().packaged_bytes, 0);
}

#[test]
fn facts_are_those_of_the_camera() {
    let (mut stream, mut camera) = usual();
    camera.run(&mut stream, 25 * 20);
    let facts = stream.facts();
    assert!((facts.fps - 25.0).abs() < 0.01, "{facts:?}");
    assert!((facts.gop_seconds - 1.0).abs() < 0.001, "{facts:?}");
    // 24 pictures of 1000 bytes, one of 5000, each with 93.5 more on average, 15.625 sounds of 160.
    assert!(facts.bit_rate.abs_diff((24_000 + 5000 + 25 * 187 / 2 + 2500) * 8) < 3000, "{facts:?}");
    assert_eq!(facts.units, (camera.pictures + camera.sounds) as u64);
    assert_eq!((facts.dropped_units, facts.lossy_units, facts.repaired_stamps), (0, 0, 0));
    assert_eq!(facts.segments, 10);
}
