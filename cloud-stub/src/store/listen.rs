//! PostgreSQL tells of changes: each writing transaction speaks on a channel, and what listens wakes the follower at once.
//! The channel carries nothing but the wake-up; what has changed stands in the table `change`, so a word that is lost costs
//! the time until the next poll and nothing else.

use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};

use super::Store;

/// The channel, and what a writer says before it commits.
const CHANNEL: &str = "streambox";
pub(super) const NOTIFY: &str = "NOTIFY streambox";
/// A connection must stand after this.
const CONNECT: Duration = Duration::from_secs(5);
/// Pauses between tries.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

impl Store {
    /// Listens for ever, where the database can tell; a connection that breaks is made again.
    pub(super) async fn listen(&self) {
        let Some(url) = self.0.database.postgres() else { return std::future::pending().await };
        let mut pause = AGAIN.0;
        loop {
            if let Ok(Ok(mut listener)) = tokio::time::timeout(CONNECT, connect(url.expose())).await {
                pause = AGAIN.0;
                self.0.listening.store(true, Ordering::Relaxed);
                // What was said before nobody heard.
                self.0.nudge.notify_one();
                while let Ok(Some(_)) = listener.try_recv().await {
                    self.0.nudge.notify_one();
                }
                self.0.listening.store(false, Ordering::Relaxed);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(AGAIN.1);
        }
    }
}

async fn connect(url: &str) -> Result<PgListener, sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
    let pool = pool.acquire_timeout(CONNECT).connect(url).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    // A connection that broke is seen here, not mended behind our back.
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}
