//! This cloud's own line among those that share the database, and which of the others live.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::directory::Directory;
use super::portal::{Node, Row as _};
use super::{Error, Store, lock};

/// A line that nobody has touched for so long is nobody's: its cloud has another address now.
const FORGET_MS: u64 = 24 * 3_600_000;

impl Store {
    /// Writes this cloud down under its id; from now on the directory knows which cloud it is read by.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn come_in(&self, id: &str, node: &Node) -> Result<(), Error> {
        const DOING: &str = "write this cloud down";
        let database = &self.0.database;
        let now = self.now_ms();
        database
            .within(DOING, async {
                let mut write = database.write(DOING).await?;
                let error = write.error();
                let old: Vec<String> =
                    sqlx::query_scalar("DELETE FROM node WHERE seen_ms < $1 AND id <> $2 RETURNING id")
                        .bind(now.saturating_sub(FORGET_MS) as i64)
                        .bind(id)
                        .fetch_all(&mut *write.tx)
                        .await
                        .map_err(error)?;
                let insert = "INSERT INTO node (id, url, endpoint, seen_ms) VALUES ($1, $2, $3, $4) \
                              ON CONFLICT (id) DO UPDATE SET url = excluded.url, endpoint = excluded.endpoint, \
                              seen_ms = excluded.seen_ms";
                sqlx::query(insert)
                    .bind(id)
                    .bind(&node.url)
                    .bind(&node.endpoint)
                    .bind(now as i64)
                    .execute(&mut *write.tx)
                    .await
                    .map_err(error)?;
                for id in old.iter().map(String::as_str).chain([id]) {
                    write.change(Node::WHAT, id, now).await?;
                }
                write.commit().await
            })
            .await?;
        self.show(|directory| directory.set_here(id)).await;
        self.refresh().await
    }

    /// Says that this cloud lives, and looks who else does.
    ///
    /// # Errors
    /// The database's; who lives stays as it was known then.
    pub async fn beat(&self, id: &str, node: &Node) -> Result<(), Error> {
        const DOING: &str = "say that this cloud lives";
        let database = &self.0.database;
        let (beaten, rows) = database
            .within(DOING, async {
                // Beside the writers' turn: a lock that others hold must not make a cloud look dead.
                let beaten = sqlx::query("UPDATE node SET seen_ms = $2 WHERE id = $1")
                    .bind(id)
                    .bind(self.now_ms() as i64)
                    .execute(database.pool())
                    .await
                    .map_err(database.error(DOING))?;
                let rows: Vec<(String, i64)> = sqlx::query_as("SELECT id, seen_ms FROM node")
                    .fetch_all(database.pool())
                    .await
                    .map_err(database.error(DOING))?;
                Ok((beaten.rows_affected(), rows))
            })
            .await?;
        let alive: BTreeSet<String> = {
            let mut pulses = lock(&self.0.pulses);
            pulses.read(rows, self.now_ms());
            pulses.alive().map(str::to_owned).collect()
        };
        if *self.0.directory.borrow().alive() != alive {
            self.show(|directory| directory.set_alive(alive)).await;
        }
        if beaten == 0 {
            // Another cloud has taken this one for long dead.
            self.come_in(id, node).await?;
        }
        Ok(())
    }

    /// Takes this cloud's line away: it stops, and nobody need wait for it to be found dead.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn leave(&self, id: &str) -> Result<(), Error> {
        const DOING: &str = "take this cloud's line away";
        let database = &self.0.database;
        database
            .within(DOING, async {
                let mut write = database.write(DOING).await?;
                let error = write.error();
                sqlx::query("DELETE FROM node WHERE id = $1")
                    .bind(id)
                    .execute(&mut *write.tx)
                    .await
                    .map_err(error)?;
                write.change(Node::WHAT, id, self.now_ms()).await?;
                write.commit().await
            })
            .await
    }

    /// The key of what clouds say to each other: 32 random bytes, made once.
    ///
    /// # Errors
    /// When the database does not say, or cannot keep it.
    pub async fn cluster_key(&self) -> Result<[u8; 32], Error> {
        super::setting::made_once(&self.0.database, &*self.0.world, "cluster_key").await
    }

    async fn show(&self, change: impl FnOnce(&mut Directory)) {
        let _turn = self.0.reading.lock().await;
        let mut next = Directory::clone(&self.0.directory.borrow());
        change(&mut next);
        self.0.directory.send_replace(Arc::new(next));
    }
}
