//! The owner's commands, given to the program while another process of it serves from the same database.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use cloud_stub::{
    fleet::{Command as Order, Draft, Fleet, Note, Run, State},
    store::{By, Store},
};
use lab::{
    paths,
    process::{self, Process},
    world::{self, SCRATCH},
};
use model::BoxId;

use crate::{
    promises::report,
    stage::{Member, Place},
};

const SHORT: Duration = Duration::from_secs(15);
/// From the end of a command to its effect in the server.
const EFFECT: Duration = Duration::from_secs(1);

/// A link is switched off, on, and ended with its box, each within a second.
pub(crate) async fn take_effect(place: Place, test: &str) -> Result<()> {
    let logs = world::logs(test);
    let config = PathBuf::from(SCRATCH).join("commands.toml");
    let text = format!(
        "[http]\nlisten = \"127.0.0.1:8443\"\n[hub]\nlisten = \"127.0.0.1:51820\"\n[store]\nurl = {:?}\n",
        place.url
    );
    fs::write(&config, text)?;
    let mut serve = Command::new(paths::binary("cloud")?);
    serve.arg("--config").arg(&config);
    let mut cloud = Process::spawn(serve, &logs.join(format!("{}.log", place.name)))?;
    cloud.wait_for("started", SHORT)?;

    let store = place.open().await?;
    let member = Member::new(1);
    let session = member.hello(&store, 1).await?;
    let owner = |words: &[&str]| -> Result<String> {
        let mut command = Command::new(paths::binary("cloud")?);
        command.arg("--config").arg(&config).args(words);
        process::output(command, &logs.join("owner.log"), SHORT)
    };
    // The tests' clock is not the program's: claimed here, by the same code.
    store.claim(&session.code.parse()?, "ACME").await?;
    store.join(&member.yes(&session.session, "ACME", 1)).await?;
    store.refresh().await?;
    let link = report(&store, &["gate"], true).await?.remove(0).to_string();
    let id = member.identity.box_id().to_string();
    until("the new link", || Ok(page(&link)?.starts_with("HTTP/1.1 200")))?;

    let cameras = owner(&["cameras"])?;
    ensure!(cameras.contains(&format!("/{link}/")) && cameras.contains("\"Camera gate\""), "{cameras}");
    let boxes = owner(&["boxes"])?;
    ensure!(boxes.contains(&id) && boxes.contains("active") && boxes.contains("10.13.1.1"), "{boxes}");

    let never = page("aaaaaaaaaaaaaaaaaaaaaaaaaa")?;
    ensure!(never.starts_with("HTTP/1.1 404"), "{never}");
    owner(&["camera", "off", &link])?;
    let off = until("off", || Ok(page(&link)? == never))?;
    owner(&["camera", "on", &link])?;
    let on = until("on", || Ok(page(&link)?.starts_with("HTTP/1.1 200")))?;
    fleet_follows(&store, member.identity.box_id(), &owner).await?;
    owner(&["revoke", &id])?;
    let revoked = until("revoked", || Ok(page(&link)? == never))?;
    ensure!(owner(&["boxes"])?.contains("revoked"));
    println!(
        "{}: off after {:.2} s, on after {:.2} s, revoked after {:.2} s",
        place.name,
        off.as_secs_f64(),
        on.as_secs_f64(),
        revoked.as_secs_f64()
    );

    let end = Instant::now();
    ensure!(cloud.stop(Duration::from_secs(2))?.success(), "it does not end cleanly");
    ensure!(end.elapsed() < Duration::from_secs(2));
    let said = cloud.said();
    ensure!(!said.contains("ERROR") && !said.contains("panicked"), "{said}");
    Ok(())
}

/// What is ordered of releases is known to a cloud that runs, and to the terminal what a cloud has written.
async fn fleet_follows(
    store: &Store,
    box_id: &BoxId,
    owner: &impl Fn(&[&str]) -> Result<String>,
) -> Result<()> {
    let fleet = Fleet::new(store.clone(), None);
    let keeping = tokio::spawn(fleet.clone().keep());
    let campaign = "c".repeat(26);
    let draft = Draft {
        name: "Spring".to_owned(),
        version: "1.1".to_owned(),
        boards: Vec::new(),
        canaries: vec![box_id.clone()],
        bake_s: 3600,
        note: String::new(),
        who: String::new(),
    };
    let note = Note {
        by: By::COMMAND_LINE,
        tenant: "",
        what: "fleet.draft",
        subject: &campaign,
        detail: "Spring: 1.1",
    };
    fleet.command(Order::Draft { campaign: campaign.clone(), draft }, note).await??;
    let listed = owner(&["fleet", "list"])?;
    ensure!(listed.contains(&campaign) && listed.contains("draft"), "{listed}");
    let runs = |state: &State, run| state.campaigns().get(&campaign).is_some_and(|known| known.run == run);
    owner(&["fleet", "start", &campaign])?;
    fleet_shows(&fleet, "started", |state| runs(state, Run::Running)).await?;
    owner(&["fleet", "pause", &campaign, "--reason", "lunch"])?;
    fleet_shows(&fleet, "paused", |state| runs(state, Run::Paused)).await?;
    owner(&["fleet", "pin", box_id.as_str(), "1.0"])?;
    let pinned = |state: &State| state.known(box_id).is_some_and(|known| known.pin.as_deref() == Some("1.0"));
    fleet_shows(&fleet, "pinned", pinned).await?;
    ensure!(owner(&["fleet", "box", box_id.as_str(), "--json"])?.contains("\"pin\":\"1.0\""));
    keeping.abort();
    Ok(())
}

async fn fleet_shows(fleet: &Fleet, what: &str, effect: impl Fn(&State) -> bool) -> Result<()> {
    let start = Instant::now();
    while !effect(&*fleet.known().await?) {
        ensure!(start.elapsed() < EFFECT, "{what}: no effect within {EFFECT:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Waits for an effect and gives the time it took.
fn until(what: &str, effect: impl Fn() -> Result<bool>) -> Result<Duration> {
    let start = Instant::now();
    while !effect()? {
        if start.elapsed() > EFFECT {
            bail!("{what}: no effect within {EFFECT:?}");
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(start.elapsed())
}

/// A link's page as a stranger sees it: head and body without the time.
fn page(id: &str) -> Result<String> {
    let output = Command::new("curl")
        .args(["--silent", "--include", "--max-time", "5"])
        .arg(format!("http://127.0.0.1:8443/{id}/"))
        .output()
        .context("curl")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().filter(|line| !line.starts_with("date:")).collect::<Vec<_>>().join("\n"))
}
