//! When people are told, and when not: no message for what passes by itself, one for an outage, one when it is over, one
//! for a whole site, and one for a camera that comes and goes.
//!
//! ```text
//!             out for after_s                       back for a minute
//! (quiet) ───────────────────> told (Out) ──────────────────────────> (quiet, Back)
//!    │  all of the site: SiteOut for all of them        SiteBack names those that stay away: they are told
//!    └─ more than three outages in an hour ─> unstable (Unstable) ── an hour of pictures ─> (quiet, Steady)
//!                                                   └── an hour without one ─> told (Out)
//! ```
//!
//! The state is kept in the database before its message is sent, so that a cloud that starts anew repeats nothing.

use model::CameraId;
use serde::{Deserialize, Serialize};

use crate::status::{Reason, Span};

/// How long pictures must come before an outage is said to be over, milliseconds.
const STABLE: u64 = 60_000;
/// A site is said to be back when all are, or this long after the first, milliseconds.
const GATHER: u64 = 120_000;
/// More outages than this in [`FLAP_TIME`] are one message.
const FLAPS: usize = 3;
/// See [`FLAPS`]; and how long what came and went must stay before that is over, milliseconds.
const FLAP_TIME: u64 = 3_600_000;
/// Beginnings that are remembered.
const BEGUN: usize = 8;
/// Beginnings that are this close are the same, milliseconds.
const SAME: u64 = 3_000;

/// What has been told of one camera, or of a site as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Alarm {
    /// People know that it is out since then.
    told_ms: Option<u64>,
    /// They were told of the whole site.
    with_site: bool,
    /// They know that it comes and goes.
    unstable: bool,
    /// When outages began, in the last hour.
    begun: Vec<u64>,
}

/// How one camera is.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// The outage that goes on.
    pub out: Option<Span>,
    /// When the last one ended, milliseconds since 1970; 0: there was none.
    pub back_ms: u64,
}

/// What people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A camera has had no picture for a while.
    CameraOut,
    /// It has one again.
    CameraBack,
    /// A camera comes and goes.
    CameraUnstable,
    /// It has stayed for an hour.
    CameraSteady,
    /// No camera of a site has a picture.
    SiteOut,
    /// Some or all have one again.
    SiteBack,
    /// A whole site comes and goes.
    SiteUnstable,
    /// It has stayed for an hour.
    SiteSteady,
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub what: What,
    /// The cameras that it is about.
    pub cameras: Vec<CameraId>,
    /// Those of the site that still have no picture.
    pub still: Vec<CameraId>,
    /// When it began, milliseconds since 1970.
    pub since_ms: u64,
    /// When it ended.
    pub until_ms: Option<u64>,
    /// Why.
    pub reason: Reason,
}

/// One camera of a site.
#[derive(Debug)]
pub struct Camera<'a> {
    /// Its public id.
    pub id: &'a CameraId,
    /// How it is.
    pub now: Now,
    /// What has been told of it.
    pub alarm: &'a mut Alarm,
}

/// Moves the alarms of one site on, whose cameras these are: those that are switched on. `after_ms` is how long an outage
/// must last before it is told.
pub fn step(site: &mut Alarm, cameras: &mut [Camera<'_>], after_ms: u64, now: u64) -> Vec<Event> {
    let mut events = Vec::new();
    let whole = whole_site(cameras);
    if let Some(since) = whole {
        site.begin(since, now);
    }
    for camera in cameras.iter_mut() {
        match camera.now.out {
            Some(out) if whole.is_none() && !of_site(out.reason) => camera.alarm.begin(out.from_ms, now),
            _ => camera.alarm.forget(now),
        }
    }
    site.forget(now);
    step_site(site, cameras, whole, after_ms, now, &mut events);
    let quiet = site.unstable || site.told_ms.is_some();
    for camera in cameras.iter_mut() {
        step_camera(camera, quiet, after_ms, now, &mut events);
    }
    events
}

/// Since when no camera of the site has a picture: one way is gone for all of them.
fn whole_site(cameras: &[Camera<'_>]) -> Option<u64> {
    let outs: Vec<Span> = cameras.iter().filter_map(|camera| camera.now.out).collect();
    let one_way = outs.len() > 1 || outs.iter().any(|out| of_site(out.reason));
    let all = !cameras.is_empty() && outs.len() == cameras.len() && one_way;
    // What was out before says nothing of when the rest went.
    let news = cameras.iter().filter(|camera| camera.alarm.told_ms.is_none() || camera.alarm.with_site);
    let news = news.filter_map(|camera| camera.now.out).map(|out| out.from_ms).min();
    all.then_some(news.or(outs.iter().map(|out| out.from_ms).max())).flatten()
}

fn of_site(reason: Reason) -> bool {
    matches!(reason, Reason::Site | Reason::Cloud)
}

fn step_site(
    site: &mut Alarm,
    cameras: &mut [Camera<'_>],
    whole: Option<u64>,
    after_ms: u64,
    now: u64,
    events: &mut Vec<Event>,
) {
    let ids = |cameras: &[Camera<'_>], out: bool| -> Vec<CameraId> {
        cameras
            .iter()
            .filter(|camera| camera.now.out.is_some() == out)
            .map(|camera| camera.id.clone())
            .collect()
    };
    let event = |what, cameras, since_ms, reason| Event {
        what,
        cameras,
        still: Vec::new(),
        since_ms,
        until_ms: None,
        reason,
    };
    let reason = cameras.iter().filter_map(|camera| camera.now.out).map(|out| out.reason).next();
    let reason = reason.unwrap_or(Reason::Site);
    let news = cameras.iter().any(|camera| camera.alarm.told_ms.is_none() && !camera.alarm.unstable);
    if !site.unstable && site.begun.len() > FLAPS {
        site.unstable = true;
        site.told_ms = None;
        for camera in cameras.iter_mut().filter(|camera| camera.alarm.with_site) {
            camera.alarm.quiet();
        }
        events.push(event(What::SiteUnstable, ids(cameras, true), now, reason));
    } else if let Some(since) = whole.filter(|since| now.saturating_sub(*since) >= after_ms) {
        let again = site.unstable && now.saturating_sub(since) >= FLAP_TIME;
        if (!site.unstable && site.told_ms.is_none() && news) || again {
            site.unstable = false;
            site.told_ms = Some(since);
            for camera in cameras.iter_mut().filter(|camera| camera.alarm.told_ms.is_none()) {
                camera.alarm.told_ms = camera.now.out.map(|out| out.from_ms);
                camera.alarm.with_site = true;
                camera.alarm.unstable = false;
            }
            events.push(event(What::SiteOut, ids(cameras, true), since, reason));
        }
    } else if let Some(since) = site.told_ms.filter(|_| whole.is_none()) {
        let backs =
            || cameras.iter().filter(|camera| camera.now.out.is_none()).map(|camera| camera.now.back_ms);
        let all = backs().count() == cameras.len();
        let stable = backs().max().is_none_or(|last| now.saturating_sub(last) >= STABLE);
        let gathered = backs().min().is_some_and(|first| now.saturating_sub(first) >= GATHER);
        if all && stable || gathered {
            let until = backs().min();
            let (back, still) = (ids(cameras, false), ids(cameras, true));
            site.told_ms = None;
            for camera in cameras.iter_mut().filter(|camera| camera.alarm.with_site) {
                camera.alarm.with_site = false;
                if camera.now.out.is_none() {
                    camera.alarm.told_ms = None;
                }
            }
            let back = event(What::SiteBack, back, since, Reason::Site);
            events.push(Event { still, until_ms: until, ..back });
        }
    } else if site.unstable && site.begun.is_empty() && whole.is_none() {
        site.unstable = false;
        events.push(event(What::SiteSteady, ids(cameras, false), now, Reason::Site));
    }
}

fn step_camera(camera: &mut Camera<'_>, quiet: bool, after_ms: u64, now: u64, events: &mut Vec<Event>) {
    let alarm = &mut *camera.alarm;
    let mut tell = |what, since_ms, until_ms, reason| {
        events.push(Event {
            what,
            cameras: vec![camera.id.clone()],
            still: Vec::new(),
            since_ms,
            until_ms,
            reason,
        });
    };
    if let Some(out) = camera.now.out {
        let long = now.saturating_sub(out.from_ms);
        if alarm.unstable && long >= FLAP_TIME {
            alarm.unstable = false;
            alarm.told_ms = Some(out.from_ms);
            tell(What::CameraOut, out.from_ms, None, out.reason);
        } else if !alarm.unstable && alarm.begun.len() > FLAPS {
            alarm.unstable = true;
            alarm.told_ms = None;
            tell(What::CameraUnstable, out.from_ms, None, out.reason);
        } else if !alarm.unstable && alarm.told_ms.is_none() && long >= after_ms && !quiet {
            alarm.told_ms = Some(out.from_ms);
            tell(What::CameraOut, out.from_ms, None, out.reason);
        }
        return;
    }
    if let Some(since) = alarm.told_ms {
        if !alarm.with_site && now.saturating_sub(camera.now.back_ms) >= STABLE {
            alarm.told_ms = None;
            tell(What::CameraBack, since, Some(camera.now.back_ms), Reason::Camera);
        }
    } else if alarm.unstable && alarm.begun.is_empty() {
        alarm.unstable = false;
        tell(What::CameraSteady, now, None, Reason::Camera);
    }
}

impl Alarm {
    /// Nobody waits to hear more: the camera was switched off, or taken away.
    pub fn quiet(&mut self) {
        (self.told_ms, self.with_site, self.unstable) = (None, false, false);
    }

    fn begin(&mut self, from_ms: u64, now: u64) {
        self.forget(now);
        let known = self.begun.iter().any(|begun| begun.abs_diff(from_ms) <= SAME);
        if !known && now.saturating_sub(from_ms) < FLAP_TIME {
            self.begun.push(from_ms);
            if self.begun.len() > BEGUN {
                self.begun.remove(0);
            }
        }
    }

    fn forget(&mut self, now: u64) {
        self.begun.retain(|begun| now.saturating_sub(*begun) < FLAP_TIME);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: u64 = 120_000;
    const ZERO: u64 = 1_000_000_000;

    /// A site of cameras, and a clock that moves a second at a time.
    struct Scene {
        now: u64,
        site: Alarm,
        alarms: Vec<Alarm>,
        states: Vec<Now>,
        told: Vec<(u64, What, usize)>,
    }

    impl Scene {
        fn new(cameras: usize) -> Self {
            let state = Now { out: None, back_ms: 0 };
            Self {
                now: ZERO,
                site: Alarm::default(),
                alarms: vec![Alarm::default(); cameras],
                states: vec![state; cameras],
                told: Vec::new(),
            }
        }

        fn out(&mut self, camera: usize, reason: Reason) {
            self.states[camera].out = Some(Span { from_ms: self.now, to_ms: None, reason });
        }

        fn back(&mut self, camera: usize) {
            self.states[camera] = Now { out: None, back_ms: self.now };
        }

        fn run(&mut self, seconds: u64) -> &mut Self {
            for _ in 0..seconds {
                self.now += 1_000;
                let ids: Vec<CameraId> =
                    (0..self.alarms.len()).map(|id| CameraId::new(&format!("c{id}")).unwrap()).collect();
                let mut cameras: Vec<Camera<'_>> = self
                    .alarms
                    .iter_mut()
                    .zip(&ids)
                    .zip(&self.states)
                    .map(|((alarm, id), now)| Camera { id, now: *now, alarm })
                    .collect();
                for event in step(&mut self.site, &mut cameras, AFTER, self.now) {
                    self.told.push(((self.now - ZERO) / 1000, event.what, event.cameras.len()));
                }
            }
            self
        }

        /// The cloud starts anew with what it has kept.
        fn restart(&mut self) {
            let kept = serde_json::to_string(&(&self.site, &self.alarms)).unwrap();
            (self.site, self.alarms) = serde_json::from_str(&kept).unwrap();
        }
    }

    #[test]
    fn one_message_for_an_outage_and_one_when_it_is_over() {
        let mut scene = Scene::new(2);
        scene.run(10).out(0, Reason::Camera);
        scene.run(119);
        assert_eq!(scene.told, []);
        scene.run(600);
        scene.back(0);
        scene.run(59);
        assert_eq!(scene.told, [(130, What::CameraOut, 1)]);
        scene.run(600);
        assert_eq!(scene.told[1..], [(789, What::CameraBack, 1)]);
    }

    #[test]
    fn what_passes_by_itself_is_not_told() {
        let mut scene = Scene::new(2);
        scene.out(0, Reason::Camera);
        scene.run(100).back(0);
        scene.run(4_000);
        assert_eq!(scene.told, []);
    }

    #[test]
    fn a_short_picture_in_an_outage_is_not_its_end() {
        let mut scene = Scene::new(2);
        scene.out(0, Reason::Camera);
        scene.run(300).back(0);
        scene.run(30).out(0, Reason::Camera);
        scene.run(300);
        assert_eq!(scene.told.len(), 1, "{:?}", scene.told);
    }

    #[test]
    fn a_camera_that_comes_and_goes_is_one_message() {
        let mut scene = Scene::new(2);
        for _ in 0..40 {
            scene.out(0, Reason::Camera);
            scene.run(150).back(0);
            scene.run(90);
        }
        let told: Vec<What> = scene.told.iter().map(|told| told.1).collect();
        let before = told.iter().position(|what| *what == What::CameraUnstable).unwrap();
        assert!(before <= 6 && told.len() == before + 1, "{told:?}");
        scene.run(3_700);
        assert_eq!(scene.told.last().unwrap().1, What::CameraSteady);
    }

    #[test]
    fn a_camera_that_comes_and_goes_and_then_stays_away_is_told_of() {
        let mut scene = Scene::new(2);
        for _ in 0..5 {
            scene.out(0, Reason::Camera);
            scene.run(30).back(0);
            scene.run(30);
        }
        scene.out(0, Reason::Camera);
        scene.run(4_000);
        let told: Vec<What> = scene.told.iter().map(|told| told.1).collect();
        assert_eq!(told, [What::CameraUnstable, What::CameraOut]);
    }

    #[test]
    fn a_whole_site_is_one_message() {
        let mut scene = Scene::new(12);
        (0..12).for_each(|camera| scene.out(camera, Reason::Site));
        scene.run(600);
        assert_eq!(scene.told, [(120, What::SiteOut, 12)]);
        for camera in 0..11 {
            scene.back(camera);
            scene.run(2);
        }
        scene.run(600);
        assert_eq!(scene.told[1].1, What::SiteBack);
        assert_eq!(scene.told[1].2, 11, "the twelfth stays away");
        assert_eq!(scene.told.len(), 2);
        scene.back(11);
        scene.run(100);
        assert_eq!(scene.told[2].1, What::CameraBack);
    }

    #[test]
    fn a_site_that_comes_and_goes_is_one_message() {
        let mut scene = Scene::new(8);
        for _ in 0..20 {
            (0..8).for_each(|camera| scene.out(camera, Reason::Site));
            scene.run(100);
            (0..8).for_each(|camera| scene.back(camera));
            scene.run(100);
        }
        assert_eq!(scene.told.len(), 1, "{:?}", scene.told);
        assert_eq!(scene.told[0].1, What::SiteUnstable);
    }

    #[test]
    fn a_camera_that_was_out_before_its_site_is_not_told_again() {
        let mut scene = Scene::new(3);
        scene.out(0, Reason::Password);
        scene.run(300);
        (1..3).for_each(|camera| scene.out(camera, Reason::Site));
        scene.run(300);
        (1..3).for_each(|camera| scene.back(camera));
        scene.run(300);
        let told: Vec<What> = scene.told.iter().map(|told| told.1).collect();
        assert_eq!(told, [What::CameraOut, What::SiteOut, What::SiteBack]);
    }

    #[test]
    fn a_cloud_that_starts_anew_repeats_nothing() {
        let mut scene = Scene::new(3);
        scene.out(0, Reason::Camera);
        scene.run(300).restart();
        scene.run(300);
        assert_eq!(scene.told.len(), 1);
        scene.back(0);
        scene.run(30).restart();
        scene.run(300);
        assert_eq!(scene.told.len(), 2);
        (0..3).for_each(|camera| scene.out(camera, Reason::Site));
        scene.run(200).restart();
        scene.run(200);
        (0..3).for_each(|camera| scene.back(camera));
        scene.run(10).restart();
        scene.run(300);
        let told: Vec<What> = scene.told.iter().map(|told| told.1).collect();
        assert_eq!(told, [What::CameraOut, What::CameraBack, What::SiteOut, What::SiteBack]);
    }
}
