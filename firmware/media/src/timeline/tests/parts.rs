//! What the segmenter relies on when it ends a part before the next unit comes.

use super::*;

/// A part is closed before its next unit comes, and gives its last sample the predicted duration.
#[test]
fn predictions_miss_by_no_more_than_the_jitter() {
    for interval in [3_003, 18_050] {
        let mut camera = Camera::new(false);
        let mut promised = None;
        for frame in 0..1_000_i64 {
            let stamp = frame * interval + frame * 7919 % 361 - 180;
            let dts = camera.picture(stamp, frame * interval / 90).dts;
            let missed = promised.filter(|_| frame > 10).map_or(0, |promised: i64| promised - dts);
            assert!(missed.abs() <= 400, "{missed} at {frame}");
            promised = Some(dts + camera.timeline.predicted_interval(Track::Video));
        }
    }
}

#[test]
fn what_follows_a_silence_of_all_tracks_begins_where_it_was_predicted() {
    let mut camera = Camera::new(false);
    camera.pictures(0, 50);
    let next = camera.last().dts + camera.timeline.predicted_interval(Track::Video);
    let timed = camera.picture(550 * FRAME, 550 * 40);
    assert_eq!((timed.dts, timed.discontinuity), (next, true));
}

#[test]
fn a_track_that_was_silent_alone_jumps_to_the_other() {
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
        }
        let units = if silent == Track::Video { &camera.video } else { &camera.audio };
        let jumps: Vec<usize> = (0..units.len()).filter(|at| units[*at].discontinuity).collect();
        assert_eq!(jumps, [200], "{silent:?}");
        let rate = i64::from(camera.timeline.timescale(silent));
        let jump = units[200].dts - units[199].dts - 501 * 1024 * rate / 48_000;
        assert!(jump.abs() <= rate / 10, "{silent:?}: {jump}");
    }
}
