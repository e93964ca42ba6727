//! Where the pages of boxes are on their own networks, for whoever has a label's code.
//!
//! What a box says of itself is believed as far as it can do no harm: a page is an address of a private network or a name that
//! ends in `.local`, so nobody can make this cloud lead people to a stranger's server. A label belongs to the box that was
//! first to name it.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::net::Ipv4Addr;

use model::BoxId;
use model::enrol::Findable;
use url::{Host, Url};

use super::database::Fields;
use super::{Error, Store, lock};

/// What is older is not told: the address may be somebody else's by now.
const FRESH_MS: u64 = 24 * 3_600_000;
/// What has not changed is written again only after this.
const AGAIN_MS: u64 = 10 * 60_000;
/// Most pages of a box, and the longest one's length.
const PAGES: usize = 8;
const LONGEST: usize = 120;
/// Longest hash of a label, characters.
const LABEL: usize = 64;
/// Most boxes of which it is remembered when they were last written.
const REMEMBERED: usize = 100_000;

/// A box that was found by its label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where its page is, best first.
    pub pages: Vec<String>,
    /// When the box was last heard of, milliseconds since 1970.
    pub seen_ms: u64,
}

impl Store {
    /// Keeps what a box says of where its page is. Its word must have been proved: a signed hello, or a report through its tunnel.
    ///
    /// # Errors
    /// The database's.
    pub async fn note_findable(&self, of: &BoxId, findable: &Findable) -> Result<(), Error> {
        const DOING: &str = "keep where a box is found";
        let pages: Vec<&String> = findable.pages.iter().filter(|page| is_near(page)).take(PAGES).collect();
        if pages.is_empty() || findable.label.is_empty() || findable.label.len() > LABEL {
            return Ok(());
        }
        let now = self.now_ms();
        let mut gist = DefaultHasher::new();
        (&findable.label, &pages).hash(&mut gist);
        let gist = gist.finish();
        let same = |(at_ms, before): &(u64, u64)| *before == gist && now.saturating_sub(*at_ms) < AGAIN_MS;
        if lock(&self.0.found).get(of).is_some_and(same) {
            return Ok(());
        }
        let pages = serde_json::to_string(&pages).map_err(|error| Error::broken(DOING, error))?;
        let database = &self.0.database;
        database
            .within(DOING, async {
                let mut write = database.write(DOING).await?;
                let error = write.error();
                // A label that another box has named is that one's: then nothing is written.
                let insert = "INSERT INTO found (box_id, label, pages, seen_ms) SELECT $1, $2, $3, $4 \
                              WHERE NOT EXISTS (SELECT 1 FROM found WHERE label = $2 AND box_id <> $1) \
                              ON CONFLICT (box_id) DO UPDATE SET label = excluded.label, pages = excluded.pages, \
                              seen_ms = excluded.seen_ms";
                sqlx::query(insert)
                    .bind(of.as_str())
                    .bind(self.hash(&findable.label))
                    .bind(&pages)
                    .bind(now as i64)
                    .execute(&mut *write.tx)
                    .await
                    .map_err(error)?;
                write.commit().await
            })
            .await?;
        let mut found = lock(&self.0.found);
        if found.len() >= REMEMBERED {
            found.clear();
        }
        found.insert(of.clone(), (now, gist));
        Ok(())
    }

    /// The box whose label has a code of this hash, unless it was revoked or not heard of for a day.
    ///
    /// # Errors
    /// The database's.
    pub async fn find(&self, label_hash: &str) -> Result<Option<Found>, Error> {
        const DOING: &str = "find a box";
        let database = &self.0.database;
        let now = self.now_ms();
        database
            .within(DOING, async {
                let select = "SELECT found.pages AS pages, found.seen_ms AS seen_ms, boxes.last_report_ms AS report_ms \
                              FROM found LEFT JOIN boxes ON boxes.id = found.box_id \
                              WHERE found.label = $1 AND (boxes.state IS NULL OR boxes.state <> 'revoked')";
                let row = sqlx::query(select)
                    .bind(self.hash(label_hash))
                    .fetch_optional(database.pool())
                    .await
                    .map_err(database.error(DOING))?;
                let Some(row) = row else { return Ok(None) };
                let row = Fields::new(&row, DOING);
                let pages = serde_json::from_str(&row.text("pages")?);
                let pages: Vec<String> = pages.map_err(|error| Error::broken(DOING, error))?;
                let seen_ms = row.number("seen_ms")?.max(row.maybe_number("report_ms")?.unwrap_or(0));
                let fresh = now.saturating_sub(seen_ms) < FRESH_MS;
                Ok(fresh.then_some(Found { pages, seen_ms }))
            })
            .await
    }
}

/// Whether an address can only be one of the visitor's own network.
fn is_near(page: &str) -> bool {
    if page.len() > LONGEST {
        return false;
    }
    let Ok(url) = Url::parse(page) else { return false };
    let plain = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && matches!(url.path(), "/" | "/setup/");
    plain
        && match url.host() {
            Some(Host::Ipv4(address)) => is_private(address),
            Some(Host::Domain(name)) => name.strip_suffix(".local").is_some_and(|label| {
                !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            }),
            _ => false,
        }
}

/// Private (RFC 1918), shared (RFC 6598) or link-local (RFC 3927).
fn is_private(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    address.is_private() || address.is_link_local() || a == 100 && (64..128).contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_led_to_their_own_network_only() {
        for good in [
            "http://192.168.1.5/setup/",
            "http://10.0.0.5:8080/setup/",
            "https://172.16.0.1:8443/",
            "http://streambox-ab12.local/setup/",
            "http://169.254.1.1/",
        ] {
            assert!(is_near(good), "{good}");
        }
        for bad in [
            "http://203.0.113.5/setup/",
            "http://evil.example/setup/",
            "http://streambox.local.evil.example/",
            "http://a.evil.local/",
            "http://.local/",
            "http://127.0.0.1/",
            "http://user:x@192.168.1.5/",
            "http://192.168.1.5/logout?x=1",
            "http://192.168.1.5/#x",
            "http://192.168.1.5/other",
            "javascript:alert(1)",
            "ftp://192.168.1.5/",
            "http://[fd00::1]/",
            "x",
        ] {
            assert!(!is_near(bad), "{bad}");
        }
        assert!(!is_near(&format!("http://{}.local/", "x".repeat(200))));
    }
}
