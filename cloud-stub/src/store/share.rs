//! Links and tokens for one camera, as they are made and taken back. Their secrets are kept as hashes alone.

use model::CameraId;

use super::audit::{Audit, By};
use super::portal::{Row as _, Share};
use super::{Error, Refused, Store};
use crate::access::share::marks;

/// Longest label, characters.
const LABEL: usize = 100;
/// Most shares of one camera, also those that are over: whoever needs more has a server that signs tokens.
const MOST: i64 = 200;

/// What a new share is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewShare<'a> {
    /// `link` or `embed`.
    pub kind: &'a str,
    /// What it is for.
    pub label: &'a str,
    /// When it is over, milliseconds since 1970; `None`: when it is taken back.
    pub expires_ms: Option<u64>,
}

impl Store {
    /// Makes a share of a camera of this tenant and gives its id and its secret, which nobody can ask for later.
    ///
    /// # Errors
    /// [`Refused::Unfit`], or the database's.
    pub async fn add_share(
        &self,
        camera: &CameraId,
        tenant: &str,
        new: &NewShare<'_>,
        by: By<'_>,
    ) -> Result<(String, String), Error> {
        const DOING: &str = "share a camera";
        let now = self.now_ms();
        let label = new.label.trim();
        if label.chars().count() > LABEL || label.chars().any(char::is_control) {
            return Err(Refused::Unfit("A label has at most 100 letters.").into());
        }
        if new.expires_ms.is_some_and(|at| at <= now || i64::try_from(at).is_err()) {
            return Err(Refused::Unfit("A share ends in the future.").into());
        }
        let secret = self.secret(DOING)?;
        let (id, hash) = marks(&secret);
        self.writing(DOING, async {
            let mut write = self.0.database.write(DOING).await?;
            let error = write.error();
            let shares: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM share WHERE public_id = $1")
                .bind(camera.as_str())
                .fetch_one(&mut *write.tx)
                .await
                .map_err(error)?;
            if shares >= MOST {
                return Err(Refused::Unfit("The camera has 200 shares: take some back first.").into());
            }
            let insert = "INSERT INTO share (id, public_id, kind, label, secret, made_by, made_ms, expires_ms) \
                          VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
            sqlx::query(insert)
                .bind(&id)
                .bind(camera.as_str())
                .bind(new.kind)
                .bind(label)
                .bind(&hash)
                .bind(by.person)
                .bind(now as i64)
                .bind(new.expires_ms.map(|at| at as i64))
                .execute(&mut *write.tx)
                .await
                .map_err(error)?;
            write.change(Share::WHAT, &id, now).await?;
            let detail = format!("{camera} {} {label}", new.kind);
            let audit = Audit { by, tenant, what: "share.add", subject: &id, detail: &detail };
            self.audit(&mut write, audit).await?;
            write.commit().await
        })
        .await?;
        Ok((id, secret))
    }

    /// Takes a share back: whoever watches by it sees nothing more within a second.
    ///
    /// # Errors
    /// [`Refused::NotThere`] when the camera has no such share, or the database's.
    pub async fn remove_share(
        &self,
        camera: &CameraId,
        tenant: &str,
        id: &str,
        by: By<'_>,
    ) -> Result<(), Error> {
        const DOING: &str = "take a share back";
        self.writing(DOING, async {
            let mut write = self.0.database.write(DOING).await?;
            let error = write.error();
            let removed = sqlx::query("DELETE FROM share WHERE id = $1 AND public_id = $2")
                .bind(id)
                .bind(camera.as_str())
                .execute(&mut *write.tx)
                .await
                .map_err(error)?;
            if removed.rows_affected() == 0 {
                return Err(Refused::NotThere.into());
            }
            write.change(Share::WHAT, id, self.now_ms()).await?;
            let audit = Audit { by, tenant, what: "share.remove", subject: id, detail: camera.as_str() };
            self.audit(&mut write, audit).await?;
            write.commit().await
        })
        .await
    }

    /// The page of a share.
    pub fn share_link(&self, camera: &CameraId, secret: &str) -> String {
        format!("{}/{camera}~{secret}/", self.0.options.url)
    }
}
