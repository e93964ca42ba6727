//! What the segmenter asks for: the next unit starts where it has ended a part.

use super::*;

/// What the segmenter does with a part of five frames: it ends the part by prediction, and the next unit starts there.
#[test]
fn pins_hold_and_their_errors_are_absorbed() {
    let mut camera = Camera::new(false);
    let mut promised = None;
    for frame in 0..1000_i64 {
        let stamp = frame * 3_003 + frame * 7919 % 361 - 180;
        let (dts, pts) = {
            let timed = camera.picture(stamp, frame * 3_003 / 90);
            (timed.dts, timed.pts)
        };
        if let Some(promised) = promised.take() {
            assert_eq!(dts, promised);
        }
        assert!((pts - camera.video[0].pts - stamp - 180).abs() <= 800, "{frame}: {}", pts - stamp);
        if frame % 5 == 4 {
            let next = dts + camera.timeline.predicted_interval(Track::Video);
            camera.timeline.pin_next_dts(Track::Video, next);
            promised = Some(next);
        }
    }
    let drift = camera.last().dts - camera.video[0].dts - 999 * 3_003;
    assert!(drift.abs() <= 800, "{drift}");
}

/// At 5 fps every part of 200 ms is one frame, so every frame is pinned: the predictions alone must hold the time.
#[test]
fn pins_on_every_frame_do_not_drift() {
    let mut camera = Camera::new(false);
    for frame in 0..1000_i64 {
        let stamp = frame * 18_050 + frame * 7919 % 361 - 180;
        let dts = camera.picture(stamp, frame * 200).dts;
        let next = dts + camera.timeline.predicted_interval(Track::Video);
        camera.timeline.pin_next_dts(Track::Video, next);
        let off = dts - camera.video[0].dts - frame * 18_050;
        assert!(frame < 5 || off.abs() <= 1_000, "{off} at {frame}");
    }
}

#[test]
fn a_pin_holds_over_a_silence_of_both_tracks() {
    let mut camera = Camera::new(false);
    camera.pictures(0, 50);
    let next = camera.last().dts + camera.timeline.predicted_interval(Track::Video) + 7;
    camera.timeline.pin_next_dts(Track::Video, next);
    let timed = camera.picture(550 * FRAME, 550 * 40);
    assert_eq!((timed.dts, timed.discontinuity), (next, true));
}

#[test]
fn a_track_that_rejoins_a_living_one_leaves_its_pin() {
    for silent in [Track::Video, Track::Audio] {
        let mut camera = Camera::new(true);
        for tick in 0..1_000_i64 {
            let away = (200..700).contains(&tick);
            if !(away && silent == Track::Video) {
                camera.picture(tick * 1_920, tick * 1024 / 48);
            }
            if !(away && silent == Track::Audio) {
                camera.sound(tick * 1024, tick * 1024 / 48);
            }
            for track in [Track::Video, Track::Audio] {
                let last = if track == Track::Video { camera.video.last() } else { camera.audio.last() };
                let next = last.unwrap().dts + camera.timeline.predicted_interval(track);
                camera.timeline.pin_next_dts(track, next);
            }
        }
        let units = if silent == Track::Video { &camera.video } else { &camera.audio };
        let jumps: Vec<usize> = (0..units.len()).filter(|at| units[*at].discontinuity).collect();
        assert_eq!(jumps, [200], "{silent:?}");
        let rate = i64::from(camera.timeline.timescale(silent));
        let jump = units[200].dts - units[199].dts - 501 * 1024 * rate / 48_000;
        assert!(jump.abs() <= rate / 10, "{silent:?}: {jump}");
    }
}
