//! What enrolment promises (UPDATES.md, Enrolment). Each body runs on an empty database of either kind.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use cloud_stub::store::{BoxState, Refused, Store};
use enrol::Code;
use model::{
    CameraId, CameraState, CodecKind, StreamFacts, Trouble,
    enrol::{Findable, Progress},
    status::{CameraReport, Picture, Report, Uplink},
};

use crate::stage::{Member, Place, address, refusal};

/// A box comes in, its lost answer is given again, every process hears of it, and a restart forgets nothing.
pub(crate) async fn joining(place: Place) -> Result<()> {
    let (store, other) = (place.open().await?, place.open().await?);
    let member = Member::new(1);
    let session = member.hello(&store, 1).await?;
    ensure!(session.expires_in_s == 900 && session.code.len() == 9, "{session:?}");
    let progress = other.session(&session.session).await?.progress;
    ensure!(progress == Progress::Waiting { expires_in_s: 900 }, "{progress:?}");

    let yes = member.yes(&session.session, "ACME", 1);
    ensure!(refusal(store.join(&yes).await)? == Refused::NotClaimed);
    let waiting = tokio::spawn(moved(other.clone(), session.session.clone()));
    let claimed = store.claim(&session.code.parse()?, " ACME ").await?;
    ensure!(claimed.owner == "ACME");
    ensure!(store.claim(&session.code.parse()?, "ACME").await? == claimed, "the same claim again");
    ensure!(refusal(store.claim(&session.code.parse()?, "Other").await)? == Refused::NoCode);
    let follower = tokio::spawn(other.clone().follow());
    ensure!(waiting.await?? == Progress::Claimed { owner: "ACME".to_owned() });

    let wrong = member.yes(&session.session, "Acme", 1);
    ensure!(refusal(store.join(&wrong).await)? == Refused::OtherWords);
    let stranger = Member::new(2).yes(&session.session, "ACME", 1);
    ensure!(refusal(store.join(&stranger).await)? == Refused::NoSession);

    let admitted = store.join(&yes).await?;
    ensure!(admitted.address == address(1) && admitted.owner == "ACME", "{admitted:?}");
    for again in [&store, &other, &store] {
        ensure!(again.join(&yes).await? == admitted, "the same yes again");
    }
    ensure!(store.session(&session.session).await?.progress == Progress::Joined);
    ensure!(refusal(store.claim(&session.code.parse()?, "ACME").await)? == Refused::NoCode, "a used code");

    let mut directory = other.directory();
    let seen = directory.wait_for(|directory| directory.by_key(&member.key(1)).is_some());
    let seen = tokio::time::timeout(Duration::from_secs(1), seen).await.context("not within a second")??;
    let row = seen.by_address(address(1)).context("no peer")?.clone();
    ensure!(row.id == *member.identity.box_id() && row.owner == "ACME" && row.state == BoxState::Active);
    drop(seen);
    follower.abort();
    store.close().await?;
    other.close().await?;
    let again = place.open().await?;
    ensure!(again.directory().borrow().peers().count() == 1);
    ensure!(again.join(&yes).await? == admitted);
    ensure!(again.hub_key().await? == again.hub_key().await?);
    Ok(())
}

/// Waits for a session as the box's long question does.
async fn moved(store: Store, session: String) -> Result<Progress> {
    let movement = store.movement(&session);
    loop {
        let moved = movement.moved();
        let progress = store.session(&session).await?.progress;
        if !matches!(progress, Progress::Waiting { .. }) {
            return Ok(progress);
        }
        tokio::time::timeout(Duration::from_secs(5), moved).await.context("nothing moved")?;
    }
}

/// Five wrong claims kill the code that they come near to, and no other; too many in a minute stop everybody.
pub(crate) async fn guessing(place: Place) -> Result<()> {
    let store = place.open().await?;
    let (first, second) = (Member::new(1).hello(&store, 1).await?, Member::new(2).hello(&store, 2).await?);
    let near = |session: &model::enrol::Session, turn: usize| -> Result<Code> {
        let letters = session.code.replace('-', "");
        let (head, tail) = letters.split_at(4);
        let other = ["AAAA", "BBBB", "CCCC", "DDDD", "EEEE"].get(turn).copied().unwrap_or("FFFF");
        ensure!(tail != other, "choose another seed");
        Ok(format!("{head}{other}").parse()?)
    };
    for turn in 0..4 {
        ensure!(refusal(store.claim(&near(&first, turn)?, "Eve").await)? == Refused::NoCode);
    }
    let alive = store.session(&first.session).await?.progress;
    ensure!(matches!(alive, Progress::Waiting { .. }), "dead after four: {alive:?}");
    ensure!(refusal(store.claim(&near(&first, 4)?, "Eve").await)? == Refused::NoCode);
    ensure!(store.session(&first.session).await?.progress == Progress::Expired);
    ensure!(refusal(store.claim(&first.code.parse()?, "ACME").await)? == Refused::NoCode, "a dead code");
    store.claim(&second.code.parse()?, "ACME").await?;

    // Six wrong ones were counted; thirty are the most in a minute.
    let third = Member::new(3).hello(&store, 3).await?;
    let strange: Code = "ZZZZZZZZ".parse()?;
    for _ in 6..30 {
        ensure!(refusal(store.claim(&strange, "Eve").await)? == Refused::NoCode);
    }
    let many = refusal(store.claim(&third.code.parse()?, "ACME").await)?;
    ensure!(many == Refused::TooManyClaims { retry_after_s: 60 }, "{many:?}");
    place.clock().forward_s(59);
    ensure!(matches!(
        refusal(store.claim(&strange, "Eve").await)?,
        Refused::TooManyClaims { retry_after_s: 1 }
    ));
    place.clock().forward_s(1);
    store.claim(&third.code.parse()?, "ACME").await?;
    Ok(())
}

/// A box has one owner at a time; a revoked one has none ever again.
pub(crate) async fn owners(place: Place) -> Result<()> {
    let store = place.open().await?;
    let member = Member::new(1);
    let id = member.identity.box_id().clone();
    let (_, first) = member.enrol(&store, "ACME", 1).await?;
    let (_, same) = member.enrol(&store, "ACME", 2).await?;
    ensure!(same == first, "the same owner again");

    store.refresh().await?;
    let link = report(&store, &["gate"], true).await?.remove(0);
    let session = member.hello(&store, 3).await?;
    let code: Code = session.code.parse()?;
    ensure!(matches!(refusal(store.claim(&code, "Other").await)?, Refused::OtherOwner { .. }));
    store.release_box(&id).await?;
    store.refresh().await?;
    ensure!(store.directory().borrow().peers().count() == 0, "a released box is out");
    ensure!(store.directory().borrow().watched(link.as_str()).is_none(), "its links are dead");
    store.claim(&code, "Other").await?;
    let admitted = store.join(&member.yes(&session.session, "Other", 3)).await?;
    ensure!(admitted.address == first.address && admitted.owner == "Other");
    store.refresh().await?;
    ensure!(
        store.directory().borrow().watched(link.as_str()).is_none(),
        "the last owner's link shows nothing"
    );
    let next = report(&store, &["gate"], true).await?.remove(0);
    ensure!(next != link);

    // Released and taken back: the same links.
    store.release_box(&id).await?;
    member.enrol(&store, "Other", 4).await?;
    store.refresh().await?;
    ensure!(store.directory().borrow().watched(next.as_str()).is_some(), "the same owner's link works again");

    let open = member.hello(&store, 5).await?;
    store.revoke_box(&id).await?;
    store.revoke_box(&id).await?;
    store.refresh().await?;
    ensure!(store.directory().borrow().by_key(&member.key(4)).is_none(), "a revoked peer");
    ensure!(store.directory().borrow().watched(next.as_str()).is_none(), "a revoked box's link");
    ensure!(refusal(member.hello(&store, 6).await)? == Refused::Revoked);
    ensure!(refusal(store.session(&open.session).await)? == Refused::Revoked);
    ensure!(refusal(store.claim(&open.code.parse()?, "Other").await)? == Refused::Revoked);
    ensure!(refusal(store.join(&member.yes(&open.session, "Other", 5)).await)? == Refused::Revoked);
    ensure!(refusal(store.release_box(&id).await)? == Refused::Revoked);
    let nobody = Member::new(9).identity.box_id().clone();
    ensure!(matches!(refusal(store.revoke_box(&nobody).await)?, Refused::NoBox(_)));
    Ok(())
}

/// The tunnel key changes by a new yes; old words change nothing, and nobody takes another's key.
pub(crate) async fn keys(place: Place) -> Result<()> {
    let store = place.open().await?;
    let (member, other) = (Member::new(1), Member::new(2));
    let (claimed, admitted) = member.enrol(&store, "ACME", 1).await?;
    let (renewed, old) = (member.yes(&claimed.session, "ACME", 2), member.yes(&claimed.session, "ACME", 1));
    ensure!(store.join(&renewed).await? == admitted && store.join(&renewed).await? == admitted);
    store.refresh().await?;
    ensure!(store.directory().borrow().by_key(&member.key(2)).is_some());
    ensure!(store.directory().borrow().by_key(&member.key(1)).is_none(), "the old key is out");
    ensure!(refusal(store.join(&old).await)? == Refused::Repeated, "an old yes, said again");

    let session = other.hello(&store, 1).await?;
    store.claim(&session.code.parse()?, "Eve").await?;
    let stolen = enrol::sign_join(&other.identity, &session.session, "Eve", member.key(2));
    ensure!(refusal(store.join(&stolen).await)? == Refused::KeyTaken);
    store.refresh().await?;
    ensure!(store.directory().borrow().by_key(&member.key(2)).is_some_and(|row| row.owner == "ACME"));
    ensure!(refusal(other.hello(&store, 1).await)? == Refused::Repeated, "a hello that was overheard");

    // A second session of the box ends the first one's right to change the key.
    member.enrol(&store, "ACME", 3).await?;
    ensure!(refusal(store.join(&member.yes(&claimed.session, "ACME", 4)).await)? == Refused::Expired);
    Ok(())
}

/// A code lives for 15 minutes, and so does a claim.
pub(crate) async fn time(place: Place) -> Result<()> {
    let store = place.open().await?;
    let member = Member::new(1);
    let session = member.hello(&store, 1).await?;
    place.clock().forward_s(899);
    ensure!(store.session(&session.session).await?.progress == Progress::Waiting { expires_in_s: 1 });
    store.claim(&session.code.parse()?, "ACME").await?;
    place.clock().forward_s(899);
    ensure!(matches!(store.session(&session.session).await?.progress, Progress::Claimed { .. }));
    place.clock().forward_s(1);
    ensure!(store.session(&session.session).await?.progress == Progress::Expired);
    ensure!(refusal(store.join(&member.yes(&session.session, "ACME", 1)).await)? == Refused::Expired);

    let late = member.hello(&store, 2).await?;
    place.clock().forward_s(900);
    ensure!(refusal(store.claim(&late.code.parse()?, "ACME").await)? == Refused::NoCode);
    // Only the last four of a box's codes live.
    let mut sessions = Vec::new();
    for nonce in 10..15 {
        place.clock().forward_s(1);
        sessions.push(member.hello(&store, nonce).await?);
    }
    let first = sessions.first().context("five sessions")?;
    ensure!(store.session(&first.session).await?.progress == Progress::Expired);
    for session in sessions.iter().skip(1) {
        ensure!(matches!(store.session(&session.session).await?.progress, Progress::Waiting { .. }));
    }
    ensure!(refusal(store.session("nosuchsession").await)? == Refused::NoSession);

    // What is old is forgotten; who has slept over it all the same learns everything that holds now.
    let sleeper = place.open().await?;
    let (joined, first) = member.enrol(&store, "ACME", 20).await?;
    place.clock().forward_s(8 * 24 * 3600);
    let follower = tokio::spawn(store.clone().follow());
    let start = std::time::Instant::now();
    while store.session(&late.session).await.is_ok() {
        ensure!(start.elapsed() < Duration::from_secs(5), "an old session is kept for ever");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    follower.abort();
    ensure!(store.session(&joined.session).await?.progress == Progress::Joined);
    let (_, second) = Member::new(2).enrol(&store, "ACME", 1).await?;
    sleeper.refresh().await?;
    let directory = sleeper.directory().borrow().clone();
    for admitted in [first, second] {
        ensure!(directory.by_address(admitted.address).is_some(), "{} is missing", admitted.address);
    }
    Ok(())
}

/// A pool that is used up says so; whoever has an address keeps it.
pub(crate) async fn pool(place: Place) -> Result<()> {
    let store = place.open_with("192.0.2.8/29").await?;
    let mut addresses = Vec::new();
    for number in 0..5 {
        addresses.push(Member::new(number).enrol(&store, "ACME", 1).await?.1.address.to_string());
    }
    ensure!(
        addresses == ["192.0.2.10", "192.0.2.11", "192.0.2.12", "192.0.2.13", "192.0.2.14"],
        "{addresses:?}"
    );
    let last = Member::new(5);
    let session = last.hello(&store, 1).await?;
    store.claim(&session.code.parse()?, "ACME").await?;
    let yes = last.yes(&session.session, "ACME", 1);
    let full = refusal(store.join(&yes).await)?;
    let words = full.to_string();
    ensure!(words.contains("all 5 addresses of 192.0.2.8/29") && words.contains("[hub] network"), "{words}");
    ensure!(Member::new(2).enrol(&store, "ACME", 2).await?.1.address.to_string() == "192.0.2.12");
    // The operator makes the network larger: the same yes is enough.
    let larger = place.open_with("192.0.2.0/28").await?;
    ensure!(larger.join(&yes).await?.address.to_string() == "192.0.2.2");
    Ok(())
}

/// Links are made once, live as long as their box is the same owner's, and are off at once.
pub(crate) async fn links(place: Place) -> Result<()> {
    let store = place.open().await?;
    Member::new(1).enrol(&store, "ACME", 1).await?;
    store.refresh().await?;
    let links = report(&store, &["gate", "yard"], true).await?;
    ensure!(links.iter().all(|id| id.as_str().len() == 26) && links[0] != links[1], "{links:?}");
    store.refresh().await?;
    ensure!(report(&store, &["gate", "yard"], true).await? == links, "the same for ever");
    let watched = |id: &CameraId| {
        let directory = store.directory().borrow().clone();
        directory.watched(id.as_str()).map(|watched| (watched.camera.clone(), watched.from.address))
    };
    let (camera, from) = watched(&links[0]).context("a link that works")?;
    ensure!(camera.camera_id.as_str() == "gate" && camera.name == "Camera gate" && from == address(1));
    let since = camera.since_ms;

    place.clock().forward_s(60);
    report(&store, &["gate", "yard"], false).await?;
    store.refresh().await?;
    let dark = watched(&links[0]).context("a link that works")?.0;
    ensure!(dark.since_ms == since + 60_000, "offline since when");
    ensure!(matches!(dark.report.state, CameraState::Waiting { .. }));
    place.clock().forward_s(60);
    report(&store, &["gate"], true).await?;
    store.refresh().await?;
    ensure!(watched(&links[0]).is_some_and(|(row, _)| row.since_ms == since + 120_000));
    ensure!(watched(&links[1]).is_some_and(|(row, _)| row.since_ms == since + 60_000), "still dark");

    store.set_camera(&links[0], false).await?;
    store.refresh().await?;
    ensure!(watched(&links[0]).is_none(), "switched off");
    store.set_camera(&links[0], true).await?;
    store.refresh().await?;
    ensure!(watched(&links[0]).is_some(), "the same link, on again");
    ensure!(matches!(
        refusal(
            store
                .set_camera(&CameraId::new("nolink").map_err(|error| anyhow::anyhow!("{error}"))?, true)
                .await
        )?,
        Refused::NoCamera(_)
    ));

    // Nothing new: no change is written, but when the box was heard of is.
    let version = store.directory().borrow().version();
    place.clock().forward_s(30);
    report(&store, &["gate"], true).await?;
    store.flush().await?;
    store.refresh().await?;
    ensure!(store.directory().borrow().version() == version, "a report without news is no change");
    let again = place.open().await?;
    let heard = again.directory().borrow().by_address(address(1)).and_then(|row| row.seen.last_ms());
    ensure!(heard == Some(store.now_ms()), "heard {heard:?}");
    let stranger = report_of(&[], true);
    ensure!(matches!(refusal(store.report(address(77), &stranger).await)?, Refused::NoBox(_)));
    Ok(())
}

/// Two hundred boxes say yes at once to two processes, each of them several times.
pub(crate) async fn crowd(place: Place) -> Result<()> {
    const BOXES: u8 = 200;
    let stores = [place.open().await?, place.open().await?];
    let mut yeses = Vec::new();
    for number in 0..BOXES {
        let member = Member::new(number);
        let session = member.hello(&stores[0], 1).await?;
        stores[0].claim(&session.code.parse()?, "ACME").await?;
        yeses.push(member.yes(&session.session, "ACME", 1));
    }
    let start = std::time::Instant::now();
    let mut joins = tokio::task::JoinSet::new();
    for (number, yes) in yeses.iter().enumerate() {
        for store in &stores {
            let (store, yes) = (store.clone(), yes.clone());
            joins.spawn(async move {
                // Whoever is told to come back comes back.
                for _ in 0..10 {
                    match store.join(&yes).await {
                        Err(error) if error.passes() => {}
                        outcome => return outcome.map(|admitted| (number, admitted.address)),
                    }
                }
                store.join(&yes).await.map(|admitted| (number, admitted.address))
            });
        }
    }
    let mut answers = BTreeSet::new();
    while let Some(answer) = joins.join_next().await {
        answers.insert(answer??);
    }
    let took = start.elapsed();
    ensure!(answers.len() == usize::from(BOXES), "{} different answers", answers.len());
    let given: BTreeSet<_> = answers.iter().map(|(_, address)| *address).collect();
    let lowest: BTreeSet<_> = (1..=u32::from(BOXES)).map(address).collect();
    ensure!(given == lowest, "not the {BOXES} lowest addresses: {given:?}");
    println!(
        "{}: {} joins at once (each yes said twice) took {:.2} s",
        place.name,
        BOXES,
        took.as_secs_f64()
    );
    for store in &stores {
        store.refresh().await?;
        ensure!(store.directory().borrow().peers().count() == usize::from(BOXES));
    }
    Ok(())
}

/// Reports these cameras of the first box and gives their public ids.
pub(crate) async fn report(store: &Store, cameras: &[&str], streams: bool) -> Result<Vec<CameraId>> {
    let answer = store.report(address(1), &report_of(cameras, streams)).await?;
    ensure!(answer.time_ms == store.now_ms());
    for link in &answer.cameras {
        ensure!(link.url == format!("https://video.example.org/{}/", link.public_id), "{}", link.url);
    }
    Ok(answer.cameras.into_iter().map(|link| link.public_id).collect())
}

/// A label leads to the box that was first to name it, for as long as the box is heard of, and from every process.
pub(crate) async fn finding(place: Place) -> Result<()> {
    let (store, other) = (place.open().await?, place.open().await?);
    let member = Member::new(1);
    let id = member.identity.box_id();
    let findable =
        |label: &str, page: &str| Findable { label: label.to_owned(), pages: vec![page.to_owned()] };
    let (first, moved) = ("http://192.168.1.5/setup/", "http://192.168.1.6/setup/");
    ensure!(store.find("label").await? == None);
    store.note_findable(id, &findable("label", first)).await?;
    let found = other.find("label").await?.context("not found from another process")?;
    ensure!(found.pages == [first] && found.seen_ms == store.now_ms(), "{found:?}");
    store.note_findable(Member::new(2).identity.box_id(), &findable("label", moved)).await?;
    ensure!(
        store.find("label").await?.is_some_and(|found| found.pages == [first]),
        "another box took the label"
    );
    other.note_findable(id, &findable("label", moved)).await?;
    ensure!(store.find("label").await?.is_some_and(|found| found.pages == [moved]), "a move is not seen");

    place.clock().forward_s(24 * 3600 - 1);
    ensure!(store.find("label").await?.is_some());
    place.clock().forward_s(1);
    ensure!(store.find("label").await?.is_none(), "an address of yesterday is told");

    // A member's reports count as signs of life, and carry a new address.
    member.enrol(&store, "ACME", 1).await?;
    store.refresh().await?;
    let report = Report { findable: Some(findable("label", first)), ..report_of(&["gate"], true) };
    store.report(address(1), &report).await?;
    ensure!(other.find("label").await?.is_some_and(|found| found.pages == [first]));
    store.revoke_box(id).await?;
    ensure!(other.find("label").await?.is_none(), "a stolen box is found");
    Ok(())
}

fn report_of(cameras: &[&str], streams: bool) -> Report {
    let state = if streams {
        CameraState::Streaming(StreamFacts {
            url: "rtsp://192.168.1.20/".to_owned(),
            video: CodecKind::H264,
            size: (1920, 1080),
            audio: None,
            notes: Vec::new(),
        })
    } else {
        CameraState::Waiting { trouble: Trouble::NoSuchStream, retry_in_ms: 1000 }
    };
    let camera = |id: &&str| CameraReport {
        id: CameraId::new(id).expect("an id"),
        name: format!("Camera {id}"),
        state: state.clone(),
        stream: Picture::Main,
        fps: 25.0,
        bit_rate: 4_000_000,
        last_frame_age_ms: Some(20),
        keyframe_age_ms: Some(400),
        latency_ms: Some(90),
        ping_ms: Some(1),
        outages: Vec::new(),
    };
    Report {
        version: "1.0".to_owned(),
        uptime_s: 1,
        time_ms: 1,
        cameras: cameras.iter().map(camera).collect(),
        uplink: Uplink::default(),
        findable: None,
    }
}
