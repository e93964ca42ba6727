use proptest::prelude::*;

use super::*;

/// Half a second between looks.
const LOOK: Duration = Duration::from_millis(500);

/// A camera of the simulated box.
#[derive(Debug, Clone)]
struct Sim {
    id: CameraId,
    large: u64,
    small: Option<u64>,
    watched: bool,
}

/// A box whose cameras share one line of so many bits per second.
struct World {
    budget: Budget,
    cameras: Vec<Sim>,
    line: f64,
    now: Duration,
    changes: Vec<(Duration, String, Picture)>,
}

fn camera(id: &str, large: u64, small: Option<u64>) -> Sim {
    Sim { id: CameraId::new(id).unwrap(), large, small, watched: true }
}

impl World {
    fn new(line: u64, cap: Option<u64>, cameras: Vec<Sim>) -> Self {
        Self { budget: Budget::new(cap), cameras, line: line as f64, now: Duration::ZERO, changes: vec![] }
    }

    fn rate(&self, camera: &Sim) -> u64 {
        match (self.budget.picture(&camera.id), camera.small) {
            (Sub, Some(small)) => small,
            _ => camera.large,
        }
    }

    /// Lets time pass. Deliveries of cameras watched together take turns on the line, so each lasts as long as all.
    fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            self.now += LOOK;
            let load: u64 = self.cameras.iter().filter(|c| c.watched).map(|c| self.rate(c)).sum();
            let share = load as f64 * OVERHEAD / self.line;
            let watched: Vec<Watched> = self
                .cameras
                .iter()
                .map(|camera| Watched {
                    id: camera.id.clone(),
                    afar: camera.watched,
                    has_small: camera.small.is_some(),
                    bit_rate: self.rate(camera),
                    took: if camera.watched { LOOK.mul_f64(share) } else { Duration::ZERO },
                    media: if camera.watched { LOOK } else { Duration::ZERO },
                })
                .collect();
            if let Some((id, picture)) = self.budget.look(self.now, &watched) {
                self.changes.push((self.now, id.to_string(), picture));
            }
        }
    }

    fn pictures(&self) -> Vec<Picture> {
        self.cameras.iter().map(|camera| self.budget.picture(&camera.id)).collect()
    }
}

use Picture::{Main, Sub};

#[test]
fn a_line_that_is_wide_enough_is_left_alone() {
    let mut world = World::new(10_000_000, None, vec![camera("gate", 4_000_000, Some(500_000))]);
    world.run(3600);
    assert_eq!(world.changes, []);
    assert!(!world.budget.short());
}

#[test]
fn a_thin_line_gets_the_small_picture_within_seconds() {
    let mut world = World::new(1_000_000, None, vec![camera("gate", 4_000_000, Some(500_000))]);
    world.run(10);
    assert_eq!(world.pictures(), [Sub]);
    // Judged for 3 s after the 5 s in which nothing is judged... which begin only with a change.
    assert!(world.changes[0].0 <= Duration::from_secs(5), "{:?}", world.changes);
    assert!(world.budget.short(), "the page says so");
}

#[test]
fn a_cap_that_the_owner_sets_counts_from_the_next_look_on() {
    let mut world = World::new(100_000_000, None, vec![camera("gate", 4_000_000, Some(500_000))]);
    world.run(60);
    assert_eq!(world.pictures(), [Main]);
    world.budget.set_cap(Some(1_000_000));
    world.run(10);
    assert_eq!(world.pictures(), [Sub]);
    world.budget.set_cap(None);
    world.run(300);
    assert_eq!(world.pictures(), [Main]);
}

#[test]
fn a_line_that_stays_thin_is_tried_ever_more_rarely() {
    let mut world = World::new(1_000_000, None, vec![camera("gate", 4_000_000, Some(300_000))]);
    world.run(24 * 3600);
    let tries = world.changes.iter().filter(|(.., picture)| *picture == Main).count();
    assert!((5..=30).contains(&tries), "{tries} tries in a day");
    let large =
        |pair: &[(Duration, String, Picture)]| (pair[0].2 == Main).then(|| pair[1].0.abs_diff(pair[0].0));
    let longest = world.changes.windows(2).filter_map(large).max().unwrap();
    assert!(longest <= SETTLE + JUDGED + LOOK * 2, "a bad try ends soon: {longest:?}");
}

#[test]
fn a_line_that_the_small_picture_fills_is_not_tried_at_all() {
    let mut world = World::new(1_000_000, None, vec![camera("gate", 4_000_000, Some(500_000))]);
    world.run(24 * 3600);
    assert_eq!(world.changes.len(), 1, "{:?}", world.changes);
}

#[test]
fn a_line_that_recovers_gets_the_large_picture_back_and_forgets_the_past() {
    let mut world = World::new(1_000_000, None, vec![camera("gate", 4_000_000, Some(500_000))]);
    world.run(600);
    world.line = 20e6;
    world.run(1200);
    assert_eq!(world.pictures(), [Main]);
    world.run(7200);
    assert!(!world.budget.short());
    world.line = 1e6;
    world.run(30);
    assert_eq!(world.pictures(), [Sub]);
    world.line = 20e6;
    world.run(150);
    assert_eq!(world.pictures(), [Main], "one bad hour is no reason to wait an hour the next time");
}

#[test]
fn one_camera_at_a_time_the_fattest_first_and_no_more_than_needed() {
    let cameras = vec![
        camera("gate", 2_000_000, Some(300_000)),
        camera("hall", 6_000_000, Some(300_000)),
        camera("yard", 1_000_000, Some(300_000)),
    ];
    let mut world = World::new(5_000_000, None, cameras);
    world.run(60);
    assert_eq!(world.pictures(), [Main, Sub, Main]);
}

#[test]
fn a_camera_without_a_small_picture_stays_and_the_shortage_is_said() {
    let mut world = World::new(1_000_000, None, vec![camera("gate", 4_000_000, None)]);
    world.run(60);
    assert_eq!(world.pictures(), [Main]);
    assert!(world.budget.short());
}

#[test]
fn what_nobody_watches_from_afar_costs_nothing() {
    let mut hall = camera("hall", 8_000_000, Some(300_000));
    hall.watched = false;
    let mut world = World::new(5_000_000, None, vec![camera("gate", 3_000_000, Some(300_000)), hall]);
    world.run(600);
    assert_eq!(world.pictures(), [Main, Main]);
}

#[test]
fn the_owners_cap_holds_before_anything_is_late() {
    let mut world = World::new(100_000_000, Some(3_000_000), vec![camera("gate", 4_000_000, Some(500_000))]);
    world.run(5);
    assert_eq!(world.pictures(), [Sub]);
    world.run(4 * 3600);
    assert_eq!(world.changes.len(), 1, "the large picture never fits: it is not tried");
    // The owner sets the camera to a thinner large picture... which is only seen when it goes out: not tried either.
    let mut world = World::new(100_000_000, Some(5_000_000), vec![camera("gate", 4_000_000, Some(500_000))]);
    world.run(3600);
    assert_eq!(world.changes, []);
}

#[test]
fn an_outage_is_no_shortage() {
    let mut world = World::new(10_000_000, None, vec![camera("gate", 4_000_000, Some(500_000))]);
    world.run(10);
    for _ in 0..120 {
        world.now += LOOK;
        world.budget.outage(world.now);
    }
    // What waited in the meantime comes all at once, late.
    let late = Watched {
        id: CameraId::new("gate").unwrap(),
        afar: true,
        has_small: true,
        bit_rate: 4_000_000,
        took: Duration::from_secs(60),
        media: Duration::from_secs(1),
    };
    world.now += LOOK;
    assert_eq!(world.budget.look(world.now, &[late]), None);
    world.run(60);
    assert_eq!(world.changes, []);
}

proptest! {
    /// Whatever the line does, cameras never flap: a change to the large picture needs its minutes.
    #[test]
    fn never_flaps(lines in proptest::collection::vec(100_000..20_000_000_u64, 1..20), cap in proptest::option::of(200_000..10_000_000_u64)) {
        let cameras = vec![camera("gate", 4_000_000, Some(500_000)), camera("hall", 2_000_000, Some(250_000)), camera("yard", 3_000_000, None)];
        let mut world = World::new(1_000_000, cap, cameras);
        for line in lines {
            world.line = line as f64;
            world.run(90);
        }
        for id in ["gate", "hall", "yard"] {
            let own: Vec<_> = world.changes.iter().filter(|(_, changed, _)| changed == id).collect();
            for pair in own.windows(2) {
                prop_assert!(pair[0].2 != pair[1].2, "a change changes something");
                if pair[1].2 == Main {
                    prop_assert!(pair[1].0.abs_diff(pair[0].0) >= WAIT.0);
                }
            }
            prop_assert!(id != "yard" || own.is_empty());
        }
        for pair in world.changes.windows(2) {
            prop_assert!(pair[1].0.abs_diff(pair[0].0) >= SETTLE, "one at a time");
        }
    }
}
