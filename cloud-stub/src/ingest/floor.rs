//! The time floor of the clouds that share a database, so that media sequence numbers never repeat over a restart.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use feed::{Floor, KEEP_EVERY};

use crate::store::{Error, Store};

/// Seconds since 1970, as decimal text.
const NAME: &str = "time_floor";

/// What earlier runs kept.
///
/// # Errors
/// When the database does not say: numbers of an earlier run might be used again.
pub async fn floor(store: &Store) -> Result<Floor, Error> {
    let kept = store.setting(NAME).await?.and_then(|text| text.trim().parse().ok());
    Ok(Floor::new(kept.map(Duration::from_secs), now()))
}

/// Keeps the time for the next start, for ever.
pub async fn keep_floor(store: Store, floor: Floor) {
    loop {
        let seconds = floor.time(now()).as_secs();
        match store.set_setting(NAME, &seconds.to_string()).await {
            Ok(()) => {}
            Err(error) => tracing::warn!("the time is not kept for the next start: {error}"),
        }
        tokio::time::sleep(KEEP_EVERY).await;
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
