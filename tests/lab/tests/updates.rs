//! An operator sends a release to a fleet from the portal: one box tries it, the rings open, two boxes fail, the roll-out
//! stops by itself and says why, and a person decides. Tenants say when their boxes may restart. A real cloud, boxes that
//! only ask and tell, real browsers, axe-core on every page.

#[path = "updates/stage.rs"]
mod stage;

use std::time::Instant;

use anyhow::{Result, ensure};
use lab::{
    owner::Screen,
    person::{Person, Walk},
    test_name, world,
};
use model::update::Phase;

use stage::{Stage, VERSION};

/// The portal and its parts over the wire, without player and uPlot: bytes.
const WEIGHT: u64 = 150 * 1024;
/// How many boxes there are; the first tries the release.
const BOXES: u8 = 5;
/// What a box says that could not keep it.
const WHY: &str = "health: no tunnel";

#[test]
fn an_operator_sends_a_release_and_sees_why_it_stopped() {
    let test = test_name!();
    world::beside(test, || {
        let mut stage = Stage::new(test, BOXES)?;
        let mut complaints = Vec::new();
        let start = Instant::now();
        let took = |what: &str| println!("{what}: {:.0} s", start.elapsed().as_secs_f64());
        let mut operator = operator(&stage, "kk", Screen::Phone)?;
        let campaign = plan(&stage, &mut operator)?;
        roll_out(&mut stage, &mut operator)?;
        operator.end(&mut complaints, WEIGHT)?;
        took("the roll-out has stopped");
        decide(&mut stage, &campaign, &mut complaints)?;
        took("the operators are through");
        tenant(&stage, &mut complaints)?;
        took("the tenant is through");
        stage.finish()?;
        ensure!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
        Ok(())
    });
}

/// Somebody who runs the cloud, at the list of updates.
fn operator(stage: &Stage, language: &'static str, screen: Screen) -> Result<Person> {
    let walk = Walk { language, screen };
    let invitation = stage.invite(&["person", "add", &format!("{language}@example.org"), "--operator"])?;
    let mut operator = stage.person(&format!("operator-{}", walk.name()), walk)?;
    operator.accept(&invitation, "Aigerim", "operator")?;
    operator.page("updates")?;
    Ok(operator)
}

/// A draft with one box that tries it, started; gives the campaign's id.
fn plan(stage: &Stage, operator: &mut Person) -> Result<String> {
    operator.there("fleet-empty")?;
    operator.step("empty")?;
    operator.press("plan")?;
    operator.press("plan-go")?;
    operator.there("css:[data-view=plan] .refusal:not(:empty)")?;
    operator.type_into("plan-name", "2.0")?;
    let canary = stage.id(0);
    operator.type_into("plan-query", canary)?;
    operator.press(&format!("take-{canary}"))?;
    operator.there(&format!("canary-{canary}"))?;
    operator.step("plan")?;
    operator.press("plan-go")?;
    operator.shows("campaign")?;
    operator.there("css:[data-test=campaign-state][data-state=draft]")?;
    ensure!(stage.ask(0)?.is_none(), "a draft is offered already");
    order(operator, "start", "tested")?;
    operator.there("css:[data-test=campaign-state][data-state=running][data-stage=canary]")?;
    ensure!(stage.ask(1)?.is_none(), "a box that is not in the ring is offered it");
    stage.campaign()
}

/// Gives an order with a reason; going on and ending are tried without one first.
fn order(operator: &mut Person, what: &str, reason: &str) -> Result<()> {
    operator.press(&format!("order-{what}"))?;
    operator.there("order-asked")?;
    if matches!(what, "resume" | "withdraw") {
        operator.press("order-yes")?;
        operator.there("css:[data-test=order-asked] .refusal:not(:empty)")?;
    }
    operator.type_into("order-reason", reason)?;
    operator.press("order-yes")?;
    operator.there("css:[data-view=campaign]:not(:has([data-test=order-asked]))")
}

/// The first box keeps the release; the operator opens the rings by hand; two boxes fail, and the roll-out stops.
fn roll_out(stage: &mut Stage, operator: &mut Person) -> Result<()> {
    stage.update(0, Phase::Committed, "")?;
    operator.there("css:[data-test=count-committed]:text-is('1')")?;
    operator.there("css:[data-test=need-decided][data-met=yes]")?;
    operator.there("css:[data-test=need-soak][data-met=no]")?;
    operator.step("trial")?;
    for ring in ["1", "5", "25", "100"] {
        order(operator, "advance", "small fleet")?;
        operator.there(&format!("css:[data-test=ring-{ring}][data-place=now]"))?;
    }
    operator.none("order-advance")?;
    stage.update(1, Phase::Fetching, "")?;
    stage.update(2, Phase::Failed, WHY)?;
    operator.there("css:[data-test=count-failed]:text-is('1')")?;
    operator.there("css:[data-test=campaign-state][data-state=running]")?;
    stage.update(3, Phase::Failed, WHY)?;
    operator.there("css:[data-test=campaign-state][data-state=halted]")?;
    operator.there("halted")?;
    operator.there("css:[data-test=fleet-events] [data-what=halted]")?;
    // The cloud's own words are English.
    operator.none("css:[data-test=fleet-events] .why")?;
    ensure!(stage.ask(4)?.is_none(), "a roll-out that stopped goes on");
    operator.step("halted")
}

/// Other operators: one looks at a box that failed and leaves it alone, one lets the roll-out go on and ends it.
fn decide(stage: &mut Stage, campaign: &str, complaints: &mut Vec<String>) -> Result<()> {
    let failed = stage.id(2).to_owned();
    let mut second = operator(stage, "ru", Screen::Desktop)?;
    second.there(&format!("css:[data-test=campaign-{campaign}][data-state=halted]"))?;
    second.step("list")?;
    second.press(&format!("css:[data-test=campaign-{campaign}] h2 a"))?;
    second.select("row-standing", "failed")?;
    second.there("css:[data-test=row-count][data-count='2']")?;
    second.type_into("row-query", &failed)?;
    second.press("row-search")?;
    second.there("css:[data-test=row-count][data-count='1']")?;
    second.step("boxes")?;
    second.press(&format!("css:[data-test=row-{failed}] a"))?;
    second.press("css:[data-test=history] summary")?;
    ensure!(second.words("css:[data-test=history] pre")?.contains("no answer"), "the journal is not shown");
    second.press("hold-go")?;
    second.there("css:[data-test=hold] .refusal:not(:empty)")?;
    second.type_into("hold-reason", "being repaired")?;
    second.press("hold-go")?;
    second.there("css:[data-test=hold][data-held=yes]")?;
    second.select("pin-version", VERSION)?;
    second.press("pin-go")?;
    second.there(&format!("css:[data-test=pin][data-pin='{VERSION}']"))?;
    second.step("box")?;
    ensure!(stage.ask(2)?.is_none(), "a box that is held is offered something");
    order_on(&mut second, campaign)?;
    ensure!(stage.ask(4)?.is_some(), "a roll-out that goes on offers nothing");
    second.go("/#/campaign/gone")?;
    second.there("css:[data-view=campaign] .refusal:not(:empty)")?;
    second.step("gone")?;
    second.end(complaints, WEIGHT)?;

    let mut third = operator(stage, "en", Screen::Phone)?;
    third.press(&format!("css:[data-test=campaign-{campaign}] h2 a"))?;
    order(&mut third, "withdraw", "a better one comes")?;
    third.there("css:[data-test=campaign-state][data-state=withdrawn]")?;
    third.there("css:[data-test=fleet-events] [data-what=withdrawn]")?;
    third.step("withdrawn")?;
    third.end(complaints, WEIGHT)
}

/// Lets the roll-out go on.
fn order_on(second: &mut Person, campaign: &str) -> Result<()> {
    second.go(&format!("/#/campaign/{campaign}"))?;
    second.press("order-resume")?;
    second.there("order-asked")?;
    second.step("resume")?;
    second.press("order-no")?;
    order(second, "resume", "both had a broken cable")?;
    second.there("css:[data-test=campaign-state][data-state=running]")
}

/// An owner says when boxes of a site may restart, and puts a box's updates off.
fn tenant(stage: &Stage, complaints: &mut Vec<String>) -> Result<()> {
    let walk = Walk { language: "kk", screen: Screen::Desktop };
    let invitation =
        stage.invite(&["person", "add", "owner@example.org", "--tenant", "ACME", "--role", "owner"])?;
    let mut owner = stage.person(&format!("owner-{}", walk.name()), walk)?;
    owner.accept(&invitation, "Daniyar", "owner")?;
    owner.none("nav-updates")?;
    owner.go("/#/updates")?;
    owner.shows("wall")?;
    owner.page("sites")?;
    owner.type_into("site-name-new", "Almaty 1")?;
    owner.press("site-go-new")?;
    owner.press("change-*")?;
    owner.press("css:[data-test^=window-][data-test$=-only]")?;
    for day in ["5", "6"] {
        owner.press(&format!("css:[data-test^=window-][data-test$=-day-{day}]"))?;
    }
    owner.type_into("css:[data-test^=window-][data-test$=-from]", "22:00")?;
    owner.type_into("css:[data-test^=window-][data-test$=-to]", "05:00")?;
    owner.press("css:[data-test^=window-][data-test$=-go]")?;
    owner.there("css:[data-test=sites] p:text('22:00')")?;
    owner.step("window")?;
    owner.page("boxes")?;
    let id = stage.id(4);
    owner.press(&format!("change-{id}"))?;
    owner.select(&format!("postpone-hours-{id}"), "72")?;
    owner.press(&format!("postpone-{id}"))?;
    owner.there(&format!("postponed-{id}"))?;
    owner.step("postponed")?;
    owner.press(&format!("postpone-end-{id}"))?;
    owner.there(&format!("css:[data-test=box-{id}]:not(:has([data-test=postponed-{id}]))"))?;
    owner.end(complaints, WEIGHT)
}
