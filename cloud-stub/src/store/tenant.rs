//! Tenants: one for each name that boxes were ever claimed by. A tenant's name is what the check words were made from, so
//! it never changes.

use enrol::name128;

use super::audit::{Audit, By};
use super::claim::owner_name;
use super::database::{Database, Write};
use super::portal::{Row as _, Tenant};
use super::{Error, Refused, Store, World, random};

/// Gives a tenant to every owner of boxes that has none.
pub(super) async fn adopt(database: &Database, world: &dyn World) -> Result<(), Error> {
    const DOING: &str = "make tenants of the owners of boxes";
    const ORPHANS: &str = "SELECT DISTINCT owner FROM boxes WHERE owner NOT IN (SELECT name FROM tenant)";
    database
        .within(DOING, async {
            let error = database.error(DOING);
            let orphans: Vec<String> =
                sqlx::query_scalar(ORPHANS).fetch_all(database.pool()).await.map_err(error)?;
            if orphans.is_empty() {
                return Ok(());
            }
            let mut write = database.write(DOING).await?;
            for name in &orphans {
                make(&mut write, name, random(world, DOING)?, world.now_ms()).await?;
            }
            write.commit().await
        })
        .await
}

/// Makes the tenant of this name, unless there is one. Its id is then of these random bits.
pub(super) async fn make(write: &mut Write, name: &str, bits: [u8; 16], now_ms: u64) -> Result<bool, Error> {
    let error = write.error();
    let id = name128(bits);
    let insert = "INSERT INTO tenant (id, name, made_ms, alerts) VALUES ($1, $2, $3, '{}') ON CONFLICT (name) DO NOTHING";
    let made = sqlx::query(insert)
        .bind(&id)
        .bind(name)
        .bind(now_ms as i64)
        .execute(&mut *write.tx)
        .await
        .map_err(error)?;
    let made = made.rows_affected() != 0;
    if made {
        write.change(Tenant::WHAT, &id, now_ms).await?;
    }
    Ok(made)
}

/// The id of the tenant of this name.
pub(super) async fn id_of(write: &mut Write, name: &str) -> Result<Option<String>, Error> {
    let error = write.error();
    sqlx::query_scalar("SELECT id FROM tenant WHERE name = $1")
        .bind(name)
        .fetch_optional(&mut *write.tx)
        .await
        .map_err(error)
}

/// Whether there is a tenant of this id.
pub(super) async fn exists(write: &mut Write, id: &str) -> Result<bool, Error> {
    let error = write.error();
    let found: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM tenant WHERE id = $1")
        .bind(id)
        .fetch_one(&mut *write.tx)
        .await
        .map_err(error)?;
    Ok(found != 0)
}

impl Store {
    /// Makes a tenant and gives its id.
    ///
    /// # Errors
    /// [`Refused::OwnerName`], [`Refused::NameTaken`], or the database's.
    pub async fn add_tenant(&self, name: &str, by: By<'_>) -> Result<String, Error> {
        const DOING: &str = "make a tenant";
        let name = owner_name(name)?;
        let bits = self.random(DOING)?;
        let id = name128(bits);
        self.writing(DOING, async {
            let mut write = self.0.database.write(DOING).await?;
            if !make(&mut write, &name, bits, self.now_ms()).await? {
                return Err(Refused::NameTaken.into());
            }
            let audit = Audit { by, tenant: &id, what: "tenant.add", subject: &id, detail: &name };
            self.audit(&mut write, audit).await?;
            write.commit().await
        })
        .await?;
        Ok(id)
    }
}
