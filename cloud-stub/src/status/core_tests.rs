use model::CameraState;
use model::status::{Outage, Picture};

use super::*;

const ZERO: u64 = 1_800_000_000_000;

fn id(name: &str) -> CameraId {
    CameraId::new(name).unwrap()
}

fn streams(name: &str) -> Told {
    let state = serde_json::from_str::<CameraState>(
        r#"{"state":"streaming","url":"rtsp://10.0.0.7/","video":"h264","size":[16,16],"audio":null,"notes":[]}"#,
    );
    let report = CameraReport {
        id: id(name),
        name: name.to_owned(),
        state: state.unwrap(),
        stream: Picture::Main,
        fps: 25.0,
        bit_rate: 4_000_000,
        last_frame_age_ms: Some(40),
        keyframe_age_ms: Some(500),
        latency_ms: Some(90),
        ping_ms: Some(2),
        outages: Vec::new(),
    };
    Told { public_id: id(name), report }
}

fn out(name: &str, from_age_ms: u64, to_age_ms: Option<u64>, reason: &str) -> Told {
    let mut told = streams(name);
    told.report.last_frame_age_ms = Some(to_age_ms.map_or(from_age_ms, |_| 40));
    told.report.outages.push(Outage { from_age_ms, to_age_ms, reason: reason.to_owned() });
    if to_age_ms.is_none() {
        told.report.state = CameraState::Connecting;
    }
    told
}

/// A core that hears one box of two cameras.
struct Scene {
    core: Core,
    now: u64,
    seen: Option<u64>,
    off: Vec<CameraId>,
    /// Cameras that the directory has.
    known: std::collections::BTreeSet<CameraId>,
    rows: BTreeMap<(CameraId, u64), Span>,
    hours: Vec<(CameraId, u64, Hour, bool)>,
    events: Vec<Event>,
}

impl Scene {
    fn new() -> Self {
        Self {
            core: Core::new(ZERO, None),
            now: ZERO,
            seen: None,
            off: Vec::new(),
            known: std::collections::BTreeSet::new(),
            rows: BTreeMap::new(),
            hours: Vec::new(),
            events: Vec::new(),
        }
    }

    fn hear(&mut self, cameras: Vec<Told>) {
        let before = self.seen.replace(self.now);
        let heard: Vec<CameraId> = cameras.iter().map(|told| told.public_id.clone()).collect();
        self.core.heard("box", cameras, before, self.now);
        self.load();
        self.known.extend(heard);
    }

    /// Answers what the core asks of the database.
    fn load(&mut self) {
        for holder in self.core.wanted() {
            let ids = self.known.clone();
            let cameras = ids.into_iter().map(|id| {
                let spans =
                    self.rows.iter().filter(|((of, _), _)| *of == id).map(|(_, span)| *span).collect();
                (id, CameraRows { known_ms: Some(ZERO), spans, alarm: None })
            });
            let rows = Rows { cameras: cameras.collect(), alarm: None };
            self.core.load(&holder, rows, self.now);
        }
    }

    /// Seconds in which the cameras are reported every half minute.
    fn live(&mut self, seconds: u64, cameras: &[&str]) {
        for second in 0..seconds {
            if second % 30 == 0 {
                self.hear(cameras.iter().map(|name| streams(name)).collect());
            }
            self.tick();
        }
    }

    fn silent(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.tick();
        }
    }

    fn tick(&mut self) {
        self.now += 1_000;
        let look = Look { seen_ms: self.seen, off: self.off.clone(), after_ms: 120_000, ..Look::default() };
        let events = self.core.tick(self.now, |_| Some(look.clone()));
        self.events.extend(events.into_iter().map(|(_, event)| event));
        self.write(false);
    }

    fn write(&mut self, all: bool) {
        let batch = self.core.batch(self.now, all);
        for (id, from, span) in &batch.spans {
            match span {
                Some(span) => drop(self.rows.insert((id.clone(), *from), *span)),
                None => drop(self.rows.remove(&(id.clone(), *from))),
            }
        }
        self.hours.extend(batch.hours.iter().cloned());
        self.core.written(&batch);
    }

    fn restart(&mut self) {
        self.write(true);
        let alive = self.seen;
        self.core = Core::new(self.now, alive);
    }

    fn shown(&self, name: &str) -> Vec<(u64, Option<u64>, Reason)> {
        let of = self.rows.iter().filter(|((id, _), _)| id.as_str() == name).map(|(_, span)| span);
        of.map(|span| ((span.from_ms - ZERO) / 1000, span.to_ms.map(|to| (to - ZERO) / 1000), span.reason))
            .collect()
    }
}

#[test]
fn a_boxs_word_is_kept_as_exact_as_it_is() {
    let mut scene = Scene::new();
    scene.live(100, &["gate", "yard"]);
    // The last picture came 4 s ago; the camera is found closed.
    scene.hear(vec![out("gate", 4_000, None, "closed"), streams("yard")]);
    scene.silent(20);
    scene.hear(vec![out("gate", 24_050, Some(700), "wrong_password"), streams("yard")]);
    scene.live(60, &["gate", "yard"]);
    assert_eq!(scene.shown("gate"), [(96, Some(119), Reason::Password)]);
    assert_eq!(scene.shown("yard"), []);
}

#[test]
fn a_silent_box_is_out_since_its_last_sign_of_life() {
    let mut scene = Scene::new();
    scene.live(120, &["gate", "yard"]);
    scene.silent(74);
    assert_eq!(scene.shown("gate").len(), 1, "its last report was 30 s before");
    scene.silent(200);
    assert_eq!(scene.shown("gate"), [(90, None, Reason::Site)]);
    scene.live(60, &["gate", "yard"]);
    assert_eq!(scene.shown("yard"), [(90, Some(394), Reason::Site)]);
    let told: Vec<usize> = scene.events.iter().map(|event| event.cameras.len()).collect();
    assert_eq!(told, [2, 2], "one message that both are out, one that they are back: {:?}", scene.events);
}

#[test]
fn a_cloud_that_was_away_blames_itself_and_not_the_site() {
    let mut scene = Scene::new();
    scene.live(120, &["gate"]);
    scene.restart();
    scene.now += 600_000;
    scene.core = Core::new(scene.now, scene.seen);
    scene.live(60, &["gate"]);
    assert_eq!(scene.shown("gate"), [(90, Some(720), Reason::Cloud)]);
    assert_eq!(scene.events, []);
}

#[test]
fn an_outage_outlives_a_restart_of_the_cloud() {
    let mut scene = Scene::new();
    scene.live(60, &["gate"]);
    scene.silent(300);
    scene.restart();
    scene.core.watch("box", scene.now);
    scene.load();
    scene.silent(300);
    assert_eq!(scene.shown("gate"), [(30, None, Reason::Site)]);
    scene.live(60, &["gate"]);
    assert_eq!(scene.shown("gate"), [(30, Some(660), Reason::Site)]);
}

#[test]
fn a_link_that_is_switched_off_counts_for_nobody() {
    let mut scene = Scene::new();
    scene.live(60, &["gate"]);
    scene.off = vec![id("gate")];
    scene.live(60, &["gate"]);
    scene.off.clear();
    scene.live(60, &["gate"]);
    assert_eq!(scene.shown("gate"), [(61, Some(121), Reason::Off)]);
}

#[test]
fn a_camera_that_left_its_box_is_not_out() {
    let mut scene = Scene::new();
    scene.live(60, &["gate", "yard"]);
    scene.live(300, &["yard"]);
    assert_eq!(scene.shown("gate"), [(60, None, Reason::Removed)]);
    assert_eq!(scene.events, []);
    scene.live(60, &["gate", "yard"]);
    assert_eq!(scene.shown("gate"), [(60, Some(360), Reason::Removed)]);
}

#[test]
fn a_box_of_an_older_version_is_judged_by_its_cameras_states() {
    let old = |state: CameraState| {
        let mut told = streams("gate");
        told.report = CameraReport { state, last_frame_age_ms: None, keyframe_age_ms: None, ..told.report };
        told
    };
    let playing = streams("gate").report.state;
    let mut scene = Scene::new();
    scene.hear(vec![old(playing.clone())]);
    scene.silent(10);
    let trouble = model::Trouble::WrongPassword;
    scene.hear(vec![old(CameraState::Stopped { trouble })]);
    scene.silent(20);
    scene.hear(vec![old(playing)]);
    scene.silent(2);
    assert_eq!(scene.shown("gate"), [(10, Some(30), Reason::Password)]);
}

#[test]
fn there_is_one_sample_each_half_minute_and_none_while_nothing_is_heard() {
    let mut scene = Scene::new();
    scene.live(3_600, &["gate"]);
    scene.silent(600);
    scene.live(3_600, &["gate"]);
    scene.write(true);
    let mut whole: BTreeMap<u64, Hour> = BTreeMap::new();
    for (_, hour, samples, _) in &scene.hours {
        whole.entry(*hour).or_default().fill(samples);
    }
    let count: usize = whole.values().map(|hour| hour.samples().count()).sum();
    assert!((239..=243).contains(&count), "{count} samples of two hours");
    assert!(scene.hours.iter().any(|(.., over)| *over), "an hour is over");
    assert!(scene.core.holders["box"].cameras.values().all(|camera| camera.hours.len() <= 2));
}

#[test]
fn figures_beyond_all_measure_are_kept_as_the_most_there_is() {
    let mut told = streams("gate");
    told.report = CameraReport {
        fps: f32::INFINITY,
        bit_rate: u64::MAX,
        keyframe_age_ms: Some(u64::MAX),
        ..told.report
    };
    let mut scene = Scene::new();
    for _ in 0..4 {
        scene.hear(vec![told.clone()]);
        scene.silent(30);
    }
    scene.write(true);
    let (.., hour, _) = scene.hours.last().unwrap();
    let kept = Hour::unpack(&hour.pack());
    let rate = u64::from(u16::MAX) * 4_000;
    assert!(kept.samples().count() >= 3);
    assert!(kept.samples().all(|(_, sample)| (sample.fps, sample.bit_rate) == (0.0, rate)), "{kept:?}");
    assert!(hour.sum().bit_rate > rate, "no sum begins again at nothing");
}

#[test]
fn a_report_tells_no_more_outages_than_a_box_does() {
    let mut scene = Scene::new();
    scene.live(60, &["gate"]);
    let mut told = streams("gate");
    let ended =
        |age: u64| Outage { from_age_ms: age + 4_000, to_age_ms: Some(age), reason: "closed".to_owned() };
    told.report.outages = (1..=1_000).rev().map(|turn| ended(turn * 10_000)).collect();
    told.report.outages.push(Outage { from_age_ms: 3_500, to_age_ms: None, reason: "closed".to_owned() });
    scene.now += 20_000_000;
    scene.core.heard("box", vec![told], Some(scene.now), scene.now);
    let batch = scene.core.batch(scene.now, true);
    assert_eq!(
        batch.spans.iter().filter(|(.., span)| span.is_some_and(|span| span.to_ms.is_some())).count(),
        200
    );
    assert!(
        batch.spans.iter().any(|(.., span)| span.is_some_and(|span| span.to_ms.is_none())),
        "the last one goes on"
    );
}

#[test]
fn what_could_not_be_written_is_written_later() {
    let mut scene = Scene::new();
    scene.live(60, &["gate"]);
    scene.hear(vec![out("gate", 10_000, Some(2_000), "closed")]);
    let batch = scene.core.batch(scene.now, true);
    assert_eq!(batch.spans.len(), 1);
    scene.core.failed(batch);
    scene.tick();
    assert_eq!(scene.shown("gate"), [(50, Some(58), Reason::Camera)]);
}

#[test]
fn a_box_that_another_cloud_hears_is_that_ones() {
    let mut scene = Scene::new();
    scene.live(60, &["gate"]);
    scene.seen = Some(scene.now + 30_000);
    scene.silent(200);
    assert!(!scene.core.knows("box"));
    assert_eq!(scene.shown("gate"), []);
    let samples: usize = scene.hours.iter().map(|(_, _, hour, _)| hour.samples().count()).sum();
    assert!(samples >= 2, "its figures are written before it goes: {samples}");
}

#[test]
fn a_clock_that_is_set_back_leaves_no_box_to_others() {
    let mut scene = Scene::new();
    scene.live(600, &["gate"]);
    let ahead = scene.now;
    scene.now -= 500_000;
    for _ in 0..4 {
        scene.hear(vec![streams("gate")]);
        // When a box was seen never goes back.
        scene.seen = Some(ahead);
        scene.silent(30);
    }
    assert!(scene.core.knows("box"));
    scene.silent(100);
    assert_eq!(scene.shown("gate"), [(190, None, Reason::Site)]);
}

#[test]
fn a_box_that_was_heard_before_the_clock_was_set_back_falls_silent_all_the_same() {
    let mut scene = Scene::new();
    scene.live(600, &["gate"]);
    scene.now -= 500_000;
    scene.silent(100);
    assert_eq!(scene.shown("gate"), [(101, None, Reason::Site)]);
}

#[test]
fn reports_wait_for_the_database_in_bounds() {
    let mut core = Core::new(ZERO, None);
    for round in 0..1_000 {
        core.heard("box", vec![streams("gate")], None, ZERO + round * 1_000);
    }
    assert_eq!(core.holders["box"].waiting.len(), WAITING);
    core.load("box", Rows::default(), ZERO + 1_000_000);
    assert_eq!(core.cameras(), 1);
}
