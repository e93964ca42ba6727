//! How campaigns and boxes are shown to operators.

use model::BoxId;
use serde_json::{Value, json};

use super::campaign::{Campaign, Place, Run, Standing};
use super::event::{Event, PIN, Recorded};
use super::state::State;
use crate::store::{BoxRow, BoxState, Directory};

/// A campaign with its figures.
pub(super) fn campaign(state: &State, directory: &Directory, id: &str, of: &Campaign) -> Value {
    let count = |standing| of.places().values().filter(|place| place.standing() == standing).count();
    json!({
        "id": id,
        "name": of.draft.name,
        "version": of.draft.version,
        "boards": of.draft.boards,
        "canaries": of.draft.canaries,
        "bake_s": of.draft.bake_s,
        "note": of.draft.note,
        "state": of.run.name(),
        "stage": of.stage.name(),
        "reason": of.reason,
        "since_ms": of.since_ms,
        "drafted_ms": of.drafted_ms,
        "counts": {
            "ring": ring(state, directory, id, of),
            "offered": count(Standing::Offered),
            "fetching": count(Standing::Fetching),
            "ready": count(Standing::Ready),
            "restarting": count(Standing::Restarting),
            "committed": count(Standing::Committed),
            "failed": count(Standing::Failed),
            "silent": count(Standing::Silent),
        },
        "rate": of.tally.rate(),
        "bound": of.tally.bound(),
    })
}

/// How many boxes are in the ring that is open. One whose board nobody knows yet may be.
fn ring(state: &State, directory: &Directory, id: &str, of: &Campaign) -> usize {
    if matches!(of.run, Run::Withdrawn) {
        return of.places().len();
    }
    let fits = |box_id: &BoxId| {
        state.known(box_id).is_none_or(|known| known.board.is_empty() || of.fits(&known.board))
    };
    directory.peers().filter(|row| fits(&row.id) && of.has(id, &row.id)).count()
}

/// A box of a campaign.
pub(super) fn row(directory: &Directory, box_id: &BoxId, of: &Campaign, place: &Place) -> Value {
    let found = directory.by_id(box_id);
    json!({
        "box": box_id,
        "name": found.map_or("", |row| &row.name),
        "tenant": found.map_or("", |row| &row.owner),
        "site": found.and_then(|row| site(directory, row)).unwrap_or_default(),
        "version": of.draft.version,
        "standing": place.standing().name(),
        "since_ms": place.since_ms,
        "why": place.why,
    })
}

/// What the site is called where a box stands.
fn site<'a>(directory: &'a Directory, row: &BoxRow) -> Option<&'a str> {
    Some(directory.portal().sites.get(&row.site)?.name.as_str())
}

/// Whether a search for these small letters finds a row.
pub(super) fn is_like(row: &Value, wanted: &str) -> bool {
    let has = |name: &str| row[name].as_str().is_some_and(|text| text.to_lowercase().contains(wanted));
    wanted.is_empty() || ["box", "name", "tenant", "site"].into_iter().any(has)
}

/// A box and what has happened to it.
pub(super) fn unit(state: &State, directory: &Directory, row: &BoxRow, history: &[Recorded]) -> Value {
    let known = state.known(&row.id);
    let version = known.map(|known| known.version.as_str()).filter(|version| !version.is_empty());
    let last = state.begun().into_iter().find_map(|(id, campaign)| {
        let place = campaign.places().get(&row.id)?;
        Some((id.to_owned(), campaign.draft.name.clone(), campaign.draft.version.clone(), place))
    });
    let pinned = known.and_then(|known| {
        let version = known.pin.clone()?;
        Some((PIN.to_owned(), String::new(), version, known.pinned.as_ref()?))
    });
    let last = pinned.or(last);
    let target = |campaign: &str| {
        state.campaigns().get(campaign).map_or("", |campaign| campaign.draft.version.as_str())
    };
    let history = history.iter().map(|recorded| {
        let (what, why, journal) = words(&recorded.what.event);
        let version = match &recorded.what.event {
            Event::Offered { version } | Event::Met { version, .. } | Event::Back { version } => version,
            Event::Pinned { version, .. } => version.as_deref().unwrap_or_default(),
            _ => target(&recorded.what.campaign),
        };
        json!({
            "at_ms": recorded.at_ms,
            "campaign": recorded.what.campaign,
            "version": version,
            "who": who(directory, &recorded.what.event),
            "what": what,
            "why": why,
            "journal": journal,
        })
    });
    json!({
        "box": row.id,
        "name": row.name,
        "tenant": row.owner,
        "site": site(directory, row).unwrap_or_default(),
        "version": version.unwrap_or(&row.version),
        "board": known.map_or("", |known| &known.board),
        "pin": known.and_then(|known| known.pin.as_ref()),
        "hold": known.and_then(|known| known.hold.as_ref()),
        "postponed_ms": known.map(|known| known.postponed_ms).filter(|at| *at != 0),
        "standing": last.as_ref().map(|(_, _, _, place)| place.standing().name()),
        "campaign": last.as_ref().map(|(id, ..)| id),
        "active": row.state == BoxState::Active,
        "history": history.collect::<Vec<Value>>(),
    })
}

/// What has happened, as a line of a campaign's history.
pub(super) fn line(directory: &Directory, recorded: &Recorded) -> Value {
    let (what, why, _) = words(&recorded.what.event);
    json!({
        "at_ms": recorded.at_ms,
        "who": who(directory, &recorded.what.event),
        "box": recorded.what.box_id,
        "what": what,
        "why": why,
    })
}

/// Who did it: a person's name, `machine`, `box`, or empty for the command line.
fn who(directory: &Directory, event: &Event) -> String {
    let who = match event {
        Event::Drafted(draft) => &draft.who,
        Event::Started { who, .. }
        | Event::Paused { who, .. }
        | Event::Resumed { who, .. }
        | Event::Withdrawn { who, .. }
        | Event::Advanced { who, .. }
        | Event::Pinned { who, .. }
        | Event::Held { who, .. }
        | Event::Postponed { who, .. } => who,
        Event::Fetching
        | Event::Stuck { .. }
        | Event::Ready
        | Event::Restarting
        | Event::Stayed
        | Event::Committed { .. }
        | Event::Failed { .. }
        | Event::Met { .. }
        | Event::Heard
        | Event::Back { .. } => return "box".to_owned(),
        _ => return "machine".to_owned(),
    };
    let known = directory.portal().people.get(who);
    known.map_or_else(|| who.clone(), |person| person.name.clone())
}

/// What, why, and the journal's end.
fn words(event: &Event) -> (&'static str, String, &str) {
    match event {
        Event::Drafted(draft) => ("drafted", draft.note.clone(), ""),
        Event::Started { why, .. } => ("started", why.clone(), ""),
        Event::Paused { why, .. } => ("paused", why.clone(), ""),
        Event::Resumed { why, .. } => ("resumed", why.clone(), ""),
        Event::Withdrawn { why, .. } => ("withdrawn", why.clone(), ""),
        Event::Advanced { stage, why, .. } => ("advanced", format!("{}: {why}", stage.name()), ""),
        Event::Opened { stage } => ("opened", stage.name().to_owned(), ""),
        Event::Done => ("done", String::new(), ""),
        Event::Halted { why } => ("halted", why.clone(), ""),
        Event::Met { board, .. } => ("met", board.clone(), ""),
        Event::Pinned { version: Some(_), .. } => ("pinned", String::new(), ""),
        Event::Pinned { version: None, .. } => ("unpinned", String::new(), ""),
        Event::Held { why: Some(why), .. } => ("held", why.clone(), ""),
        Event::Held { why: None, .. } => ("unheld", String::new(), ""),
        Event::Postponed { until_ms, .. } => ("postponed", until_ms.to_string(), ""),
        Event::Offered { .. } => ("offered", String::new(), ""),
        Event::Heard => ("heard", String::new(), ""),
        Event::Cleared => ("cleared", String::new(), ""),
        Event::Lapsed => ("lapsed", String::new(), ""),
        Event::Fetching => ("fetching", String::new(), ""),
        Event::Stuck { why } => ("stuck", why.clone(), ""),
        Event::Ready => ("ready", String::new(), ""),
        Event::Restarting => ("restarting", String::new(), ""),
        Event::Stayed => ("stayed", String::new(), ""),
        Event::Back { .. } => ("back", String::new(), ""),
        Event::Committed { why } => ("committed", why.clone(), ""),
        Event::Failed { why, journal } => ("failed", why.clone(), journal),
        Event::Silent => ("silent", "not heard of after its restart".to_owned(), ""),
        Event::Unknown => ("unknown", String::new(), ""),
    }
}
