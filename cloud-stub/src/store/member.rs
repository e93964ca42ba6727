//! A box that came in before, and who may have it now.

use std::net::Ipv4Addr;

use model::BoxId;

use super::database::{Fields, Write};
use super::directory::BoxState;
use super::follow::box_row;
use super::{Error, Refused, Store};

/// What the table `boxes` has of a box that came in before.
pub(super) struct Member {
    pub(super) tunnel_key: String,
    pub(super) address: Ipv4Addr,
    pub(super) owner: String,
    pub(super) state: BoxState,
    pub(super) session: String,
    pub(super) enrolled_ms: u64,
}

impl Store {
    /// Whether a box belongs to somebody and is reached by this tunnel key, base64.
    ///
    /// # Errors
    /// [`Refused::Revoked`], or the database's.
    pub async fn has_peer(&self, id: &BoxId, tunnel_key: &str) -> Result<bool, Error> {
        const DOING: &str = "look for a box";
        let database = &self.0.database;
        database
            .within(DOING, async {
                let row = sqlx::query("SELECT state, tunnel_key FROM boxes WHERE id = $1")
                    .bind(id.as_str())
                    .fetch_optional(database.pool())
                    .await
                    .map_err(database.error(DOING))?;
                let Some(row) = row else { return Ok(false) };
                let row = Fields::new(&row, DOING);
                match BoxState::from_name(&row.text("state")?) {
                    Some(BoxState::Revoked) => Err(Refused::Revoked.into()),
                    Some(BoxState::Active) => Ok(row.text("tunnel_key")? == tunnel_key),
                    Some(BoxState::Released) | None => Ok(false),
                }
            })
            .await
    }
}

pub(super) async fn member(write: &mut Write, id: &BoxId) -> Result<Option<Member>, Error> {
    let (error, doing) = (write.error(), write.doing());
    let row = sqlx::query("SELECT * FROM boxes WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(&mut *write.tx)
        .await
        .map_err(error)?;
    let Some(row) = row else { return Ok(None) };
    let fields = Fields::new(&row, doing);
    let (session, tunnel_key) = (fields.text("session")?, fields.text("tunnel_key")?);
    let row = box_row(&row)?;
    let (address, owner, state, enrolled_ms) = (row.address, row.owner, row.state, row.enrolled_ms);
    Ok(Some(Member { tunnel_key, address, owner, state, session, enrolled_ms }))
}

/// A revoked identity is refused for good.
pub(super) async fn refuse_revoked(write: &mut Write, id: &BoxId) -> Result<(), Error> {
    match member(write, id).await? {
        Some(member) if member.state == BoxState::Revoked => Err(Refused::Revoked.into()),
        _ => Ok(()),
    }
}

/// Whether this owner may have the box: nobody has it, its owner released it, or the owner is the same.
pub(super) async fn may_have(write: &mut Write, id: &BoxId, owner: &str) -> Result<(), Error> {
    match member(write, id).await? {
        Some(member) if member.state == BoxState::Revoked => Err(Refused::Revoked.into()),
        Some(member) if member.state == BoxState::Active && member.owner != owner => {
            Err(Refused::OtherOwner { box_id: id.to_string() }.into())
        }
        _ => Ok(()),
    }
}
