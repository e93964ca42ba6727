//! The set-up page as a new owner meets it: from a box as bought to a public link that plays, in each language, on a phone
//! and at a desk. Clicks, machine time, weight and first paint are counted, axe-core judges every step.
//!
//! `STREAMBOX_WALK=all` (the soak) walks each language on both; else each language once. Pictures of all steps are kept in
//! `target/lab/screens/`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{
    boxd::Boxd,
    browser::{self, Page},
    owner::{LANGUAGES, Report, Screen},
    test_name,
    workshop::{CAMERAS, Workshop},
    world,
};
use serde_json::{Value, json};

/// Clicks and taps from the first page to the public link.
const CLICKS: u32 = 12;
/// From the start of the box to the public link's picture moving.
const MACHINE: Duration = Duration::from_secs(90);
/// The page and its parts over the wire, without the player: bytes.
const WEIGHT: u64 = 150 * 1024;
/// From the start of the navigation to the first words, median of the walks, milliseconds.
const FIRST_PAINT_MS: f64 = 1000.0;
/// How long the owner's browser may take for a step, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long the public link is watched.
const WATCHED: Duration = Duration::from_secs(3);

/// One walk.
#[derive(Debug, Clone, Copy)]
struct Walk {
    language: &'static str,
    screen: Screen,
}

#[test]
fn a_new_owner_walks_from_power_on_to_a_public_link() {
    let test = test_name!();
    world::inside(test, || {
        let mut workshop = Workshop::new(test)?;
        let (mut complaints, mut paints) = (Vec::new(), Vec::new());
        let all = std::env::var_os("STREAMBOX_WALK").is_some_and(|which| which == "all");
        for (at, language) in LANGUAGES.into_iter().enumerate() {
            let [this, other] = [Screen::Phone, Screen::Desktop].map(|screen| Walk { language, screen });
            let [this, other] = if at % 2 == 0 { [this, other] } else { [other, this] };
            for walk in [Some(this), all.then_some(other)].into_iter().flatten() {
                let found = walk.run(&mut workshop, &mut paints).with_context(|| walk.name());
                complaints.extend(found.unwrap_or_else(|error| vec![format!("{error:#}")]));
            }
        }
        // One may fall into a busy moment of the machine.
        paints.sort_by(f64::total_cmp);
        let paint = paints.get(paints.len() / 2).copied().unwrap_or(f64::INFINITY);
        println!("first paint, median: {paint:.0} ms");
        if paint > FIRST_PAINT_MS {
            complaints.push(format!("first paint after {paint:.0} ms"));
        }
        workshop.cloud.check_log()?;
        ensure!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
        Ok(())
    });
}

#[test]
fn the_first_steps_go_by_keyboard_alone() {
    let test = test_name!();
    world::inside(test, || {
        let mut workshop = Workshop::new(test)?;
        workshop.cameras()?;
        let mut owner = workshop.owner("players/keyboard.mjs", "keyboard", "ru", Screen::Desktop)?;
        let boxd = workshop.new_box()?;
        owner.tell(&json!("go"))?;
        let report = owner.finish(PATIENCE)?;
        ensure!(report.complaints.is_empty(), "{}", report.complaints.join("\n"));
        ensure!(report.clicks == 0 && !report.steps.is_empty(), "{report:?}");
        boxd.finish()
    });
}

impl Walk {
    fn name(self) -> String {
        format!("{}-{}", self.language, self.screen.name())
    }

    /// Walks once with a new box; gives what the owner would complain about, and adds the time of the first paint.
    fn run(self, workshop: &mut Workshop, paints: &mut Vec<f64>) -> Result<Vec<String>> {
        let name = self.name();
        workshop.cameras()?;
        let mut owner = workshop.owner("players/walk.mjs", &name, self.language, self.screen)?;

        let plugged_in = Instant::now();
        let boxd = workshop.new_box()?;
        owner.tell(&json!("go"))?;
        let code = owner.hear("code", PATIENCE)?;
        let code = code["code"].as_str().context("the page shows no code")?.to_owned();
        let printed = workshop.cloud.claim(&code, "ACME")?;
        owner.tell(&json!({ "claimed": printed }))?;
        let link = owner.hear("link", PATIENCE)?;
        let url = link["url"].as_str().context("the page shows no link")?.to_owned();
        let page = [Page { name: name.clone(), url }];
        let viewer = workshop.internet.viewer();
        let fingerprint = workshop.authority.fingerprint();
        let mut screen = browser::open_trusting(viewer, &format!("{name}-viewer"), &page, fingerprint)?;
        let machine = plugged_in.elapsed();

        std::thread::sleep(WATCHED);
        let seen = screen.look()?.into_iter().next().context("the viewer's browser tells nothing")?;
        screen.close()?;
        let mut complaints = live(&boxd)?;
        owner.tell(&json!("end"))?;
        let report = owner.finish(PATIENCE)?;
        println!("{name}: {}, {:.1} s to the public link's picture", figures(&report), machine.as_secs_f64());
        if !seen.playing || seen.media_seconds < WATCHED.as_secs_f64() * 0.7 {
            complaints.push(format!("the public link does not play: {}", seen.figures()));
        }
        if machine > MACHINE {
            complaints.push(format!("{:.1} s from power-on to the public link", machine.as_secs_f64()));
        }
        complaints.extend(judged(&report));
        paints.push(report.first_paint_ms.unwrap_or(f64::INFINITY));
        boxd.finish()?;
        Ok(complaints.into_iter().map(|complaint| format!("{name}: {complaint}")).collect())
    }
}

/// What the report breaks.
fn judged(report: &Report) -> Vec<String> {
    let mut complaints = report.complaints.clone();
    if report.clicks > CLICKS {
        complaints.push(format!("{} clicks", report.clicks));
    }
    if report.weight == 0 || report.weight > WEIGHT {
        complaints.push(format!("the page weighs {} bytes", report.weight));
    }
    complaints
}

fn figures(report: &Report) -> String {
    format!(
        "{} clicks in {} steps, page of {:.1} KiB, first paint after {:.0} ms, judged for {:.1} s",
        report.clicks,
        report.steps.len(),
        report.weight as f64 / 1024.0,
        report.first_paint_ms.unwrap_or(f64::NAN),
        report.judging_ms / 1000.0
    )
}

/// Every camera of the workshop streams.
fn live(boxd: &Boxd) -> Result<Vec<String>> {
    let cameras: Vec<(String, Value)> = boxd.cameras()?;
    let streaming = cameras.iter().filter(|(_, camera)| camera["state"]["state"] == "streaming").count();
    let mut complaints = Vec::new();
    if streaming < CAMERAS {
        let others: Vec<String> = cameras
            .iter()
            .filter(|(_, camera)| camera["state"]["state"] != "streaming")
            .map(|(id, camera)| format!("{id} {}", camera["state"]))
            .collect();
        complaints.push(format!("{streaming} of {CAMERAS} cameras stream; {others:?}"));
    }
    Ok(complaints)
}

#[test]
fn too_many_clicks_and_too_heavy_a_page_are_told() {
    let fine = Report { clicks: CLICKS, weight: WEIGHT, ..Report::default() };
    assert!(judged(&fine).is_empty());
    for bad in [
        Report { clicks: CLICKS + 1, ..fine.clone() },
        Report { weight: WEIGHT + 1, ..fine.clone() },
        Report { weight: 0, ..fine.clone() },
        Report { complaints: vec!["English is left".into()], ..fine.clone() },
    ] {
        assert_eq!(judged(&bad).len(), 1, "{bad:?}");
    }
}
