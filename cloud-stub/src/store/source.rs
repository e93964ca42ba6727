//! Cameras without a box as they come and go. One that is behind a WireGuard peer gets an address of the boxes' network in
//! the same transaction, so that no two peers of a hub ever have the same one.

use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{CameraId, Private};

use super::audit::{Audit, By};
use super::database::Write;
use super::place::{NAME, its_site, text};
use super::portal::{Access, Row as _, Share, Source, WirePeer};
use super::{Error, Refused, Store, tenant};

/// Most cameras without a box of a tenant.
const MOST: i64 = 2000;

/// What a new camera without a box is to be.
#[derive(Debug, Clone)]
pub struct NewSource<'a> {
    /// What people call it.
    pub title: &'a str,
    /// The id of the site where it stands, or empty.
    pub site: &'a str,
    /// `pull`, `push` or `peer`.
    pub kind: &'a str,
    /// JSON of its kind.
    pub settings: Private<String>,
    /// The public key of the peer that it is behind.
    pub tunnel_key: Option<[u8; 32]>,
}

impl Store {
    /// Makes a camera without a box, which nobody may watch but its tenant; gives its id and its peer's address inside the
    /// tunnel, if it has a peer.
    ///
    /// # Errors
    /// [`Refused::NotThere`] for a tenant or site that is not there, [`Refused::Unfit`], [`Refused::KeyTaken`],
    /// [`Refused::PoolExhausted`], or the database's.
    pub async fn add_source(
        &self,
        tenant: &str,
        new: &NewSource<'_>,
        by: By<'_>,
    ) -> Result<(CameraId, Option<Ipv4Addr>), Error> {
        const DOING: &str = "add a camera";
        let title = text(new.title, 1, NAME)?;
        let id = CameraId::new(&self.secret(DOING)?).map_err(|error| Error::broken(DOING, error))?;
        let address = self
            .writing(DOING, async {
                let now = self.now_ms();
                let mut write = self.0.database.write(DOING).await?;
                let error = write.error();
                if !tenant::exists(&mut write, tenant).await? {
                    return Err(Refused::NotThere.into());
                }
                its_site(&mut write, tenant, new.site).await?;
                let there: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM source WHERE tenant = $1")
                    .bind(tenant)
                    .fetch_one(&mut *write.tx)
                    .await
                    .map_err(error)?;
                if there >= MOST {
                    return Err(Refused::Unfit("There are too many cameras without a box.").into());
                }
                let insert = "INSERT INTO source (public_id, tenant, site, title, kind, settings, is_on, access, made_ms, \
                              node, report, since_ms) VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8, '', '', $8)";
                sqlx::query(insert)
                    .bind(id.as_str())
                    .bind(tenant)
                    .bind(new.site)
                    .bind(&title)
                    .bind(new.kind)
                    .bind(new.settings.expose())
                    .bind(Access::Private.name())
                    .bind(now as i64)
                    .execute(&mut *write.tx)
                    .await
                    .map_err(error)?;
                write.change(Source::WHAT, id.as_str(), now).await?;
                let address = match &new.tunnel_key {
                    Some(key) => Some(self.add_peer(&mut write, &id, key).await?),
                    None => None,
                };
                let detail = format!("{} {title}", new.kind);
                let audit = Audit { by, tenant, what: "camera.add", subject: id.as_str(), detail: &detail };
                self.audit(&mut write, audit).await?;
                write.commit().await?;
                Ok(address)
            })
            .await?;
        Ok((id, address))
    }

    /// The peer of a camera that was just made.
    async fn add_peer(&self, write: &mut Write, id: &CameraId, key: &[u8; 32]) -> Result<Ipv4Addr, Error> {
        let error = write.error();
        let key = STANDARD.encode(key);
        let taken = "SELECT (SELECT COUNT(*) FROM boxes WHERE tunnel_key = $1) + (SELECT COUNT(*) FROM peer WHERE tunnel_key = $1)";
        let taken: i64 =
            sqlx::query_scalar(taken).bind(&key).fetch_one(&mut *write.tx).await.map_err(error)?;
        if taken != 0 {
            return Err(Refused::KeyTaken.into());
        }
        let address = self.free_address(write).await?;
        sqlx::query("INSERT INTO peer (public_id, tunnel_key, address) VALUES ($1, $2, $3)")
            .bind(id.as_str())
            .bind(&key)
            .bind(i64::from(address.to_bits()))
            .execute(&mut *write.tx)
            .await
            .map_err(error)?;
        write.change(WirePeer::WHAT, id.as_str(), self.now_ms()).await?;
        Ok(address)
    }

    /// Forgets a camera without a box, with its peer, its shares and its history. Its link is unknown from then on, and
    /// nobody's ever after.
    ///
    /// # Errors
    /// [`Refused::NotThere`] when it is not this tenant's, or the database's.
    pub async fn remove_source(&self, id: &CameraId, tenant: &str, by: By<'_>) -> Result<(), Error> {
        const DOING: &str = "remove a camera";
        self.writing(DOING, async {
            let now = self.now_ms();
            let mut write = self.0.database.write(DOING).await?;
            let error = write.error();
            let title: Option<String> =
                sqlx::query_scalar("SELECT title FROM source WHERE public_id = $1 AND tenant = $2")
                    .bind(id.as_str())
                    .bind(tenant)
                    .fetch_optional(&mut *write.tx)
                    .await
                    .map_err(error)?;
            let title = title.ok_or(Refused::NotThere)?;
            for (what, query) in [
                (WirePeer::WHAT, "DELETE FROM peer WHERE public_id = $1 RETURNING public_id"),
                (Share::WHAT, "DELETE FROM share WHERE public_id = $1 RETURNING id"),
                (Source::WHAT, "DELETE FROM source WHERE public_id = $1 RETURNING public_id"),
            ] {
                let gone: Vec<String> = sqlx::query_scalar(query)
                    .bind(id.as_str())
                    .fetch_all(&mut *write.tx)
                    .await
                    .map_err(error)?;
                for key in gone {
                    write.change(what, &key, now).await?;
                }
            }
            for history in ["sample_hour", "sample_day", "outage"] {
                sqlx::query(&format!("DELETE FROM {history} WHERE public_id = $1"))
                    .bind(id.as_str())
                    .execute(&mut *write.tx)
                    .await
                    .map_err(error)?;
            }
            let audit = Audit { by, tenant, what: "camera.remove", subject: id.as_str(), detail: &title };
            self.audit(&mut write, audit).await?;
            write.commit().await
        })
        .await
    }
}
