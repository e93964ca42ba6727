use core::num::NonZeroU32;

use super::*;
use crate::VideoFormat;
use crate::testing::hex;

mod any;
mod clips;
mod parts;

/// x264, 320x180, Main, no B-frames, 25 fps by its VUI.
const SPS: &str = "674d400cda05067e7c0440000003004000000c83c50aa8";
const WALL: i64 = 1_700_000_000_000_000;
const FRAME: i64 = 3_600;
const AUDIO_RATE: u32 = 48_000;

/// A camera at 25 fps without B-frames and with AAC at 48 kHz, and what the box makes of it.
pub(super) struct Camera {
    pub(super) timeline: Timeline,
    pub(super) video: Vec<Timed>,
    pub(super) audio: Vec<Timed>,
}

impl Camera {
    fn new(audio: bool) -> Self {
        let mut timeline = Timeline::new();
        timeline.set_format(&format(audio));
        Self { timeline, video: Vec::new(), audio: Vec::new() }
    }

    /// A picture stamped `stamp` (90 kHz) that arrives at `ms`.
    fn picture(&mut self, stamp: i64, ms: i64) -> &Timed {
        let timed = self.timeline.push(unit(Track::Video, stamp, WALL + ms * 1000)).unwrap();
        self.video.push(timed);
        self.video.last().unwrap()
    }

    /// A sound stamped `stamp` (48 kHz) that arrives at `ms`.
    fn sound(&mut self, stamp: i64, ms: i64) -> &Timed {
        let timed = self.timeline.push(unit(Track::Audio, stamp, WALL + ms * 1000)).unwrap();
        self.audio.push(timed);
        self.audio.last().unwrap()
    }

    /// A picture and a sound that arrive together, `count` sound frames of 1,024 samples after the first.
    fn both(&mut self, picture: i64, sound: i64, count: i64) {
        self.picture(picture, count * 1024 / 48);
        self.sound(sound, count * 1024 / 48);
    }

    /// `count` pictures on time, from picture number `from`.
    fn pictures(&mut self, from: i64, count: i64) {
        for frame in from..from + count {
            self.picture(frame * FRAME, frame * 40);
        }
    }

    fn last(&self) -> &Timed {
        self.video.last().unwrap()
    }

    /// Decode steps of the pictures.
    fn steps(&self) -> Vec<i64> {
        self.video.windows(2).map(|pair| pair[1].dts - pair[0].dts).collect()
    }
}

fn format(audio: bool) -> Format {
    let video = VideoFormat::H264 { sps: hex(SPS).into(), pps: hex("68ef0fc8").into() };
    let sample_rate = NonZeroU32::new(AUDIO_RATE).unwrap();
    let aac = AudioFormat::Aac { config: vec![0x11, 0x88].into(), sample_rate, channels: 1 };
    Format { video, audio: audio.then_some(aac) }
}

pub(super) fn unit(track: Track, stamp: i64, arrival_us: i64) -> AccessUnit {
    let rate = if track == Track::Video { 90_000 } else { AUDIO_RATE };
    AccessUnit {
        track,
        stamp,
        clock_rate: NonZeroU32::new(rate).unwrap(),
        arrival_us,
        random_access: true,
        loss: false,
        data: Bytes::from_static(&[0, 0, 0, 2, 0x41, 0x9a]),
    }
}

#[test]
fn a_good_camera_is_passed_on_as_it_is() {
    let mut camera = Camera::new(false);
    // Stamps start anywhere, also right before the 32-bit wrap.
    for frame in 0..100 {
        camera.picture(0xffff_f000 + frame * FRAME, frame * 40);
    }
    assert_eq!(camera.video[0].dts, 10 * 90_000);
    assert!(camera.steps().iter().all(|step| *step == FRAME));
    assert!(camera.video.iter().all(|timed| timed.pts == timed.dts && !timed.discontinuity));
    assert_eq!(camera.video[99].wall_us, WALL + 99 * 40_000);
    assert_eq!(camera.timeline.repairs(), Repairs::default());
}

/// Quirk 15 of the camera table: every two seconds one frame is stamped -9,800 s or +37,600 s.
#[test]
fn single_mad_stamps_leave_no_trace() {
    let mut camera = Camera::new(false);
    for frame in 0..500 {
        let mad = match frame % 100 {
            49 => -9_800 * 90_000,
            99 => 37_600 * 90_000,
            _ => 0,
        };
        camera.picture(frame * FRAME + mad, frame * 40);
    }
    assert!(camera.steps().iter().all(|step| (step - FRAME).abs() <= 1), "{:?}", camera.steps());
    assert_eq!(camera.timeline.repairs(), Repairs { stamps: 10, jumps: 0, gaps: 0 });
    assert!(camera.video.iter().all(|timed| !timed.discontinuity));
}

/// Quirk 16: five frames a second, and now and then nothing for 20 s.
#[test]
fn a_silence_is_left_out_and_the_wall_clock_tells() {
    let mut camera = Camera::new(false);
    for frame in 0..200_i64 {
        let pause = frame / 50 * 20_000;
        camera.picture(frame * 18_000 + pause * 90, frame * 200 + pause);
    }
    assert!(camera.steps().iter().all(|step| *step == 18_000), "{:?}", camera.steps());
    let flagged: Vec<usize> = (0..200).filter(|at| camera.video[*at].discontinuity).collect();
    assert_eq!(flagged, [50, 100, 150]);
    assert_eq!(camera.video[50].wall_us - camera.video[49].wall_us, 20_200_000);
    assert_eq!(camera.timeline.repairs().gaps, 3);
}

#[test]
fn a_silence_of_the_picture_alone_keeps_lips_and_sound_together() {
    let mut camera = Camera::new(true);
    let (mut picture, mut sound) = (0, 0);
    for ms in 0..40_000_i64 {
        if ms == picture * 40 {
            if !(10_000..30_000).contains(&ms) {
                camera.picture(picture * FRAME, ms);
            }
            picture += 1;
        }
        if ms == (sound * 1024 * 1000 + 47_999) / 48_000 {
            camera.sound(sound * 1024, ms);
            sound += 1;
        }
    }
    let offset = |timed: &Timed, ms: i64| timed.pts / 90 - ms;
    assert!((offset(&camera.video[0], 0) - offset(camera.last(), 39_960)).abs() <= 1);
    assert!(camera.audio.windows(2).all(|pair| pair[1].dts - pair[0].dts == 1024));
    let back = camera.video.iter().position(|timed| timed.discontinuity).unwrap();
    assert!((camera.video[back].dts - camera.video[back - 1].dts - 20 * 90_000 - FRAME).abs() <= 90);
}

#[test]
fn a_clock_that_is_set_for_good_is_followed_after_three_frames() {
    for jump in [-3_600 * 90_000, 3_600 * 90_000, -90_000 / 2] {
        let mut camera = Camera::new(false);
        camera.pictures(0, 50);
        for frame in 50..150 {
            camera.picture(frame * FRAME + jump, frame * 40);
        }
        assert!(camera.steps().iter().all(|step| (step - FRAME).abs() <= 2), "{jump}: {:?}", camera.steps());
        assert_eq!(camera.timeline.repairs(), Repairs { stamps: 2, jumps: 1, gaps: 0 }, "{jump}");
    }
}

#[test]
fn a_camera_whose_stamps_stand_still_plays_at_its_rate() {
    let mut camera = Camera::new(false);
    camera.pictures(0, 50);
    for frame in 50..150 {
        camera.picture(50 * FRAME, frame * 40);
    }
    camera.pictures(150, 10);
    assert!(camera.steps().iter().all(|step| (step - FRAME).abs() <= 2), "{:?}", camera.steps());
}

/// Quirk 18 ends in a new session: stamps start anywhere.
#[test]
fn a_new_session_follows_on() {
    let mut camera = Camera::new(true);
    for second in 0..2_i64 {
        for frame in 0..50 {
            camera.picture(second * 77_777_777 + frame * FRAME, second * 9_000 + frame * 40);
            camera.sound(second * 41_481_481 + frame * 1024, second * 9_000 + frame * 1024 / 48);
        }
        camera.timeline.interrupt();
    }
    let [.., last_picture] = &camera.video[..50] else { unreachable!() };
    assert!(
        camera.video[50].discontinuity && camera.audio[50].discontinuity && !camera.audio[51].discontinuity
    );
    assert_eq!(camera.video[50].dts - last_picture.dts, FRAME);
    assert!(camera.video[50].wall_us - last_picture.wall_us > 6_000_000);
}

#[test]
fn sound_and_picture_are_joined_by_stamps_or_else_by_arrival() {
    // Stamps share a zero: the sound's says 20 ms later, though it arrived 180 ms later.
    let mut camera = Camera::new(true);
    let picture = camera.picture(90_000, 0).pts;
    let sound = camera.sound(48_000 + 960, 180).pts;
    assert_eq!(sound * 1000 / 48 - picture * 1000 / 90, 20_000);
    // The zeros have nothing to do with each other: only the arrivals tell.
    let mut camera = Camera::new(true);
    let picture = camera.picture(90_000, 0).pts;
    let sound = camera.sound(-7_000_000_000, 180).pts;
    assert_eq!(sound * 1000 / 48 - picture * 1000 / 90, 180_000);
}

#[test]
fn sound_is_counted_and_held_to_its_stamps() {
    let mut camera = Camera::new(true);
    let mut stamp = 0;
    for frame in 0..200_i64 {
        // Stamps that wander by up to 20 ms, and from frame 100 on ten frames that were lost.
        stamp = (frame + if frame >= 100 { 10 } else { 0 }) * 1024;
        camera.sound(stamp + frame * 7919 % 1920 - 960, stamp / 48);
    }
    let steps: Vec<i64> = camera.audio.windows(2).map(|pair| pair[1].dts - pair[0].dts).collect();
    let odd: Vec<(usize, i64)> =
        steps.iter().copied().enumerate().filter(|(_, step)| *step != 1024).collect();
    assert!(matches!(odd[..], [(99, step)] if (step - 11 * 1024).abs() <= 2 * 960), "{odd:?}");
    assert!((camera.audio[199].dts - camera.audio[0].dts - stamp).abs() <= 2 * 960);
}

#[test]
fn sound_that_runs_faster_than_its_stamps_stays_near_them() {
    // 1,024 samples a frame, but the stamps move by 1,000: 2.3 % too fast.
    let mut camera = Camera::new(true);
    for frame in 0..2_000 {
        camera.sound(frame * 1000, frame * 1000 / 48);
        let off = camera.audio[frame as usize].dts - camera.audio[0].dts - frame * 1000;
        assert!(off.abs() <= 4_800 + 1024, "{off} at {frame}");
    }
}

#[test]
fn jitter_neither_bends_the_wall_clock_nor_the_prediction() {
    let mut camera = Camera::new(false);
    for frame in 0..500_i64 {
        // Stamps +-2 ms, arrivals up to 80 ms late, and for a while as late as a bad radio link makes them.
        let late = frame * 31 % 80 + if (200..240).contains(&frame) { 1_500 } else { 0 };
        camera.picture(frame * FRAME + frame * 7919 % 361 - 180, frame * 40 + late);
        assert!((camera.timeline.predicted_interval(Track::Video) - FRAME).abs() <= 360);
    }
    assert!(camera.video.windows(2).all(|pair| pair[1].wall_us > pair[0].wall_us));
    let late = camera.last().wall_us - (WALL + 499 * 40_000);
    assert!((-5_000..=85_000).contains(&late), "{late}");
    assert!(camera.steps().iter().all(|step| (step - FRAME).abs() <= 361));
    assert_eq!(camera.timeline.repairs(), Repairs::default());
}

#[test]
fn the_wall_clock_follows_when_the_box_learns_the_time() {
    let mut camera = Camera::new(false);
    for frame in 0..100 {
        let unknown = if frame < 50 { WALL } else { 0 };
        camera.timeline.push(unit(Track::Video, frame * FRAME, WALL - unknown + frame * 40_000));
    }
    let wall = camera.picture(100 * FRAME, 100 * 40).wall_us;
    assert_eq!(wall, WALL + 100 * 40_000);
    assert_eq!(camera.timeline.repairs(), Repairs::default());
}

#[test]
fn a_change_of_frame_rate_is_followed() {
    let mut camera = Camera::new(false);
    camera.pictures(0, 50);
    // At night the camera drops to 5 fps.
    for frame in 0..10 {
        camera.picture(50 * FRAME + frame * 18_000, 2_000 + frame * 200);
    }
    assert_eq!(camera.timeline.predicted_interval(Track::Video), 18_000);
    assert_eq!(camera.last().dts - camera.video[49].dts, FRAME + 9 * 18_000);
    assert_eq!(camera.timeline.repairs(), Repairs::default());
}

#[test]
fn a_camera_that_becomes_very_slow_is_no_row_of_gaps() {
    let mut camera = Camera::new(false);
    camera.pictures(0, 50);
    // A picture every five seconds from now on.
    for frame in 1..=20 {
        camera.picture(49 * FRAME + frame * 450_000, 49 * 40 + frame * 5_000);
    }
    assert!(camera.steps()[60..].iter().all(|step| *step == 450_000), "{:?}", camera.steps());
    assert!(!camera.last().discontinuity);
    assert_eq!(camera.timeline.predicted_interval(Track::Video), 450_000);
}

#[test]
fn lost_frames_do_not_stretch_the_prediction() {
    let mut camera = Camera::new(false);
    for frame in (0..200).filter(|frame| frame % 5 != 3) {
        camera.picture(frame * FRAME, frame * 40);
        assert_eq!(camera.timeline.predicted_interval(Track::Video), FRAME, "{frame}");
    }
}

#[test]
fn pictures_that_ran_ahead_of_the_sound_go_on_within_seconds() {
    let mut camera = Camera::new(true);
    for count in 0..1_500_i64 {
        // For ten seconds the stamps run twice as fast as the pictures come, then the camera sets its clock.
        let stamp = if count < 469 { 2 * count * 1_920 } else { count * 1_920 };
        camera.both(stamp, count * 1024, count);
    }
    assert!(camera.steps()[900..].iter().all(|step| *step == 1_920), "{:?}", &camera.steps()[460..910]);
}

#[test]
fn sound_that_ran_ahead_of_the_pictures_goes_on_within_seconds() {
    let mut camera = Camera::new(true);
    for count in 0..1_500_i64 {
        let stamp = if count < 469 { 2 * count * 1024 } else { count * 1024 };
        camera.both(count * 1_920, stamp, count);
    }
    let steps: Vec<i64> = camera.audio.windows(2).map(|pair| pair[1].dts - pair[0].dts).collect();
    assert!(steps[900..].iter().all(|step| *step == 1024), "{:?}", &steps[460..910]);
}

#[test]
fn a_format_without_sound_refuses_sound() {
    let mut camera = Camera::new(true);
    camera.sound(0, 0);
    camera.timeline.set_format(&format(false));
    assert_eq!(camera.timeline.push(unit(Track::Audio, 1024, WALL)), None);
    camera.timeline.set_format(&format(true));
    assert!(camera.sound(2048, 40).dts > camera.audio[0].dts);
}
