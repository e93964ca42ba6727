//! Single values that a store keeps: keys that are made once, the ACME account, the certificate.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use super::database::{Database, Write};
use super::{Error, Store, World, random};

impl Store {
    /// A value by its name.
    ///
    /// # Errors
    /// When the database does not say.
    pub async fn setting(&self, name: &str) -> Result<Option<String>, Error> {
        const DOING: &str = "read a setting";
        let database = &self.0.database;
        database.within(DOING, read(database, name, DOING)).await
    }

    /// Keeps a value under a name, in place of the one that was there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn set_setting(&self, name: &str, value: &str) -> Result<(), Error> {
        const DOING: &str = "keep a setting";
        let database = &self.0.database;
        database
            .within(DOING, async {
                let mut write = database.write(DOING).await?;
                put(&mut write, name, value).await?;
                write.commit().await
            })
            .await
    }

    /// The hub's WireGuard private key: 32 random bytes, made at the first start and the same ever after. All hubs of one
    /// store have it.
    ///
    /// # Errors
    /// When the database does not say, or cannot keep it.
    pub async fn hub_key(&self) -> Result<[u8; 32], Error> {
        made_once(&self.0.database, &*self.0.world, "hub_key").await
    }
}

impl Store {
    /// The key by which cameras' passwords are sealed: 32 random bytes, made at the first start and the same ever after.
    ///
    /// # Errors
    /// When the database does not say, or cannot keep it.
    pub async fn password_key(&self) -> Result<[u8; 32], Error> {
        made_once(&self.0.database, &*self.0.world, "camera_password_key").await
    }
}

/// The key by which codes are hashed.
pub(super) async fn code_key(database: &Database, world: &dyn World) -> Result<hmac::Key, Error> {
    let key = made_once(database, world, "code_key").await?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &key))
}

/// 32 random bytes that are made when they are first needed.
pub(super) async fn made_once(database: &Database, world: &dyn World, name: &str) -> Result<[u8; 32], Error> {
    const DOING: &str = "make the store's keys";
    let decode = |text: String| {
        let bytes = STANDARD.decode(text).map_err(|error| Error::broken(DOING, error))?;
        bytes.try_into().map_err(|_| Error::broken(DOING, "a key of another length"))
    };
    database
        .within(DOING, async {
            if let Some(text) = read(database, name, DOING).await? {
                return decode(text);
            }
            let mut write = database.write(DOING).await?;
            // Another process may have been faster.
            let found = sqlx::query_scalar("SELECT value FROM setting WHERE name = $1")
                .bind(name)
                .fetch_optional(&mut *write.tx)
                .await
                .map_err(write.error())?;
            if let Some(text) = found {
                return decode(text);
            }
            let mut key = [0; 32];
            for half in key.chunks_mut(16) {
                half.copy_from_slice(&random(world, DOING)?);
            }
            put(&mut write, name, &STANDARD.encode(key)).await?;
            write.commit().await?;
            Ok(key)
        })
        .await
}

async fn read(database: &Database, name: &str, doing: &'static str) -> Result<Option<String>, Error> {
    sqlx::query_scalar("SELECT value FROM setting WHERE name = $1")
        .bind(name)
        .fetch_optional(database.pool())
        .await
        .map_err(database.error(doing))
}

async fn put(write: &mut Write, name: &str, value: &str) -> Result<(), Error> {
    let error = write.error();
    sqlx::query(
        "INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .execute(&mut *write.tx)
    .await
    .map_err(error)?;
    Ok(())
}
