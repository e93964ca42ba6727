//! What is kept of how cameras were, of what people are to be told, and of what became of updates, on a database of either
//! kind.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use cloud_stub::{
    fleet::{Draft, Event, Fleet, Happening, State},
    status::{
        Batch, Reason, Span,
        alert::{Message, Way},
        sample::{DAY_MS, HOUR_MS, Hour, STEP_MS, Sample},
    },
    store::{Audit, By, Store},
};
use model::CameraId;

use crate::stage::{Member, Place};

/// More cameras than one question to the database names (200), and of a few of them more than one.
const CAMERAS: usize = 450;
/// Boxes of the fleet.
const BOXES: u8 = 200;
/// One transaction of a batch has some 300 rows.
const MESSAGES: usize = 700;

fn camera(number: usize) -> Result<CameraId> {
    Ok(CameraId::new(&format!("camera{number:04}"))?)
}

fn span(from_ms: u64, to_ms: Option<u64>, reason: Reason) -> Span {
    Span { from_ms, to_ms, reason }
}

/// Samples of an hour: of so many half minutes, of which each second has no ping.
fn hour(from: u64, slots: u64) -> Hour {
    let mut hour = Hour::default();
    for slot in from..from + slots {
        let ping_ms = slot.is_multiple_of(2).then_some(u16::try_from(slot).unwrap_or_default() + 1);
        let sample = Sample {
            ping_ms,
            latency_ms: Some(90),
            fps: 25.0,
            bit_rate: 4_000_000,
            keyframe_age_ms: Some(700),
        };
        hour.put(slot * STEP_MS, sample);
    }
    hour
}

/// Writes a batch as a cloud does: part by part.
async fn write(store: &Store, batch: Batch) -> Result<()> {
    for part in batch.parts() {
        store.write_status(&part).await?;
    }
    Ok(())
}

/// Pings and figures: hours that two clouds have heard parts of, the sums of days, and when they go.
pub(crate) async fn figures(place: Place) -> Result<()> {
    let (store, other) = (place.open().await?, place.open().await?);
    let (gate, now) = (camera(0)?, store.now_ms());
    let (this, day) = (now / HOUR_MS, now / DAY_MS);
    let of =
        |hour, samples, over| Batch { hours: vec![(gate.clone(), hour, samples, over)], ..Batch::default() };
    write(&store, of(this, hour(0, 60), false)).await?;
    write(&other, of(this, hour(50, 20), true)).await?;
    let hours = store.sample_hours(&gate, this, this + 1).await?;
    let mut whole = hour(50, 20);
    whole.fill(&hour(0, 60));
    ensure!(hours == [(this, whole.clone())], "{hours:?}");
    let days = other.sample_days(&gate, day, day + 1).await?;
    let sums: Vec<_> =
        days.iter().flat_map(|(at, sums)| sums.sums().map(move |(hour, sum)| (*at, hour, *sum))).collect();
    ensure!(sums == [(day, this % 24, whole.sum())], "{sums:?}");
    ensure!((whole.sum().samples, whole.sum().answered, whole.sum().slowest_ms) == (70, 35, Some(69)));
    // A second hour of that day, and one of another camera.
    write(&other, of(this - this % 24, hour(0, 1), true)).await?;
    write(&store, Batch { hours: vec![(camera(1)?, this, hour(3, 1), true)], ..Batch::default() }).await?;
    let sums = store.sample_days(&gate, day, day + 1).await?;
    ensure!(sums.len() == 1 && sums[0].1.sums().count() == 2, "{sums:?}");
    ensure!(store.sample_hours(&gate, 0, u64::MAX).await?.len() == 2, "no bound is too far");

    // Half minutes are kept for two days, sums for thirteen months.
    let hours = async || anyhow::Ok(store.sample_hours(&gate, 0, u64::MAX).await?.len());
    let days = async || anyhow::Ok(store.sample_days(&gate, 0, u64::MAX).await?.len());
    store.sweep_status(now).await?;
    ensure!((hours().await?, days().await?) == (2, 1));
    store.sweep_status(now + 49 * HOUR_MS).await?;
    ensure!((hours().await?, days().await?) == (0, 1));
    store.sweep_status(now + 402 * DAY_MS).await?;
    ensure!((hours().await?, days().await?) == (0, 0));
    Ok(())
}

/// Outages: written, ended, made one, read by one camera and by hundreds, and gone with their camera.
pub(crate) async fn outages(place: Place) -> Result<()> {
    let (store, other) = (place.open().await?, place.open().await?);
    let now = store.now_ms();
    let cameras = (0..CAMERAS).map(camera).collect::<Result<Vec<_>>>()?;
    let mut batch = Batch::default();
    for (number, id) in (0..).zip(&cameras) {
        batch.known.push((id.clone(), now - 1_000 - number));
        for turn in 0..3 {
            let from = now - 900_000 + 200_000 * turn;
            batch.spans.push((id.clone(), from, Some(span(from, Some(from + 90_000), Reason::Camera))));
        }
    }
    let gate = cameras[0].clone();
    let lasts = now - 60_000;
    batch.spans.push((gate.clone(), lasts, Some(span(lasts, None, Reason::Password))));
    batch.alarms.push((format!("camera:{gate}"), "{}".to_owned()));
    batch.alarms.push(("site:holder".to_owned(), "old".to_owned()));
    write(&store, batch.clone()).await?;
    // The same once more, as after an answer that was lost: since when a camera is known does not change.
    for known in &mut batch.known {
        known.1 += 500_000;
    }
    write(&other, batch).await?;

    let all = other.outages_of(&cameras, now - 900_000, now).await?;
    ensure!(all.len() == CAMERAS, "{} cameras", all.len());
    for (number, id) in (0..).zip(&cameras) {
        let (known, spans) = &all[id];
        ensure!(*known == now - 1_000 - number, "{id}: {known}");
        let expected = if *id == gate { 4 } else { 3 };
        ensure!(
            spans.len() == expected && spans.windows(2).all(|pair| pair[0].from_ms < pair[1].from_ms),
            "{id}: {spans:?}"
        );
    }
    let middle = other.outages_of(&cameras[..1], now - 650_000, now - 620_000).await?;
    ensure!(middle[&gate].1 == [span(now - 700_000, Some(now - 610_000), Reason::Camera)], "{middle:?}");
    let lasting = other.outages_of(&cameras[..1], now - 1_000, now).await?;
    ensure!(lasting[&gate].1 == [span(lasts, None, Reason::Password)], "{lasting:?}");
    ensure!(other.outages_of(&[camera(9_999)?], 0, now).await?.is_empty(), "what is not known is not in it");

    let last = other.outages_before(&gate, u64::MAX, 2).await?;
    let froms: Vec<u64> = last.iter().map(|span| now - span.from_ms).collect();
    ensure!(froms == [60_000, 500_000], "newest first: {froms:?}");
    let rows = other.status_rows("holder", &cameras[..2]).await?;
    ensure!(rows.alarm.as_deref() == Some("old"));
    let (id, row) = &rows.cameras[0];
    ensure!((id, row.known_ms, row.spans.len()) == (&gate, Some(now - 1_000), 4), "{row:?}");
    ensure!((row.alarm.as_deref(), &rows.cameras[1].1.alarm) == (Some("{}"), &None));

    // The one that lasts ends, two become one, and people are told.
    let mut change = Batch::default();
    change.spans.push((gate.clone(), lasts, Some(span(lasts, Some(now), Reason::Camera))));
    change.spans.push((gate.clone(), now - 700_000, None));
    change.spans.push((
        gate.clone(),
        now - 900_000,
        Some(span(now - 900_000, Some(now - 610_000), Reason::Site)),
    ));
    change.alarms.push(("site:holder".to_owned(), "new".to_owned()));
    write(&store, change).await?;
    let spans = other.outages_before(&gate, u64::MAX, 9).await?;
    let lengths: Vec<_> =
        spans.iter().map(|span| (span.to_ms.map(|to| to - span.from_ms), span.reason)).collect();
    let expected =
        [(Some(60_000), Reason::Camera), (Some(90_000), Reason::Camera), (Some(290_000), Reason::Site)];
    ensure!(lengths == expected, "{lengths:?}");
    ensure!(other.status_rows("holder", &[]).await?.alarm.as_deref() == Some("new"));

    // What a later version has written and this one does not know is left out, and nothing else with it.
    ensure!(
        place
            .run("UPDATE outage SET reason = 'a later word' WHERE to_ms IS NOT NULL AND reason = 'site'")
            .await?
            == 1
    );
    ensure!(other.outages_before(&gate, u64::MAX, 9).await?.len() == 2);

    // A camera that is gone for thirteen months is not known any more; one that is out for as long is.
    let removed = span(now - 1, None, Reason::Removed);
    let out = span(now - 2, None, Reason::Site);
    let spans = vec![(cameras[1].clone(), now - 1, Some(removed)), (cameras[2].clone(), now - 2, Some(out))];
    write(&store, Batch { spans, ..Batch::default() }).await?;
    store.sweep_status(now + 402 * DAY_MS).await?;
    let left = other.outages_of(&cameras, 0, u64::MAX >> 2).await?;
    let left: BTreeSet<&CameraId> = left.keys().collect();
    ensure!(left == BTreeSet::from([&cameras[2]]), "{left:?}");
    Ok(())
}

fn message(number: usize, holder: &str, at_ms: u64) -> Message {
    Message {
        id: format!("message{number:04}"),
        tenant: "tenant".to_owned(),
        way: Way::Mail,
        reader: "owner@example.org".to_owned(),
        notice: "{\"sentence\":\"Суретсіз\"}".to_owned(),
        made_ms: at_ms,
        holder: holder.to_owned(),
        tries: 0,
        due_ms: at_ms,
    }
}

/// What people are to be told: written with the decision, taken by one cloud, counted, forgotten.
pub(crate) async fn messages(place: Place) -> Result<()> {
    let (store, other) = (place.open().await?, place.open().await?);
    let now = store.now_ms();
    let messages: Vec<Message> = (0..MESSAGES)
        .map(|number| message(number, ["a", "b", "dead"][number % 3], now + (number as u64 % 7) * 1_000))
        .collect();
    write(&store, Batch { messages: messages.clone(), ..Batch::default() }).await?;
    // Decided by another cloud as well: the first one's stays.
    let again =
        messages.iter().map(|message| Message { holder: "b".to_owned(), tries: 9, ..message.clone() });
    write(&other, Batch { messages: again.collect(), ..Batch::default() }).await?;

    let own = store.messages("a", None, now + 7_000, 9_999).await?;
    let expected: BTreeSet<&str> =
        messages.iter().filter(|message| message.holder == "a").map(|message| message.id.as_str()).collect();
    ensure!(own.iter().map(|message| message.id.as_str()).collect::<BTreeSet<_>>() == expected);
    ensure!(own.windows(2).all(|pair| pair[0].due_ms <= pair[1].due_ms), "oldest first");
    ensure!(own.iter().all(|message| messages.contains(message)), "as they were written");
    ensure!(store.messages("a", None, now, 9_999).await?.iter().all(|message| message.due_ms == now));
    ensure!(store.messages("a", None, now + 7_000, 5).await?.len() == 5);
    let holders =
        |messages: &[Message]| messages.iter().map(|message| message.holder.clone()).collect::<BTreeSet<_>>();
    let free = store.messages("a", Some(&["b", "c"]), now + 7_000, 9_999).await?;
    ensure!(holders(&free) == ["a", "dead"].map(str::to_owned).into(), "{:?}", holders(&free));
    ensure!(holders(&store.messages("a", Some(&[]), now + 7_000, 9_999).await?).len() == 3);

    // Two clouds find what a dead one has left, and each of its messages is one's.
    let left = async |store: &Store, holder: &str| -> Result<Vec<Message>> {
        let due = store.messages(holder, Some(&["a", "b"]), now + 7_000, 9_999).await?;
        Ok(store.try_messages(due.into_iter().map(|due| (due, now + 60_000)).collect(), holder).await?)
    };
    let (first, second) = tokio::join!(left(&store, "a"), left(&other, "b"));
    let (first, second) = (first?, second?);
    let dead = messages.iter().filter(|message| message.holder == "dead").count();
    ensure!(first.len() + second.len() == dead, "{} and {} of {dead}", first.len(), second.len());
    ensure!(first.iter().chain(&second).all(|taken| taken.tries == 1 && taken.due_ms == now + 60_000));
    ensure!(left(&store, "a").await?.is_empty(), "the next try is not due");

    let ids: Vec<String> = messages.iter().map(|message| message.id.clone()).collect();
    other.forget_messages(&ids[1..]).await?;
    let rest = store.messages("a", Some(&[]), u64::MAX >> 1, 9_999).await?;
    ensure!(rest == messages[..1], "{rest:?}");
    ensure!(other.try_messages(vec![(messages[1].clone(), now)], "b").await?.is_empty(), "it was delivered");
    store.sweep_status(now + 8 * DAY_MS).await?;
    ensure!(store.messages("a", Some(&[]), u64::MAX >> 1, 9_999).await?.is_empty(), "nobody wanted it");
    Ok(())
}

/// A fold of the fleet's events: a cloud that starts begins with it, whole and only if it is whole.
pub(crate) async fn fold(place: Place) -> Result<()> {
    let store = place.open().await?;
    let fleet = Fleet::new(store.clone(), None);
    let campaign = "c".repeat(26);
    let canary = Member::new(1).identity.box_id().clone();
    let draft = Draft {
        name: "Көктем".to_owned(),
        version: "1.1".to_owned(),
        boards: Vec::new(),
        canaries: vec![canary.clone()],
        bake_s: 3600,
        note: String::new(),
        who: String::new(),
    };
    let mut events = vec![
        Happening::of_campaign(&campaign, Event::Drafted(draft)),
        Happening::of_campaign(&campaign, Event::Started { who: "owner".to_owned(), why: String::new() }),
    ];
    // So many that the fold is kept in several parts.
    events.extend((1..=BOXES).map(|number| {
        let board = "é".repeat(2_000);
        Happening::of_box(
            Member::new(number).identity.box_id(),
            Event::Met { board, version: "1.0".to_owned() },
        )
    }));
    let count = events.len() as u64;
    ensure!(store.add_fleet_events(0, &events, None).await?);
    ensure!(!store.add_fleet_events(0, &events, None).await?, "what was decided on less is not written");
    let whole: State = fleet.known().await?.clone();
    ensure!(whole.newest() == count && whole.known(&canary).is_some(), "{} events", whole.newest());
    fleet.keep_fold(1).await?;

    // Nobody does that; but whoever reads the first events would now know less.
    let later = r#"UPDATE fleet_event SET event = '{"what":"a later word"}' WHERE id < 9"#;
    ensure!(place.run(later).await? == 8);
    let another = place.open().await?;
    let known = Fleet::new(another.clone(), None).known().await?.clone();
    ensure!(known == whole, "it begins with what is kept");
    let audit = Audit { by: By::COMMAND_LINE, tenant: "", what: "fleet.hold", subject: "", detail: "" };
    let held =
        Happening::of_box(&canary, Event::Held { why: Some("measured".to_owned()), who: String::new() });
    ensure!(another.add_fleet_events(count, &[held], Some(audit)).await?);
    let (more, other) = (fleet.fresh().await?.clone(), Fleet::new(another, None));
    let told = other.known().await?.clone();
    ensure!(more == told && more.newest() == count + 1, "kept and the rest are the whole");
    ensure!(more.known(&canary).context("no box")?.hold.is_some());

    // Damaged, it is not used: the rest of the events is all that is known.
    ensure!(place.run("UPDATE fleet_fold SET digest = ''").await? > 1, "it is in one part");
    let less = Fleet::new(place.open().await?, None).known().await?.clone();
    ensure!(less != more && less.newest() == count + 1, "{} events", less.newest());
    Ok(())
}
