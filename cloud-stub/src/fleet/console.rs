//! The fleet at the command line: an operator's orders, given as [`Fleet`]'s, and their answers in words, or as the API gives
//! them. Done by [`By::COMMAND_LINE`]; a cloud that runs reads it from the table of events, as it reads another cloud's.

use std::fmt::Write as _;

use anyhow::{Result, anyhow};
use model::BoxId;
use serde_json::{Value, json};

use super::orders::{Care, Undone};
use super::table::{bare, list, quoted, table};
use super::{Fleet, Page, Unwilling};
use crate::cli::{Errand, Order};
use crate::owner::span;
use crate::store::{By, Refused};

/// Does what was ordered and gives what is to be printed.
///
/// # Errors
/// Why it was not done, and what to do.
pub async fn run(fleet: &Fleet, order: Order) -> Result<String> {
    let by = By::COMMAND_LINE;
    let now = fleet.store().now_ms();
    let (answer, text) = match order.errand {
        Errand::Releases => {
            let answer = fleet.tell_releases().await?;
            let text = releases(&answer);
            (answer, text)
        }
        Errand::List => {
            let answer = fleet.tell_campaigns().await?;
            let text = campaigns(&answer, now);
            (answer, text)
        }
        Errand::Show(id) => {
            let answer = fleet.tell_campaign(&id).await.map_err(|why| of_campaign(&id, why))?;
            let text = campaign(&answer, now);
            (answer, text)
        }
        Errand::Boxes { campaign, page } => {
            let answer = fleet.tell_boxes(&campaign, &page).await;
            let answer = answer.map_err(|why| of_campaign(&campaign, why))?;
            let text = boxes(&answer, &page, now);
            (answer, text)
        }
        Errand::Draft(words) => {
            if fleet.shelf().is_none() {
                return Err(anyhow!("this cloud has no releases: give it [updates] dir and key"));
            }
            let id = fleet.draft(words, by).await.map_err(of_draft)?;
            let text =
                format!("campaign: {id}\nNothing happens before it is started: cloud fleet start {id}\n");
            (fleet.tell_campaign(&id).await?, text)
        }
        Errand::Steer { campaign, how, reason } => {
            let done = fleet.steer(&campaign, how, &reason, by).await;
            done.map_err(|why| of_campaign(&campaign, why))?;
            let answer = fleet.tell_campaign(&campaign).await?;
            let (state, ring) = (word(&answer, "state"), ring(&answer));
            let text = format!("campaign {campaign} is {state}; its ring: {ring}\n");
            (answer, text)
        }
        Errand::Box(id) => {
            let answer = fleet.tell_box(&id).await.map_err(|why| of_box(&id, why))?;
            let text = unit(&answer, now);
            (answer, text)
        }
        Errand::Care(id, care) => {
            let text = match &care {
                Care::Pin(Some(version)) => format!("box {id} is pinned to {}\n", bare(version)),
                Care::Pin(None) => format!("box {id} is pinned no longer\n"),
                Care::Hold(Some(_)) => format!("box {id} is held as it is\n"),
                Care::Hold(None) => format!("box {id} is held no longer\n"),
            };
            fleet.care(&id, vec![care], by).await.map_err(|why| of_box(&id, why))?;
            (fleet.tell_box(&id).await?, text)
        }
        Errand::Postpone(id, hours) => {
            let until_ms = fleet.postpone(&id, hours, by).await.map_err(|why| of_box(&id, why))?;
            (json!({ "until_ms": until_ms }), format!("box {id} is left alone for {hours} h\n"))
        }
    };
    Ok(if order.json { format!("{answer}\n") } else { text })
}

fn of_campaign(id: &str, why: Undone) -> anyhow::Error {
    match why {
        Undone::Unwilling(Unwilling::NotThere) => {
            anyhow!("there is no campaign {}: `cloud fleet list` lists them", quoted(id))
        }
        Undone::Unwilling(Unwilling::NotNow(why)) => {
            anyhow!("nothing was done. {why} `cloud fleet show {id}` says how the campaign stands")
        }
        why => why.into(),
    }
}

fn of_draft(why: Undone) -> anyhow::Error {
    match why {
        Undone::Unwilling(why) => anyhow!(
            "no campaign was written down. {why} `cloud fleet releases` lists what is published, `cloud boxes` the boxes"
        ),
        why => why.into(),
    }
}

fn of_box(id: &BoxId, why: Undone) -> anyhow::Error {
    match why {
        Undone::Unwilling(Unwilling::NotThere) => Refused::NoBox(id.to_string()).into(),
        why => why.into(),
    }
}

fn word<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or_default()
}

fn number(of: &Value, name: &str) -> u64 {
    of[name].as_u64().unwrap_or_default()
}

fn rows(of: &Value) -> impl Iterator<Item = &Value> {
    of.as_array().into_iter().flatten()
}

fn ago(of: &Value, name: &str, now: u64) -> String {
    format!("{} ago", span(now.saturating_sub(number(of, name))))
}

/// Who did it; the empty name is this one.
fn who(of: &Value) -> String {
    match word(of, "who") {
        "" => "command line".to_owned(),
        name @ ("machine" | "box") => name.to_owned(),
        name => quoted(name),
    }
}

/// The ring that is open.
fn ring(of: &Value) -> String {
    match word(of, "stage") {
        "canary" => "the boxes that go first".to_owned(),
        share => format!("{share} % of the boxes"),
    }
}

fn releases(answer: &Value) -> String {
    let row =
        |row| vec![bare(word(row, "version")), bare(word(row, "board")), number(row, "security").to_string()];
    let rows: Vec<_> = rows(answer).map(row).collect();
    if rows.is_empty() {
        return "nothing is published yet\n".to_owned();
    }
    table(&["VERSION", "BOARD", "SECURITY"], &rows)
}

fn campaigns(answer: &Value, now: u64) -> String {
    let row = |row: &Value| {
        let count = |name| number(&row["counts"], name).to_string();
        let stage = match word(row, "stage") {
            "canary" => "canary".to_owned(),
            share => format!("{share} %"),
        };
        vec![
            word(row, "id").to_owned(),
            word(row, "state").to_owned(),
            stage,
            bare(word(row, "version")),
            count("ring"),
            count("committed"),
            count("failed"),
            count("silent"),
            ago(row, "since_ms", now),
            quoted(word(row, "name")),
        ]
    };
    let heads =
        ["CAMPAIGN", "STATE", "RING", "VERSION", "BOXES", "COMMITTED", "FAILED", "SILENT", "SINCE", "NAME"];
    let rows: Vec<_> = rows(answer).map(row).collect();
    if rows.is_empty() {
        return "there is no campaign yet: cloud fleet draft --name NAME --version VERSION\n".to_owned();
    }
    table(&heads, &rows)
}

fn campaign(of: &Value, now: u64) -> String {
    let boards: Vec<String> = rows(&of["boards"]).filter_map(Value::as_str).map(bare).collect();
    let boards = if boards.is_empty() { "all boards".to_owned() } else { boards.join(", ") };
    let first: Vec<&str> = rows(&of["canaries"]).filter_map(Value::as_str).collect();
    let counts = &of["counts"];
    let stand = ["offered", "fetching", "ready", "restarting", "committed", "failed", "silent"];
    let stand = stand.into_iter().filter(|name| number(counts, name) != 0);
    let stand: Vec<String> = stand.map(|name| format!("{} {name}", number(counts, name))).collect();
    let percent = |name: &str| format!("{:.1} %", 100.0 * of[name].as_f64().unwrap_or_default());
    let text = list(&[
        ("campaign", word(of, "id").to_owned()),
        ("name", quoted(word(of, "name"))),
        ("note", quoted(word(of, "note"))),
        ("version", format!("{} for {boards}", bare(word(of, "version")))),
        ("state", format!("{}, since {}", word(of, "state"), ago(of, "since_ms", now))),
        ("reason", quoted(word(of, "reason"))),
        ("ring", ring(of)),
        ("boxes", format!("{} in the ring", number(counts, "ring"))),
        ("", stand.join(", ")),
        ("failures", format!("{}; at least {} of many", percent("rate"), percent("bound"))),
        ("go first", first.join(" ")),
        ("a ring is watched for", span(number(of, "bake_s").saturating_mul(1000))),
    ]);
    let row = |row: &Value| {
        let what = word(row, "what").to_owned();
        vec![ago(row, "at_ms", now), who(row), what, quoted(word(row, "why"))]
    };
    let lines: Vec<_> = rows(&of["events"]).map(row).collect();
    format!("{text}\n{}", table(&["WHEN", "WHO", "WHAT", "WHY"], &lines))
}

fn boxes(answer: &Value, page: &Page, now: u64) -> String {
    let row = |row: &Value| {
        vec![
            word(row, "box").to_owned(),
            word(row, "standing").to_owned(),
            ago(row, "since_ms", now),
            quoted(word(row, "name")),
            quoted(word(row, "tenant")),
            quoted(word(row, "site")),
            quoted(word(row, "why")),
        ]
    };
    let lines: Vec<_> = rows(&answer["rows"]).map(row).collect();
    let text = table(&["BOX", "STANDS AT", "SINCE", "NAME", "TENANT", "SITE", "WHY"], &lines);
    let end = page.offset.saturating_add(lines.len());
    match (lines.len(), number(answer, "total")) {
        (_, 0) => "no box of this campaign is like that\n".to_owned(),
        (0, total) => format!("there are {total} boxes only: choose a lower --offset\n"),
        (_, total) if end as u64 == total => text,
        (_, total) => format!("{text}{total} boxes in all: --offset {end} shows the next ones\n"),
    }
}

fn until_words(until_ms: u64, now: u64) -> String {
    match until_ms.saturating_sub(now) {
        0 => "no longer".to_owned(),
        left => format!("for {} from now", span(left)),
    }
}

fn unit(of: &Value, now: u64) -> String {
    let bare_or = |name: &str, otherwise: &str| match word(of, name) {
        "" => otherwise.to_owned(),
        word => bare(word),
    };
    let active = of["active"].as_bool().unwrap_or_default();
    let postponed = number(of, "postponed_ms").saturating_sub(now);
    let standing = match (word(of, "standing"), word(of, "campaign")) {
        ("", _) => String::new(),
        (standing, "pin") => format!("{standing}, by its pin"),
        (standing, campaign) => format!("{standing}, in campaign {campaign}"),
    };
    let text = list(&[
        ("box", word(of, "box").to_owned()),
        ("name", quoted(word(of, "name"))),
        ("tenant", quoted(word(of, "tenant"))),
        ("site", quoted(word(of, "site"))),
        ("state", if active { "active" } else { "out: it was released or revoked" }.to_owned()),
        (
            "runs",
            format!("{} on {}", bare_or("version", "?"), bare_or("board", "a board that it has not told")),
        ),
        ("pinned to", bare(word(of, "pin"))),
        ("held", quoted(word(of, "hold"))),
        ("postponed for", if postponed == 0 { String::new() } else { span(postponed) }),
        ("stands at", standing),
    ]);
    let row = |row: &Value| {
        let why = match (word(row, "what"), word(row, "why")) {
            ("postponed", until) => until_words(until.parse().unwrap_or_default(), now),
            (_, why) => quoted(why),
        };
        vec![
            ago(row, "at_ms", now),
            who(row),
            word(row, "what").to_owned(),
            bare(word(row, "version")),
            bare(word(row, "campaign")),
            why,
        ]
    };
    let lines: Vec<_> = rows(&of["history"]).map(row).collect();
    let past = table(&["WHEN", "WHO", "WHAT", "VERSION", "CAMPAIGN", "WHY"], &lines);
    let failed = rows(&of["history"]).map(|row| word(row, "journal")).find(|journal| !journal.is_empty());
    let mut journal = String::new();
    for line in failed.unwrap_or_default().lines() {
        let _ = writeln!(journal, "  {line:?}");
    }
    let journal = if journal.is_empty() {
        journal
    } else {
        format!("\nThe end of its journal when it last failed:\n{journal}")
    };
    let gap = if past.is_empty() { "" } else { "\n" };
    format!("{text}{gap}{past}{journal}")
}
