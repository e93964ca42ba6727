//! The box's yes: one transaction finds the address, puts the peer in and tells every hub. It may be repeated: whoever
//! lost the answer gets the same one again.

use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::enrol::{Join, Progress};

use super::database::{Fields, Write};
use super::directory::BoxState;
use super::follow::{BOX, SESSION};
use super::member::{may_have, member, refuse_revoked};
use super::session::Row;
use super::{Error, Refused, Store};

/// What the yes got the box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// Its address inside the tunnel, a /32.
    pub address: Ipv4Addr,
    /// Its owner.
    pub owner: String,
}

impl Store {
    /// The box has said yes; its signature was found good. One transaction finds the address, puts the peer in, and tells
    /// every hub. The same yes again gives the same answer; one with a new key changes the key.
    ///
    /// # Errors
    /// [`Refused`] in most of its forms, or the database's.
    pub async fn join(&self, join: &Join) -> Result<Admitted, Error> {
        const DOING: &str = "let a box join";
        let database = &self.0.database;
        database
            .within(DOING, async {
                let now = self.now_ms();
                let mut write = database.write(DOING).await?;
                let error = write.error();
                let row = sqlx::query("SELECT * FROM session WHERE id = $1 AND box_id = $2")
                    .bind(&join.session)
                    .bind(join.box_id.as_str())
                    .fetch_optional(&mut *write.tx)
                    .await
                    .map_err(error)?
                    .ok_or(Refused::NoSession)?;
                let session = Row::read(&row, DOING)?;
                refuse_revoked(&mut write, &session.box_id).await?;
                let owner = match session.progress(now) {
                    Progress::Waiting { .. } => return Err(Refused::NotClaimed.into()),
                    Progress::Expired => return Err(Refused::Expired.into()),
                    Progress::Claimed { owner } => owner,
                    Progress::Joined => session.owner.clone().ok_or(Refused::Expired)?,
                };
                if owner != join.owner {
                    return Err(Refused::OtherWords.into());
                }
                let member = member(&mut write, &session.box_id).await?;
                let admitted = match member {
                    Some(member) if session.joined => {
                        if member.session != session.id || member.state != BoxState::Active {
                            return Err(Refused::Expired.into());
                        }
                        if member.tunnel_key == join.tunnel_key {
                            return Ok(Admitted { address: member.address, owner: member.owner });
                        }
                        free_key(&mut write, join).await?;
                        change_box(&mut write, &session, join, &owner, member.enrolled_ms).await?;
                        Admitted { address: member.address, owner }
                    }
                    Some(member) => {
                        may_have(&mut write, &session.box_id, &owner).await?;
                        free_key(&mut write, join).await?;
                        if member.owner != owner {
                            // The links that the last owner knows must not show the new one's pictures.
                            sqlx::query("DELETE FROM camera WHERE box_id = $1")
                                .bind(session.box_id.as_str())
                                .execute(&mut *write.tx)
                                .await
                                .map_err(error)?;
                        }
                        change_box(&mut write, &session, join, &owner, now).await?;
                        Admitted { address: member.address, owner }
                    }
                    None => {
                        free_key(&mut write, join).await?;
                        let address = self.free_address(&mut write).await?;
                        add_box(&mut write, &session, join, &owner, address, now).await?;
                        Admitted { address, owner }
                    }
                };
                sqlx::query("INSERT INTO session_key (session, tunnel_key) VALUES ($1, $2)")
                    .bind(&session.id)
                    .bind(&join.tunnel_key)
                    .execute(&mut *write.tx)
                    .await
                    .map_err(error)?;
                sqlx::query("UPDATE session SET joined_ms = $2 WHERE id = $1")
                    .bind(&session.id)
                    .bind(now as i64)
                    .execute(&mut *write.tx)
                    .await
                    .map_err(error)?;
                write.change(BOX, session.box_id.as_str(), now).await?;
                write.change(SESSION, &session.id, now).await?;
                write.commit().await?;
                self.0.nudge.notify_one();
                Ok(admitted)
            })
            .await
    }

    /// The lowest address that no box and no other peer has.
    pub(super) async fn free_address(&self, write: &mut Write) -> Result<Ipv4Addr, Error> {
        let (error, doing) = (write.error(), write.doing());
        let network = self.0.options.network;
        let all = network.boxes();
        let query = "SELECT COUNT(*) AS taken, MAX(address) AS highest, MIN(address) AS lowest FROM \
                     (SELECT address FROM boxes UNION ALL SELECT address FROM peer) AS used WHERE address BETWEEN $1 AND $2";
        let row = sqlx::query(query)
            .bind(i64::from(*all.start()))
            .bind(i64::from(*all.end()))
            .fetch_one(&mut *write.tx)
            .await
            .map_err(error)?;
        let row = Fields::new(&row, doing);
        let first = u64::from(*all.start());
        let free = match (row.number("taken")?, row.maybe_number("highest")?, row.maybe_number("lowest")?) {
            (taken, Some(highest), Some(lowest)) if lowest == first => {
                if taken == highest - first + 1 {
                    highest + 1
                } else {
                    // There is a gap: the lowest address whose neighbour below is taken and which is not.
                    let gap = "SELECT MIN(below.address) + 1 FROM \
                               (SELECT address FROM boxes UNION ALL SELECT address FROM peer) AS below \
                               WHERE below.address BETWEEN $1 AND $2 \
                               AND NOT EXISTS (SELECT 1 FROM boxes WHERE boxes.address = below.address + 1) \
                               AND NOT EXISTS (SELECT 1 FROM peer WHERE peer.address = below.address + 1)";
                    let gap: i64 = sqlx::query_scalar(gap)
                        .bind(i64::from(*all.start()))
                        .bind(i64::from(*all.end()))
                        .fetch_one(&mut *write.tx)
                        .await
                        .map_err(error)?;
                    gap as u64
                }
            }
            _ => first,
        };
        if free > u64::from(*all.end()) {
            return Err(Refused::PoolExhausted { network: network.to_string(), size: network.size() }.into());
        }
        u32::try_from(free).map(Ipv4Addr::from).map_err(|error| Error::broken(doing, error))
    }
}

/// Whether the key is neither another box's nor an earlier one of this session.
async fn free_key(write: &mut Write, join: &Join) -> Result<(), Error> {
    let error = write.error();
    let of_others: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM boxes WHERE tunnel_key = $1 AND id <> $2")
        .bind(&join.tunnel_key)
        .bind(join.box_id.as_str())
        .fetch_one(&mut *write.tx)
        .await
        .map_err(error)?;
    let of_peers: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM peer WHERE tunnel_key = $1")
        .bind(&join.tunnel_key)
        .fetch_one(&mut *write.tx)
        .await
        .map_err(error)?;
    if of_others != 0 || of_peers != 0 {
        return Err(Refused::KeyTaken.into());
    }
    let earlier: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM session_key WHERE session = $1 AND tunnel_key = $2")
            .bind(&join.session)
            .bind(&join.tunnel_key)
            .fetch_one(&mut *write.tx)
            .await
            .map_err(error)?;
    if earlier != 0 { Err(Refused::Repeated.into()) } else { Ok(()) }
}

async fn change_box(
    write: &mut Write,
    session: &Row,
    join: &Join,
    owner: &str,
    enrolled_ms: u64,
) -> Result<(), Error> {
    let error = write.error();
    let update = "UPDATE boxes SET tunnel_key = $2, owner = $3, state = $4, enrolled_ms = $5, version = $6, session = $7, \
                  name = CASE WHEN owner = $3 AND $8 = '' THEN name ELSE $8 END, \
                  site = CASE WHEN owner = $3 AND $9 = '' THEN site ELSE $9 END WHERE id = $1";
    sqlx::query(update)
        .bind(session.box_id.as_str())
        .bind(&join.tunnel_key)
        .bind(owner)
        .bind(BoxState::Active.name())
        .bind(enrolled_ms as i64)
        .bind(&session.version)
        .bind(&session.id)
        .bind(&session.name)
        .bind(&session.site)
        .execute(&mut *write.tx)
        .await
        .map_err(error)?;
    Ok(())
}

async fn add_box(
    write: &mut Write,
    session: &Row,
    join: &Join,
    owner: &str,
    address: Ipv4Addr,
    now: u64,
) -> Result<(), Error> {
    let error = write.error();
    let insert = "INSERT INTO boxes (id, identity, tunnel_key, address, owner, state, enrolled_ms, version, \
                  last_report_ms, session, name, site) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10, $11)";
    sqlx::query(insert)
        .bind(session.box_id.as_str())
        .bind(STANDARD.encode(session.identity))
        .bind(&join.tunnel_key)
        .bind(i64::from(address.to_bits()))
        .bind(owner)
        .bind(BoxState::Active.name())
        .bind(now as i64)
        .bind(&session.version)
        .bind(&session.id)
        .bind(&session.name)
        .bind(&session.site)
        .execute(&mut *write.tx)
        .await
        .map_err(error)?;
    Ok(())
}
