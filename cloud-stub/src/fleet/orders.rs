//! What operators see of the fleet and do with it, whether at a page or at the command line: the same checks, the same
//! decisions, the same lines in the audit, and the same answers, as the API's description has them.

use model::BoxId;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Command, Draft, Fleet, Note, POSTPONE_MS, Steer, Unwilling, view};
use crate::store::{self, BoxState, By};

/// Most rows that are told at once.
const MOST: usize = 1000;
/// Lines of a history.
const LINES: u32 = 200;
/// How long a ring is watched if nobody says otherwise, seconds.
const BAKE_S: u64 = 24 * 3600;
const HOUR_MS: u64 = 3_600_000;

/// Why an operator did not get what they wanted.
#[derive(Debug, thiserror::Error)]
pub enum Undone {
    /// It cannot be done.
    #[error(transparent)]
    Unwilling(#[from] Unwilling),
    /// The releases cannot be read.
    #[error("the releases cannot be read ([updates] dir): {0:#}")]
    Unreadable(anyhow::Error),
    /// The database's trouble.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// A campaign as people write it down.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// What people call it.
    pub name: String,
    /// The version that it brings.
    pub version: String,
    /// The boards that it is for; empty: all.
    #[serde(default)]
    pub boards: Vec<String>,
    /// The boxes that go first.
    #[serde(default)]
    pub canaries: Vec<BoxId>,
    /// How long a ring is watched, seconds.
    pub bake_s: Option<u64>,
    /// More about it.
    #[serde(default)]
    pub note: String,
}

/// Which of many boxes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Page {
    /// Only those that stand here; empty: all.
    #[serde(default)]
    pub standing: String,
    /// Only those whose box, name, tenant or site has this in it.
    #[serde(default)]
    pub query: String,
    /// So many are left out.
    #[serde(default)]
    pub offset: usize,
    /// So many at most.
    pub limit: Option<usize>,
}

/// What is done with one box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Care {
    /// Keep it at a version, or no longer.
    Pin(Option<String>),
    /// Keep it as it is for this reason, or no longer.
    Hold(Option<String>),
}

impl Fleet {
    /// What is published, the newest first.
    ///
    /// # Errors
    /// [`Undone::Unreadable`].
    pub async fn tell_releases(&self) -> Result<Value, Undone> {
        let Some(shelf) = self.shelf() else { return Ok(json!([])) };
        let rows = shelf.releases().await.map_err(Undone::Unreadable)?;
        let mut rows: Vec<_> = rows.iter().collect();
        rows.sort_by_key(|row| (std::cmp::Reverse(row.since), &row.name));
        let rows = rows.into_iter().map(|row| {
            json!({
                "name": row.name,
                "board": row.board,
                "version": row.version,
                "security": row.security,
                "since": row.since,
            })
        });
        Ok(rows.collect())
    }

    /// All campaigns, the last one first.
    ///
    /// # Errors
    /// The database's.
    pub async fn tell_campaigns(&self) -> Result<Value, Undone> {
        let directory = self.store().directory().borrow().clone();
        let state = self.fresh().await?;
        let mut rows: Vec<_> = state.campaigns().iter().collect();
        rows.sort_by_key(|(id, campaign)| (std::cmp::Reverse(campaign.drafted_ms), *id));
        let rows = rows.into_iter().map(|(id, campaign)| view::campaign(&state, &directory, id, campaign));
        Ok(rows.collect())
    }

    /// A campaign and what has happened to it.
    ///
    /// # Errors
    /// [`Unwilling::NotThere`], or the database's.
    pub async fn tell_campaign(&self, id: &str) -> Result<Value, Undone> {
        let directory = self.store().directory().borrow().clone();
        let mut shown = {
            let state = self.fresh().await?;
            let campaign = state.campaigns().get(id).ok_or(Unwilling::NotThere)?;
            view::campaign(&state, &directory, id, campaign)
        };
        let history = self.store().fleet_history(store::Of::Campaign(id), LINES).await?;
        shown["events"] = history.iter().map(|recorded| view::line(&directory, recorded)).collect();
        Ok(shown)
    }

    /// The boxes that a campaign has told.
    ///
    /// # Errors
    /// [`Unwilling::NotThere`], or the database's.
    pub async fn tell_boxes(&self, id: &str, page: &Page) -> Result<Value, Undone> {
        let directory = self.store().directory().borrow().clone();
        let state = self.fresh().await?;
        let of = state.campaigns().get(id).ok_or(Unwilling::NotThere)?;
        let wanted = page.query.to_lowercase();
        let fits = |standing: &str| page.standing.is_empty() || page.standing == standing;
        let places = of.places().iter().filter(|(_, place)| fits(place.standing().name()));
        let rows = places.map(|(box_id, place)| view::row(&directory, box_id, of, place));
        let rows: Vec<Value> = rows.filter(|row| view::is_like(row, &wanted)).collect();
        let total = rows.len();
        let rows = rows.into_iter().skip(page.offset).take(page.limit.unwrap_or(MOST).min(MOST));
        Ok(json!({ "total": total, "rows": rows.collect::<Vec<Value>>() }))
    }

    /// A box and what has happened to it.
    ///
    /// # Errors
    /// [`Unwilling::NotThere`], or the database's.
    pub async fn tell_box(&self, id: &BoxId) -> Result<Value, Undone> {
        let directory = self.store().directory().borrow().clone();
        let row = directory.by_id(id).ok_or(Unwilling::NotThere)?;
        let history = self.store().fleet_history(store::Of::Box(id.as_str()), LINES).await?;
        let state = self.fresh().await?;
        Ok(view::unit(&state, &directory, row, &history))
    }

    /// Writes down a campaign; gives its id.
    ///
    /// # Errors
    /// [`Unwilling`] for what is not published and boxes that are not there; the folder's, the database's.
    pub async fn draft(&self, words: Words, by: By<'_>) -> Result<String, Undone> {
        let Words { name, version, boards, canaries, bake_s, note } = words;
        let wrong = |words| Undone::Unwilling(Unwilling::Unfit(words));
        let rows = match self.shelf() {
            Some(shelf) => shelf.releases().await.map_err(Undone::Unreadable)?,
            None => return Err(wrong("This cloud has no releases.")),
        };
        let published = |board: Option<&String>| {
            rows.iter().any(|row| row.version == version && board.is_none_or(|board| *board == row.board))
        };
        if !published(None) || !boards.iter().all(|board| published(Some(board))) {
            return Err(wrong("This version is not published for that board."));
        }
        {
            let directory = self.store().directory().borrow().clone();
            let active = |id| directory.by_id(id).is_some_and(|row| row.state == BoxState::Active);
            if !canaries.iter().all(active) {
                return Err(wrong("One of the boxes that are to go first is not there."));
            }
        }
        let campaign = enrol::name128(self.store().fresh("name a campaign")?);
        let bake_s = bake_s.unwrap_or(BAKE_S);
        let detail = format!("{name}: {version}");
        let draft = Draft { name, version, boards, canaries, bake_s, note, who: String::new() };
        let command = Command::Draft { campaign: campaign.clone(), draft };
        let note = Note { by, tenant: "", what: "fleet.draft", subject: &campaign, detail: &detail };
        self.command(command, note).await??;
        Ok(campaign)
    }

    /// Does something with a campaign.
    ///
    /// # Errors
    /// [`Unwilling`], or the database's.
    pub async fn steer(&self, campaign: &str, how: Steer, reason: &str, by: By<'_>) -> Result<(), Undone> {
        let what = format!("fleet.{}", how.name());
        let note = Note { by, tenant: "", what: &what, subject: campaign, detail: reason };
        let command = Command::Steer { campaign: campaign.to_owned(), how, reason: reason.to_owned() };
        Ok(self.command(command, note).await??)
    }

    /// Does these things with a box: all, or none when one of them cannot be.
    ///
    /// # Errors
    /// [`Unwilling`], or the database's.
    pub async fn care(&self, id: &BoxId, cares: Vec<Care>, by: By<'_>) -> Result<(), Undone> {
        let tenant = self.tenant_of(id).ok_or(Unwilling::NotThere)?;
        let of = |care| {
            let box_id = id.clone();
            match care {
                Care::Pin(version) => {
                    ("fleet.pin", version.clone().unwrap_or_default(), Command::Pin { box_id, version })
                }
                Care::Hold(reason) => {
                    ("fleet.hold", reason.clone().unwrap_or_default(), Command::Hold { box_id, reason })
                }
            }
        };
        let commands: Vec<_> = cares.into_iter().map(of).collect();
        {
            let (state, now) = (self.known().await?, self.store().now_ms());
            for (_, _, command) in &commands {
                state.command(command.clone(), "", now)?;
            }
        }
        for (what, detail, command) in commands {
            let note = Note { by, tenant: &tenant, what, subject: id.as_str(), detail: &detail };
            self.command(command, note).await??;
        }
        Ok(())
    }

    /// Leaves a box alone for so many hours; gives until when, milliseconds since 1970.
    ///
    /// # Errors
    /// [`Unwilling`], or the database's.
    pub async fn postpone(&self, id: &BoxId, hours: u64, by: By<'_>) -> Result<u64, Undone> {
        let tenant = self.tenant_of(id).ok_or(Unwilling::NotThere)?;
        // Too many stay too many, whatever time it takes to decide.
        let ms = hours.saturating_mul(HOUR_MS).min(2 * POSTPONE_MS);
        let until_ms = self.store().now_ms() + ms;
        let detail = format!("{hours} h");
        let note = Note { by, tenant: &tenant, what: "box.postpone", subject: id.as_str(), detail: &detail };
        self.command(Command::Postpone { box_id: id.clone(), until_ms }, note).await??;
        Ok(until_ms)
    }

    /// The tenant of a box that is active.
    pub(super) fn tenant_of(&self, id: &BoxId) -> Option<String> {
        let directory = self.store().directory().borrow().clone();
        let row = directory.by_id(id).filter(|row| row.state == BoxState::Active)?;
        directory.portal().tenant_named(&row.owner).map(ToOwned::to_owned)
    }

    /// Until when a box is spared, milliseconds since 1970.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn postponed(&self, id: &BoxId) -> Result<Option<u64>, store::Error> {
        let now = self.store().now_ms();
        let state = self.known().await?;
        Ok(state.known(id).map(|known| known.postponed_ms).filter(|until| *until > now))
    }
}
