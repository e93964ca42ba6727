//! The owner's side on the command line: what it prints.

use std::fmt::Write as _;

use enrol::check_words;
use model::CameraState;

use crate::cli::What;
use crate::store::{BoxState, Error, Store};

/// Does what a command asks for and gives what is to be printed.
///
/// # Errors
/// The store's.
pub async fn run(store: &Store, what: What) -> Result<String, Error> {
    match what {
        // None is the store's alone.
        What::Serve | What::Updates | What::Fleet(_) => Ok(String::new()),
        What::Claim { code, owner } => {
            let claimed = store.claim(&code, &owner).await?;
            let words = check_words(&claimed.box_id, &claimed.session, &claimed.owner);
            Ok(format!(
                "box: {}\ncheck words: {words}\nThe box's page asks \"Join {}?\" and must show the same words; say yes there.\n",
                claimed.box_id, claimed.owner
            ))
        }
        What::Boxes => Ok(boxes(store)),
        What::Cameras => Ok(cameras(store)),
        What::Revoke(id) => {
            store.revoke_box(&id).await?;
            Ok(format!("box {id} is revoked: its tunnel and its links end within seconds\n"))
        }
        What::Release(id) => {
            store.release_box(&id).await?;
            Ok(format!("box {id} is released: whoever claims its next code has it\n"))
        }
        What::AddPerson { email, role } => {
            let to = role.as_ref().map(|(tenant, role)| (tenant.as_str(), *role));
            let secret = store.invite_as(&email, to).await?;
            Ok(format!(
                "{}\nThis link lets {email} in, once, within seven days. Whoever is known already chooses a new password.\n",
                store.invitation_url(&secret)
            ))
        }
        What::People => Ok(people(store)),
        What::RemovePerson(email) => {
            store.remove_person(&email).await?;
            Ok(format!("{email} is forgotten and signed out\n"))
        }
        What::Camera { public_id, on } => {
            store.set_camera(&public_id, on).await?;
            Ok(format!("the link of camera {public_id} is {}\n", if on { "on" } else { "off" }))
        }
    }
}

/// A line for each box, oldest first.
fn boxes(store: &Store) -> String {
    let directory = store.directory().borrow().clone();
    let now = store.now_ms();
    let mut rows: Vec<_> = directory.boxes().collect();
    rows.sort_by_key(|row| (row.enrolled_ms, row.address));
    let mut text = String::new();
    for row in rows {
        let seen = match row.seen.last_ms() {
            Some(at) => format!("heard of {} ago", span(now.saturating_sub(at))),
            None => "never heard of".to_owned(),
        };
        let cameras = directory.cameras_of(&row.id).count();
        let _ = writeln!(
            text,
            "{}  {}  {}  {cameras} cameras  {seen}  owner {:?}",
            row.id,
            row.state.name(),
            row.address,
            row.owner
        );
    }
    if text.is_empty() { "no box has joined yet\n".to_owned() } else { text }
}

/// A line for each person, by their e-mail addresses.
fn people(store: &Store) -> String {
    let directory = store.directory().borrow().clone();
    let portal = directory.portal();
    let mut rows: Vec<_> = portal.people.iter().map(|(_, person)| person).collect();
    rows.sort_by(|a, b| a.email.cmp(&b.email));
    let mut text = String::new();
    for person in rows {
        let name =
            |id: &String| portal.tenants.get(id).map_or_else(String::new, |tenant| tenant.name.clone());
        let mut roles: Vec<String> =
            person.roles.iter().map(|(id, role)| format!("{} of {:?}", role.name(), name(id))).collect();
        roles.sort();
        if person.operator {
            roles.insert(0, "operator".to_owned());
        }
        let _ = writeln!(text, "{}  {:?}  {}", person.email, person.name, roles.join(", "));
    }
    if text.is_empty() { "nobody has joined yet\n".to_owned() } else { text }
}

/// A line for each camera, with its link.
fn cameras(store: &Store) -> String {
    let directory = store.directory().borrow().clone();
    let now = store.now_ms();
    let mut rows: Vec<_> = directory.cameras().collect();
    rows.sort_by_key(|row| (row.box_id.clone(), row.camera_id.clone()));
    let mut text = String::new();
    for row in rows {
        let active = directory.by_id(&row.box_id).is_some_and(|from| from.state == BoxState::Active);
        let since = span(now.saturating_sub(row.since_ms));
        let state = match (&row.report.state, row.on, active) {
            (_, _, false) => "box is out".to_owned(),
            (_, false, _) => "off".to_owned(),
            (CameraState::Streaming(_), ..) => format!("live for {since}"),
            _ => format!("no picture for {since}"),
        };
        let _ = writeln!(
            text,
            "{}  {:?}  {state}  camera {} of box {}",
            store.link(&row.public_id),
            row.name,
            row.camera_id,
            row.box_id
        );
    }
    if text.is_empty() { "no camera has been reported yet\n".to_owned() } else { text }
}

/// A time span, for people.
pub(crate) fn span(ms: u64) -> String {
    match ms / 1000 {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7199 => format!("{} min", seconds / 60),
        seconds @ 7200..=172_799 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
