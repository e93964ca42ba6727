//! The portal as each role works in it: an operator lets an owner in, the owner brings in a box, shares a camera and takes the
//! share back, an installer sets up a site, a viewer watches. Real browsers at the far end of the internet, axe-core on every
//! page; languages and sizes are spread over the roles.
//!
//! `STREAMBOX_PORTAL=all` walks each role in each language and size. Pictures are kept in `target/lab/screens/portal/`.

#[path = "portal/stage.rs"]
mod stage;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lab::{
    browser::{self, Page},
    owner::{LANGUAGES, Screen},
    person::{Person, Walk},
    test_name, world,
};

use stage::Stage;

/// From taking a share back until its picture stands still: what the player has buffered, and a second.
const TAKEN_BACK: Duration = Duration::from_secs(10);
/// The portal and its parts over the wire, without player and uPlot: bytes.
const WEIGHT: u64 = 150 * 1024;

/// Which languages and sizes the roles are walked in.
fn walks() -> Vec<Walk> {
    let all = std::env::var("STREAMBOX_PORTAL").is_ok_and(|what| what == "all");
    let walk = |language, screen| Walk { language, screen };
    if all {
        let sizes = [Screen::Phone, Screen::Desktop];
        return LANGUAGES
            .into_iter()
            .flat_map(|language| sizes.map(|screen| walk(language, screen)))
            .collect();
    }
    vec![walk("kk", Screen::Phone)]
}

/// The walk of another role in the same round: the next language, the other size.
fn beside(Walk { language, screen }: Walk, by: usize) -> Walk {
    let at = LANGUAGES.iter().position(|known| *known == language).unwrap_or_default();
    let other = if screen == Screen::Phone { Screen::Desktop } else { Screen::Phone };
    Walk {
        language: LANGUAGES.get((at + by) % LANGUAGES.len()).copied().unwrap_or(language),
        screen: if by % 2 == 1 { other } else { screen },
    }
}

#[test]
fn each_role_does_its_work() {
    let test = test_name!();
    world::beside(test, || {
        let mut stage = Stage::new(test)?;
        let mut complaints = Vec::new();
        for (round, walk) in walks().into_iter().enumerate() {
            let start = Instant::now();
            round_of(&mut stage, round, walk, &mut complaints)
                .with_context(|| format!("the round of {}", walk.name()))?;
            println!("the round of {}: {:.0} s", walk.name(), start.elapsed().as_secs_f64());
        }
        stage.finish()?;
        ensure!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
        Ok(())
    });
}

/// One tenant from its beginning: all roles.
fn round_of(stage: &mut Stage, round: usize, walk: Walk, complaints: &mut Vec<String>) -> Result<()> {
    let name = format!("ACME {round}");
    let invitation = operator(stage, round, &name, beside(walk, 1), complaints)?;
    let mut owner = stage.person(&format!("owner-{}", walk.name()), walk)?;
    owner.accept(&invitation, "Aigerim", "owner")?;
    claim(stage, &mut owner, &name)?;
    watch(&mut owner)?;
    let camera = share(stage, &mut owner)?;
    let installer = invite(&mut owner, &format!("installer{round}@example.org"), "installer")?;
    let viewer = invite(&mut owner, &format!("viewer{round}@example.org"), "viewer")?;
    rest(&mut owner)?;
    install(stage, &installer, beside(walk, 2), complaints)?;
    view(stage, &viewer, &camera, beside(walk, 3), complaints)?;
    release(&mut owner, &camera)?;
    let given = Instant::now();
    stage.code()?;
    println!("given away: the box shows a code after {:.0} s", given.elapsed().as_secs_f64());
    owner.end(complaints, WEIGHT)
}

/// The operator of the cloud makes a customer and invites its owner; gives the invitation.
fn operator(
    stage: &Stage,
    round: usize,
    name: &str,
    walk: Walk,
    complaints: &mut Vec<String>,
) -> Result<String> {
    let email = format!("operator{round}@example.org");
    let invitation = stage.invite_operator(&email)?;
    let mut operator = stage.person(&format!("operator-{}", walk.name()), walk)?;
    operator.accept(&invitation, "Operator", "operator")?;
    operator.there("css:[data-test=summary]")?;
    operator.type_into("tenant-name", name)?;
    operator.press("tenant-go")?;
    operator.press(&format!("css:[data-test=tenants] [data-name=\"{name}\"] [data-test^=invite-]"))?;
    operator.type_into("invite-email", &format!("owner{round}@example.org"))?;
    operator.press("invite-go")?;
    let link = operator.words("invitation-link")?;
    operator.step("operator")?;
    operator.end(complaints, WEIGHT)?;
    Ok(link)
}

/// The owner types the code that the box shows; both show the same words; the box says yes.
fn claim(stage: &mut Stage, owner: &mut Person, tenant: &str) -> Result<()> {
    owner.press("wall-claim")?;
    owner.type_into("claim-code", "AAAA-AAAA")?;
    owner.press("claim-go")?;
    owner.step("claim-refused")?;
    ensure!(owner.value("claim-code")? == "AAAA-AAAA", "what was typed is lost");
    let code = stage.code()?;
    owner.go(&format!("/claim#{code}"))?;
    ensure!(owner.value("claim-code")? == code, "the code of the address is not filled in");
    owner.type_into("claim-name", "Store")?;
    owner.press("claim-go")?;
    let words = owner.words("check-words")?;
    owner.step("claim")?;
    stage.say_yes(tenant, &words)?;
    owner.there("css:[data-test=claim-state][data-state=joined]")?;
    owner.press("claim-done")
}

/// The wall plays.
fn watch(owner: &mut Person) -> Result<()> {
    owner.moves("wall")?;
    owner.step("wall")
}

/// The owner makes the camera private and shares it; a stranger sees it until the share is taken back.
fn share(stage: &Stage, owner: &mut Person) -> Result<String> {
    owner.page("cameras")?;
    owner.step("cameras")?;
    let camera = owner.attribute("camera-*", "data-test")?.trim_start_matches("camera-").to_owned();
    stage.public(&camera, 200)?;
    owner.press("camera-*")?;
    owner.moves("view")?;
    owner.press("make-private")?;
    owner.there("css:[data-test=access][data-access=private]")?;
    stage.public(&camera, 404)?;
    owner.type_into("share-label", "Neighbour")?;
    owner.press("share-go")?;
    let url = owner.attribute("share-url", "data-url")?;
    owner.step("camera")?;

    let page = [Page { name: "stranger".into(), url: url.clone() }];
    let fingerprint = stage.authority.fingerprint();
    let mut stranger = browser::open_trusting(stage.internet.viewer(), "stranger", &page, fingerprint)?;
    owner.press("share-new-done")?;
    owner.press("back-*")?;
    let pressed = Instant::now();
    owner.press("back-*")?;
    loop {
        let seen = stranger.look()?.into_iter().next().context("the stranger's browser tells nothing")?;
        if seen.stall_ms > 2000.0 {
            let took = pressed.elapsed().as_secs_f64() - seen.stall_ms / 1000.0;
            println!(
                "taken back: the stranger's picture stood after {took:.1} s; the page says {:?}",
                seen.notice
            );
            break;
        }
        ensure!(pressed.elapsed() < TAKEN_BACK, "the share is taken back and still plays");
        std::thread::sleep(Duration::from_millis(100));
    }
    stranger.close()?;
    stage.gone(&url)?;
    owner.moves("view")?;
    Ok(camera)
}

/// Invites somebody; gives the link.
fn invite(owner: &mut Person, email: &str, role: &str) -> Result<String> {
    owner.page("people")?;
    owner.type_into("invite-email", email)?;
    owner.select("invite-role", role)?;
    owner.press("invite-go")?;
    let link = owner.words("invitation-link")?;
    owner.step(&format!("invited-{role}"))?;
    owner.press("invited-done")?;
    Ok(link)
}

/// The owner's other pages.
fn rest(owner: &mut Person) -> Result<()> {
    for page in ["boxes", "uptime", "alerts", "audit", "profile"] {
        owner.page(page)?;
        owner.step(page)?;
    }
    Ok(())
}

/// An installer sets up a site and sees its sheet, but no people.
fn install(stage: &Stage, invitation: &str, walk: Walk, complaints: &mut Vec<String>) -> Result<()> {
    let mut installer = stage.person(&format!("installer-{}", walk.name()), walk)?;
    installer.accept(invitation, "Daniyar", "installer")?;
    for hidden in ["people", "alerts", "audit", "operator"] {
        installer.none(&format!("nav-{hidden}"))?;
    }
    installer.go("/#people")?;
    installer.shows("wall")?;
    installer.page("sites")?;
    installer.type_into("site-name-new", "Almaty 1")?;
    installer.press("site-go-new")?;
    installer.there("css:[data-test=sites] [data-test^=sheet-]")?;
    installer.step("sites")?;
    installer.page("boxes")?;
    installer.press("change-*")?;
    installer.select("css:[data-test=boxes] [data-test^=site-]", "Almaty 1")?;
    installer.press("save-*")?;
    installer.none("revoke-*")?;
    installer.step("boxes")?;
    installer.page("cameras")?;
    installer.press("sheet")?;
    installer.words("sheet-cameras")?;
    installer.step("sheet")?;
    installer.go("/#add")?;
    installer.press("add-go")?;
    installer.step("add-refused")?;
    installer.press("add-push")?;
    installer.type_into("add-title", "Encoder")?;
    installer.press("add-go")?;
    ensure!(installer.words("push-key")?.len() >= 26, "no stream key is shown");
    installer.step("add-push")?;
    installer.press("push-done")?;
    installer.shows("camera")?;
    installer.none("push-key")?;
    installer.end(complaints, WEIGHT)
}

/// A viewer sees the wall, also the private camera, and nothing else.
fn view(
    stage: &Stage,
    invitation: &str,
    camera: &str,
    walk: Walk,
    complaints: &mut Vec<String>,
) -> Result<()> {
    let mut viewer = stage.person(&format!("viewer-{}", walk.name()), walk)?;
    viewer.accept(invitation, "Olga", "viewer")?;
    viewer.moves(&format!("tile-{camera}"))?;
    for hidden in ["cameras", "boxes", "sites", "people", "audit"] {
        viewer.none(&format!("nav-{hidden}"))?;
    }
    viewer.none("open-*")?;
    viewer.step("wall")?;
    viewer.go(&format!("/#camera/{camera}"))?;
    viewer.shows("wall")?;
    viewer.page("profile")?;
    viewer.press("signout")?;
    viewer.words("signin-go")?;
    viewer.step("signed-out")?;
    viewer.end(complaints, WEIGHT)
}

/// The owner gives the box away, so that the next round may claim it: asked once more, then its links stop.
fn release(owner: &mut Person, camera: &str) -> Result<()> {
    owner.page("boxes")?;
    owner.press("change-*")?;
    owner.press("css:[data-test=boxes] [data-test^=release-]")?;
    owner.step("release")?;
    owner.press("css:[data-test=boxes] [data-test$=-yes]")?;
    owner.page("wall")?;
    owner.there(&format!("css:[data-test=wall]:not(:has([data-test=tile-{camera}]))"))?;
    owner.step("released")
}
